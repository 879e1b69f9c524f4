"""Saving and finding training state, and loading weights for training and testing.

A file of ours is a dict with PySlowFast's fields (epoch from 0, model_state, optimizer_state, scaler_state, cfg as
YAML text) and our own (batch, rng_state, class_names, versions). ``models/weights/load.py`` reads it, and all others.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from slowfast.models.weights.load import CheckpointError, load_exactly, load_weights, read_checkpoint
from slowfast.utils.files import atomic_write

logger = logging.getLogger(__name__)

_NAME = re.compile(r"checkpoint_epoch_(\d+)\.pyth")


def checkpoint_path(output_dir: str | Path, num_epochs: int) -> Path:
    """Where the state after ``num_epochs`` epochs lies: OUTPUT_DIR/checkpoints/checkpoint_epoch_00010.pyth."""
    return Path(output_dir) / "checkpoints" / f"checkpoint_epoch_{num_epochs:05d}.pyth"


# What decides how a model is trained; where data lies, how it is loaded and what a test does are not among it.
_TRAINING_GROUPS = ("AUG", "BN", "DETECTION", "LOSS", "MIXUP", "MODEL", "MULTIGRID", "NONLOCAL", "RESNET", "RNG_SEED",
                    "SLOWFAST", "SOLVER", "X3D")  # fmt: skip
_TRAINING_KEYS = ("TRAIN.BATCH_SIZE", "TRAIN.DATASET", "TRAIN.MIXED_PRECISION", "DATA.FOLD", "DATA.NUM_FRAMES",
                  "DATA.SAMPLING_RATE", "DATA.TRAIN_CROP_SIZE", "DATA.TRAIN_JITTER_SCALES")  # fmt: skip


def training_differences(stored: str, present: str) -> list[str]:
    """``KEY there -> here`` for every setting of the training that differs between two configs as YAML text."""
    there, here = (_flat(yaml.safe_load(text) or {}) for text in (stored, present))
    names = sorted(name for name in there.keys() & here.keys() if there[name] != here[name])
    return [
        f"{name} {there[name]} -> {here[name]}"
        for name in names
        if name.split(".")[0] in _TRAINING_GROUPS or name in _TRAINING_KEYS
    ]


def _flat(tree: dict, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def find_checkpoints(output_dir: str | Path) -> list[Path]:
    """Checkpoints of an output folder, the newest first."""
    folder = Path(output_dir) / "checkpoints"
    found = [path for path in folder.glob("checkpoint_epoch_*.pyth") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(_NAME.fullmatch(path.name)[1]), reverse=True)


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path``; the file is there whole or not at all."""
    with atomic_write(path) as draft, draft.open("wb") as file:
        torch.save(state, file)
        os.chmod(draft, 0o644)


def load_for_test(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load the weights of ``path``; anything missing or left over is an error. Returns the file's contents.

    Raises:
        CheckpointError: with the report.
    """
    return load_exactly(model, path)


def load_for_finetuning(
    model: nn.Module,
    path: str | Path,
    *,
    clear_patterns: tuple[str, ...] = (),
    inflate: bool = False,
    min_match: float = 0.5,
) -> dict[str, Any]:
    """Load what fits of ``path``'s weights (another class count re-initialises the head). Returns the contents.

    Args:
        clear_patterns: text that is removed from the names first (TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN).
        inflate: take the 2D kernels of an image network, repeated along time (TRAIN.CHECKPOINT_INFLATE).
        min_match: least share, in [0, 1], of the model's tensors that must be found (TRAIN.CHECKPOINT_MIN_MATCH).

    Raises:
        CheckpointError: not one tensor fits, or a smaller share than ``min_match``.
    """
    content = read_checkpoint(path)
    state = content["model_state"]
    for pattern in clear_patterns:
        state = {name.replace(pattern, ""): value for name, value in state.items()}
    report = load_weights(model, state, inflate=inflate, source=path)
    if not report.loaded:
        raise CheckpointError(f"{path} has nothing that fits this model: {report}.")
    num_tensors = sum(not name.endswith("num_batches_tracked") for name in model.state_dict())
    num_found = sum(not name.endswith("num_batches_tracked") for name in report.loaded)
    if num_found < min_match * num_tensors:
        raise CheckpointError(
            f"{path} has {num_found} of the model's {num_tensors} tensors, less than {100 * min_match:g} %: training "
            f"would start from random weights for the most part ({report}). Choose the config that the weights were "
            "trained with, or allow it: TRAIN.CHECKPOINT_MIN_MATCH 0."
        )
    level = logging.INFO if report.is_complete else logging.WARNING
    logger.log(
        level, "%s: %s%s", path, report, "" if report.is_complete else ". What did not load keeps its initial values."
    )
    return content
