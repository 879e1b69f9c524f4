"""SlowFast networks (Feichtenhofer, Fan, Malik, He, ICCV 2019).

Shapes: B batch, C channels, T frames of the clip (= Fast frames), H W pixels, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from slowfast.models.build import MODEL_REGISTRY, build_fusion
from slowfast.models.heads import RoIHead, make_head
from slowfast.models.init import init_weights
from slowfast.models.norm import NormLayer
from slowfast.models.options import per_pathway, resnet_options
from slowfast.models.pathways import FAST_INPUTS, fast_input, slow_frame_indices, split_pathways
from slowfast.models.resnet3d import STAGES
from slowfast.models.resnet_pathway import ResNetPathway, stage_widths
from slowfast.models.weights.names import accept_pyslowfast_names

logger = logging.getLogger(__name__)

SLOW_KERNELS = (
    (1,),
    (1,),
    (1,),
    (3,),
    (3,),
)  # stem, res2 .. res5: earlier temporal kernels hurt (paper, section 3.1)
FAST_KERNELS = ((5,), (3,), (3,), (3,), (3,))


@MODEL_REGISTRY.register("SlowFast")
class SlowFast(nn.Module):
    """Two pathways over one clip: few frames with many channels, and many frames with few channels.

    ``model(clip)`` or ``model([slow, fast])``; logits (B, K) in train mode, scores (B, K) in eval mode. With a
    ``roi_head``, ``model(clip, boxes)`` and (R, K); see ``RoIHead``.

    Args:
        depth: 18, 50 or 101.
        num_classes: K.
        alpha: Fast frames per Slow frame.
        beta: Fast channels per Slow channel, at most 1; counts that do not divide are rounded down, at least 1.
        width: channels of the Slow stem.
        groups: groups of the 3x3 convolutions; the first bottleneck's inner width is groups * width.
        block: "bottleneck_transform" or "basic_transform".
        num_temporal_blocks: for each stage, blocks with a temporal kernel in (Slow, Fast); default all.
        spatial_strides, dilations: for each stage, of (Slow, Fast).
        nonlocal_after: for each stage, numbers of the blocks (Slow, Fast) followed by a non-local block.
        nonlocal_args: for each stage and pathway, arguments of those.
        fusion: name of the lateral connection; ``fusion_kernel`` and ``fusion_channel_ratio`` are for those that
            take them, ``fusion_args`` for any other argument.
        slow_frames: "linspace" or "strided" (pathways.slow_frame_indices).
        fast_input: what the Fast pathway sees of the clip, a key of pathways.FAST_INPUTS; but for "rgb" it sets the
            second entry of ``in_channels``. For "flow" a clip has 5 channels.
        pool_size, dropout, activation, detach_features: see ``ClipHead``.
        roi_head: arguments of ``RoIHead`` (resolution, spatial_scale, aligned) to score boxes; None to score clips.
    """

    pathway_names = ("slow", "fast")

    def __init__(
        self,
        *,
        depth: int = 50,
        num_classes: int = 400,
        alpha: int = 4,
        beta: float = 1 / 8,
        width: int = 64,
        groups: int = 1,
        in_channels: Sequence[int] = (3, 3),
        block: str = "bottleneck_transform",
        stride_1x1: bool = False,
        num_temporal_blocks: Sequence[Sequence[int]] | None = None,
        spatial_strides: Sequence[Sequence[int]] = ((1, 1), (2, 2), (2, 2), (2, 2)),
        dilations: Sequence[Sequence[int]] = ((1, 1), (1, 1), (1, 1), (1, 1)),
        nonlocal_after: Sequence[Sequence[Sequence[int]]] = (((), ()),) * 4,
        nonlocal_args: Sequence[Sequence[dict]] | None = None,
        fusion: str = "TimeStridedConv",
        fusion_kernel: int = 5,
        fusion_channel_ratio: int = 2,
        fusion_args: dict | None = None,
        slow_frames: str = "linspace",
        fast_input: str = "rgb",
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
        if not 0 < beta <= 1:
            raise ValueError(
                f"beta={beta} must be in (0, 1]: the Fast pathway is the narrow one (SLOWFAST.BETA_INV = 1 / beta)."
            )
        self.alpha = alpha
        self.slow_frames = slow_frames
        if fast_input not in FAST_INPUTS:
            raise ValueError(f"SLOWFAST.FAST_INPUT={fast_input!r} is not one of {', '.join(FAST_INPUTS)}.")
        self.fast_input = fast_input
        self.in_channels = tuple(in_channels) if fast_input == "rgb" else (in_channels[0], FAST_INPUTS[fast_input])
        self.clip_channels = sum(self.in_channels) if fast_input == "flow" else self.in_channels[0]
        slow_widths = stage_widths(width)
        fast_widths = stage_widths(width, beta=beta)
        self.laterals = nn.ModuleList(
            build_fusion(
                fusion,
                slow_channels=slow_channels,
                fast_channels=fast_channels,
                alpha=alpha,
                options=fusion_args,
                kernel_size=fusion_kernel,
                channel_ratio=fusion_channel_ratio,
                norm=norm,
            )
            for slow_channels, fast_channels in zip(slow_widths[:-1], fast_widths[:-1], strict=True)
        )

        def pathway(index: int, **own) -> ResNetPathway:
            return ResNetPathway(
                depth=depth,
                block=block,
                in_channels=self.in_channels[index],
                groups=groups,
                num_temporal_blocks=num_temporal_blocks and [stage[index] for stage in num_temporal_blocks],
                spatial_strides=[stage[index] for stage in spatial_strides],
                dilations=[stage[index] for stage in dilations],
                nonlocal_after=[stage[index] for stage in nonlocal_after],
                nonlocal_args=nonlocal_args and [stage[index] for stage in nonlocal_args],
                stride_1x1=stride_1x1,
                drop_path=drop_path,
                norm=norm,
                **own,
            )

        self.slow = pathway(0, width=width, kernels=SLOW_KERNELS, stage_inputs=[f.out_channels for f in self.laterals])
        self.fast = pathway(1, width=width, beta=beta, kernels=FAST_KERNELS)
        self.head = make_head(
            in_channels=(slow_widths[-1], fast_widths[-1]),
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
        """Keyword arguments for the config's SLOWFAST, RESNET, NONLOCAL and MODEL keys."""
        slow_indices = slow_frame_indices(cfg.DATA.NUM_FRAMES, cfg.SLOWFAST.ALPHA, mode=cfg.SLOWFAST.SLOW_FRAMES)
        if cfg.RESNET.STRIDE_1X1:
            # Measured on the reference: its SlowFast never received this key, so weights trained with it stride in b.
            logger.warning(
                "RESNET.STRIDE_1X1 has no effect on SlowFast, as in PySlowFast. To stride in the first 1x1 "
                "convolution all the same, set MODEL.ARGS.stride_1x1 True."
            )
        return {
            **resnet_options(cfg, lengths=(len(slow_indices), cfg.DATA.NUM_FRAMES)),
            "stride_1x1": False,
            "in_channels": per_pathway(cfg.DATA.INPUT_CHANNEL_NUM, 2, "DATA.INPUT_CHANNEL_NUM"),
            "alpha": cfg.SLOWFAST.ALPHA,
            "beta": 1 / cfg.SLOWFAST.BETA_INV,
            "fusion": cfg.SLOWFAST.FUSION,
            "fusion_kernel": cfg.SLOWFAST.FUSION_KERNEL_SZ,
            "fusion_channel_ratio": cfg.SLOWFAST.FUSION_CONV_CHANNEL_RATIO,
            "fusion_args": dict(cfg.SLOWFAST.FUSION_ARGS),
            "slow_frames": cfg.SLOWFAST.SLOW_FRAMES,
            "fast_input": cfg.SLOWFAST.FAST_INPUT,
        }

    @property
    def takes_boxes(self) -> bool:
        """Whether it is called as ``model(clip, boxes)``."""
        return isinstance(self.head, RoIHead)

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        slow, fast = self.split(clip)
        slow, fast = self.slow.stem(slow), self.fast.stem(fast)
        for lateral, stage in zip(self.laterals, STAGES, strict=True):
            slow = getattr(self.slow, stage)(lateral(slow, fast))
            fast = getattr(self.fast, stage)(fast)
        return self.head([slow, fast], boxes) if self.takes_boxes else self.head([slow, fast])

    def split(self, clip: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """``[slow, fast]`` of a clip (B, C, T, H, W), or a ready-made pair (Fast as its pathway takes it), checked.

        Raises:
            ValueError: a shape that the model cannot take.
        """
        if not isinstance(clip, Tensor) and len(clip) == 1:
            clip = clip[0]
        if isinstance(clip, Tensor):
            serves_both = self.fast_input != "rgb" or len(set(self.in_channels)) == 1
            if clip.ndim != 5 or clip.shape[1] != self.clip_channels or clip.shape[2] % self.alpha or not serves_both:
                raise ValueError(
                    f"expected a clip (B, {self.clip_channels}, T, H, W) with T a multiple of alpha={self.alpha}, "
                    f"or [slow, fast]; received {_shape(clip)}."
                )
            slow, fast = split_pathways(clip, self.alpha, mode=self.slow_frames)
            return [slow[:, : self.in_channels[0]], fast_input(fast, self.fast_input)]
        if not self._is_pair(clip):
            raise ValueError(
                f"expected [slow, fast] = [(B, {self.in_channels[0]}, t, H, W), (B, {self.in_channels[1]}, "
                f"{self.alpha} * t, H, W)]; received [{', '.join(_shape(x) for x in clip)}]."
            )
        return list(clip)

    def _is_pair(self, clip: Sequence[Tensor]) -> bool:
        """Whether ``clip`` is [slow, fast] of one batch, with the sizes, channels and frames that go together."""
        if len(clip) != 2 or not all(isinstance(x, Tensor) and x.ndim == 5 for x in clip):
            return False
        slow, fast = clip
        shrink = 2 if self.fast_input == "half_resolution" else 1
        size = (slow.shape[3] // shrink, slow.shape[4] // shrink)
        expected = (slow.shape[0], self.in_channels[1], slow.shape[2] * self.alpha, *size)
        return slow.shape[1] == self.in_channels[0] and tuple(fast.shape) == expected


def _shape(x: Tensor) -> str:
    return f"({', '.join(map(str, x.shape))})" if isinstance(x, torch.Tensor) else type(x).__name__
