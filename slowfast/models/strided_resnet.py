"""Base of the networks of one pathway whose stages stride in time too: CSN and R(2+1)D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, fx, nn

from slowfast.models.checks import dtype_of
from slowfast.models.from_config import shared_arguments
from slowfast.models.heads import ClipHead
from slowfast.models.network import VideoNetwork
from slowfast.models.pathways import single_clip
from slowfast.models.resnet3d import STAGES, ResidualBlock, Stage, stage_shapes

fx.wrap("single_clip")  # one node in a traced graph: it looks at shapes


class StridedResNet(VideoNetwork):
    """A stem, four stages and a head; ``pathway.stem``, ``pathway.res2`` .. ``pathway.res5``."""

    in_channels: int

    def build(
        self,
        stem: nn.Module,
        make_block: Callable[..., ResidualBlock],
        *,
        widths: Sequence[int],
        inner_width: int,
        num_blocks: Sequence[int],
        strides: Sequence[tuple[int, int]],
        options: Sequence[Any],
    ) -> None:
        """Make all modules and draw their weights.

        Args:
            make_block: called as ``make_block(shape, options=blocks)``.
            widths: output channels of the stem and of each stage.
            inner_width: of the bottlenecks of res2; it doubles from stage to stage.
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
                inner_channels=inner_width * 2**i,
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
