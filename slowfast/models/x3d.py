"""X3D networks (Feichtenhofer, CVPR 2020): one narrow pathway of depthwise 3x3x3 bottlenecks, expanded along few axes.

Shapes: B batch, C channels, T frames, H W pixels. No layer strides in time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.heads import ACTIVATIONS, activate
from slowfast.models.init import init_weights
from slowfast.models.norm import NormLayer
from slowfast.models.options import norm_from_config
from slowfast.models.pathways import single_clip
from slowfast.models.resnet3d import ResidualBlock
from slowfast.models.weights.names import accept_pyslowfast_names

BASE_DEPTHS = (1, 2, 5, 3)  # blocks of res2 .. res5 at depth factor 1 (paper, table 1)


def rounded_width(width: float, *, divisor: int = 8) -> int:
    """``width`` rounded to a multiple of ``divisor``, at least one of them, never more than 10 % down."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


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
    """Channels weighted by what the whole clip holds (Hu et al., CVPR 2018); inner width 1/16, a multiple of 8."""

    def __init__(self, channels: int, *, ratio: float = 1 / 16):
        super().__init__()
        inner = rounded_width(channels * ratio)
        self.fc1 = nn.Conv3d(channels, inner, 1)
        self.fc2 = nn.Conv3d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(F.relu(self.fc1(x.mean((2, 3, 4), keepdim=True)))).sigmoid()


