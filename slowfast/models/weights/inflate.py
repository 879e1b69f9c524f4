"""Weights of 2D image networks for 3D video networks (Carreira & Zisserman, CVPR 2017, section 2.4).

A kernel is repeated along time and divided by its new length. On a video of one repeated frame the network then
computes what the image network computes on that frame, at every position of its feature maps that no zero padding in
time reaches: everywhere without temporal kernels (C2D), and at frames further from the ends of the clip than all
temporal kernels before them reach together (Slow, I3D). Dividing and summing up again rounds: equal up to
floating point.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from slowfast.models.weights.tables import NameTable

# A ResNet of torchvision, and ours. {s}: layer or stage, {i}: block, {x}: convolution.
_TABLE = NameTable(
    [
        ("conv1.", "pathway.stem.conv."),
        ("bn1.", "pathway.stem.bn."),
        ("layer{s}.{i}.downsample.0.", "pathway.res{s}.block{i}.shortcut."),
        ("layer{s}.{i}.downsample.1.", "pathway.res{s}.block{i}.shortcut_bn."),
        ("layer{s}.{i}.conv{x}.", "pathway.res{s}.block{i}.{x}."),
        ("layer{s}.{i}.bn{x}.", "pathway.res{s}.block{i}.{x}_bn."),
        ("fc.", "head.classifier."),
    ],
    {"s": {str(i): str(i + 1) for i in range(1, 5)}, "x": {"1": "a", "2": "b", "3": "c"}},
)


def is_torchvision_resnet(state: Mapping[str, Tensor]) -> bool:
    """Whether ``state`` has the names and the 2D kernels of a ResNet of torchvision."""
    stem = state.get("conv1.weight")
    return stem is not None and stem.ndim == 4 and "layer1.0.conv1.weight" in state


def from_torchvision(name: str) -> str:
    """Our name, in a network of one pathway, of a torchvision ResNet's ``name``; an unknown one stays."""
    return _TABLE.to_ours(name) or name


def flat_kernels(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Names whose kernel has no time dimension in ``state`` but has one in ``own``, a model's state dict."""
    return [name for name, value in state.items() if name in own and _is_flat(value, own[name])]


def _is_flat(kernel: Tensor, target: Tensor) -> bool:
    """Whether ``kernel`` is (O, I, H, W) or (O, I, 1, H, W) where (O, I, T, H, W) is expected."""
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


def widen_kernels(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """``state`` with the input channels that its Slow kernels lack filled in from ``own``; and the names of those
    kernels.

    Lateral connections feed the first block of a Slow stage, and their channels come after Slow's own. An image
    network, or a network with a single pathway, has only the latter.

    Args:
        own: state dict of a model.
    """
    wide = [name for name, kernel in state.items() if name.startswith("slow.") and _is_narrower(kernel, own.get(name))]
    filled = {name: _filled(state[name], own[name]) for name in wide}
    return {**state, **filled}, wide


def _is_narrower(kernel: Tensor, target: Tensor | None) -> bool:
    if target is None or target.ndim != 5 or kernel.ndim not in (4, 5):
        return False
    return (
        kernel.shape[0] == target.shape[0]
        and kernel.shape[1] < target.shape[1]
        and kernel.shape[-2:] == target.shape[-2:]
        and (kernel.ndim == 4 or kernel.shape[2] in (1, target.shape[2]))
    )


def _filled(kernel: Tensor, target: Tensor) -> Tensor:
    time = target.shape[2]
    if kernel.ndim == 4 or kernel.shape[2] != time:
        kernel = _inflated(kernel, time)
    further = target[:, kernel.shape[1] :]
    return torch.cat([kernel.to(further), further], dim=1)
