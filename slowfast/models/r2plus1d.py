"""R(2+1)D networks (Tran et al., CVPR 2018): every 3D convolution split into one over space and one over time.

Two families, as their weights were published: basic blocks at depth 34, where space comes first and the width between
the two keeps the parameters of the 3D convolution (the paper's; mmaction2), and bottlenecks at depth 50, where time
comes first and the width stays (PyTorchVideo). Shapes: B batch, C channels, T frames, H W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.checks import check_choice, check_whole
from slowfast.models.norm import NormLayer
from slowfast.models.options import HeadOptions, InitOptions, ResidualOptions, with_options
from slowfast.models.resnet3d import BlockShape, ResidualBlock, Stem, StemOptions, conv3d
from slowfast.models.resnet_pathway import stage_widths
from slowfast.models.strided_resnet import StridedResNet

NUM_BLOCKS = {34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
# (temporal, spatial) strides of res2 .. res5
BASIC_STRIDES = ((1, 1), (2, 2), (2, 2), (2, 2))  # after a stem that pools
BOTTLENECK_STRIDES = ((1, 2), (1, 2), (2, 2), (2, 2))
BASIC_EPS = 1e-3  # of the norms after a pair of convolutions; of the one between them 1e-5


def middle_width(in_channels: int, out_channels: int, side: int) -> int:
    """Channels between 1 x side x side and 3 x 1 x 1, with which the pair has the parameters of 3 x side x side.

    The paper's formula takes 3 for the temporal kernel of every pair, of 1x1x1 shortcuts too.
    """
    area = side * side
    return 3 * area * in_channels * out_channels // (area * in_channels + 3 * out_channels)


def _norm(norm: NormLayer, channels: int, eps: float) -> nn.Module:
    layer = norm(channels)
    modules: Iterable[Any] = layer.modules()  # a sub-batch norm holds two
    for module in modules:
        if hasattr(module, "eps"):
            module.eps = eps
    return layer


class SpaceTimeStem(nn.Module):
    """1x7x7 - BN - ReLU - 3x1x1 - BN - ReLU - max pool: (B, 3, T, H, W) -> (B, C, T, H / 4, W / 4)."""

    def __init__(self, *, in_channels: int, out_channels: int, norm: NormLayer):
        super().__init__()
        middle = middle_width(in_channels, out_channels, 7)
        self.conv_s = conv3d(in_channels, middle, (1, 7, 7), stride=(1, 2))
        self.conv_s_bn = norm(middle)
        self.conv = conv3d(middle, out_channels, (3, 1, 1))
        self.bn = _norm(norm, out_channels, BASIC_EPS)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv_s_bn(self.conv_s(x)), inplace=True)
        return self.pool(F.relu(self.bn(self.conv(x)), inplace=True))


class SpaceTimeBasicBlock(ResidualBlock):
    """Pairs a and b, each over space (``a_s``), then over time (``a``); the projection is such a pair of 1x1x1 too."""

    final_norm = "b_bn"

    def __init__(self, shape: BlockShape, options: ResidualOptions):
        super().__init__(shape, options)
        in_channels, out, norm = shape.in_channels, shape.out_channels, options.norm
        time, space = shape.stride
        if self.has_projection:
            middle = middle_width(in_channels, out, 1)
            self.shortcut_s = conv3d(in_channels, middle, (1, 1, 1), stride=(1, space))
            self.shortcut_s_bn = norm(middle)
            self.shortcut = conv3d(middle, out, (1, 1, 1), stride=(time, 1))
            self.shortcut_bn = _norm(norm, out, BASIC_EPS)
        middle = middle_width(in_channels, out, 3)
        self.a_s = conv3d(in_channels, middle, (1, 3, 3), stride=(1, space))
        self.a_s_bn = norm(middle)
        self.a = conv3d(middle, out, (3, 1, 1), stride=(time, 1))
        self.a_bn = _norm(norm, out, BASIC_EPS)
        middle = middle_width(out, out, 3)
        self.b_s = conv3d(out, middle, (1, 3, 3))
        self.b_s_bn = norm(middle)
        self.b = conv3d(middle, out, (3, 1, 1))
        self.b_bn = _norm(norm, out, BASIC_EPS)

    def transform(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_s_bn(self.a_s(x)), inplace=True)
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.relu(self.b_s_bn(self.b_s(x)), inplace=True)
        return self.b_bn(self.b(x))

    def project(self, x: Tensor) -> Tensor:
        if not self.has_projection:
            return x
        x = F.relu(self.shortcut_s_bn(self.shortcut_s(x)), inplace=True)
        return self.shortcut_bn(self.shortcut(x))


class SpaceTimeBottleneck(ResidualBlock):
    """a 1x1x1, then over time (``b_t``, 3x1x1), then over space (``b``, 1x3x3), c 1x1x1, each followed by a norm."""

    final_norm = "c_bn"

    def __init__(self, shape: BlockShape, options: ResidualOptions):
        super().__init__(shape, options)
        inner, norm = shape.inner_channels, options.norm
        time, space = shape.stride
        self.a = conv3d(shape.in_channels, inner, (1, 1, 1))
        self.a_bn = norm(inner)
        self.b_t = conv3d(inner, inner, (3, 1, 1), stride=(time, 1))
        self.b_t_bn = norm(inner)
        self.b = conv3d(inner, inner, (1, 3, 3), stride=(1, space))
        self.b_bn = norm(inner)
        self.c = conv3d(inner, shape.out_channels, (1, 1, 1))
        self.c_bn = norm(shape.out_channels)

    def transform(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.relu(self.b_t_bn(self.b_t(x)), inplace=True)
        x = F.relu(self.b_bn(self.b(x)), inplace=True)
        return self.c_bn(self.c(x))


@MODEL_REGISTRY.register("R2Plus1D")
@MODEL_REGISTRY.register("PTVR2plus1D")  # PySlowFast's name of it
@with_options(HeadOptions, ResidualOptions, InitOptions)
class R2Plus1D(StridedResNet):
    """R(2+1)D over a clip (B, 3, T, H, W); logits (B, K) in train mode, scores (B, K) in eval mode.

    Raises:
        ValueError: an argument that is not accepted; at a call, a clip that the network cannot take.

    Args:
        depth: 34 (basic blocks) or 50 (bottlenecks).
        width: channels of the stem.
        in_channels: of the clip.
    """

    archs = ("r2plus1d", "slowfast")  # the latter is the key's default

    def __init__(self, *, depth: int = 50, width: int = 64, in_channels: int = 3, **options: Any):
        super().__init__()
        check_choice("depth", depth, NUM_BLOCKS)
        check_whole("width", width)
        values = self.split_options(options)
        norm = values[1].norm
        self.in_channels = in_channels
        is_basic = depth == 34
        self.build(
            SpaceTimeStem(in_channels=in_channels, out_channels=width, norm=norm)
            if is_basic
            else Stem(in_channels=in_channels, out_channels=width, options=StemOptions(has_pool=False), norm=norm),
            SpaceTimeBasicBlock if is_basic else SpaceTimeBottleneck,
            widths=[width, *(width * 2**i for i in range(4))] if is_basic else stage_widths(width),
            inner_width=width,
            num_blocks=NUM_BLOCKS[depth],
            strides=BASIC_STRIDES if is_basic else BOTTLENECK_STRIDES,
            options=values,
        )
