"""Reading weights of any kind, and loading them into a model with a report.

Files come from the internet: they are read with ``weights_only=True``, i.e. tensors, numbers, strings and containers,
and nothing that could run; Caffe2 files are read by an equally strict unpickler (caffe2.py).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from slowfast.models.norm import fit_statistics
from slowfast.models.pathways import pathways_of
from slowfast.models.weights.caffe2 import read_caffe2
from slowfast.models.weights.inflate import (
    core_shape,
    flat_kernels,
    from_torchvision,
    inflate_kernels,
    is_torchvision_resnet,
    widen_kernels,
)
from slowfast.models.weights.names import in_our_names
from slowfast.models.weights.torchvision import is_torchvision_address, torchvision_weights
from slowfast.models.weights.zoo_table import fetch_entry, find_entry
from slowfast.utils.download import DownloadError, cache_path, fetch, is_url
from slowfast.utils.tensor_files import TensorFileError, is_state_dict, load_tensors

logger = logging.getLogger(__name__)

_OF_HEAD = re.compile(r"^head\.")
# What an image network has not, or has otherwise.
_OF_VIDEO_NETWORKS = re.compile(r"^head\.|\.nonlocal\d+\.|^fast\.|^laterals\.")


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint."""


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Contents of a checkpoint file, the weights under "model_state"; a URL is downloaded into iopath's cache.

    A bare state dict is returned as ``{"model_state": ...}``, and so is a Caffe2 file, in PySlowFast's names.

    Raises:
        CheckpointError: missing, unreadable, or not a checkpoint; the message says what the file is.
    """
    return read_with_kind(path)[1]


def read_with_kind(path: str | os.PathLike) -> tuple[str, dict[str, Any]]:
    """What kind of file ``path`` is ("checkpoint", "state dict", "Caffe2 file"), and ``read_checkpoint(path)``."""
    file = local_path(path)
    try:
        content = load_tensors(file)
    except TensorFileError as error:
        blobs = _caffe2_blobs(file)
        if blobs is not None:
            return "Caffe2 file", {"model_state": blobs}
        again = f" Delete it to download {path} again." if is_url(path) else ""
        raise CheckpointError(f"{error}.{again}") from error
    fields = content if isinstance(content, dict) else {}
    for name in ("model_state", "state_dict"):
        if is_state_dict(fields.get(name)):
            return "checkpoint", {"model_state" if key == name else key: value for key, value in fields.items()}
    if is_state_dict(fields):
        return "state dict", {"model_state": fields}
    raise CheckpointError(f"{file} holds no weights: expected a dict with model_state, found {_describe(content)}.")


def _caffe2_blobs(path: Path) -> dict[str, Tensor] | None:
    """The weights of a Caffe2 file, or None if it is not one."""
    try:
        return read_caffe2(path)
    except Exception:  # not a Caffe2 file, in any way; the caller says what torch found
        return None


def local_path(path: str | os.PathLike) -> Path:
    """``path`` itself, or the cached file of a URL or a name of the zoo (downloaded if it is not in the cache).

    The cache is iopath's, and for torchvision://r3d_18 torchvision's (torchvision.py). A file takes precedence over
    published weights of the same name.

    Raises:
        CheckpointError: no such file or name, or the download failed.
    """
    try:
        if is_url(path):
            return fetch(str(path), cache_path(str(path)))
        if is_torchvision_address(path):
            return torchvision_weights(str(path))
        if Path(path).is_file():
            return Path(path)
        try:
            entry = find_entry(str(path))
        except ValueError as error:
            raise CheckpointError(f"there is no checkpoint {path}: no file, and {error}") from error
        return fetch_entry(entry)
    except DownloadError as error:
        raise CheckpointError(str(error)) from error


def _describe(content: Any) -> str:
    return (
        f"a dict with {', '.join(map(str, list(content)[:5]))}" if isinstance(content, dict) else type(content).__name__
    )


@dataclass
class LoadReport:
    """What became of the names of a state dict; ``notes`` tell what was converted on the way."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    wrong_shape: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.unexpected or self.wrong_shape)

    @property
    def is_complete_but_for_head(self) -> bool:
        return not self._problems_beside(_OF_HEAD)

    def _problems_beside(self, names: re.Pattern) -> list[str]:
        """Entries that did not load and do not match ``names``; left-over entries always count."""
        return [*self.unexpected, *(name for name in (*self.missing, *self.wrong_shape) if not names.search(name))]

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} tensors loaded", *self.notes]
        for name in ("missing", "unexpected", "wrong_shape"):
            entries = getattr(self, name)
            if entries:
                more = f", and {len(entries) - 5} more" if len(entries) > 5 else ""
                lines.append(f"{len(entries)} {name.replace('_', ' ')}: {', '.join(entries[:5])}{more}")
        return "; ".join(lines)


