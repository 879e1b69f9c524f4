"""Weights of 2D image networks for 3D video networks (Carreira & Zisserman, CVPR 2017, section 2.4).

A kernel is repeated along time and divided by its new length. On a video of one repeated frame the network then
computes what the image network computes on that frame, at every place of its feature maps that no zero padding in time
reaches: everywhere without temporal kernels (C2D), and at frames further from the ends of the clip than all temporal
kernels before them reach together (Slow, I3D). Dividing and summing up again rounds: equal up to floating point.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

# torchvision's name of a ResNet's part -> ours. {n}: number of the layer, {i}: number of the block.
_TABLE = (
    (r"conv1\.", "pathway.stem.conv."),
    (r"bn1\.", "pathway.stem.bn."),
    (r"layer(\d)\.(\d+)\.downsample\.0\.", "pathway.res{n}.block{i}.shortcut."),
    (r"layer(\d)\.(\d+)\.downsample\.1\.", "pathway.res{n}.block{i}.shortcut_bn."),
    (r"layer(\d)\.(\d+)\.conv(\d)\.", "pathway.res{n}.block{i}.{x}."),
    (r"layer(\d)\.(\d+)\.bn(\d)\.", "pathway.res{n}.block{i}.{x}_bn."),
    (r"fc\.", "head.classifier."),
)


def is_torchvision_resnet(state: Mapping[str, Tensor]) -> bool:
    """Whether ``state`` has the names and the 2D kernels of a ResNet of torchvision."""
    stem = state.get("conv1.weight")
    return stem is not None and stem.ndim == 4 and "layer1.0.conv1.weight" in state


def from_torchvision(name: str) -> str:
    """Our name, in a network of one pathway, of a torchvision ResNet's ``name``; an unknown one stays."""
    for pattern, template in _TABLE:
        match = re.match(pattern, name)
        if match:
            fields = dict(zip("nix", match.groups(), strict=False))
            if fields:
                fields["n"] = int(fields["n"]) + 1  # layer1 is res2
            if "x" in fields:
                fields["x"] = "abc"[int(fields["x"]) - 1]
            return template.format(**fields) + name[match.end() :]
    return name


def flat_kernels(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Names under which ``state`` has a kernel without time and ``own``, a model's state dict, the same with it."""
    return [name for name, value in state.items() if name in own and _is_flat(value, own[name])]


def _is_flat(kernel: Tensor, target: Tensor) -> bool:
    """Whether ``kernel`` is (O, I, H, W) or (O, I, 1, H, W) where (O, I, T, H, W) is wanted."""
    if target.ndim != 5 or kernel.ndim not in (4, 5) or core_shape(kernel) == core_shape(target):
        return False
    out_channels, in_channels, _, height, width = target.shape
    return kernel.shape[:2] + kernel.shape[-2:] == (out_channels, in_channels, height, width) and (
        kernel.ndim == 4 or kernel.shape[2] == 1
    )


def core_shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape without trailing ones, which Caffe2 files may lack (or have, at the classifier)."""
    shape = list(tensor.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def inflate_kernels(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with its flat kernels repeated along time and divided by the repetitions; the rest as it is."""
    return {
        name: _inflated(value, own[name].shape[2]) if name in own and _is_flat(value, own[name]) else value
        for name, value in state.items()
    }


def _inflated(kernel: Tensor, time: int) -> Tensor:
    if kernel.ndim == 4:
        kernel = kernel.unsqueeze(2)
    return kernel.expand(-1, -1, time, -1, -1) / time
