"""The logging setup, and numbers as JSON lines and TensorBoard scalars."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import simplejson
from tqdm import tqdm

from slowfast.utils import distributed
from slowfast.utils.files import atomic_write, cause_of, storage_error
from slowfast.utils.run_writers import RunWriter
from slowfast.utils.text import printable

_FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
SHOWN_ELSEWHERE = {"is_shown_elsewhere": True}


class _TerminalHandler(logging.StreamHandler):
    """Writes to standard output without tearing a progress bar apart.

    Records with ``extra=SHOWN_ELSEWHERE`` are left to the log file: a bar or standard error shows the same.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "is_shown_elsewhere", False):
            return
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


class _VisibleFormatter(logging.Formatter):
    """Shows control characters of paths and names as escapes, so that no file name can control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


class _LogFile(logging.FileHandler):
    """Says once on standard error that it can no longer write, and lets the run continue."""

    _has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            print(f"{self.baseFilename} cannot be written: {cause_of(error)}", file=sys.stderr)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # of the lines that a full disk did not take: that has been said
            super().close()


def setup_logging(output_dir: str | Path | None = None, *, rank: int | None = None) -> None:
    """Log of the package to standard output (main process) and to ``output_dir``/log.txt (one file per process).

    On other machines the first process shows warnings. Calling it again replaces the earlier setup.

    Args:
        rank: number of this process; default: that of the process group.
    """
    rank = distributed.rank() if rank is None else rank
    package = logging.getLogger("slowfast")
    for handler in list(package.handlers):
        package.removeHandler(handler)
        handler.close()
    package.setLevel(logging.INFO)
    package.propagate = False
    formatter = _VisibleFormatter(_FORMAT, datefmt="%m-%d %H:%M:%S")
    handlers: list[logging.Handler] = [_TerminalHandler()] if distributed.local_rank() == 0 or rank == 0 else []
    if rank != 0 and handlers:
        handlers[0].setLevel(logging.WARNING)
    if output_dir is not None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        name = "log.txt" if rank == 0 else f"log_rank{rank}.txt"
        handlers.append(_LogFile(Path(output_dir) / name, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(formatter)
        package.addHandler(handler)


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 video``, ``1,000 videos``; ``plural`` where it is not the noun with an s (es after ch, s and x)."""
    plural = plural or noun + ("es" if noun.endswith(("ch", "s", "x")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def format_seconds(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    seconds = round(seconds)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_figures(figures: Mapping[str, float]) -> str:
    """``top1 76.53  top5 92.10``; whole numbers as such."""
    return "  ".join(f"{name} {value if isinstance(value, int) else f'{value:.2f}'}" for name, value in figures.items())


class MetricWriter:
    """Appends records of numbers to ``output_dir``/metrics.jsonl, and passes their scalars to other writers.

    Only the main process writes. A record is one JSON object per line; numbers stay numbers, and NaN and infinity,
    which JSON does not have, become null.

    Args:
        writers: the others.
        start: number of records of an earlier part of this run to keep; later ones are dropped. None keeps all.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        writers: Sequence[RunWriter] = (),
        start: int | None = None,
    ):
        self.num_records = 0
        self._path = Path(output_dir) / "metrics.jsonl"
        self._file: TextIO | None = None
        self.writers = tuple(writers)
        self._begun = False
        if not distributed.is_main():
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self.num_records = _keep_records(self._path, start)
            self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (closed in close)
        except OSError as error:
            raise storage_error(self._path, error) from error

    def write(self, step: int, record: dict[str, Any]) -> None:
        """Append one record; its scalars go to the other writers."""
        if self._file is None:
            return
        clean = {key: value.item() if hasattr(value, "item") else value for key, value in record.items()}
        try:
            self._file.write(simplejson.dumps({"step": step, **clean}, ignore_nan=True) + "\n")
            self._file.flush()
        except OSError as error:
            raise storage_error(self._path, error) from error
        self.num_records += 1
        scalars = {name: float(value) for name, value in clean.items() if type(value) in (int, float)}
        for writer in self.writers:
            if not self._begun:
                writer.begin(step)
            writer.scalars(step, scalars)
        self._begun = True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        for writer in self.writers:
            writer.close()


def _keep_records(path: Path, count: int | None) -> int:
    """Cut a file of records to its first ``count`` (None: to the complete ones); returns their number."""
    if not path.is_file():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith(b"\n")][:count]  # the last may be torn
    if kept != lines:
        with atomic_write(path) as draft:
            draft.write_bytes(b"".join(kept))
    return len(kept)
