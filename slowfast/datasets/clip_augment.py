"""Augmentations of a training clip's pixels after the crop, drawn by the sample's own generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.video.color import ColorAugment

ClipAugment = Callable[[Tensor, np.random.Generator], Tensor]


def build_clip_augment(cfg: CfgNode) -> ClipAugment | None:
    """``augment(frames, rng)``, uint8 (3, T, S, S) to the same, of the config's AUG keys; None for nothing.

    AUG.AA_TYPE, or else AUG.COLOR_JITTER: as in timm, a policy replaces the jitter, which is among its operations.

    Raises:
        ValueError: an unknown policy or interpolation.
    """
    aug = cfg.AUG
    if not aug.ENABLE:
        return None
    if aug.AA_TYPE:
        from slowfast.video.auto_augment import parse_policy  # imports torchvision, which takes a second

        return parse_policy(aug.AA_TYPE, interpolation=aug.INTERPOLATION)
    return ColorJitter(aug.COLOR_JITTER) if aug.COLOR_JITTER else None


class ColorJitter:
    """Brightness, contrast and saturation of ``ColorAugment``; colors beyond black or white are cut off.

    Args:
        strength: of the three, in [0, 1).
    """

    def __init__(self, strength: float):
        self.colors = ColorAugment(strength=strength, lighting_std=0.0)

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """uint8 (3, T, H, W) to the same."""
        return self.colors(frames, rng).clamp_(0, 255).to(torch.uint8)
