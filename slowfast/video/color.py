"""Random colors of a training clip: brightness, contrast, saturation, and the lighting noise of AlexNet.

Each of these is an affine map of a pixel's RGB, so all of them together are one matrix, drawn once for the clip, and an
offset, which contrast makes depend on the frame's mean. As in PySlowFast, colors may leave the valid range, so a clip
with changed colors is int16. They are in [0, 1] where numbers are drawn, and 0 to 255 in clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from slowfast.utils.color import LUMA


class ColorAugment:
    """Clips with changed colors; all frames of a clip share the same draws.

    Brightness, contrast and saturation are changed in random order, each by a factor that is uniform in 1 - strength
    to 1 + strength: of the pixel, of its distance from its frame's mean gray, of its distance from its own gray. Then
    comes lighting noise: eigenvectors of natural RGB, times their eigenvalues, times normal draws.

    Args:
        strength: of the three, in [0, 1); 0 leaves only lighting noise.
        lighting_std: of the normal draws.
        eigenvalues: (3,) of the covariance of R, G and B.
        eigenvectors: (3, 3); column k belongs to eigenvalue k, rows are R, G and B.
    """

    def __init__(
        self,
        *,
        strength: float = 0.4,
        lighting_std: float = 0.1,
        eigenvalues: Sequence[float] = (0.225, 0.224, 0.229),
        eigenvectors: Sequence[Sequence[float]] = (
            (-0.5675, 0.7192, 0.4009),
            (-0.5808, -0.0045, -0.8140),
            (-0.5836, -0.6948, 0.4203),
        ),
    ):
        if not 0 <= strength < 1:
            raise ValueError(f"strength must be in [0, 1), got {strength}.")
        self.strength = strength
        self.lighting_std = lighting_std
        self.eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
        self.eigenvectors = np.asarray(eigenvectors, dtype=np.float64)

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """uint8 (3, T, H, W) to int16 of the same shape, 0 is black and 255 white; values outside this range are
        kept."""
        means = frames.sum((2, 3), dtype=torch.int64).numpy() / frames[0, 0].numel() / 255
        change, shifts = self.draw(means, rng)
        matrix, offsets = torch.from_numpy(change).float(), torch.from_numpy(255 * shifts).float()
        result = torch.empty_like(frames, dtype=torch.int16)
        for t in range(frames.shape[1]):  # a frame at a time fits into the cache
            colors = torch.addmm(offsets[:, t, None], matrix, frames[:, t].reshape(3, -1).float())
            result[:, t] = colors.round_().view(3, *frames.shape[2:])
        return result

    def draw(self, means: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (3, 3) of a clip and offsets (3, T) of its frames, for colors in [0, 1] with ``means`` (3, T)."""
        matrix, offsets = np.eye(3), np.zeros_like(means)
        if self.strength:
            changes = (_brightness, _contrast, _saturation)
            for number in rng.permutation(len(changes)):
                factor = 1 + rng.uniform(-self.strength, self.strength)
                step, shifts = changes[number](factor, matrix @ means + offsets)
                matrix, offsets = step @ matrix, step @ offsets + shifts
        noise = rng.normal(0, self.lighting_std, 3)
        return matrix, offsets + (self.eigenvectors @ (noise * self.eigenvalues))[:, None]


def _brightness(factor: float, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return factor * np.eye(3), np.zeros_like(means)


def _contrast(factor: float, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return factor * np.eye(3), np.tile((1 - factor) * (np.array(LUMA) @ means), (3, 1))


def _saturation(factor: float, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return factor * np.eye(3) + (1 - factor) * np.tile(LUMA, (3, 1)), np.zeros_like(means)
