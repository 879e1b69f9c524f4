"""Saving and finding training state, and loading weights for training and testing.

A file of ours is a dict with PySlowFast's fields (epoch from 0, model_state, optimizer_state, scaler_state, cfg as
YAML text) and our own (see ``Trainer.state_dict``; class_names, versions). ``models/weights/load.py`` reads it, and all
others. The records of a torch file carry checksums, which torch itself does not verify; this module does.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from slowfast.config.merge import leaves
from slowfast.engine.step import check_weights, non_finite_tensors
from slowfast.engine.training_state import state_problem
from slowfast.engine.weight_average import NAME as AVERAGE
from slowfast.models.weights.load import CheckpointError, load_exactly, load_weights, read_checkpoint
from slowfast.utils import distributed, liveness
from slowfast.utils.files import atomic_write, storage_error

logger = logging.getLogger(__name__)

_NAME = re.compile(r"checkpoint_epoch_(\d+)(?:_batch_(\d+))?\.pyth")
# Counts outside of these are damage, not training. An epoch is the last finished one, from 0.
_COUNTS = {"epoch": (-1, 10**6), "batch": (0, 10**9), "step": (0, 10**12)}
BEST_NAME = "best.pyth"


def checkpoint_path(output_dir: str | os.PathLike, num_epochs: int, batch: int | None = None) -> Path:
    """The file for the state after ``num_epochs`` epochs: OUTPUT_DIR/checkpoints/checkpoint_epoch_00010.pyth.

    Args:
        batch: batches of the next epoch, in the name of a state that is kept until a later one exists.
    """
    inside = "" if batch is None else f"_batch_{batch:06d}"
    return Path(output_dir) / "checkpoints" / f"checkpoint_epoch_{num_epochs:05d}{inside}.pyth"


# What decides how a model is trained; where data lies, how it is loaded and what a test does are not among it.
_TRAINING_GROUPS = ("AUG", "BN", "DETECTION", "LOSS", "MIXUP", "MODEL", "MULTIGRID", "NONLOCAL", "RESNET", "RNG_SEED",
                    "SLOWFAST", "SOLVER", "X3D")  # fmt: skip
_TRAINING_KEYS = ("TRAIN.BATCH_SIZE", "TRAIN.DATASET", "TRAIN.MIXED_PRECISION", "DATA.FOLD", "DATA.NUM_FRAMES",
                  "DATA.SAMPLING_RATE", "DATA.TRAIN_CROP_SIZE", "DATA.TRAIN_JITTER_SCALES")  # fmt: skip


def training_differences(stored: str, present: str) -> list[str]:
    """``KEY there -> here`` for every setting of the training that differs between two configs as YAML text."""
    there, here = (dict(leaves(yaml.safe_load(text) or {})) for text in (stored, present))
    names = sorted(name for name in there.keys() & here.keys() if there[name] != here[name])
    return [
        f"{name} {there[name]} -> {here[name]}"
        for name in names
        if name.split(".")[0] in _TRAINING_GROUPS or name in _TRAINING_KEYS
    ]


def find_checkpoints(output_dir: str | os.PathLike) -> list[Path]:
    """Checkpoints of an output folder, the most trained first."""
    folder = Path(output_dir) / "checkpoints"
    found = [path for path in folder.glob("checkpoint_epoch_*.pyth") if _NAME.fullmatch(path.name)]
    return sorted(found, key=_position, reverse=True)


def _position(path: Path) -> tuple[int, int, bool]:
    """(epochs, batches of the next, whether the work after the epoch is done) of a file, by its name."""
    match = _NAME.fullmatch(path.name)
    assert match is not None, path
    epochs, batch = match.groups()
    return int(epochs), int(batch or 0), batch is None


def save_checkpoint(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path`` atomically, with fsync.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with atomic_write(path, concurrently=True) as draft:
            with draft.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(draft, 0o644)
    except (OSError, RuntimeError) as error:
        raise storage_error(path, error) from error


class CheckpointFolder:
    """The checkpoints of one run: those after whole epochs, the best, and the newest inside an epoch.

    Args:
        period: epochs from one checkpoint to the next.
        minutes: the longest that a crash may cost inside an epoch; 0 saves at the ends of epochs alone.
        keep: number of epochs whose files are kept; 0: all.
        facts: further fields of every checkpoint (config, class names, versions).
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        *,
        period: int = 1,
        minutes: float = 0.0,
        keep: int = 0,
        facts: Mapping[str, Any] | None = None,
    ):
        self.output_dir = Path(output_dir)
        self.period = period
        self.minutes = minutes
        self.keep = keep
        self.facts = dict(facts or {})
        self._last_save = time.monotonic()

    def follows(self, epoch: int) -> bool:
        """Whether ``epoch`` epochs, not the last ones, are followed by a checkpoint."""
        return self.period > 0 and epoch % self.period == 0

    @property
    def is_overdue(self) -> bool:
        """Whether the last save is so long ago that one inside the epoch is due."""
        return 0 < self.minutes <= (time.monotonic() - self._last_save) / 60

    def save(self, state: dict[str, Any], *, epochs: int, batch: int | None = None) -> Path:
        """Write the state after ``epochs`` epochs (and ``batch`` batches), then delete the files that it makes
        superfluous.

        Every process must call it; the main one writes.

        Raises:
            NonFiniteWeightsError: the weights are not finite; nothing is written.
            StorageError: it cannot be written.
        """
        check_weights(state["model_state"], state["step"])
        liveness.mark("saving")
        path = checkpoint_path(self.output_dir, epochs, batch)
        distributed.on_main(lambda: self._write(path, state))
        self._last_save = time.monotonic()
        return path

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        save_checkpoint(path, {**self.facts, **state})
        self._drop_old()

    def _drop_old(self) -> None:
        """A file inside an epoch is kept while it is one of the two newest, so that a damaged newest file is no
        loss."""
        found = find_checkpoints(self.output_dir)
        newest_is_whole = _position(found[0])[2]
        inside = [path for path in found[1 if newest_is_whole else 2 :] if not _position(path)[2]]
        whole = [path for path in found if _position(path)[2]]
        for path in [*inside, *(whole[self.keep :] if self.keep else [])]:
            path.unlink(missing_ok=True)

    def keep_best(self) -> None:
        """Make best.pyth the newest checkpoint: a second name of the file where the system supports that.

        Every process must call it; the main one writes.
        """
        distributed.on_main(self._keep_best)

    def _keep_best(self) -> None:
        path = find_checkpoints(self.output_dir)[0]
        best = path.with_name(BEST_NAME)
        if best.exists() and best.samefile(path):  # renaming one name of a file to another of its own does nothing
            return
        with atomic_write(best) as draft:
            try:
                os.link(path, draft)
            except OSError:
                shutil.copyfile(path, draft)


