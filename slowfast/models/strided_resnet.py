"""Networks of one pathway whose stages stride in time too: CSN and R(2+1)D.

Shapes: B batch, C channels, T frames, H W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.checks import check_whole, dtype_of
from slowfast.models.from_config import shared_arguments
from slowfast.models.heads import ClipHead
from slowfast.models.network import VideoNetwork
from slowfast.models.norm import NormLayer
from slowfast.models.options import HeadOptions, InitOptions, ResidualOptions, with_options
from slowfast.models.pathways import single_clip
from slowfast.models.resnet3d import (
    NUM_BLOCKS,
    STAGES,
    BlockShape,
    ResidualBlock,
    Stage,
    Stem,
    StemOptions,
    conv3d,
    stage_shapes,
    stage_widths,
)
from slowfast.utils.suggest import check_choice

fx.wrap("single_clip")  # one node in a traced graph: it looks at shapes

# (temporal, spatial) strides of res2 .. res5
STRIDES = ((1, 1), (2, 2), (2, 2), (2, 2))  # after a stem that pools
UNPOOLED_STRIDES = ((1, 2), (1, 2), (2, 2), (2, 2))
BASIC_EPS = 1e-3  # of the norms after a pair of convolutions in R(2+1)D; of the one between them 1e-5


class StridedResNet(VideoNetwork):
    """A stem, four stages and a head; ``pathway.stem``, ``pathway.res2`` .. ``pathway.res5``."""

    in_channels: int

    def build(
        self,
        stem: nn.Module,
        make_block: Callable[..., ResidualBlock],
        *,
        widths: Sequence[int],
        num_blocks: Sequence[int],
        strides: Sequence[tuple[int, int]],
        options: Sequence[Any],
    ) -> None:
        """Make all modules and draw their weights.

        Args:
            make_block: called as ``make_block(shape, options=blocks)``.
            widths: output channels of the stem and of each stage. The bottlenecks of res2 are as wide as the stem, and
                twice as wide from stage to stage.
            strides: (temporal, spatial), of each stage's first block.
            options: of head, blocks and initial weights, as ``split_options`` gives them.
        """
        head, blocks, start = options
        self.pathway = nn.Sequential()
        self.pathway.add_module("stem", stem)
        for i, name in enumerate(STAGES):
            shapes = stage_shapes(
                [3] * num_blocks[i],
                in_channels=widths[i],
                inner_channels=widths[0] * 2**i,
                out_channels=widths[i + 1],
                stride=strides[i],
            )
            self.pathway.add_module(name, Stage(shapes, partial(make_block, options=blocks)))
        self.head = ClipHead(widths[-1:], head)
        self.finish(start)

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Keyword arguments for the config's RESNET, MODEL and DATA keys."""
        return {
            **shared_arguments(cfg),
            "depth": cfg.RESNET.DEPTH,
            "width": cfg.RESNET.WIDTH_PER_GROUP,
            "in_channels": cfg.DATA.INPUT_CHANNEL_NUM[0],
        }

    def forward(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        return self.head([self.forward_features(clip)])

    def forward_features(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """The map of res5: (B, C, T', H / 32, W / 32), T' and sizes rounded up at every stride."""
        return self.pathway(single_clip(clip, in_channels=self.in_channels, dtype=dtype_of(self)))


class CSNBlock(ResidualBlock):
    """a 1x1x1, b depthwise 3x3x3 (stride), c 1x1x1, each followed by a norm."""

    def __init__(self, shape: BlockShape, options: ResidualOptions):
        super().__init__(shape, options)
        inner = shape.inner_channels
        self.chain = self.add(
            options.norm,
            a=conv3d(shape.in_channels, inner, (1, 1, 1)),
            b=conv3d(inner, inner, (3, 3, 3), stride=shape.stride, groups=inner),
            c=conv3d(inner, shape.out_channels, (1, 1, 1)),
        )


@MODEL_REGISTRY.register("CSN")
@MODEL_REGISTRY.register("PTVCSN")  # PySlowFast's name of it
@with_options(HeadOptions, ResidualOptions, InitOptions)
class CSN(StridedResNet):
    """Channel-separated network (Tran, Wang, Torresani, Feiszli, ICCV 2019), as PyTorchVideo builds it.

    A ResNet of bottlenecks whose middle convolution is a depthwise 3x3x3 ("ir-CSN"), over a clip (B, 3, T, H, W);
    logits (B, K) in train mode, scores (B, K) in eval mode.

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
        check_choice("depth", depth, (50, 101))
        check_whole("width", width)
        values = self.split_options(options)
        self.in_channels = in_channels
        stem = StemOptions(temporal_kernel=3)
        self.build(
            Stem(in_channels=in_channels, out_channels=width, options=stem, norm=values[1].norm),
            CSNBlock,
            widths=stage_widths(width),
            num_blocks=NUM_BLOCKS[depth],
            strides=STRIDES,
            options=values,
        )


def middle_width(in_channels: int, out_channels: int, side: int) -> int:
    """Channels between 1 x side x side and 3 x 1 x 1, with which the pair has the parameters of 3 x side x side.

    The paper's formula takes 3 for the temporal kernel of every pair, of 1x1x1 shortcuts too.
    """
    area = side * side
    return 3 * area * in_channels * out_channels // (area * in_channels + 3 * out_channels)


def _set_eps(modules: Iterable[Any]) -> None:
    for module in modules:
        if hasattr(module, "eps"):
            module.eps = BASIC_EPS


class SpaceTimeStem(nn.Module):
    """1x7x7 - BN - ReLU - 3x1x1 - BN - ReLU - max pool: (B, 3, T, H, W) -> (B, C, T, H / 4, W / 4)."""

    def __init__(self, *, in_channels: int, out_channels: int, norm: NormLayer):
        super().__init__()
        middle = middle_width(in_channels, out_channels, 7)
        self.conv_s = conv3d(in_channels, middle, (1, 7, 7), stride=(1, 2))
        self.conv_s_bn = norm(middle)
        self.conv = conv3d(middle, out_channels, (3, 1, 1))
        self.bn = norm(out_channels)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        _set_eps(self.bn.modules())

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv_s_bn(self.conv_s(x)), inplace=True)
        return self.pool(F.relu(self.bn(self.conv(x)), inplace=True))


class SpaceTimeBasicBlock(ResidualBlock):
    """Pairs a and b, each over space (``a_s``), then over time (``a``); the projection is such a pair of 1x1x1 too."""

    def __init__(self, shape: BlockShape, options: ResidualOptions):
        super().__init__(shape, options)
        in_channels, out, norm = shape.in_channels, shape.out_channels, options.norm
        time, space = shape.stride
        if self.has_projection:
            middle = middle_width(in_channels, out, 1)
            self.projection = self.add(
                norm,
                shortcut_s=conv3d(in_channels, middle, (1, 1, 1), stride=(1, space)),
                shortcut=conv3d(middle, out, (1, 1, 1), stride=(time, 1)),
            )
        first, second = middle_width(in_channels, out, 3), middle_width(out, out, 3)
        self.chain = self.add(
            norm,
            a_s=conv3d(in_channels, first, (1, 3, 3), stride=(1, space)),
            a=conv3d(first, out, (3, 1, 1), stride=(time, 1)),
            b_s=conv3d(out, second, (1, 3, 3)),
            b=conv3d(second, out, (3, 1, 1)),
        )
        _set_eps(module for name, module in self.named_modules() if "_s_bn" not in name)


class SpaceTimeBottleneck(ResidualBlock):
    """a 1x1x1, then over time (``b_t``, 3x1x1), then over space (``b``, 1x3x3), c 1x1x1, each followed by a norm."""

    def __init__(self, shape: BlockShape, options: ResidualOptions):
        super().__init__(shape, options)
        inner, (time, space) = shape.inner_channels, shape.stride
        self.chain = self.add(
            options.norm,
            a=conv3d(shape.in_channels, inner, (1, 1, 1)),
            b_t=conv3d(inner, inner, (3, 1, 1), stride=(time, 1)),
            b=conv3d(inner, inner, (1, 3, 3), stride=(1, space)),
            c=conv3d(inner, shape.out_channels, (1, 1, 1)),
        )


@MODEL_REGISTRY.register("R2Plus1D")
@MODEL_REGISTRY.register("PTVR2plus1D")  # PySlowFast's name of it
@with_options(HeadOptions, ResidualOptions, InitOptions)
class R2Plus1D(StridedResNet):
    """R(2+1)D (Tran et al., CVPR 2018): every 3D convolution split into one over space and one over time.

    Over a clip (B, 3, T, H, W); logits (B, K) in train mode, scores (B, K) in eval mode. Two families, as their weights
    were published: basic blocks at depth 34, where space comes first and the width between the two keeps the
    parameters of the 3D convolution (the paper's; mmaction2), and bottlenecks at depth 50, where time comes first and
    the width stays (PyTorchVideo).

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
        check_choice("depth", depth, (34, 50))
        check_whole("width", width)
        values = self.split_options(options)
        self.in_channels = in_channels
        is_basic, sizes = depth == 34, {"in_channels": in_channels, "out_channels": width, "norm": values[1].norm}
        self.build(
            SpaceTimeStem(**sizes) if is_basic else Stem(**sizes, options=StemOptions(has_pool=False)),
            SpaceTimeBasicBlock if is_basic else SpaceTimeBottleneck,
            widths=[width, *(width * 2**i for i in range(4))] if is_basic else stage_widths(width),
            num_blocks=NUM_BLOCKS[50],  # the same at depth 34
            strides=STRIDES if is_basic else UNPOOLED_STRIDES,
            options=values,
        )