class X3DBlock(ResidualBlock):
    """a 1x1x1 - BN - ReLU - b depthwise 3x3x3 - BN - squeeze-excite - SiLU - c 1x1x1 - BN."""

    final_norm = "c_bn"

    def __init__(
        self,
        *,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        spatial_stride: int,
        squeeze_excite: bool,
        depthwise: bool = True,
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
        stride = (1, spatial_stride, spatial_stride)
        groups = inner_channels if depthwise else 1
        self.a = nn.Conv3d(in_channels, inner_channels, 1, bias=False)
        self.a_bn = norm(inner_channels)
        self.b = nn.Conv3d(inner_channels, inner_channels, 3, stride, 1, groups=groups, bias=False)
        self.b_bn = norm(inner_channels)
        self.se = SqueezeExcite(inner_channels) if squeeze_excite else nn.Identity()
        self.c = nn.Conv3d(inner_channels, out_channels, 1, bias=False)
        self.c_bn = norm(out_channels)

    def transform(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.silu(self.se(self.b_bn(self.b(x))))
        return self.c_bn(self.c(x))


class X3DStage(nn.Sequential):
    """Blocks of one resolution; the first strides by 2, every other one (0, 2, 4, ...) has a squeeze-excite."""

    def __init__(self, *, num_blocks: int, in_channels: int, inner_channels: int, out_channels: int, **block_args):
        super().__init__()
        for i in range(num_blocks):
            block = X3DBlock(
                in_channels=in_channels if i == 0 else out_channels,
                inner_channels=inner_channels,
                out_channels=out_channels,
                spatial_stride=2 if i == 0 else 1,
                squeeze_excite=i % 2 == 0,
                **block_args,
            )
            self.add_module(f"block{i}", block)


class X3DPathway(nn.Sequential):
    """``stem``, ``res2`` .. ``res5``: (B, 3, T, H, W) -> (B, widths[-1], T, H / 32, W / 32)."""

    def __init__(
        self,
        *,
        in_channels: int,
        stem_width: int,
        widths: Sequence[int],
        depths: Sequence[int],
        bottleneck: float,
        drop_path: float,
        depthwise: bool,
        norm: NormLayer,
    ):
        super().__init__()
        self.stem = X3DStem(in_channels=in_channels, out_channels=stem_width, norm=norm)
        inputs = (stem_width, *widths[:-1])
        for i, (channels, width, depth) in enumerate(zip(inputs, widths, depths, strict=True)):
            stage = X3DStage(
                num_blocks=depth,
                in_channels=channels,
                inner_channels=int(bottleneck * width),
                out_channels=width,
                depthwise=depthwise,
                drop_path=drop_path * (i + 2) / 5,  # deeper stages drop more
                norm=norm,
            )
            self.add_module(f"res{i + 2}", stage)


class X3DHead(nn.Module):
    """conv_5 - BN - ReLU, average pool, lin_5 - ReLU, dropout, classifier; the modes of ``heads.ClipHead``.

    Args:
        pool_size: side of the pooling window in feature-map pixels; in time it is the whole length.
        detach: only the classifier learns.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        num_classes: int,
        pool_size: int,
        dropout: float,
        activation: str,
        norm_lin5: bool,
        detach: bool,
        norm: NormLayer,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"MODEL.HEAD_ACT={activation!r} is not one of {', '.join(ACTIVATIONS)}.")
        self.pool_size = pool_size
        self.activation = activation
        self.detach = detach
        self.conv_5 = nn.Conv3d(in_channels, inner_channels, 1, bias=False)
        self.conv_5_bn = norm(inner_channels)
        self.lin_5 = nn.Conv3d(inner_channels, out_channels, 1, bias=False)
        if norm_lin5:
            self.lin_5_bn = norm(out_channels)
        self.norm_lin5 = norm_lin5
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(out_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv_5_bn(self.conv_5(x)), inplace=True)
        window = (x.shape[2], min(self.pool_size, x.shape[3]), min(self.pool_size, x.shape[4]))
        x = self.lin_5(F.avg_pool3d(x, window, stride=1))
        x = F.relu(self.lin_5_bn(x) if self.norm_lin5 else x, inplace=True)
        if self.detach:
            x = x.detach()
        logits = self.classifier(self.dropout(x.flatten(2).transpose(1, 2)))  # (B, windows, K)
        return logits.mean(1) if self.training else activate(logits, self.activation).mean(1)


@MODEL_REGISTRY.register("X3D")
class X3D(nn.Module):
    """X3D over a clip (B, 3, T, H, W); logits (B, K) in train mode, scores (B, K) in eval mode.

    Args:
        width_factor, depth_factor, bottleneck_factor: expansions of widths, of blocks a stage, of inner widths.
        stem_channels: before expansion (DIM_C1).
        head_channels: of the layer before the classifier (DIM_C5).
        scale_res2: res2 doubles the stem's width, as each later stage doubles the one before.
        pool_size: side of the pooling window, the training crop / 32 rounded up.
        detach_features: only the classifier learns.
    """

    pathway_names = ("pathway",)

    def __init__(
        self,
        *,
        num_classes: int = 400,
        width_factor: float = 2.0,
        depth_factor: float = 2.2,
        bottleneck_factor: float = 2.25,
        stem_channels: int = 12,
        head_channels: int = 2048,
        scale_res2: bool = False,
        depthwise: bool = True,
        norm_lin5: bool = False,
        in_channels: int = 3,
        pool_size: int = 7,
        dropout: float = 0.5,
        activation: str = "softmax",
        detach_features: bool = False,
        drop_path: float = 0.0,
        zero_init_final_bn: bool = True,
        zero_init_final_conv: bool = False,
        fc_init_std: float = 0.01,
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__()
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
            drop_path=drop_path,
            depthwise=depthwise,
            norm=norm,
        )
        self.head = X3DHead(
            in_channels=widths[-1],
            inner_channels=int(bottleneck_factor * widths[-1]),
            out_channels=head_channels,
            num_classes=num_classes,
            pool_size=pool_size,
            dropout=dropout,
            activation=activation,
            norm_lin5=norm_lin5,
            detach=detach_features,
            norm=norm,
        )
        init_weights(self, fc_std=fc_init_std, zero_final_bn=zero_init_final_bn, zero_final_conv=zero_init_final_conv)
        accept_pyslowfast_names(self)

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Keyword arguments for the config's X3D, MODEL and RESNET keys."""
        return {
            "num_classes": cfg.MODEL.NUM_CLASSES,
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
            "dropout": cfg.MODEL.DROPOUT_RATE,
            "activation": cfg.MODEL.HEAD_ACT,
            "detach_features": cfg.MODEL.DETACH_FINAL_FC,
            "drop_path": cfg.MODEL.DROPCONNECT_RATE,
            "zero_init_final_bn": cfg.RESNET.ZERO_INIT_FINAL_BN,
            "zero_init_final_conv": cfg.RESNET.ZERO_INIT_FINAL_CONV,
            "fc_init_std": cfg.MODEL.FC_INIT_STD,
            "norm": norm_from_config(cfg),
        }

    def forward(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        clip = single_clip(clip, in_channels=self.in_channels)
        return self.head(self.pathway(clip))
