"""A model's prediction for a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, repr=False)
class Prediction:
    """A model's prediction for a video, or for the boxes of a key frame.

    Attributes:
        scores: float32 (K,), fused over the views as a test fuses them; (R, K) of boxes.
        view_scores: float32 (V, K); (V, R, K) of boxes, one view for each scale and flip.
        seconds: float64 (V, 2), when the first frame of every view's clip begins and the last one ends.
        mean_scores: ``scores`` on the scale of a single view: probabilities even if a test sums over views.
        class_names: in the order of scores, or None.
    """

    scores: np.ndarray
    view_scores: np.ndarray
    seconds: np.ndarray
    mean_scores: np.ndarray
    class_names: tuple[str, ...] | None = None

    def top(self, k: int = 5) -> list:
        """The k best classes, the best first, as (name, mean score); for boxes, one such list per box.

        Without class names, a class is named by its number.
        """
        if self.mean_scores.ndim == 1:
            return self._best(self.mean_scores, k)
        return [self._best(row, k) for row in self.mean_scores]

    def _best(self, scores: np.ndarray, k: int) -> list[tuple[str, float]]:
        best = np.argsort(-scores, kind="stable")[:k]
        return [(class_name(int(i), self.class_names), float(scores[i])) for i in best]

    def __repr__(self) -> str:
        shapes = f"scores {self.scores.shape}, {len(self.view_scores)} views"
        if self.scores.ndim > 1:
            return f"Prediction({shapes})"
        return f"Prediction({shapes}, best {', '.join(f'{name} {score:.3f}' for name, score in self.top(3))})"


def class_name(class_id: int, class_names: Sequence[str] | None) -> str:
    """Name of a class; its number without names, and "" for a label below 0 (unknown)."""
    if class_id < 0:
        return ""
    return class_names[class_id] if class_names else str(class_id)
