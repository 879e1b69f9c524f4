"""The distance of each parameter from the input, counted in layers, for layer-wise learning rates."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BLOCK = re.compile(r"(?:^|\.)res(\d)\.(?:block|nonlocal)(\d+)\.")
_LATERAL = re.compile(r"^laterals\.(\d+)\.")
_STEM = re.compile(r"(?:^|\.)stem\.")
_FIRST_STAGE = 2  # res2


def layer_numbers(names: Iterable[str]) -> dict[str, int]:
    """Name of a parameter -> number of its layer: 0 for the stem, one for each residual block, the head the last.

    A non-local block belongs to the residual block before it, a lateral connection to the layer that feeds it. If
    pathways differ in depth, each stage begins at the same number in both: that of the deeper pathway.

    Args:
        names: of all parameters of a network of this package.

    Raises:
        ValueError: a name that is not part of the stem, the stages, the laterals or the head.
    """
    names = list(names)
    blocks = {name: (int(found[1]), int(found[2])) for name in names if (found := _BLOCK.search(name))}
    num_blocks = {stage: 1 + max(b for s, b in blocks.values() if s == stage) for stage, _ in blocks.values()}
    starts, total = {}, 1
    for stage in sorted(num_blocks):
        starts[stage] = total
        total += num_blocks[stage]
    numbers = {}
    for name in names:
        lateral = _LATERAL.match(name)
        if name in blocks:
            stage, block = blocks[name]
            numbers[name] = starts[stage] + block
        elif lateral:
            numbers[name] = starts[_FIRST_STAGE + int(lateral[1])] - 1
        elif name.startswith("head."):
            numbers[name] = total
        elif _STEM.search(name):
            numbers[name] = 0
        else:
            raise ValueError(f"{name} belongs to no stem, stage, lateral connection or head, so its layer is unknown.")
    return numbers
