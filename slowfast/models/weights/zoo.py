"""Published networks: by name, ``load_pretrained("SLOWFAST_8x8_R50")``, and recognized by the weights in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.config import load_cfg
from slowfast.config.rules.model import model_kind
from slowfast.models.build import build_model
from slowfast.models.resnet3d import NUM_BLOCKS
from slowfast.models.weights.inflate import core_shape
from slowfast.models.weights.load import CheckpointError, load_exactly, read_checkpoint
from slowfast.models.weights.names import OURS, PYSLOWFAST, in_our_names, naming_of
from slowfast.models.weights.zoo_table import ZooEntry, fetch_entry, find_entry, zoo_entries
from slowfast.utils.download import DownloadError


def load_pretrained(name: str, *, num_classes: int | None = None, device=None) -> nn.Module:
    """The model of a published recipe with its published weights, in eval mode.

    Names are the recipes' ("Kinetics/c2/SLOWFAST_8x8_R50"); the last part is enough if it is unique
    ("SLOWFAST_8x8_R50"). ``slowfast zoo`` and docs/MODEL_ZOO.md list them with the accuracy that their authors
    published, which this project has not measured. The first call downloads, into iopath's cache ($FVCORE_CACHE,
    default ~/.torch/iopath_cache); a file put there by hand also works.

    Args:
        num_classes: a count that differs from the published one gives a classifier with fresh random weights.
        device: where the model goes (default: torch's default device).

    Raises:
        ValueError: no such name, a download that failed (the message says where to put the file), or a file with
            unexpected content.
    """
    entry = find_entry(name)
    overrides = [] if num_classes is None else ["MODEL.NUM_CLASSES", num_classes]
    model = build_model(published_config(entry, overrides))
    try:
        path = fetch_entry(entry)
    except DownloadError as error:
        raise CheckpointError(str(error)) from error
    load_exactly(model, read_checkpoint(path), path, but_for_head=num_classes is not None)
    return model.eval().to(device) if device is not None else model.eval()


def published_config(entry: ZooEntry, overrides: Sequence[Any] = ()) -> CfgNode:
    """The config of a published network: its recipe, what differs from it, and ``overrides`` as ``[KEY, value, ...]``.

    Raises:
        ValueError: the entry is an image network, which has none.
    """
    if entry.config is None:
        raise ValueError(
            f"{entry.name} is an image network ({entry.model}, {entry.dataset}), not a video model. To start training "
            f"from it, set TRAIN.CHECKPOINT_FILE_PATH {entry.name} and TRAIN.CHECKPOINT_INFLATE True."
        )
    # How training divided its batches is of no use here.
    return load_cfg(entry.config, ["BN.NORM_TYPE", "batchnorm", *entry.settings, *overrides])


_CLASSIFIER = "head.classifier."


def recognize(state: Mapping[str, Tensor], *, file_name: str = "") -> ZooEntry:
    """The published network whose parameters have the names and shapes of ``state``, whatever its classes are.

    Several networks may match, because shapes do not show how many frames a clip has. Then the class count decides, or
    the name of a published file, or the fact that all of them are used alike.

    Args:
        state: in any naming that weights/names.py knows.
        file_name: of the file, with or without folders.

    Raises:
        CheckpointError: no published network, or several; the message names them and says how to choose.
    """
    ours = in_our_names({name.removeprefix("module."): value for name, value in state.items()})
    found = [entry for entry in _candidates(state) if _may_fit(entry, ours) and _fits(entry, ours)]
    if not found:
        raise CheckpointError(
            f"{file_name or 'the state dict'} fits none of the published networks. Name the recipe that it was trained "
            'with: config="FILE.yaml".'
        )
    weight = ours.get(f"{_CLASSIFIER}weight")
    num_classes = None if weight is None else len(weight)
    of_count = [entry for entry in found if published_config(entry).MODEL.NUM_CLASSES == num_classes]
    of_name = [entry for entry in found if PurePath(entry.url).name == PurePath(file_name).name]
    found = of_name or of_count or found
    if len({(entry.config, str(entry.overrides), str(entry.protocol)) for entry in found}) > 1:
        names = ", ".join(entry.name for entry in found)
        raise CheckpointError(
            f"{file_name or 'the state dict'} fits {len(found)} published networks: {names}. They differ in properties "
            f'that shapes do not show, such as the frames of a clip. Say which: model="{found[0].name}".'
        )
    return found[0]


def _candidates(state: Mapping[str, Tensor]) -> list[ZooEntry]:
    """Networks of the publisher that uses this naming."""
    naming = naming_of(state)
    publisher = PYSLOWFAST if naming == OURS else naming
    return [entry for entry in zoo_entries() if entry.publisher == publisher and entry.config]


def _may_fit(entry: ZooEntry, ours: Mapping[str, Tensor]) -> bool:
    """Whether the numbers of pathways and blocks match, without building the network."""
    cfg = published_config(entry)
    is_slowfast = any(name.startswith("fast.") for name in ours)
    if is_slowfast != (model_kind(cfg) == "slowfast"):
        return False
    num_blocks = NUM_BLOCKS.get(cfg.RESNET.DEPTH)
    if num_blocks is None or model_kind(cfg) == "x3d" or "depth" in cfg.MODEL.ARGS:
        return True
    blocks = {match[1] for name in ours if (match := re.match(r"(?:slow|pathway)\.res4\.block(\d+)\.", name))}
    return len(blocks) == num_blocks[2]


def _fits(entry: ZooEntry, ours: Mapping[str, Tensor]) -> bool:
    with torch.device("meta"):
        return _structure(build_model(published_config(entry)).state_dict()) == _structure(ours)


def _structure(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all but the classifier and the counters, which older files lack."""
    names: Iterable[str] = (name for name in state if not name.startswith(_CLASSIFIER))
    return {name: core_shape(state[name]) for name in names if not name.endswith("num_batches_tracked")}
