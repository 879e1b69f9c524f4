"""Networks of one pathway from the same stages: Slow-only, Fast-only, C2D, I3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.checks import dtype_of
from slowfast.models.from_config import per_pathway, resnet_arguments
from slowfast.models.heads import make_head
from slowfast.models.network import VideoNetwork
from slowfast.models.options import BlockOptions, DetectionHeadOptions, InitOptions, StageOptions, with_options
from slowfast.models.pathways import single_clip
from slowfast.models.resnet3d import ResNetPathway, StemOptions, stage_widths
from slowfast.models.slowfast import FAST_KERNELS, SLOW_KERNELS
from slowfast.utils.suggest import check_choice

fx.wrap("single_clip")  # one node in a traced graph: it looks at shapes

FLAT_KERNELS = ((1,), (1,), (1,), (1,), (1,))
I3D_KERNELS = ((5,), (3,), (3, 1), (3, 1), (1, 3))
# name: (temporal kernels of stem and stages, temporal pooling after res2)
ARCHITECTURES = {
    "slow": (SLOW_KERNELS, 1),
    "fast": (FAST_KERNELS, 1),
    "c2d": (FLAT_KERNELS, 2),
    "c2d_nopool": (FLAT_KERNELS, 1),
    "i3d": (I3D_KERNELS, 2),
    "i3d_nopool": (I3D_KERNELS, 1),
    "2d": (FLAT_KERNELS, 1),
}


@MODEL_REGISTRY.register("ResNet")
@MODEL_REGISTRY.register("PTVResNet")  # PySlowFast's name of the network that PyTorchVideo builds: the same
@with_options(DetectionHeadOptions, StageOptions, BlockOptions, InitOptions)
class ResNet(VideoNetwork):
    """One pathway over a clip; logits (B, K) in train mode, scores (B, K) in eval mode (with a ``roi_head`` (R, K)).

    Raises:
        ValueError: an argument that is not accepted; at a call, a clip that the network cannot take.

    Args:
        arch: a key of ``ARCHITECTURES``.
        depth: 18, 50 or 101.
        width: channels of the stem at beta 1.
        beta: share of the channels, for Fast-only (1/8 in the paper).
        in_channels: of the clip.
        stem_temporal_strides: of the first convolution and of the pool after it (mmaction2's I3D 32x2: 2 and 2).
        stem_pool_padding: pixels added at every side before that pool (mmaction2's C2D: 0).
    """

    def __init__(
        self,
        *,
        arch: str = "slow",
        depth: int = 50,
        width: int = 64,
        beta: float = 1.0,
        in_channels: int = 3,
        stem_temporal_strides: Sequence[int] = (1, 1),
        stem_pool_padding: int = 1,
        **options: Any,
    ):
        super().__init__()
        head, stages, blocks, start = self.split_options(options)
        check_choice("arch", arch, ARCHITECTURES)
        check_choice("stem_pool_padding", stem_pool_padding, (0, 1))
        if not 0 < beta <= 1:
            raise ValueError(f"beta={beta} must be in (0, 1]: it is the share of the channels that Fast-only keeps.")
        kernels, pool_after_res2 = ARCHITECTURES[arch]
        stem_strides: Any = tuple(stem_temporal_strides)
        self.in_channels = self.clip_channels = in_channels
        self.pathway = ResNetPathway(
            depth=depth,
            kernels=kernels,
            in_channels=in_channels,
            width=width,
            beta=beta,
            stem=StemOptions(temporal_strides=stem_strides, pool_padding=stem_pool_padding),
            pool_after_res2=pool_after_res2,
            stages=stages,
            blocks=blocks,
        )
        self.head = make_head(stage_widths(width, beta=beta)[-1:], head)
        self.finish(start)

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Keyword arguments for the config's MODEL, RESNET and NONLOCAL keys (BETA_INV counts for arch "fast")."""
        arguments = resnet_arguments(cfg, num_pathways=1)
        for key in ("num_temporal_blocks", "spatial_strides", "dilations", "nonlocal_after", "nonlocal_args"):
            arguments[key] = [stage[0] for stage in arguments[key]]
        return {
            **arguments,
            "arch": cfg.MODEL.ARCH,
            "beta": 1 / cfg.SLOWFAST.BETA_INV if cfg.MODEL.ARCH == "fast" else 1.0,
            "in_channels": per_pathway(cfg.DATA.INPUT_CHANNEL_NUM, 1, "DATA.INPUT_CHANNEL_NUM")[0],
        }

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        features = [self.forward_features(clip)]
        return self.head(features, boxes) if self.takes_boxes else self.head(features)

    def forward_features(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """The map of res5: (B, 32 * width * beta, T', H / 32, W / 32), T' as temporal strides and pools leave it."""
        pathway = self.pathway
        clip = single_clip(
            clip,
            in_channels=self.in_channels,
            dtype=dtype_of(self),
            least_frames=pathway.least_frames,
            least_size=pathway.least_size,
        )
        return pathway(clip)
