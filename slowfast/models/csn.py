"""Channel-separated networks (Tran, Wang, Torresani, Feiszli, ICCV 2019), as PyTorchVideo builds them.

A ResNet of bottlenecks whose middle convolution is a depthwise 3x3x3 ("ir-CSN"); stages from res3 on stride by 2 in
time too. Shapes: B batch, C channels, T frames, H W pixels, K classes.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.checks import check_choice, check_whole
from slowfast.models.options import HeadOptions, InitOptions, ResidualOptions, with_options
from slowfast.models.resnet3d import NUM_BLOCKS, BlockShape, ResidualBlock, Stem, StemOptions, conv3d
from slowfast.models.resnet_pathway import stage_widths
from slowfast.models.strided_resnet import StridedResNet

STRIDES = ((1, 1), (2, 2), (2, 2), (2, 2))  # (temporal, spatial) of res2 .. res5
DEPTHS = (50, 101)


class CSNBlock(ResidualBlock):
    """a 1x1x1, b depthwise 3x3x3 (stride), c 1x1x1, each followed by a norm."""

    final_norm = "c_bn"

    def __init__(self, shape: BlockShape, options: ResidualOptions):
        super().__init__(shape, options)
        inner, norm = shape.inner_channels, options.norm
        self.a = conv3d(shape.in_channels, inner, (1, 1, 1))
        self.a_bn = norm(inner)
        self.b = conv3d(inner, inner, (3, 3, 3), stride=shape.stride, groups=inner)
        self.b_bn = norm(inner)
        self.c = conv3d(inner, shape.out_channels, (1, 1, 1))
        self.c_bn = norm(shape.out_channels)

    def transform(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.relu(self.b_bn(self.b(x)), inplace=True)
        return self.c_bn(self.c(x))


@MODEL_REGISTRY.register("CSN")
@MODEL_REGISTRY.register("PTVCSN")  # PySlowFast's name of it
@with_options(HeadOptions, ResidualOptions, InitOptions)
class CSN(StridedResNet):
    """CSN over a clip (B, 3, T, H, W); logits (B, K) in train mode, scores (B, K) in eval mode.

    Raises:
        ValueError: an argument that is not accepted; at a call, a clip that the network cannot take.

    Args:
        depth: 50 or 101.
        width: channels of the stem.
        in_channels: of the clip.
    """

    archs = ("csn", "slowfast")  # the latter is the key's default

    def __init__(self, *, depth: int = 101, width: int = 64, in_channels: int = 3, **options: Any):
        super().__init__()
        check_choice("depth", depth, DEPTHS)
        check_whole("width", width)
        values = self.split_options(options)
        norm = values[1].norm
        self.in_channels = in_channels
        self.build(
            Stem(in_channels=in_channels, out_channels=width, options=StemOptions(temporal_kernel=3), norm=norm),
            CSNBlock,
            widths=stage_widths(width),
            inner_width=width,
            num_blocks=NUM_BLOCKS[depth],
            strides=STRIDES,
            options=values,
        )
