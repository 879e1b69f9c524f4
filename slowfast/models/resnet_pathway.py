"""A whole pathway: the stem and four stages of resnet3d.py, with the widths of a ResNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from slowfast.models.checks import check_choice, check_whole
from slowfast.models.options import BlockOptions, StageOptions
from slowfast.models.resnet3d import (
    BLOCKS,
    NUM_BLOCKS,
    STAGES,
    Stage,
    Stem,
    StemOptions,
    stage_shapes,
    temporal_kernels,
)

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
        stem: StemOptions = StemOptions(),  # noqa: B008 (frozen)
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
