"""The residual network of ONE pathway: stem, blocks, stages. It knows nothing of another pathway.

Shapes: B batch, C channels, T frames, H W pixels. No stage strides in time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from slowfast.models.nonlocal_block import NonLocalBlock
from slowfast.models.norm import NormLayer

NUM_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
STAGES = ("res2", "res3", "res4", "res5")


def temporal_kernels(pattern: Sequence[int], *, num_blocks: int, num_temporal_blocks: int) -> list[int]:
    """Temporal kernel of every block: the pattern repeats over the first blocks of the stage, the rest have 1.

    ``pattern=(3, 1), num_blocks=4, num_temporal_blocks=3`` gives ``[3, 1, 3, 1]``.
    """
    return [pattern[i % len(pattern)] if i < num_temporal_blocks else 1 for i in range(num_blocks)]


def _conv(
    in_channels: int, out_channels: int, kernel, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv3d:
    """Convolution without bias that keeps T, and H and W up to the spatial stride."""
    time, height, width = kernel
    padding = (time // 2, height // 2 * dilation, width // 2 * dilation)
    return nn.Conv3d(
        in_channels,
        out_channels,
        kernel,
        (1, stride, stride),
        padding,
        (1, dilation, dilation),
        groups,
        bias=False,
    )


class Stem(nn.Module):
    """First convolution and pooling: (B, C, T, H, W) -> (B, out_channels, T, H/4, W/4)."""

    def __init__(self, *, in_channels: int, out_channels: int, temporal_kernel: int, norm: NormLayer = nn.BatchNorm3d):
        super().__init__()
        self.conv = _conv(in_channels, out_channels, (temporal_kernel, 7, 7), stride=2)
        self.bn = norm(out_channels)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(F.relu(self.bn(self.conv(x)), inplace=True))


class ResidualBlock(nn.Module):
    """Input (or its 1x1x1 projection, when width or stride change) plus ``transform``, then ReLU."""

    final_norm: str  # name of the transform's last norm: zero at the start, the block is the identity

    def __init__(self, *, in_channels: int, out_channels: int, spatial_stride: int, norm: NormLayer, drop_path: float):
        super().__init__()
        self.drop_path = drop_path
        self.has_projection = in_channels != out_channels or spatial_stride != 1
        if self.has_projection:
            self.shortcut = _conv(in_channels, out_channels, (1, 1, 1), stride=spatial_stride)
            self.shortcut_bn = norm(out_channels)

    def transform(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        residual = self.transform(x)
        if self.drop_path > 0:
            residual = stochastic_depth(residual, self.drop_path, "row", training=self.training)
        shortcut = self.shortcut_bn(self.shortcut(x)) if self.has_projection else x
        return F.relu(residual.add_(shortcut), inplace=True)


class BottleneckBlock(ResidualBlock):
    """a (temporal kernel x1x1), b (1x3x3: stride, dilation, groups), c (1x1x1), each followed by a norm."""

    final_norm = "c_bn"

    def __init__(
        self,
        *,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        temporal_kernel: int,
        spatial_stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        stride_1x1: bool = False,
        drop_path: float = 0.0,
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            spatial_stride=spatial_stride,
            norm=norm,
            drop_path=drop_path,
        )
        stride_a, stride_b = (spatial_stride, 1) if stride_1x1 else (1, spatial_stride)
        self.a = _conv(in_channels, inner_channels, (temporal_kernel, 1, 1), stride=stride_a)
        self.a_bn = norm(inner_channels)
        self.b = _conv(inner_channels, inner_channels, (1, 3, 3), stride=stride_b, dilation=dilation, groups=groups)
        self.b_bn = norm(inner_channels)
        self.c = _conv(inner_channels, out_channels, (1, 1, 1))
        self.c_bn = norm(out_channels)

    def transform(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.relu(self.b_bn(self.b(x)), inplace=True)
        return self.c_bn(self.c(x))


class BasicBlock(ResidualBlock):
    """a (temporal kernel x3x3: stride), b (1x3x3: dilation), both at the stage's output width.

    ``inner_channels``, ``groups`` and ``stride_1x1`` are of the bottleneck; a value that this block cannot follow
    is refused.
    """

    final_norm = "b_bn"

    def __init__(
        self,
        *,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        temporal_kernel: int,
        spatial_stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        stride_1x1: bool = False,
        drop_path: float = 0.0,
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            spatial_stride=spatial_stride,
            norm=norm,
            drop_path=drop_path,
        )
        if groups != 1 or stride_1x1:
            raise ValueError(
                f"basic_transform has no groups and no 1x1 convolution (got groups={groups}, stride_1x1={stride_1x1}). "
                "Set RESNET.TRANS_FUNC to bottleneck_transform, or RESNET.NUM_GROUPS 1 and RESNET.STRIDE_1X1 False."
            )
        self.a = _conv(in_channels, out_channels, (temporal_kernel, 3, 3), stride=spatial_stride)
        self.a_bn = norm(out_channels)
        self.b = _conv(out_channels, out_channels, (1, 3, 3), dilation=dilation)
        self.b_bn = norm(out_channels)

    def transform(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        return self.b_bn(self.b(x))


BLOCKS = {"bottleneck_transform": BottleneckBlock, "basic_transform": BasicBlock}


class Stage(nn.Module):
    """Residual blocks of one resolution; the first may stride. Non-local blocks stand after the blocks named.

    Args:
        kernels: temporal kernel of each block.
        nonlocal_after: numbers of the blocks, from 0, that a non-local block follows.
        nonlocal_args: keyword arguments of ``NonLocalBlock`` beside its width.
        block_args: further arguments of every block.
    """

    def __init__(
        self,
        block: type[ResidualBlock],
        *,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        kernels: Sequence[int],
        spatial_stride: int = 1,
        nonlocal_after: Sequence[int] = (),
        nonlocal_args: dict | None = None,
        norm: NormLayer = nn.BatchNorm3d,
        **block_args,
    ):
        super().__init__()
        beyond = [i for i in nonlocal_after if not 0 <= i < len(kernels)]
        if beyond:
            raise ValueError(f"NONLOCAL.LOCATION {beyond}: the stage has blocks 0 to {len(kernels) - 1}.")
        for i, kernel in enumerate(kernels):
            self.add_module(
                f"block{i}",
                block(
                    in_channels=in_channels if i == 0 else out_channels,
                    inner_channels=inner_channels,
                    out_channels=out_channels,
                    temporal_kernel=kernel,
                    spatial_stride=spatial_stride if i == 0 else 1,
                    norm=norm,
                    **block_args,
                ),
            )
            if i in nonlocal_after:
                self.add_module(f"nonlocal{i}", NonLocalBlock(out_channels, norm=norm, **(nonlocal_args or {})))

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():  # in the order of their making: block0, nonlocal0, block1, ...
            x = module(x)
        return x
