"""The residual network of ONE pathway: stem, blocks, stages, and all of them together. It knows nothing of others.

Shapes: B batch, C channels, T frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from slowfast.models.checks import check_whole
from slowfast.models.nonlocal_block import NonLocalBlock
from slowfast.models.norm import NormLayer
from slowfast.models.options import BlockOptions, ResidualOptions, StageOptions
from slowfast.models.recompute import forward_twice
from slowfast.utils.suggest import check_choice

NUM_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
STAGES = ("res2", "res3", "res4", "res5")


def temporal_kernels(pattern: Sequence[int], *, num_blocks: int, num_temporal_blocks: int) -> list[int]:
    """Temporal kernel of every block: the pattern repeats over the first blocks of the stage, the rest have 1.

    ``pattern=(3, 1), num_blocks=4, num_temporal_blocks=3`` gives ``[3, 1, 3, 1]``.
    """
    return [pattern[i % len(pattern)] if i < num_temporal_blocks else 1 for i in range(num_blocks)]


def conv3d(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: int = 1,
    groups: int = 1,
) -> nn.Conv3d:
    """Convolution without bias that keeps T, H and W up to its stride, which is (temporal, spatial)."""
    time, height, width = kernel
    return nn.Conv3d(
        in_channels,
        out_channels,
        kernel,
        stride=(stride[0], stride[1], stride[1]),
        padding=(time // 2, height // 2 * dilation, width // 2 * dilation),
        dilation=(1, dilation, dilation),
        groups=groups,
        bias=False,
    )


@fx.wrap  # one node in a traced graph: it looks at shapes
def drop_rows(residual: Tensor, rate: float, training: bool) -> Tensor:
    """``residual`` (B, ...); in training 0 for a share ``rate`` of the clips, 1 / (1 - rate) times it for the rest."""
    from torchvision.ops import stochastic_depth  # a second of imports that networks without it do without

    return stochastic_depth(residual, rate, "row", training=training)


@dataclass(frozen=True, kw_only=True)
class StemOptions:
    """Variants of ``Stem``.

    Args:
        temporal_kernel: of the convolution.
        temporal_strides: of the convolution and of the pool.
        pool_padding: pixels added at every side before the pool.
        has_pool: whether a pool follows.
    """

    temporal_kernel: int = 1
    temporal_strides: tuple[int, int] = (1, 1)
    pool_padding: int = 1
    has_pool: bool = True


class Stem(nn.Module):
    """First convolution and pooling: (B, C, T, H, W) -> (B, out_channels, T, H/4, W/4)."""

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        options: StemOptions = StemOptions(),
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__()
        conv_stride, pool_stride = options.temporal_strides
        self.conv = conv3d(in_channels, out_channels, (options.temporal_kernel, 7, 7), stride=(conv_stride, 2))
        self.bn = norm(out_channels)
        padding = (0, options.pool_padding, options.pool_padding)
        self.pool = nn.MaxPool3d((1, 3, 3), (pool_stride, 2, 2), padding) if options.has_pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(F.relu(self.bn(self.conv(x)), inplace=True))


@dataclass(frozen=True, kw_only=True)
class BlockShape:
    """Sizes of one residual block.

    Args:
        inner_channels: of a bottleneck.
        temporal_kernel: of its convolution over time.
        temporal_stride, spatial_stride: of the block.
        dilation: of its 3x3 convolution.
    """

    in_channels: int
    inner_channels: int
    out_channels: int
    temporal_kernel: int = 1
    temporal_stride: int = 1
    spatial_stride: int = 1
    dilation: int = 1

    @property
    def stride(self) -> tuple[int, int]:
        """(temporal, spatial)."""
        return self.temporal_stride, self.spatial_stride

    @property
    def needs_projection(self) -> bool:
        """Whether the input has another shape than the output."""
        return self.in_channels != self.out_channels or self.stride != (1, 1)


class ResidualBlock(nn.Module):
    """Input (or its 1x1x1 projection, when width or stride change) plus ``transform``, then ReLU.

    Attributes:
        chain: names of the transform's convolutions, in order; after ``a`` comes the norm ``a_bn``. With a last norm of
            zero, the block is the identity.
        projection: names of the convolutions of the projection.
    """

    chain: tuple[str, ...]
    projection: tuple[str, ...] = ("shortcut",)

    def __init__(self, shape: BlockShape, options: ResidualOptions):
        super().__init__()
        self.drop_path = options.drop_path
        self.recompute = options.recompute
        self.has_projection = shape.needs_projection
        if self.has_projection:
            self.shortcut = conv3d(shape.in_channels, shape.out_channels, (1, 1, 1), stride=shape.stride)
            self.shortcut_bn = options.norm(shape.out_channels)

    def add(self, norm: NormLayer, **convolutions: nn.Conv3d) -> tuple[str, ...]:
        """Add convolutions by name, a norm after each; returns the names."""
        for name, conv in convolutions.items():
            self.add_module(name, conv)
            self.add_module(f"{name}_bn", norm(conv.out_channels))
        return tuple(convolutions)

    def run(self, names: Sequence[str], x: Tensor) -> Tensor:
        """The output of convolutions and their norms, with a ReLU between one and the next."""
        for i, name in enumerate(names):
            x = F.relu(x, inplace=True) if i else x
            x = getattr(self, f"{name}_bn")(getattr(self, name)(x))
        return x

    def transform(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        return self.run(self.chain, x)

    def project(self, x: Tensor) -> Tensor:
        """The input in the shape of the output."""
        return self.run(self.projection, x) if self.has_projection else x

    def forward(self, x: Tensor) -> Tensor:
        if self.recompute and self.training:
            return forward_twice(self, self.compute, x)
        return self.compute(x)

    def compute(self, x: Tensor) -> Tensor:
        """The output."""
        residual = self.transform(x)
        if self.drop_path > 0:
            residual = drop_rows(residual, self.drop_path, self.training)
        return F.relu(residual.add_(self.project(x)), inplace=True)


class BottleneckBlock(ResidualBlock):
    """a (temporal kernel x1x1), b (1x3x3: stride, dilation, groups), c (1x1x1), each followed by a norm."""

    def __init__(self, shape: BlockShape, options: BlockOptions):
        super().__init__(shape, options)
        inner, kernel = shape.inner_channels, (shape.temporal_kernel, 1, 1)
        stride_a, stride_b = (shape.spatial_stride, 1) if options.stride_1x1 else (1, shape.spatial_stride)
        self.chain = self.add(
            options.norm,
            a=conv3d(shape.in_channels, inner, kernel, stride=(shape.temporal_stride, stride_a)),
            b=conv3d(inner, inner, (1, 3, 3), stride=(1, stride_b), dilation=shape.dilation, groups=options.groups),
            c=conv3d(inner, shape.out_channels, (1, 1, 1)),
        )


class BasicBlock(ResidualBlock):
    """a (temporal kernel x3x3: stride), b (1x3x3: dilation), both at the stage's output width."""

    def __init__(self, shape: BlockShape, options: BlockOptions):
        super().__init__(shape, options)
        if options.groups != 1 or options.stride_1x1:
            raise ValueError(
                f"block='basic_transform' has no groups and no 1x1 convolution (got groups={options.groups}, "
                f"stride_1x1={options.stride_1x1}). Use bottleneck_transform, or groups 1 and stride_1x1 False."
            )
        out = shape.out_channels
        self.chain = self.add(
            options.norm,
            a=conv3d(shape.in_channels, out, (shape.temporal_kernel, 3, 3), stride=shape.stride),
            b=conv3d(out, out, (1, 3, 3), dilation=shape.dilation),
        )


