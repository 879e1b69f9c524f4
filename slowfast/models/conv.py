"""3D convolution, with a way around a defect of PyTorch's kernels on CPUs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


class Conv3d(nn.Conv3d):
    """``nn.Conv3d`` that trains in float32 where bfloat16 on a CPU would not be safe.

    Where the kernel is larger than the map in some dimension, the backward pass of PyTorch's (oneDNN's) bfloat16
    convolution writes beyond its memory (measured on 2.15: 1x3x3 with stride 2 on a map of one pixel) or gives NaN
    (3x1x1 over 2 frames, 5x1x1 over 4). Such maps are tiny, so float32 costs nothing.
    """

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@fx.wrap  # one node in a traced graph: it looks at shapes
def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride, padding, dilation, groups: int) -> Tensor:
    """``F.conv3d`` with these arguments, in float32 where ``is_unsafe``."""
    if not is_unsafe(x, weight):
        return F.conv3d(x, weight, bias, stride, padding, dilation, groups)
    with torch.autocast("cpu", enabled=False):
        bias = None if bias is None else bias.float()
        return F.conv3d(x.float(), weight.float(), bias, stride, padding, dilation, groups)


def is_unsafe(x: Tensor, weight: Tensor) -> bool:
    """Whether this convolution would have a backward pass in bfloat16 on a CPU, with a kernel larger than the map."""
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
    else:
        dtype = x.dtype
    return dtype == torch.bfloat16 and any(
        size < kernel for size, kernel in zip(x.shape[2:], weight.shape[2:], strict=True)
    )
