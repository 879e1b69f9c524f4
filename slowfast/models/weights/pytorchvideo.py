"""PyTorchVideo's parameter names -> ours.

Its networks are numbered ``blocks``; four kinds of numbering, and one name for the inside of a block that means another
convolution in R(2+1)D. In detection networks, and in PySlowFast's wrappers of these networks (PTVSlowFast, ...), a
``model.`` stands before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from slowfast.models.weights.tables import NameTable

_PREFIX = "model."
_BLOCK = (
    ("branch1_conv.", "shortcut."),
    ("branch1_norm.", "shortcut_bn."),
    ("branch2.conv_{x}.", "{x}."),
    ("branch2.norm_{x}.", "{x}_bn."),
)
_X3D_BLOCK = (
    *_BLOCK,
    ("branch2.norm_b.0.", "b_bn."),
    ("branch2.norm_b.1.block.0.", "se.fc1."),
    ("branch2.norm_b.1.block.2.", "se.fc2."),
)
_R2PLUS1D_BLOCK = (
    *_BLOCK,
    ("branch2.conv_b.conv_t.", "b_t."),
    ("branch2.conv_b.norm.", "b_t_bn."),
    ("branch2.conv_b.conv_xy.", "b."),
)
_HEAD = ("detection_head.proj.", "head.classifier.")
_PATHWAYS = {"0": "slow", "1": "fast"}
_STAGES = {str(i): str(i + 1) for i in range(1, 5)}
_STAGES_AROUND_POOL = {"1": "2", "3": "3", "4": "4", "5": "5"}  # blocks.2 is the temporal pool


def _table(theirs: str, ours: str, block, *rows: tuple[str, str], stages: Mapping[str, str] = _STAGES) -> NameTable:
    """The rows of a network, and those of its blocks below the prefixes ``theirs`` and ``ours``."""
    inside = [(f"{theirs}res_blocks.{{i}}.{a}", f"{ours}res{{s}}.block{{i}}.{b}") for a, b in block]
    values = {"p": _PATHWAYS, "s": stages, "x": {letter: letter for letter in "abc"}}
    return NameTable([*inside, *rows], values)


def _single(block, head: str, stages: Mapping[str, str] = _STAGES) -> NameTable:
    return _table(
        "blocks.{s}.",
        "pathway.",
        block,
        ("blocks.0.conv.", "pathway.stem.conv."),
        ("blocks.0.norm.", "pathway.stem.bn."),
        (head, "head.classifier."),
        stages=stages,
    )


_BOTH = "blocks.{s}.multipathway_blocks.{p}."
_TWO_ROWS = (
    ("blocks.0.multipathway_blocks.{p}.conv.", "{p}.stem.conv."),
    ("blocks.0.multipathway_blocks.{p}.norm.", "{p}.stem.bn."),
    ("blocks.{f}.multipathway_fusion.conv_fast_to_slow.", "laterals.{f}.conv."),
    ("blocks.{f}.multipathway_fusion.norm.", "laterals.{f}.bn."),
)
TABLES = {
    "slowfast": _table(_BOTH, "{p}.", _BLOCK, *_TWO_ROWS, ("blocks.6.proj.", "head.classifier.")),
    "slowfast_detection": _table(_BOTH, "{p}.", _BLOCK, *_TWO_ROWS, _HEAD),
    "single": _single(_BLOCK, "blocks.5.proj."),
    "single_detection": _single(_BLOCK, "detection_head.proj."),
    "pooled": _single(_BLOCK, "blocks.6.proj.", _STAGES_AROUND_POOL),
    "r2plus1d": _single(_R2PLUS1D_BLOCK, "blocks.5.proj."),
    "x3d": _table(
        "blocks.{s}.",
        "pathway.",
        _X3D_BLOCK,
        ("blocks.0.conv.conv_t.", "pathway.stem.conv_xy."),  # they call the spatial convolution conv_t
        ("blocks.0.conv.conv_xy.", "pathway.stem.conv."),
        ("blocks.0.norm.", "pathway.stem.bn."),
        ("blocks.5.pool.pre_conv.", "head.conv_5."),
        ("blocks.5.pool.pre_norm.", "head.conv_5_bn."),
        ("blocks.5.pool.post_conv.", "head.lin_5."),
        ("blocks.5.pool.post_norm.", "head.lin_5_bn."),
        ("blocks.5.proj.", "head.classifier."),
    ),
}


def is_pytorchvideo(names: Iterable[str]) -> bool:
    """Whether these are PyTorchVideo's names."""
    return any(name.removeprefix(_PREFIX).startswith(("blocks.0.conv.", "blocks.0.multipathway")) for name in names)


def kind_of(names: Iterable[str]) -> str:
    """Which of ``TABLES`` PyTorchVideo's names belong to."""
    names = [name.removeprefix(_PREFIX) for name in names]
    detection = "_detection" if any(name.startswith("detection_head.") for name in names) else ""
    if any(".multipathway_blocks." in name for name in names):
        return f"slowfast{detection}"
    if any(name.startswith("blocks.0.conv.conv_t.") for name in names):
        return "x3d"
    if any(".conv_b.conv_t." in name for name in names):
        return "r2plus1d"
    return f"single{detection}" if any(name.startswith("blocks.2.") for name in names) else "pooled"


def from_pytorchvideo(state: Mapping[str, Any]) -> dict[str, Any]:
    """``state`` in our names; an entry that no table has keeps its own."""
    table = TABLES[kind_of(state)]
    return {table.to_ours(name.removeprefix(_PREFIX)) or name: value for name, value in state.items()}