def load_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    inflate: bool = False,
    source: str | os.PathLike = "the state dict",
) -> LoadReport:
    """Copy into ``model`` every tensor of ``state`` whose name and shape fit, and report on all.

    The names and layouts of PySlowFast, PyTorchVideo and mmaction2 and the prefix ``module.`` of wrapped models are
    understood, and sub-batch norms become plain ones or vice versa, as the model needs. A BN's
    ``num_batches_tracked`` may be missing (older files).

    Args:
        inflate: repeat 2D kernels along time where the model has 3D ones (inflate.py); torchvision's names for a
            ResNet are then understood too.
        source: what a message calls ``state``.

    Raises:
        CheckpointError: 2D kernels without ``inflate``, or an image network that is not the model's 2D counterpart.
    """
    own = model.state_dict()
    state = {name.removeprefix("module."): value for name, value in state.items()}
    is_image_network = is_torchvision_resnet(state) and not own.keys() & state.keys()
    if is_image_network:
        state = _image_network_in_our_names(model, state, source)
    else:
        state = in_our_names(state, num_pathways=len(pathways_of(model)))
    flat = flat_kernels(state, own)
    if flat and not inflate:
        raise CheckpointError(
            f"{source}: {len(flat)} kernels have no extent in time, as in an image network, e.g. {flat[0]} "
            f"{list(state[flat[0]].shape)} where the model has {list(own[flat[0]].shape)}. Set "
            f"TRAIN.CHECKPOINT_INFLATE True to repeat them along time and start training from them."
        )
    state = inflate_kernels(state, own)
    state, wide = widen_kernels(state, own) if inflate else (state, [])
    state, notes = fit_statistics(model, state)
    report = _copy(model, state)
    done = {"kernels inflated": flat, "of Slow's kernels filled but for the channels of lateral connections": wide}
    report.notes = [*(f"{len(names)} {what}" for what, names in done.items() if names), *notes]
    if is_image_network and report._problems_beside(_OF_VIDEO_NETWORKS):
        raise CheckpointError(
            f"{source} is a ResNet of torchvision, but not the model's 2D counterpart: {report}. It must have the "
            f"depth of RESNET.DEPTH (50 or 101, with bottleneck blocks), and the model must have "
            f"RESNET.WIDTH_PER_GROUP 64."
        )
    return report


def _image_network_in_our_names(
    model: nn.Module, state: Mapping[str, Tensor], source: str | os.PathLike
) -> dict[str, Tensor]:
    """A ResNet of torchvision in the names of a single pathway, or of the Slow pathway of two."""
    name = next((name for name in ("pathway", "slow") if isinstance(getattr(model, name, None), nn.Module)), None)
    if name is None:
        raise CheckpointError(
            f"{source} is an image network (a ResNet of torchvision). It can start SlowFast, or a network of one "
            "pathway with its widths (MODEL.MODEL_NAME ResNet, MODEL.ARCH slow, c2d or i3d), "
            f"not {type(model).__name__}."
        )
    firsts = [module for path, module in getattr(model, name).named_modules() if path.endswith(".a")]
    if any(conv.kernel_size[1:] == (1, 1) and conv.stride[1] > 1 for conv in firsts):
        raise CheckpointError(
            f"{source} strides in the 3x3 convolutions of its blocks, as torchvision's ResNets do, but the model in "
            f"the 1x1 before them. Set RESNET.STRIDE_1X1 False."
        )
    ours = {from_torchvision(theirs): value for theirs, value in state.items()}
    if name == "pathway":
        return ours
    return {path.replace("pathway.", "slow.", 1): value for path, value in ours.items() if not _OF_HEAD.match(path)}


def _copy(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Copy what fits by name and shape."""
    own = model.state_dict()
    report = LoadReport(
        missing=[name for name in own if name not in state and not name.endswith("num_batches_tracked")],
        unexpected=[name for name in state if name not in own],
    )
    fitting = {}
    for name in own.keys() & state.keys():
        if core_shape(own[name]) == core_shape(state[name]):
            fitting[name] = state[name].reshape(own[name].shape)
        else:
            shapes = f"file {list(state[name].shape)}, model {list(own[name].shape)}"
            report.wrong_shape.append(f"{name} ({shapes})")
    report.loaded = sorted(fitting)
    report.wrong_shape.sort()
    model.load_state_dict(fitting, strict=False)
    return report


def load_exactly(
    model: nn.Module, content: Mapping[str, Any], path: str | os.PathLike, *, but_for_head: bool = False
) -> None:
    """``load_complete``, with the report in the log."""
    logger.info("%s: %s", path, load_complete(model, content, path, but_for_head=but_for_head))


def load_complete(
    model: nn.Module, content: Mapping[str, Any], path: str | os.PathLike, *, but_for_head: bool = False
) -> LoadReport:
    """Load the weights in ``content``, which was read from ``path``; anything missing or left over is an error.

    Args:
        but_for_head: the head may be of another shape; it then keeps its initial values.

    Raises:
        CheckpointError: with the report.
    """
    report = load_weights(model, content["model_state"], source=path)
    if not (report.is_complete or (but_for_head and report.is_complete_but_for_head)):
        raise CheckpointError(
            f"{path} belongs to a different model, so a result would mean nothing: {report}. "
            "Build the model with the config that the weights were trained with."
        )
    return report