BLOCKS: dict[str, Callable[..., ResidualBlock]] = {
    "bottleneck_transform": BottleneckBlock,
    "basic_transform": BasicBlock,
}


class Stage(nn.Module):
    """Residual blocks of one resolution. Non-local blocks stand after the blocks named.

    Args:
        shapes: of the blocks, in order.
        make_block: from a shape to a block.
        nonlocal_after: numbers of the blocks, from 0, that a non-local block follows.
        nonlocal_args: keyword arguments of ``NonLocalBlock`` beside its width.
        norm: of the non-local blocks.
    """

    def __init__(
        self,
        shapes: Sequence[BlockShape],
        make_block: Callable[[BlockShape], ResidualBlock],
        *,
        nonlocal_after: Sequence[int] = (),
        nonlocal_args: Mapping[str, Any] | None = None,
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__()
        beyond = [i for i in nonlocal_after if not 0 <= i < len(shapes)]
        if beyond:
            raise ValueError(f"nonlocal_after={list(nonlocal_after)}: the stage has blocks 0 to {len(shapes) - 1}.")
        for i, shape in enumerate(shapes):
            self.add_module(f"block{i}", make_block(shape))
            if i in nonlocal_after:
                nonlocal_block = NonLocalBlock(shape.out_channels, norm=norm, **(nonlocal_args or {}))
                self.add_module(f"nonlocal{i}", nonlocal_block)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():  # in the order of their making: block0, nonlocal0, block1, ...
            x = module(x)
        return x


def stage_shapes(
    kernels: Sequence[int],
    *,
    in_channels: int,
    inner_channels: int,
    out_channels: int,
    stride: tuple[int, int] = (1, 1),
    dilation: int = 1,
) -> list[BlockShape]:
    """Shapes of a stage's blocks, one for each of the temporal ``kernels``; the first one has the ``stride``."""
    return [
        BlockShape(
            in_channels=in_channels if i == 0 else out_channels,
            inner_channels=inner_channels,
            out_channels=out_channels,
            temporal_kernel=kernel,
            temporal_stride=stride[0] if i == 0 else 1,
            spatial_stride=stride[1] if i == 0 else 1,
            dilation=dilation,
        )
        for i, kernel in enumerate(kernels)
    ]


EXPANSIONS = (1, 4, 8, 16, 32)  # output width of the stem and of each stage, in stem widths


def scaled(channels: int, beta: float) -> int:
    """``beta`` of ``channels``, rounded down, at least 1."""
    return max(1, int(channels * beta + 1e-6))  # 1e-6: 1/beta may be whole, its floating-point inverse is not exact


def stage_widths(width: int, *, beta: float = 1.0) -> list[int]:
    """Output channels of stem, res2, res3, res4, res5 for a Slow stem of ``width`` channels."""
    return [scaled(width * expansion, beta) for expansion in EXPANSIONS]


class ResNetPathway(nn.Module):
    """``stem``, ``res2`` .. ``res5``.

    Args:
        depth: 18, 50 or 101.
        kernels: temporal kernel patterns of the stem and of each stage.
        in_channels: of the clip.
        width: stem channels at beta 1.
        beta: share of the channels that this pathway has.
        stage_inputs: input channels of each stage where lateral connections widen them.
        stem: variants of the stem; its temporal kernel is that of ``kernels``.
        pool_after_res2: frames that are max-pooled into one there (C2D, I3D: 2).
    """

    res2: Stage
    res3: Stage
    res4: Stage
    res5: Stage

    def __init__(
        self,
        *,
        depth: int,
        kernels: Sequence[Sequence[int]],
        in_channels: int = 3,
        width: int = 64,
        beta: float = 1.0,
        stage_inputs: Sequence[int] | None = None,
        stem: StemOptions = StemOptions(),
        pool_after_res2: int = 1,
        stages: StageOptions = StageOptions(),  # noqa: B008
        blocks: BlockOptions = BlockOptions(),  # noqa: B008
    ):
        super().__init__()
        check_choice("depth", depth, NUM_BLOCKS)
        check_whole("width", width)
        widths = stage_widths(width, beta=beta)
        inputs = stage_inputs or widths[:-1]
        stem = replace(stem, temporal_kernel=kernels[0][0])
        self.stem = Stem(in_channels=in_channels, out_channels=widths[0], options=stem, norm=blocks.norm)
        pool = (pool_after_res2, 1, 1)
        self.pool_after_res2 = nn.MaxPool3d(pool, pool) if pool_after_res2 > 1 else nn.Identity()
        conv_stride, pool_stride = stem.temporal_strides
        self.least_size = 1 if stem.pool_padding else 5  # without padding, the 3x3 pool needs a map of 3x3
        self.least_frames = conv_stride * pool_stride * (pool_after_res2 - 1) + 1  # strides round up, the pool down
        for i, (name, num_blocks) in enumerate(zip(STAGES, NUM_BLOCKS[depth], strict=True)):
            num_temporal = stages.num_temporal_blocks[i] if stages.num_temporal_blocks else num_blocks
            shapes = stage_shapes(
                temporal_kernels(kernels[i + 1], num_blocks=num_blocks, num_temporal_blocks=num_temporal),
                in_channels=inputs[i],
                inner_channels=scaled(blocks.groups * width * 2**i, beta),
                out_channels=widths[i + 1],
                stride=(1, stages.spatial_strides[i]),
                dilation=stages.dilations[i],
            )
            stage = Stage(
                shapes,
                partial(BLOCKS[blocks.block], options=blocks),
                nonlocal_after=stages.nonlocal_after[i],
                nonlocal_args=stages.nonlocal_args[i] if stages.nonlocal_args else None,
                norm=blocks.norm,
            )
            self.add_module(name, stage)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the last stage: (B, in_channels, T, H, W) -> (B, 32 * width * beta, T, H / 32, W / 32)."""
        x = self.pool_after_res2(self.res2(self.stem(x)))
        return self.res5(self.res4(self.res3(x)))
