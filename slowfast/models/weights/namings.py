"""Which naming a state dict uses, and the conversion from each to ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from slowfast.models.weights.mmaction2 import from_mmaction2, is_mmaction2
from slowfast.models.weights.names import from_pyslowfast, is_pyslowfast_name, num_pathways_of, rename
from slowfast.models.weights.pytorchvideo import from_pytorchvideo, is_pytorchvideo

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
