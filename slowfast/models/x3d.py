"""X3D networks (Feichtenhofer, CVPR 2020): one narrow pathway of depthwise 3x3x3 bottlenecks, expanded along few axes.

Shapes: B batch, C channels, T frames, H W pixels. No layer strides in time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.checks import check_above, check_whole, dtype_of
from slowfast.models.from_config import shared_arguments
from slowfast.models.heads import mean_over_windows
from slowfast.models.network import VideoNetwork
from slowfast.models.norm import NormLayer
from slowfast.models.options import HeadOptions, InitOptions, ResidualOptions, with_options
from slowfast.models.pathways import single_clip
from slowfast.models.resnet3d import BlockShape, ResidualBlock, conv3d, stage_shapes

fx.wrap("single_clip")  # one node in a traced graph: it looks at shapes

BASE_DEPTHS = (1, 2, 5, 3)  # blocks of res2 .. res5 at depth factor 1 (paper, table 1)


def rounded_width(width: float) -> int:
    """``width`` rounded to a multiple of 8, at least 8, never more than 10 % down."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class X3DStem(nn.Module):
    """1x3x3 convolution of stride 2, depthwise 5x1x1 one, BN, ReLU: (B, 3, T, H, W) -> (B, C, T, H / 2, W / 2)."""

    def __init__(self, *, in_channels: int, out_channels: int, norm: NormLayer):
        super().__init__()
        self.conv_xy = nn.Conv3d(in_channels, out_channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.conv = nn.Conv3d(out_channels, out_channels, (5, 1, 1), padding=(2, 0, 0), groups=out_channels, bias=False)
        self.bn = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(self.conv_xy(x))), inplace=True)


class SqueezeExcite(nn.Module):
    """Channels weighted by a summary of the whole clip (Hu et al., CVPR 2018); inner width 1/16, a multiple of 8."""

    def __init__(self, channels: int):
        super().__init__()
        inner = rounded_width(channels / 16)
        self.fc1 = nn.Conv3d(channels, inner, 1)
        self.fc2 = nn.Conv3d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(F.relu(self.fc1(x.mean((2, 3, 4), keepdim=True)))).sigmoid()


@dataclass(frozen=True, kw_only=True)
class X3DBlockOptions(ResidualOptions):
    """What the residual blocks of X3D take.

    Args:
        depthwise: each channel of the 3x3x3 convolutions sees only itself.
    """

    depthwise: bool = True


class X3DBlock(ResidualBlock):
    """a 1x1x1 - BN - ReLU - b depthwise 3x3x3 - BN - squeeze-excite - SiLU - c 1x1x1 - BN.

    Args:
        shortcut_norm: whether a norm follows the projection of the input.
    """

    def __init__(
        self, shape: BlockShape, options: X3DBlockOptions, *, squeeze_excite: bool, shortcut_norm: bool = True
    ):
        super().__init__(shape, options)
        inner, groups = shape.inner_channels, shape.inner_channels if options.depthwise else 1
        if self.has_projection and not shortcut_norm:
            self.shortcut_bn = nn.Identity()
        self.before = self.add(
            options.norm,
            a=conv3d(shape.in_channels, inner, (1, 1, 1)),
            b=conv3d(inner, inner, (3, 3, 3), stride=shape.stride, groups=groups),
        )
        self.se = SqueezeExcite(inner) if squeeze_excite else nn.Identity()
        self.chain = self.add(options.norm, c=conv3d(inner, shape.out_channels, (1, 1, 1)))

    def transform(self, x: Tensor) -> Tensor:
        return self.run(self.chain, F.silu(self.se(self.run(self.before, x))))