def read_training_state(path: str | os.PathLike) -> dict[str, Any]:
    """Contents of a checkpoint from which training can resume.

    Raises:
        CheckpointError: it cannot be read, is damaged, or its weights are not finite.
    """
    check_integrity(path)
    state = read_checkpoint(path)
    for name, (least, most) in _COUNTS.items():
        value = state.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise CheckpointError(f"{path} is damaged: {name}={value!r} is not a valid number.")
    problem = state_problem(state) if "training" in state else ""
    if problem:
        raise CheckpointError(f"{path} is damaged: {problem}.")
    broken = non_finite_tensors(state["model_state"])
    if broken:
        raise CheckpointError(f"{path} holds weights that are NaN or infinite ({', '.join(broken[:3])}).")
    return state


def check_integrity(path: str | os.PathLike) -> None:
    """Check the checksums inside a torch file; a file of any other kind passes.

    Raises:
        CheckpointError: the file was damaged after it was written.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as file:
            record = file.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.") from error
    if record is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of {record} in it is wrong.")


def load_for_test(model: nn.Module, path: str | os.PathLike, *, averaged: bool = False) -> dict[str, Any]:
    """Load the weights of ``path``; anything missing or left over is an error. Returns the file's contents.

    Args:
        averaged: load the averaged weights, which the file must hold; see ``averaged_weights``.

    Raises:
        CheckpointError: with the report; or the file is damaged.
    """
    if Path(path).is_file():
        check_integrity(path)
    content = read_checkpoint(path)
    content = averaged_weights(content, path) if averaged else content
    load_exactly(model, content, path)
    return content


def averaged_weights(content: dict[str, Any], path: str | os.PathLike) -> dict[str, Any]:
    """The content of a checkpoint with the averaged weights in place of the weights.

    Raises:
        CheckpointError: it was trained without an average.
    """
    average = content.get("states", {}).get(AVERAGE)
    if average is None:
        raise CheckpointError(
            f"{path} holds no averaged weights (TEST.EMA): it was not trained with TRAIN.EMA_DECAY. Set TEST.EMA "
            f"False to test the weights themselves."
        )
    return {**content, "model_state": average["model_state"]}


def load_for_finetuning(
    model: nn.Module,
    path: str | os.PathLike,
    *,
    clear_patterns: tuple[str, ...] = (),
    inflate: bool = False,
    min_match: float = 0.5,
) -> dict[str, Any]:
    """Load the weights of ``path`` that fit (a different class count re-initializes the head). Returns the contents.

    Args:
        clear_patterns: prefixes that are first removed from the names (TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN).
        inflate: load the 2D kernels of an image network, repeated along time (TRAIN.CHECKPOINT_INFLATE).
        min_match: minimum share, in [0, 1], of the model's tensors that must be found (TRAIN.CHECKPOINT_MIN_MATCH).

    Raises:
        CheckpointError: not one tensor fits, or a smaller share than ``min_match``.
    """
    content = read_checkpoint(path)
    state = content["model_state"]
    for pattern in clear_patterns:
        state = {name.replace(pattern, ""): value for name, value in state.items()}
    report = load_weights(model, state, inflate=inflate, source=path)
    if not report.loaded:
        raise CheckpointError(f"{path} has no tensor that fits this model: {report}.")
    num_tensors = sum(not name.endswith("num_batches_tracked") for name in model.state_dict())
    num_found = sum(not name.endswith("num_batches_tracked") for name in report.loaded)
    if num_found < min_match * num_tensors:
        raise CheckpointError(
            f"{path} has {num_found} of the model's {num_tensors} tensors, less than {100 * min_match:g} %: training "
            f"would mostly start from random weights ({report}). Choose the config that the weights were trained "
            f"with, or allow this: TRAIN.CHECKPOINT_MIN_MATCH 0."
        )
    level = logging.INFO if report.is_complete else logging.WARNING
    logger.log(
        level,
        "%s: %s%s",
        path,
        report,
        "" if report.is_complete else ". Tensors that were not loaded keep their initial values.",
    )
    return content
