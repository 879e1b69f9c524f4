"""How many clips a device can train on at once.

Estimated on the meta device before anything is built. On a CPU the estimate is within 3 % of the measured peak for
SLOWFAST_8x8_R50 (32 frames of 224 pixels: 1,079 MiB per clip in float32, 620 in bfloat16) and for X3D_M.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from slowfast.engine.memory import HALF_PRECISION, MOMENTS
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.utils.memory import available_memory

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

USABLE = 0.8  # share of the free memory that is planned with: the rest is for workspaces, fragments and loading


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that training takes on one device.

    Attributes:
        fixed: weights, gradients and what the optimizer remembers, whatever the batch.
        per_clip: activations of one clip that the backward pass needs.
    """

    fixed: int
    per_clip: int

    @classmethod
    def from_config(cls, cfg: CfgNode) -> TrainingMemory:
        """Of the config's model, clips, precision and optimizer.

        Raises:
            ValueError: the model cannot be built.
        """
        with torch.device("meta"):
            model = build_model(cfg)
        cost = measure(model, (cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TRAIN_CROP_SIZE))
        share = HALF_PRECISION if cfg.TRAIN.MIXED_PRECISION else 1.0
        # The weight, its gradient, one to add gradients up in, and what the optimizer remembers.
        copies = 3 + MOMENTS[cfg.SOLVER.OPTIMIZING_METHOD]
        return cls(4 * copies * cost.num_parameters, int(share * cost.activation_bytes))

    def clips_in(self, free_bytes: int) -> int:
        """Clips that fit into so much memory, 0 or more."""
        return max(0, int((USABLE * free_bytes - self.fixed) // self.per_clip))


def free_memory(num_gpus: int) -> int | None:
    """Bytes that are free on each of the first GPUs (on the fullest of them); in main memory for 0; None: not known."""
    if num_gpus == 0:
        return available_memory()
    return min(torch.cuda.mem_get_info(index)[0] for index in range(num_gpus))