class X3DPathway(nn.Sequential):
    """``stem``, ``res2`` .. ``res5``: (B, 3, T, H, W) -> (B, widths[-1], T, H / 32, W / 32).

    Every stage strides by 2; every other block of it (0, 2, 4, ...) has a squeeze-excite.

    Args:
        stem_width, widths, depths: channels of the stem and of each stage, blocks of each stage.
        bottleneck: inner channels of a block per outer one.
        first_shortcut_norm: whether a norm follows the projection in the very first block.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        stem_width: int,
        widths: Sequence[int],
        depths: Sequence[int],
        bottleneck: float,
        first_shortcut_norm: bool,
        blocks: X3DBlockOptions,
    ):
        super().__init__()
        self.stem = X3DStem(in_channels=in_channels, out_channels=stem_width, norm=blocks.norm)
        inputs = (stem_width, *widths[:-1])
        for i, (channels, width, depth) in enumerate(zip(inputs, widths, depths, strict=True)):
            options = replace(blocks, drop_path=blocks.drop_path * (i + 2) / 5)  # deeper stages drop more
            sizes = {"in_channels": channels, "inner_channels": int(bottleneck * width), "out_channels": width}
            stage = nn.Sequential()
            for j, shape in enumerate(stage_shapes([3] * depth, **sizes, stride=(1, 2))):
                has_norm = first_shortcut_norm or (i, j) != (0, 0)
                block = X3DBlock(shape, options, squeeze_excite=j % 2 == 0, shortcut_norm=has_norm)
                stage.add_module(f"block{j}", block)
            self.add_module(f"res{i + 2}", stage)


@fx.wrap
def clip_windows(x: Tensor, size: int | None) -> Tensor:
    """Means of (B, C, T, H, W) over all of time and every window of ``size`` pixels, None: all: (B, C, 1, h, w)."""
    height, width = x.shape[3:] if size is None else (min(size, x.shape[3]), min(size, x.shape[4]))
    return F.avg_pool3d(x, (x.shape[2], height, width), stride=1)


class X3DHead(nn.Module):
    """conv_5 - BN - ReLU, average pool, lin_5 - ReLU, dropout, classifier; the modes of ``heads.ClipHead``.

    Args:
        in_channels, inner_channels, out_channels: of the features, of conv_5 and of lin_5.
        norm_lin5: whether a norm follows lin_5.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        norm_lin5: bool,
        norm: NormLayer,
        options: HeadOptions,
    ):
        super().__init__()
        self.pool_size = options.pool_size
        self.average = options.average
        self.activation = options.activation
        self.detach = options.detach_features
        self.conv_5 = nn.Conv3d(in_channels, inner_channels, 1, bias=False)
        self.conv_5_bn = norm(inner_channels)
        self.lin_5 = nn.Conv3d(inner_channels, out_channels, 1, bias=False)
        if norm_lin5:
            self.lin_5_bn = norm(out_channels)
        self.norm_lin5 = norm_lin5
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(out_channels, options.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, T, H, W) -> (B, K)."""
        x = F.relu(self.conv_5_bn(self.conv_5(x)), inplace=True)
        x = self.lin_5(clip_windows(x, self.pool_size))
        x = F.relu(self.lin_5_bn(x) if self.norm_lin5 else x, inplace=True)
        if self.detach:
            x = x.detach()
        logits = self.classifier(self.dropout(x.flatten(2).transpose(1, 2)))  # (B, windows, K)
        return mean_over_windows(logits, self.activation, self.average, self.training)


@MODEL_REGISTRY.register("X3D")
@with_options(HeadOptions, X3DBlockOptions, InitOptions)
class X3D(VideoNetwork):
    """X3D over a clip (B, 3, T, H, W); logits (B, K) in train mode, scores (B, K) in eval mode.

    Raises:
        ValueError: an argument that is not accepted; at a call, a clip that the network cannot take.

    Args:
        width_factor, depth_factor, bottleneck_factor: expansions of widths, of blocks per stage, of inner widths.
        stem_channels: before expansion (DIM_C1).
        head_channels: of the layer before the classifier (DIM_C5).
        scale_res2: res2 doubles the stem's width, as each later stage doubles the one before.
        norm_lin5: a norm follows the layer before the classifier.
        first_shortcut_norm: a norm follows the projection in the first block, as in PySlowFast; not in PyTorchVideo.
        in_channels: of the clip.
    """

    archs = ("x3d", "slowfast")  # the latter is the key's default

    def __init__(
        self,
        *,
        width_factor: float = 2.0,
        depth_factor: float = 2.2,
        bottleneck_factor: float = 2.25,
        stem_channels: int = 12,
        head_channels: int = 2048,
        scale_res2: bool = False,
        norm_lin5: bool = False,
        first_shortcut_norm: bool = True,
        in_channels: int = 3,
        **options: Any,
    ):
        super().__init__()
        head, blocks, start = self.split_options(options)
        for name in ("width_factor", "depth_factor", "bottleneck_factor"):
            check_above(name, locals()[name], 0)
        check_whole("stem_channels", stem_channels)
        check_whole("head_channels", head_channels)
        self.in_channels = in_channels
        base = [rounded_width(2 * stem_channels) if scale_res2 else stem_channels]
        for _ in range(3):
            base.append(rounded_width(2 * base[-1]))
        widths = [rounded_width(width_factor * width) for width in base]
        self.pathway = X3DPathway(
            in_channels=in_channels,
            stem_width=rounded_width(width_factor * stem_channels),
            widths=widths,
            depths=[math.ceil(depth_factor * depth) for depth in BASE_DEPTHS],
            bottleneck=bottleneck_factor,
            first_shortcut_norm=first_shortcut_norm,
            blocks=blocks,
        )
        self.head = X3DHead(
            in_channels=widths[-1],
            inner_channels=int(bottleneck_factor * widths[-1]),
            out_channels=head_channels,
            norm_lin5=norm_lin5,
            norm=blocks.norm,
            options=head,
        )
        self.finish(start)

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Keyword arguments for the config's X3D, MODEL and RESNET keys."""
        return {
            **shared_arguments(cfg),
            "width_factor": cfg.X3D.WIDTH_FACTOR,
            "depth_factor": cfg.X3D.DEPTH_FACTOR,
            "bottleneck_factor": cfg.X3D.BOTTLENECK_FACTOR,
            "stem_channels": cfg.X3D.DIM_C1,
            "head_channels": cfg.X3D.DIM_C5,
            "scale_res2": cfg.X3D.SCALE_RES2,
            "depthwise": cfg.X3D.CHANNELWISE_3x3x3,
            "norm_lin5": cfg.X3D.BN_LIN5,
            "in_channels": cfg.DATA.INPUT_CHANNEL_NUM[0],
            "pool_size": math.ceil(cfg.DATA.TRAIN_CROP_SIZE / 32),
        }

    def forward(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        return self.head(self.forward_features(clip))

    def forward_features(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """The map of res5: (B, C, T, H / 32, W / 32)."""
        return self.pathway(single_clip(clip, in_channels=self.in_channels, dtype=dtype_of(self)))


@MODEL_REGISTRY.register("PTVX3D")  # PySlowFast's name of it
class PyTorchVideoX3D(X3D):
    """X3D as PyTorchVideo builds it: no norm after the first projection."""

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Keyword arguments for the config's X3D, MODEL and RESNET keys."""
        return {**super().from_config(cfg), "first_shortcut_norm": False}
