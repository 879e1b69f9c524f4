"""Augmentations of a training clip's pixels after the crop, drawn by the sample's own generator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
    if not aug.COLOR_JITTER:
        return None
    return partial(_jittered, colors=ColorAugment(strength=aug.COLOR_JITTER, lighting_std=0.0))


def _jittered(frames: Tensor, rng: np.random.Generator, *, colors: ColorAugment) -> Tensor:
    """uint8 (3, T, H, W) to the same; colors beyond black or white are cut off."""
    return colors(frames, rng).clamp_(0, 255).to(torch.uint8)
