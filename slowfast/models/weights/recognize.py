"""Recognizes the published network of a weights file by the names and shapes in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

import torch
from torch import Tensor

from slowfast.config.rules.model import model_kind
from slowfast.models.build import build_model
from slowfast.models.resnet3d import NUM_BLOCKS
from slowfast.models.weights.inflate import core_shape
from slowfast.models.weights.load import CheckpointError
from slowfast.models.weights.names import OURS, PYSLOWFAST, in_our_names, naming_of
from slowfast.models.weights.zoo import published_config
from slowfast.models.weights.zoo_table import ZooEntry, zoo_entries

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
    for narrower in (_of_class_count(found, ours), _of_file_name(found, file_name)):
        found = narrower or found
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


def _num_classes(ours: Mapping[str, Tensor]) -> int | None:
    weight = ours.get(f"{_CLASSIFIER}weight")
    return None if weight is None else weight.shape[0]


def _of_class_count(found: list[ZooEntry], ours: Mapping[str, Tensor]) -> list[ZooEntry]:
    return [entry for entry in found if published_config(entry).MODEL.NUM_CLASSES == _num_classes(ours)]


def _of_file_name(found: list[ZooEntry], file_name: str) -> list[ZooEntry]:
    return [entry for entry in found if PurePath(entry.url).name == PurePath(file_name).name]
