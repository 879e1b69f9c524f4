"""What training keeps in a device's memory: how many clips fit, and what to change when a step does not.

Estimated on the meta device; nothing is built. On a CPU the estimate is within 3 % of the measured peak for
SLOWFAST_8x8_R50 (32 frames of 224 pixels: 1,079 MiB per clip in float32, 620 in bfloat16) and for X3D_M.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from slowfast.engine.batch_sizes import BatchSizes
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.models.recompute import recompute, recomputes
from slowfast.solver.optimizer import OPTIMIZERS
from slowfast.utils.environment import available_memory
from slowfast.utils.logging import count

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

GIB = 2**30
HALF_PRECISION = 0.6  # share of the activations' bytes in 16 bit (measured on a CPU): normalizations stay in float32
USABLE = 0.8  # share of the free memory that is planned with: the rest is for workspaces, fragments and loading


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that training takes on one device.

    Attributes:
        fixed: weights, gradients and optimizer state, independent of the batch.
        per_clip: activations of one clip that the backward pass needs.
    """

    fixed: int
    per_clip: int

    @classmethod
    def from_config(cls, cfg: CfgNode) -> TrainingMemory:
        """The estimate for the config's model, clips, precision and optimizer.

        Raises:
            ValueError: the model cannot be built.
        """
        with torch.device("meta"):
            model = build_model(cfg)
        cost = measure(model, (cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TRAIN_CROP_SIZE))
        share = HALF_PRECISION if cfg.TRAIN.MIXED_PRECISION else 1.0
        # The weight, its gradient, one to add gradients up in, and what the optimizer remembers.
        copies = 3 + OPTIMIZERS[cfg.SOLVER.OPTIMIZING_METHOD]
        return cls(4 * copies * cost.num_parameters, int(share * cost.activation_bytes))

    def clips_in(self, free_bytes: int) -> int:
        """Number of clips that fit into this much memory, 0 or more."""
        return max(0, int((USABLE * free_bytes - self.fixed) // self.per_clip))


@dataclass(frozen=True)
class StepMemory:
    """What one process keeps in memory during a step.

    Attributes:
        clips: of the process in a step.
        parts: in which they are computed, one after the other.
        batch_size: TRAIN.BATCH_SIZE.
        clip_shape: T, H, W of a clip.
        clip_bytes: activations kept for the backward pass of a clip, in float32.
        recomputed_bytes: the same where blocks are computed again; None where there are no such blocks, or they are
            computed again already.
        half_precision: whether activations take ``HALF_PRECISION`` of that.
        state_bytes: weights, gradients, optimizer state and average of the weights.
    """

    clips: int
    parts: int
    batch_size: int
    clip_shape: tuple[int, int, int]
    clip_bytes: int
    recomputed_bytes: int | None
    half_precision: bool
    state_bytes: int

    @classmethod
    def from_config(cls, cfg: CfgNode, sizes: BatchSizes) -> StepMemory:
        """The estimate for the config's model, clips, precision and optimizer."""
        with torch.device("meta"):
            model = build_model(cfg)
        num_bytes = 4 * sum(p.numel() for p in model.parameters())
        copies = 1 + OPTIMIZERS[cfg.SOLVER.OPTIMIZING_METHOD]  # the gradient, and what the optimizer remembers
        learned = 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)
        shape = (cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TRAIN_CROP_SIZE)
        clip_bytes, recomputed = measure(model, shape).activation_bytes, None
        if not cfg.MODEL.ACT_CHECKPOINT:
            recompute(model)
            recomputed = measure(model, shape).activation_bytes if recomputes(model) else None
        return cls(
            clips=sizes.at_once * cfg.TRAIN.ACCUMULATE,
            parts=cfg.TRAIN.ACCUMULATE,
            batch_size=cfg.TRAIN.BATCH_SIZE,
            clip_shape=shape,
            clip_bytes=clip_bytes,
            recomputed_bytes=recomputed,
            half_precision=cfg.TRAIN.MIXED_PRECISION,
            state_bytes=num_bytes * (2 if cfg.TRAIN.EMA_DECAY else 1) + learned * copies,
        )

    @property
    def clips_at_once(self) -> int:
        return self.clips // self.parts

    def advice(self) -> str:
        """The arithmetic, and the keys that lower it, those that change the training least first."""
        size = "x".join(map(str, self.clip_shape))
        share = HALF_PRECISION if self.half_precision else 1.0
        now = share * self.clips_at_once * self.clip_bytes
        lines = [
            f"{count(self.clips_at_once, 'clip')} of {size} at once keep about {_gib(now)} of activations "
            f"({_gib(share * self.clip_bytes)} each), in addition to {_gib(self.state_bytes)} of weights, gradients "
            f"and optimizer state. What can help:"
        ]
        if not self.half_precision:
            lines.append(f"TRAIN.MIXED_PRECISION True: about {_gib(HALF_PRECISION * now)}")
        if self.recomputed_bytes is not None:
            recomputed = share * self.clips_at_once * self.recomputed_bytes
            lines.append(f"MODEL.ACT_CHECKPOINT True: about {_gib(recomputed)}, but a third more time")
        parts = next((n for n in range(self.parts + 1, self.clips + 1) if self.clips % n == 0), None)
        if parts is not None:
            clips, less = count(self.clips // parts, "clip"), _gib(now * self.parts / parts)
            lines.append(f"TRAIN.ACCUMULATE {parts}: {clips} at once, {less}; the same step, except for batch norm")
        if self.batch_size > 1 and self.clips > 1:
            lines.append(f"a smaller TRAIN.BATCH_SIZE (now {self.batch_size}), with SOLVER.SCALE_LR_TO_BATCH True")
        return "\n  ".join(lines)


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB / 10 else f"{num_bytes / 2**20:.0f} MiB"


def free_memory(num_gpus: int) -> int | None:
    """Bytes that are free on each of the first GPUs (on the fullest of them); in main memory for 0; None: unknown."""
    if num_gpus == 0:
        return available_memory()
    return min(torch.cuda.mem_get_info(index)[0] for index in range(num_gpus))
