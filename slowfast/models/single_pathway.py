"""Networks of one pathway from the same stages: Slow-only, Fast-only, C2D, I3D."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.heads import RoIHead, make_head
from slowfast.models.init import init_weights
from slowfast.models.norm import NormLayer
from slowfast.models.options import per_pathway, resnet_options
from slowfast.models.pathways import single_clip
from slowfast.models.resnet_pathway import ResNetPathway, stage_widths
from slowfast.models.slowfast import FAST_KERNELS, SLOW_KERNELS
from slowfast.models.weights.names import accept_pyslowfast_names

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
class ResNet(nn.Module):
    """One pathway over a clip; logits (B, K) in train mode, scores (B, K) in eval mode (with a ``roi_head`` (R, K)).

    Args:
        arch: a key of ``ARCHITECTURES``.
        beta: share of the channels, for Fast-only (1/8 in the paper).
        nonlocal_args: for each stage, arguments of its non-local blocks.

    The others are those of ``SlowFast``, with one value a stage instead of two.
    """

    pathway_names = ("pathway",)

    def __init__(
        self,
        *,
        arch: str = "slow",
        depth: int = 50,
        num_classes: int = 400,
        width: int = 64,
        groups: int = 1,
        beta: float = 1.0,
        in_channels: int = 3,
        block: str = "bottleneck_transform",
        stride_1x1: bool = False,
        num_temporal_blocks: Sequence[int] | None = None,
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        nonlocal_after: Sequence[Sequence[int]] = ((), (), (), ()),
        nonlocal_args: Sequence[dict] | None = None,
        pool_size: int | None = 7,
        roi_head: dict | None = None,
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
        if arch not in ARCHITECTURES:
            raise ValueError(f"MODEL.ARCH={arch!r} is not a single pathway. Known: {', '.join(ARCHITECTURES)}.")
        kernels, pool_after_res2 = ARCHITECTURES[arch]
        self.in_channels = in_channels
        self.pathway = ResNetPathway(
            kernels=kernels,
            depth=depth,
            block=block,
            in_channels=in_channels,
            width=width,
            groups=groups,
            beta=beta,
            num_temporal_blocks=num_temporal_blocks,
            spatial_strides=spatial_strides,
            dilations=dilations,
            nonlocal_after=nonlocal_after,
            nonlocal_args=nonlocal_args,
            pool_after_res2=pool_after_res2,
            stride_1x1=stride_1x1,
            drop_path=drop_path,
            norm=norm,
        )
        self.head = make_head(
            in_channels=stage_widths(width, beta=beta)[-1:],
            num_classes=num_classes,
            pool_size=pool_size,
            roi=roi_head,
            dropout=dropout,
            activation=activation,
            detach=detach_features,
        )
        init_weights(self, fc_std=fc_init_std, zero_final_bn=zero_init_final_bn, zero_final_conv=zero_init_final_conv)
        accept_pyslowfast_names(self)

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Keyword arguments for the config's MODEL, RESNET and NONLOCAL keys (BETA_INV counts for arch "fast")."""
        options = resnet_options(cfg, lengths=(cfg.DATA.NUM_FRAMES,))
        for key in ("num_temporal_blocks", "spatial_strides", "dilations", "nonlocal_after", "nonlocal_args"):
            options[key] = [stage[0] for stage in options[key]]
        return {
            **options,
            "arch": cfg.MODEL.ARCH,
            "beta": 1 / cfg.SLOWFAST.BETA_INV if cfg.MODEL.ARCH == "fast" else 1.0,
            "in_channels": per_pathway(cfg.DATA.INPUT_CHANNEL_NUM, 1, "DATA.INPUT_CHANNEL_NUM")[0],
        }

    @property
    def clip_channels(self) -> int:
        """Channels of a clip."""
        return self.in_channels

    @property
    def takes_boxes(self) -> bool:
        """Whether it is called as ``model(clip, boxes)``."""
        return isinstance(self.head, RoIHead)

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        features = [self.pathway(single_clip(clip, in_channels=self.in_channels))]
        return self.head(features, boxes) if self.takes_boxes else self.head(features)
