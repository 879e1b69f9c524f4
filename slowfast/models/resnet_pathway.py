"""A whole pathway: the stem and four stages of resnet3d.py, with the widths of a ResNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from slowfast.models.norm import NormLayer
from slowfast.models.resnet3d import BLOCKS, NUM_BLOCKS, STAGES, Stage, Stem, temporal_kernels

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
        width: stem channels at beta 1.
        beta: share of the channels that this pathway has.
        kernels: temporal kernel patterns of the stem and each stage.
        num_temporal_blocks: for each stage, how many of its blocks follow the pattern (default all); the rest have 1.
        stage_inputs: input channels of each stage where lateral connections widen them.
        pool_after_res2: temporal max pooling there (C2D, I3D: 2).
    """

    def __init__(
        self,
        *,
        kernels: Sequence[Sequence[int]],
        depth: int = 50,
        block: str = "bottleneck_transform",
        in_channels: int = 3,
        width: int = 64,
        groups: int = 1,
        beta: float = 1.0,
        num_temporal_blocks: Sequence[int] | None = None,
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        nonlocal_after: Sequence[Sequence[int]] = ((), (), (), ()),
        nonlocal_args: Sequence[dict] | None = None,
        stage_inputs: Sequence[int] | None = None,
        pool_after_res2: int = 1,
        stride_1x1: bool = False,
        drop_path: float = 0.0,
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__()
        if depth not in NUM_BLOCKS:
            raise ValueError(f"RESNET.DEPTH={depth} is not one of {', '.join(map(str, NUM_BLOCKS))}.")
        if block not in BLOCKS:
            raise ValueError(f"RESNET.TRANS_FUNC={block!r} is not one of {', '.join(BLOCKS)}.")
        widths = stage_widths(width, beta=beta)
        inputs = stage_inputs or widths[:-1]
        self.stem = Stem(in_channels=in_channels, out_channels=widths[0], temporal_kernel=kernels[0][0], norm=norm)
        self.pool_after_res2 = (
            nn.MaxPool3d((pool_after_res2, 1, 1), (pool_after_res2, 1, 1)) if pool_after_res2 > 1 else nn.Identity()
        )
        for i, (name, num_blocks) in enumerate(zip(STAGES, NUM_BLOCKS[depth], strict=True)):
            num_temporal = num_temporal_blocks[i] if num_temporal_blocks else num_blocks
            stage = Stage(
                BLOCKS[block],
                in_channels=inputs[i],
                inner_channels=scaled(groups * width * 2**i, beta),
                out_channels=widths[i + 1],
                kernels=temporal_kernels(kernels[i + 1], num_blocks=num_blocks, num_temporal_blocks=num_temporal),
                spatial_stride=spatial_strides[i],
                nonlocal_after=nonlocal_after[i],
                nonlocal_args=nonlocal_args[i] if nonlocal_args else None,
                dilation=dilations[i],
                groups=groups,
                stride_1x1=stride_1x1,
                drop_path=drop_path,
                norm=norm,
            )
            self.add_module(name, stage)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the last stage: (B, in_channels, T, H, W) -> (B, 32 * width * beta, T, H / 32, W / 32)."""
        x = self.pool_after_res2(self.res2(self.stem(x)))
        return self.res5(self.res4(self.res3(x)))
