"""Which naming a state dict uses, the conversion from each to ours, and PySlowFast's names <-> ours as one table.

The table is a bijection on the names of a model with pathways ("slow", "fast"), or of one with the single pathway
"pathway". Every load of a state dict goes through it, so PySlowFast's checkpoints load unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from slowfast.models.weights.mmaction2 import from_mmaction2, is_mmaction2
from slowfast.models.weights.pytorchvideo import from_pytorchvideo, is_pytorchvideo
from slowfast.models.weights.tables import NameTable

# (PySlowFast, ours). {p}: pathway, {n}: stage, {i}: block, {f}: number of the lateral connection.
_ROWS = (
    ("s1.pathway{p}_stem.", "{p}.stem."),
    ("s{n}.pathway{p}_res{i}.branch1.", "{p}.res{n}.block{i}.shortcut."),
    ("s{n}.pathway{p}_res{i}.branch1_bn.", "{p}.res{n}.block{i}.shortcut_bn."),
    ("s{n}.pathway{p}_res{i}.branch2.", "{p}.res{n}.block{i}."),
    ("s{n}.pathway{p}_nonlocal{i}.conv_", "{p}.res{n}.nonlocal{i}."),
    ("s{n}.pathway{p}_nonlocal{i}.bn.", "{p}.res{n}.nonlocal{i}.bn."),
    ("s{f}_fuse.conv_f2s.", "laterals.{f}.conv."),
    ("s{f}_fuse.", "laterals.{f}."),
    ("head.projection.", "head.classifier."),
)
_LATERALS = {str(i + 1): str(i) for i in range(4)}
_TABLES = {
    1: NameTable(_ROWS, {"p": {"0": "pathway"}, "f": _LATERALS}),
    2: NameTable(_ROWS, {"p": {"0": "slow", "1": "fast"}, "f": _LATERALS}),
}


def is_pyslowfast_name(name: str) -> bool:
    """Whether ``name`` is one of PySlowFast's names and not one of ours."""
    return re.match(r"s\d+(\.pathway\d+_|_fuse\.)|head\.projection\.", name) is not None


def from_pyslowfast(name: str, *, num_pathways: int) -> str:
    """Our name for PySlowFast's ``name``; a name that the table does not hold is returned as it is."""
    return _TABLES[num_pathways].to_ours(name) or name


def to_pyslowfast(name: str, *, num_pathways: int) -> str:
    """PySlowFast's name for our ``name``; a name that the table does not hold is returned as it is."""
    return _TABLES[num_pathways].to_theirs(name) or name


def num_pathways_of(names: Iterable[str]) -> int:
    """2 if any of ``names``, in either naming, is of a second pathway, else 1."""
    return 2 if any(".pathway1_" in name or name.startswith(("fast.", "slow.")) for name in names) else 1


def rename(state: Mapping[str, Any], *, to: str) -> dict[str, Any]:
    """``state`` with its keys in the naming ``to``: "pyslowfast" or "slowfast"; the values are the same objects."""
    translate = {"pyslowfast": to_pyslowfast, "slowfast": from_pyslowfast}[to]
    num_pathways = num_pathways_of(state)
    return {translate(name, num_pathways=num_pathways): value for name, value in state.items()}


def accept_pyslowfast_names(model: nn.Module) -> None:
    """Make ``model.load_state_dict`` accept PySlowFast's names as well as ours, with strict checks for both."""
    model.register_load_state_dict_pre_hook(_rename_on_load)


def _rename_on_load(model: Any, state_dict, prefix: str, *_) -> None:
    for name in [name for name in state_dict if name.startswith(prefix) and is_pyslowfast_name(name[len(prefix) :])]:
        ours = from_pyslowfast(name[len(prefix) :], num_pathways=len(model.pathway_names))
        state_dict[prefix + ours] = state_dict.pop(name)


PUBLISHERS = PYSLOWFAST, PYTORCHVIDEO, MMACTION2 = "PySlowFast", "PyTorchVideo", "mmaction2"
OURS, UNKNOWN = "slowfast", ""


def naming_of(names: Iterable[str]) -> str:
    """``OURS``, ``PYSLOWFAST``, ``PYTORCHVIDEO`` or ``MMACTION2``; ``UNKNOWN`` for any other names."""
    names = [name.removeprefix("module.") for name in names]
    if is_pytorchvideo(names):
        return PYTORCHVIDEO
    if is_mmaction2(names):
        return MMACTION2
    if any(is_pyslowfast_name(name) for name in names):
        return PYSLOWFAST
    return OURS if any(rename({name: None}, to="pyslowfast").keys() != {name} for name in names) else UNKNOWN


def in_our_names(state: Mapping[str, Any], *, num_pathways: int | None = None) -> dict[str, Any]:
    """``state`` in our names and layout; names that no table contains, and our own, stay unchanged.

    Args:
        num_pathways: of the model; default what the names say. A second pathway's entries keep their names in one
            of a single pathway.
    """
    naming = naming_of(state)
    if naming == PYTORCHVIDEO:
        return from_pytorchvideo(state)
    if naming == MMACTION2:
        return from_mmaction2(state)
    if num_pathways is None:
        num_pathways = num_pathways_of(state)
    return {
        from_pyslowfast(name, num_pathways=num_pathways) if is_pyslowfast_name(name) else name: value
        for name, value in state.items()
    }
