"""Operations on whole batches on the device: normalization, random erasing, mixup and cutmix.

Random numbers that choose what happens come from torch's global CPU generator, which checkpoints save.
Letters: B batch, T frames, H W pixels, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from slowfast.utils.suggest import check_choice
from slowfast.video.flow import ZERO


def normalize(
    frames: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype = torch.float32,
    reverse_channels: bool = False,
) -> Tensor:
    """(frames / 255 - mean) / std for every color.

    Args:
        frames: uint8, or int16 after color changes (color.py), (B, 3, T, H, W) or (3, T, H, W); 5 channels with optical
            flow (flow.py), which is centered on zero and divided by the last of ``std``.
        mean, std: of R, G and B, for pixels in [0, 1].
        dtype: of the result; computed in float32.
        reverse_channels: give B, G, R; each color is normalized by its own mean and std.

    Returns:
        A new tensor, same shape and device.
    """
    shape = (-1, 1, 1, 1)
    num_flow = frames.shape[-4] - 3
    mean, std = (*mean, *[ZERO / 255] * num_flow), (*std, *[std[-1]] * num_flow)
    scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32, device=frames.device).view(shape)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=frames.device).view(shape)
    clip = frames.float().mul_(scale).add_(shift)
    if reverse_channels:
        clip = torch.cat([clip.narrow(-4, 0, 3).flip(-4), clip.narrow(-4, 3, num_flow)], dim=-4)
    return clip.to(dtype)


@dataclass
class BatchAugment:
    """Applies steps in turn: ``augment(clip, labels) -> (clip, labels)``; clip float (B, 3, T, H, W).

    Args:
        steps: called as ``step(clip, labels, rng)``; they may write to ``clip``.
    """

    steps: Sequence[Callable]

    def __call__(self, clip: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))  # torch's generator moves on by one draw
        for step in self.steps:
            clip, labels = step(clip, labels, rng)
        return clip, labels


@dataclass(kw_only=True)
class RandomErasing:
    """Fills up to ``max_count`` rectangles of a clip, the same in all its frames (Zhong et al., arXiv 1708.04896).

    Args:
        probability: that a clip is touched.
        fill: "pixel" (normal noise for every pixel), "rand" (one random color) or "const" (zero, the mean color).
        max_count: rectangles of a clip, at most; they share the area.
        skip_first_half: leave the first half of every batch unchanged.
        area_fractions: [min, max] share of the frame that is filled.
        aspect_ratio: height / width between this and its reciprocal.
    """

    probability: float
    fill: str = "pixel"
    max_count: int = 1
    skip_first_half: bool = False
    area_fractions: Sequence[float] = (0.02, 1 / 3)
    aspect_ratio: float = 0.3

    def __post_init__(self) -> None:
        check_choice("fill (AUG.RE_MODE)", self.fill, ("pixel", "rand", "const"))

    def __call__(self, clip: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """``clip``, changed in place, and ``labels``."""
        for index in range(len(clip) // 2 if self.skip_first_half else 0, len(clip)):
            if rng.random() < self.probability:
                count = int(rng.integers(1, self.max_count, endpoint=True))
                for _ in range(count):
                    self._erase(clip[index], count, rng)
        return clip, labels

    def _erase(self, clip: Tensor, count: int, rng: np.random.Generator) -> None:
        height, width = clip.shape[-2:]
        limit = abs(math.log(self.aspect_ratio))
        for _ in range(10):
            area = rng.uniform(self.area_fractions[0], self.area_fractions[1]) * height * width / count
            ratio = math.exp(rng.uniform(-limit, limit))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < h < height and 0 < w < width:
                top = int(rng.integers(0, height - h, endpoint=True))
                left = int(rng.integers(0, width - w, endpoint=True))
                window = clip[..., top : top + h, left : left + w]
                window.copy_(self._filling(window, rng))
                return

    def _filling(self, window: Tensor, rng: np.random.Generator) -> Tensor:
        if self.fill == "pixel":
            return torch.randn(window.shape, dtype=window.dtype, device=window.device)
        if self.fill == "rand":
            color = torch.from_numpy(rng.standard_normal(len(window))).to(window)
            return color.view(-1, 1, 1, 1).expand_as(window)
        return torch.zeros_like(window)


@dataclass(kw_only=True)
class Mixup:
    """Blends every clip of a batch with the one opposite (last with first), and their labels in the same way.

    Mixup averages pixels (arXiv 1710.09412), cutmix pastes a rectangle (arXiv 1905.04899); one kind and one share
    are drawn for the whole batch.

    Args:
        num_classes: K.
        mixup_alpha, cutmix_alpha: Beta(alpha, alpha) of the share; 0 turns the kind off.
        probability: that a batch is blended; labels become float and are smoothed in any case.
        switch_probability: of cutmix if both are on.
        label_smoothing: share of a label that is spread evenly over all classes.
    """

    num_classes: int
    mixup_alpha: float = 0.8
    cutmix_alpha: float = 1.0
    probability: float = 1.0
    switch_probability: float = 0.5
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        if self.mixup_alpha <= 0 and self.cutmix_alpha <= 0:
            raise ValueError("mixup_alpha and cutmix_alpha are both 0: nothing would be mixed. Set one above 0.")

    def __call__(self, clip: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The blended clip, which may overwrite the given one, and float labels (B, K), whose rows sum to one.

        Args:
            labels: int64 (B,).

        Raises:
            ValueError: labels of a different kind.
        """
        if labels.ndim != 1 or labels.is_floating_point():
            raise ValueError(f"mixup takes one label per clip, int64 (B,), got {labels.dtype} {tuple(labels.shape)}.")
        share = 1.0
        if rng.random() < self.probability:
            clip, share = self._blend(clip, rng)
        targets = F.one_hot(labels, self.num_classes).float()
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes
        return clip, share * targets + (1 - share) * targets.flip(0)

    def _blend(self, clip: Tensor, rng: np.random.Generator) -> tuple[Tensor, float]:
        """The blended clip and the share of it that is its own."""
        cuts = self.cutmix_alpha > 0 and (self.mixup_alpha <= 0 or rng.random() < self.switch_probability)
        alpha = self.cutmix_alpha if cuts else self.mixup_alpha
        share = float(rng.beta(alpha, alpha))
        if not cuts:
            return clip * share + clip.flip(0) * (1 - share), share
        height, width = clip.shape[-2:]
        top, bottom = _cut(height, share, rng)
        left, right = _cut(width, share, rng)
        # The window of the flipped batch is a copy, so that clips are not overwritten before they are pasted.
        clip[..., top:bottom, left:right] = clip[..., top:bottom, left:right].flip(0)
        return clip, 1 - (bottom - top) * (right - left) / (height * width)  # after clipping to the frame


def _cut(side: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """[start, end) of a stretch of side * sqrt(1 - share) pixels around a random center, clipped to the side."""
    length = int(side * math.sqrt(1 - share))
    center = int(rng.integers(0, side))
    return max(center - length // 2, 0), min(center + length // 2, side)
