"""What happens to the pixels of a training clip once they are cut out, drawn by the sample's own generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from slowfast.video.auto_augment import parse_policy
from slowfast.video.color import ColorAugment

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

ClipAugment = Callable[[Tensor, np.random.Generator], Tensor]


def build_clip_augment(cfg: CfgNode) -> ClipAugment | None:
    """``augment(frames, rng)``, uint8 (3, T, S, S) to the same, of the config's AUG keys; None for nothing.

    AUG.AA_TYPE, or else AUG.COLOR_JITTER: as in timm, a policy stands in for the jitter, which is among its operations.

    Raises:
        ValueError: a policy or an interpolation that there is not.
    """
    aug = cfg.AUG
    if not aug.ENABLE:
        return None
    if aug.AA_TYPE:
        return parse_policy(aug.AA_TYPE, interpolation=aug.INTERPOLATION)
    return ColorAugment(strength=aug.COLOR_JITTER, lighting_std=0.0) if aug.COLOR_JITTER else None
