"""Saving and loading training state and weights.

A file of ours is a dict with PySlowFast's fields (epoch from 0, model_state, optimizer_state, scaler_state, cfg as
YAML text) and our own (batch, rng_state, class_names, versions). Files come from the internet: they are loaded with
``weights_only=True``, i.e. tensors, numbers, strings and containers, and nothing that could run.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from iopath.common.file_io import HTTPURLHandler, PathManager
from torch import Tensor, nn

from slowfast.models.caffe2 import read_caffe2
from slowfast.models.convert import from_pyslowfast, is_pyslowfast_name

logger = logging.getLogger(__name__)

_PATHS = PathManager()
_PATHS.register_handler(HTTPURLHandler())
_NAME = re.compile(r"checkpoint_epoch_(\d+)\.pyth")


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint."""


def checkpoint_path(output_dir: str | Path, num_epochs: int) -> Path:
    """Where the state after ``num_epochs`` epochs lies: OUTPUT_DIR/checkpoints/checkpoint_epoch_00010.pyth."""
    return Path(output_dir) / "checkpoints" / f"checkpoint_epoch_{num_epochs:05d}.pyth"


def find_checkpoints(output_dir: str | Path) -> list[Path]:
    """Checkpoints of an output folder, the newest first."""
    folder = Path(output_dir) / "checkpoints"
    found = [path for path in folder.glob("checkpoint_epoch_*.pyth") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(_NAME.fullmatch(path.name)[1]), reverse=True)


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path``; the file is there whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Contents of a checkpoint file; a bare state dict comes back as ``{"model_state": ...}``.

    Raises:
        CheckpointError: missing, unreadable, or not a checkpoint; the message says what the file is.
    """
    path = local_path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle fails in any way: IndexError, struct.error, ...
        blobs = _caffe2_blobs(path)
        if blobs is not None:
            return {"model_state": blobs}
        cause = _one_line(error)
        raise CheckpointError(f"{path} cannot be read as a checkpoint: it {describe_file(path)} ({cause}).") from error
    fields = content if isinstance(content, dict) else {}
    for weights in (fields.get("model_state"), fields.get("state_dict"), fields):
        if isinstance(weights, dict) and weights and all(isinstance(value, Tensor) for value in weights.values()):
            return {"model_state": weights} if weights is fields else {**fields, "model_state": weights}
    raise CheckpointError(f"{path} holds no weights: expected a dict with model_state, found {_describe(content)}.")


def _caffe2_blobs(path: Path) -> dict[str, Tensor] | None:
    """The weights of a Caffe2 file, or None if it is none."""
    try:
        return read_caffe2(path)
    except Exception:  # not a Caffe2 file, in any way; the caller says what torch found
        return None


def local_path(path: str | Path) -> Path:
    """``path`` itself, or where iopath's cache holds what a URL names (downloaded when it is not there).

    Raises:
        CheckpointError: no such file, or the download failed.
    """
    try:
        found = Path(_PATHS.get_local_path(str(path)))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be had ({error}). Download it by other means and name the file."
        ) from error
    if not found.is_file():
        raise CheckpointError(f"there is no checkpoint {path}.")
    return found


def describe_file(path: Path) -> str:
    """What a file that is no checkpoint looks like, for a message: "is empty", "is an HTML page", ..."""
    size = path.stat().st_size
    head = path.open("rb").read(512).lstrip()
    if size == 0:
        return "is empty"
    if head[:1] == b"<":
        return "is an HTML or XML page, not a download of the weights"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer: fetch the file itself with git lfs pull"
    if head.startswith(b"PK"):
        return f"looks like a torch file of {size:,} bytes that is cut short or holds objects other than tensors"
    if head[:1] == b"\x80":
        return f"is a pickle of {size:,} bytes that is cut short or holds objects other than tensors"
    return f"has {size:,} bytes of another kind, beginning with {head[:16]!r}"


def _one_line(error: Exception) -> str:
    """The cause in torch's message, without its advice to load the file in the way that lets it run code."""
    text = str(error)
    refused = re.search(r"GLOBAL (\S+)", text)
    if refused:
        return f"it asks for {refused[1]}, which is no tensor, number, string or container"
    if "weights_only" in text:
        return "no pickle of tensors"
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else 'no details'}"


def _describe(content: Any) -> str:
    return (
        f"a dict with {', '.join(map(str, list(content)[:5]))}" if isinstance(content, dict) else type(content).__name__
    )


@dataclass
class LoadReport:
    """What became of the names of a state dict."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    wrong_shape: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.unexpected or self.wrong_shape)

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} tensors loaded"]
        for name in ("missing", "unexpected", "wrong_shape"):
            entries = getattr(self, name)
            if entries:
                more = f", and {len(entries) - 5} more" if len(entries) > 5 else ""
                lines.append(f"{len(entries)} {name.replace('_', ' ')}: {', '.join(entries[:5])}{more}")
        return "; ".join(lines)


def load_weights(model: nn.Module, state: dict[str, Tensor]) -> LoadReport:
    """Copy into ``model`` every tensor of ``state`` whose name and shape fit, and report on all.

    PySlowFast's names and the prefix ``module.`` of wrapped models are understood. A BN's ``num_batches_tracked``
    may be missing (older files).
    """
    state = {name.removeprefix("module."): value for name, value in state.items()}
    num_pathways = len(getattr(model, "pathway_names", ("pathway",)))
    state = {
        from_pyslowfast(name, num_pathways=num_pathways) if is_pyslowfast_name(name) else name: value
        for name, value in state.items()
    }
    own = model.state_dict()
    report = LoadReport(
        missing=[name for name in own if name not in state and not name.endswith("num_batches_tracked")],
        unexpected=[name for name in state if name not in own],
    )
    fitting = {}
    for name in own.keys() & state.keys():
        if _core_shape(own[name]) == _core_shape(state[name]):
            fitting[name] = state[name].reshape(own[name].shape)
        else:
            shapes = f"file {list(state[name].shape)}, model {list(own[name].shape)}"
            report.wrong_shape.append(f"{name} ({shapes})")
    report.loaded = sorted(fitting)
    report.wrong_shape.sort()
    model.load_state_dict(fitting, strict=False)
    return report


def _core_shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape without trailing ones, which Caffe2 files may lack (or have, at the classifier)."""
    shape = list(tensor.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def load_for_test(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load the weights of ``path``; anything missing or left over is an error. Returns the file's contents.

    Raises:
        CheckpointError: with the report.
    """
    content = read_checkpoint(path)
    report = load_weights(model, content["model_state"])
    if not report.is_complete:
        raise CheckpointError(
            f"{path} is of another model, and a result with it would mean nothing: {report}. "
            "Test with the config that the weights were trained with."
        )
    logger.info("%s: %s", path, report)
    return content


def load_for_finetuning(model: nn.Module, path: str | Path, *, clear_patterns: tuple[str, ...] = ()) -> dict[str, Any]:
    """Load what fits of ``path``'s weights (another class count re-initialises the head). Returns the contents.

    Args:
        clear_patterns: text that is removed from the names first (TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN).

    Raises:
        CheckpointError: not one tensor fits.
    """
    content = read_checkpoint(path)
    state = content["model_state"]
    for pattern in clear_patterns:
        state = {name.replace(pattern, ""): value for name, value in state.items()}
    report = load_weights(model, state)
    if not report.loaded:
        raise CheckpointError(f"{path} has nothing that fits this model: {report}.")
    level = logging.INFO if report.is_complete else logging.WARNING
    logger.log(
        level, "%s: %s%s", path, report, "" if report.is_complete else ". What did not load keeps its initial values."
    )
    return content
