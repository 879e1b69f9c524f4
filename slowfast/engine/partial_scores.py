"""Keeps the results of an evaluation in files, so that one that was stopped in any way resumes with the remaining
videos."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from slowfast.datasets.fingerprint import fingerprint_of
from slowfast.engine.agreement import stop_is_agreed
from slowfast.utils import distributed
from slowfast.utils.errors import StoppedError
from slowfast.utils.files import atomic_write, storage_error
from slowfast.utils.logging import count
from slowfast.utils.signals import stop_requested
from slowfast.utils.tensor_files import TensorFileError, load_tensors

if TYPE_CHECKING:
    from slowfast.datasets.contract import VideoDataset
    from slowfast.engine.pipeline import Pipeline

logger = logging.getLogger(__name__)

FOLDER = "partial_scores"
_WRITE_SECONDS = 10.0  # the most work that a crash may cost


class PartialScores:
    """The records of one evaluation so far, in ``folder``/partial_scores/``name``; every process writes its own files.

    ``begin``, then ``add`` for whatever is scored, and ``finish``. An evaluation of a few seconds writes nothing. A
    truncated file does not count: its samples are scored again.

    Args:
        folder: OUTPUT_DIR; None keeps nothing.
        name: of the evaluation among those of the folder.
    """

    def __init__(self, folder: str | Path | None = None, *, name: str = ""):
        self.folder = None if folder is None else Path(folder) / FOLDER / name
        self._begin_anew("", 0)

    def _begin_anew(self, key: str, num_files: int) -> None:
        self._key, self._num_files = key, num_files
        self._pending: list[dict[str, Any]] = []
        self._last_write = time.monotonic()

    def begin(self, loader, key: Callable[[], str]) -> list[dict[str, Any]]:
        """Limit ``loader`` to what is left; returns the records so far (only on the main process).

        Every process must call it.

        Args:
            loader: its (batch) sampler has ``skip(done)``.
            key: identifies what is evaluated, and how; see ``evaluation_key``. Files of any other evaluation are
                deleted.
        """
        folder = self.folder
        if folder is None:
            return []
        records: list[dict[str, Any]] = []
        own_key = key()
        done = distributed.on_main(lambda: self._read(folder, own_key, records))
        order = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
        order.skip(done)
        if done:
            logger.info("%s resumes: %s already done", folder.name, count(len(done), "sample"))
        self._begin_anew(own_key, len(done))  # a name that no earlier file has: every file is of a sample or more
        return records

    def _read(self, folder: Path, key: str, records: list[dict[str, Any]]) -> set[int]:
        done: set[int] = set()
        for path in sorted(folder.glob("*.pt")):
            content = _read_file(path)
            if content is None or content["key"] != key:
                path.unlink(missing_ok=True)
                continue
            for record in content["records"]:
                if done.isdisjoint(record["done"]):
                    done.update(record["done"])
                    records.append(record)
        return done

    def add(self, done: Iterable[int], **values: Any) -> None:
        """Add one record: its samples, and what to keep of them (tensors, numbers, text)."""
        if self.folder is None:
            return
        self._pending.append({"done": list(done), **values})
        if time.monotonic() - self._last_write > _WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the records of this process so far to a file."""
        if self.folder is None or not self._pending:
            return
        path = self.folder / f"{distributed.rank():05d}-{self._num_files:08d}.pt"
        try:
            with atomic_write(path) as draft, draft.open("wb") as file:
                torch.save({"key": self._key, "records": self._pending}, file)
        except (OSError, RuntimeError) as error:
            raise storage_error(path, error) from error
        self._begin_anew(self._key, self._num_files + 1)

    def write_and_stop(self, doing: str) -> None:
        """Check that no process was asked to stop; every process must call it.

        Raises:
            StoppedError: one was; the finished records are written.
        """
        if not stop_is_agreed():
            return
        self.write()
        distributed.barrier()
        by = stop_requested() or "a signal to another process"
        saved = "nothing is saved" if self.folder is None else "finished videos are saved; the same command resumes"
        raise StoppedError(f"stopped by {by} in the {doing}: {saved}.")

    def finish(self) -> None:
        """Delete the files of the complete evaluation; every process must call it."""
        self._pending = []
        if self.folder is None:
            return
        distributed.barrier()
        if distributed.is_main() and self.folder.is_dir():
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # another evaluation of the folder has some too
                self.folder.parent.rmdir()


def _read_file(path: Path) -> dict[str, Any] | None:
    try:
        content = load_tensors(path)
    except TensorFileError as error:  # it was cut short
        logger.warning("%s: its samples are scored again.", error)
        return None
    return content if isinstance(content, dict) and {"key", "records"} <= content.keys() else None


def evaluation_key(pipeline: Pipeline, dataset: VideoDataset, *more: object) -> str:
    """A digest of the weights, the protocol, the precision, the lists and ``more``, which identifies an evaluation."""
    protocol, lists = pipeline.protocol.as_dict(), fingerprint_of(dataset).as_dict()
    digest = hashlib.blake2b(repr((protocol, str(pipeline.dtype), lists, more)).encode(), digest_size=16)
    for name, value in pipeline.model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
