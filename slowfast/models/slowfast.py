"""SlowFast networks (Feichtenhofer, Fan, Malik, He, ICCV 2019).

Shapes: B batch, C channels, T frames of the clip (= Fast frames), H W pixels, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx, nn

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.checks import check_whole, dtype_of
from slowfast.models.from_config import per_pathway, resnet_arguments
from slowfast.models.fusion import FusionOptions
from slowfast.models.heads import make_head
from slowfast.models.network import VideoNetwork
from slowfast.models.options import BlockOptions, DetectionHeadOptions, InitOptions, StageOptions, with_options
from slowfast.models.pathways import FAST_INPUTS, SLOW_FRAMES, slow_and_fast, slow_frame_indices
from slowfast.models.resnet3d import STAGES, ResNetPathway, stage_widths
from slowfast.utils.suggest import check_choice

logger = logging.getLogger(__name__)

fx.wrap("slow_and_fast")  # one node in a traced graph: it looks at shapes

# Temporal kernels of stem, res2 .. res5. Slow: earlier ones hurt (paper, section 3.1).
SLOW_KERNELS = ((1,), (1,), (1,), (3,), (3,))
FAST_KERNELS = ((5,), (3,), (3,), (3,), (3,))


@MODEL_REGISTRY.register("SlowFast")
@MODEL_REGISTRY.register("PTVSlowFast")  # PySlowFast's name of the network that PyTorchVideo builds: the same
@with_options(FusionOptions, DetectionHeadOptions, StageOptions, BlockOptions, InitOptions)
class SlowFast(VideoNetwork):
    """Two pathways over one clip: few frames with many channels, and many frames with few channels.

    ``model(clip)`` or ``model([slow, fast])``; logits (B, K) in train mode, scores (B, K) in eval mode. With a
    ``roi_head``, ``model(clip, boxes)`` and (R, K); see ``RoIHead``.

    Raises:
        ValueError: an argument that is not accepted; at a call, a clip that the network cannot take.

    Args:
        depth: 18, 50 or 101, of both pathways or [slow, fast].
        alpha: Fast frames per Slow frame.
        beta: Fast channels per Slow channel, at most 1; counts that do not divide are rounded down, at least 1.
        width: channels of the Slow stem.
        in_channels: of the inputs of (Slow, Fast).
        slow_frames: "linspace" or "strided" (pathways.slow_frame_indices).
        fast_input: what the Fast pathway sees of the clip, a key of pathways.FAST_INPUTS; unless it is "rgb", it sets
            the second entry of ``in_channels``. For "flow" a clip has 5 channels.
    """

    archs = ("slowfast",)
    pathway_names = ("slow", "fast")

    def __init__(
        self,
        *,
        depth: int | Sequence[int] = 50,
        alpha: int = 4,
        beta: float = 1 / 8,
        width: int = 64,
        in_channels: Sequence[int] = (3, 3),
        slow_frames: str = "linspace",
        fast_input: str = "rgb",
        **options: Any,
    ):
        super().__init__()
        fusion, head, stages, blocks, start = self.split_options(options)
        check_whole("alpha", alpha)
        check_whole("width", width)
        check_choice("slow_frames", slow_frames, SLOW_FRAMES)
        check_choice("fast_input", fast_input, FAST_INPUTS)
        if not 0 < beta <= 1:
            raise ValueError(
                f"beta={beta} must be in (0, 1]: the Fast pathway is the narrow one (BETA_INV = 1 / beta)."
            )
        if len(in_channels) != 2:
            raise ValueError(f"in_channels={in_channels!r} must be two numbers, of Slow and of Fast.")
        self.alpha = alpha
        self.slow_frames = slow_frames
        self.fast_input = fast_input
        self.in_channels = tuple(in_channels) if fast_input == "rgb" else (in_channels[0], FAST_INPUTS[fast_input])
        self.clip_channels = sum(self.in_channels) if fast_input == "flow" else self.in_channels[0]

        slow_depth, fast_depth = (depth, depth) if isinstance(depth, int) else depth
        slow_widths, fast_widths = stage_widths(width), stage_widths(width, beta=beta)
        laterals = [
            fusion.build(slow_channels, fast_channels, alpha=alpha, norm=blocks.norm)
            for slow_channels, fast_channels in zip(slow_widths[:-1], fast_widths[:-1], strict=True)
        ]
        self.laterals = nn.ModuleList(laterals)
        self.slow = ResNetPathway(
            depth=slow_depth,
            kernels=SLOW_KERNELS,
            in_channels=self.in_channels[0],
            width=width,
            stage_inputs=[lateral.out_channels for lateral in laterals],
            stages=stages.of_pathway(0),
            blocks=blocks,
        )
        self.fast = ResNetPathway(
            depth=fast_depth,
            kernels=FAST_KERNELS,
            in_channels=self.in_channels[1],
            width=width,
            beta=beta,
            stages=stages.of_pathway(1),
            blocks=blocks,
        )
        self.head = make_head((slow_widths[-1], fast_widths[-1]), head)
        self.finish(start)

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Keyword arguments for the config's SLOWFAST, RESNET, NONLOCAL and MODEL keys."""
        # Refuses a number of frames that alpha does not divide.
        slow_frame_indices(cfg.DATA.NUM_FRAMES, cfg.SLOWFAST.ALPHA, mode=cfg.SLOWFAST.SLOW_FRAMES)
        if cfg.RESNET.STRIDE_1X1:
            # Measured on the reference: its SlowFast never received this key, so weights trained with it stride in b.
            logger.warning(
                "RESNET.STRIDE_1X1 has no effect on SlowFast, as in PySlowFast. To stride in the first 1x1 "
                "convolution anyway, set MODEL.ARGS.stride_1x1 True."
            )
        return {
            **resnet_arguments(cfg, num_pathways=2),
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

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        features = self.forward_features(clip)
        return self.head(features, boxes) if self.takes_boxes else self.head(features)

    def forward_features(self, clip: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """``[slow, fast]`` maps of res5: (B, 32 * width, T / alpha, H / 32, W / 32), (B, beta * 32 * width, T, ...)."""
        slow, fast = self.split(clip)
        slow, fast = self.slow.stem(slow), self.fast.stem(fast)
        for lateral, stage in zip(self.laterals, STAGES, strict=True):
            slow = getattr(self.slow, stage)(lateral(slow, fast))
            fast = getattr(self.fast, stage)(fast)
        return [slow, fast]

    def split(self, clip: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """``[slow, fast]`` of a clip (B, C, T, H, W), or a ready-made pair (Fast as its pathway takes it), checked.

        Raises:
            ValueError: a shape that the model cannot take.
        """
        return slow_and_fast(
            clip,
            in_channels=self.in_channels,
            clip_channels=self.clip_channels,
            alpha=self.alpha,
            slow_frames=self.slow_frames,
            fast_input_mode=self.fast_input,
            dtype=dtype_of(self),
        )
