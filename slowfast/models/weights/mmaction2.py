"""mmaction2's parameter names and layout -> ours.

Three things differ in values: SlowFast's classifier takes [Fast, Slow] where ours takes [Slow, Fast]; AVA classifiers
have a row 0 for the background, which is never used; some kernels lack the dimensions of size 1 (2D convolutions, X3D's
fc1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from slowfast.models.weights.tables import NameTable

_PATHWAYS = {"slow_path": "slow", "fast_path": "fast"}
_VALUES = {
    "p": _PATHWAYS,
    "s": {str(i): str(i + 1) for i in range(1, 5)},  # layer1 is res2
    "x": {"1": "a", "2": "b", "3": "c"},
}
_CLASSIFIER = ("cls_head.fc_cls.", "head.classifier.")
_BOX_CLASSIFIER = ("roi_head.bbox_head.fc_cls.", "head.classifier.")


def _rows(theirs: str, ours: str) -> list[tuple[str, str]]:
    """Rows of a ResNet below the prefixes ``theirs`` and ``ours``."""
    block, our_block = f"{theirs}layer{{s}}.{{i}}.", f"{ours}res{{s}}.block{{i}}."
    return [
        (f"{theirs}conv1.conv.", f"{ours}stem.conv."),
        (f"{theirs}conv1.bn.", f"{ours}stem.bn."),
        (f"{block}conv{{x}}.conv.", f"{our_block}{{x}}."),
        (f"{block}conv{{x}}.bn.", f"{our_block}{{x}}_bn."),
        (f"{block}downsample.conv.", f"{our_block}shortcut."),
        (f"{block}downsample.bn.", f"{our_block}shortcut_bn."),
    ]


def _pairs(theirs: str, ours: str) -> list[tuple[str, str]]:
    """Rows of R(2+1)D: every convolution is one over space, a norm, and one over time."""
    rows = []
    for their_conv, our_conv in _rows(theirs, ours)[::2]:
        ours_s = our_conv.removesuffix(".")
        rows += [
            (f"{their_conv}conv_s.", f"{ours_s}_s."),
            (f"{their_conv}bn_s.", f"{ours_s}_s_bn."),
            (f"{their_conv}conv_t.", our_conv),
        ]
    return [*rows, *_rows(theirs, ours)[1::2]]


_TWO_ROWS = [
    *_rows("backbone.{p}.", "{p}."),
    ("backbone.slow_path.conv1_lateral.conv.", "laterals.0.conv."),
    ("backbone.slow_path.layer{f}_lateral.conv.", "laterals.{f}.conv."),
]
_X3D_ROWS = [
    *_rows("backbone.", "pathway.")[2:],
    ("backbone.conv1_s.conv.", "pathway.stem.conv_xy."),
    ("backbone.conv1_t.conv.", "pathway.stem.conv."),
    ("backbone.conv1_t.bn.", "pathway.stem.bn."),
    ("backbone.layer{s}.{i}.se_module.", "pathway.res{s}.block{i}.se."),
    ("backbone.conv5.conv.", "head.conv_5."),
    ("backbone.conv5.bn.", "head.conv_5_bn."),
    ("cls_head.fc1.", "head.lin_5."),
    ("cls_head.fc2.", "head.classifier."),
]
TABLES = {
    "slowfast": NameTable([*_TWO_ROWS, _CLASSIFIER], _VALUES),
    "slowfast_detection": NameTable([*_TWO_ROWS, _BOX_CLASSIFIER], _VALUES),
    "single": NameTable([*_rows("backbone.", "pathway."), _CLASSIFIER], _VALUES),
    "single_detection": NameTable([*_rows("backbone.", "pathway."), _BOX_CLASSIFIER], _VALUES),
    "r2plus1d": NameTable([*_pairs("backbone.", "pathway."), _CLASSIFIER], _VALUES),
    "x3d": NameTable(_X3D_ROWS, _VALUES),
}


def is_mmaction2(names: Iterable[str]) -> bool:
    """Whether these are mmaction2's names."""
    return any(name.startswith(("backbone.conv1", "backbone.slow_path.")) for name in names)


def kind_of(names: Iterable[str]) -> str:
    """Which of ``TABLES`` mmaction2's names belong to."""
    names = list(names)
    detection = "_detection" if any(name.startswith("roi_head.") for name in names) else ""
    if any(name.startswith("backbone.slow_path.") for name in names):
        return f"slowfast{detection}"
    if any(name.startswith("backbone.conv1_s.") for name in names):
        return "x3d"
    return "r2plus1d" if "backbone.conv1.conv.conv_s.weight" in names else f"single{detection}"


def from_mmaction2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` in our names and layout; an entry that no table has keeps its own name."""
    kind = kind_of(state)
    ours = {TABLES[kind].to_ours(name) or name: value for name, value in state.items()}
    ours = {name: _in_five_dimensions(name, value) for name, value in ours.items()}
    weight = ours.get("head.classifier.weight")
    if kind == "slowfast" and weight is not None:
        num_fast = ours["fast.res5.block0.shortcut_bn.weight"].shape[0]
        ours["head.classifier.weight"] = torch.cat([weight[:, num_fast:], weight[:, :num_fast]], dim=1)
    if kind.endswith("_detection"):
        for name in ("head.classifier.weight", "head.classifier.bias"):
            if name in ours:
                ours[name] = ours[name][1:]
    return ours


def _in_five_dimensions(name: str, value: Tensor) -> Tensor:
    """A kernel (O, I, H, W) as one over a single frame, and X3D's fc1 (O, I) as the 1x1x1 convolution it is."""
    if value.ndim == 4:
        return value.unsqueeze(2)
    if name == "head.lin_5.weight" and value.ndim == 2:
        return value[:, :, None, None, None]
    return value
