"""Scores of many views -> scores of a video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slowfast.utils import distributed
from slowfast.utils.suggest import check_choice

METHODS = ("mean", "sum", "max")


class MissingViewsError(ValueError):
    """Some video did not get all its views, or got one twice."""


class NonFiniteScoresError(ValueError):
    """A model gave NaN or infinity. Such a score would count as wrong without showing why."""


def check_scores(scores: np.ndarray, whose: str) -> None:
    """Check that all ``scores`` are finite.

    Raises:
        NonFiniteScoresError: they are not.
    """
    if not np.isfinite(scores).all():
        raise NonFiniteScoresError(
            f"the scores of {whose} are NaN or infinite: the weights are damaged, or 16 bits are not enough for them "
            "(TRAIN.MIXED_PRECISION, TEST.MIXED_PRECISION). No accuracy is reported."
        )


def fuse_views(view_scores: np.ndarray, method: str) -> np.ndarray:
    """Scores float32 (K,) of one video from those of its views (V, K), as a ``ViewEnsemble`` fuses them."""
    view_scores = np.asarray(view_scores, np.float64)
    fused = view_scores.max(0) if method == "max" else view_scores.sum(0)
    return (fused / len(view_scores) if method == "mean" else fused).astype(np.float32)


class ViewEnsemble:
    """Collects scores by (video, view) on every process and fuses them once, at the end.

    Args:
        num_videos: N; videos are numbered 0 .. N-1 in list order.
        num_views: V of every video.
        method: "mean", "sum" or "max" over the views.
    """

    def __init__(self, *, num_videos: int, num_views: int, num_classes: int, method: str = "mean"):
        check_choice("DATA.ENSEMBLE_METHOD", method, METHODS)
        self.num_views = num_views
        self.method = method
        start = -np.inf if method == "max" else 0.0
        self._scores = np.full((num_videos, num_classes), start, np.float64)
        self._seen = np.zeros((num_videos, num_views), np.uint8)
        self.failures: dict[int, str] = {}

    def update(self, video_index: int, view_ids: Sequence[int], scores: np.ndarray) -> None:
        """Add the scores (len(view_ids), K) of some views of one video.

        Raises:
            ValueError: the scores are of another shape, or there is no such video or view.
            NonFiniteScoresError: a score is NaN or infinite.
        """
        view_ids = list(view_ids)
        scores = np.asarray(scores, np.float64)
        num_videos, num_classes = self._scores.shape
        expected = (len(view_ids), num_classes)
        if scores.shape != expected:
            raise ValueError(f"video {video_index}: expected scores {expected} (views, classes), got {scores.shape}.")
        if not 0 <= video_index < num_videos or not all(0 <= view < self.num_views for view in view_ids):
            raise ValueError(
                f"video {video_index}, views {view_ids}: valid are videos 0 to {num_videos - 1} with views 0 to "
                f"{self.num_views - 1}."
            )
        check_scores(scores, f"video {video_index}")
        np.add.at(self._seen[video_index], view_ids, 1)
        if self.method == "max":
            np.maximum(self._scores[video_index], scores.max(0), out=self._scores[video_index])
        else:
            self._scores[video_index] += scores.sum(0)

    def fail(self, video_index: int, reason: str) -> None:
        """Record that a video has no scores, and why. It gets NaN scores, i.e. counts as wrong."""
        self.failures[video_index] = reason

    def gather(self) -> None:
        """Merge the scores of all processes; afterwards every process holds all of them."""
        if distributed.world_size() == 1:
            return
        own = np.flatnonzero(self._seen.any(1))
        parts = distributed.all_gather_objects((own, self._scores[own], self._seen[own], self.failures))
        combine = np.maximum if self.method == "max" else np.add
        self._scores[:] = -np.inf if self.method == "max" else 0.0
        self._seen[:] = 0
        for videos, scores, seen, failures in parts:
            self._scores[videos] = combine(self._scores[videos], scores)
            self._seen[videos] += seen
            self.failures.update(failures)

    def scores(self) -> np.ndarray:
        """Fused scores float32 (N, K); NaN for a video that failed.

        Raises:
            MissingViewsError: a view is missing or was seen twice; the message says which.
        """
        self._check_views()
        fused = self._scores / self.num_views if self.method == "mean" else self._scores
        fused = fused.astype(np.float32)
        fused[list(self.failures)] = np.nan
        return fused

    def _check_views(self) -> None:
        seen = self._seen.copy()
        seen[list(self.failures)] = 1
        wrong = np.flatnonzero((seen != 1).any(1))
        if not len(wrong):
            return
        video = int(wrong[0])
        missing, twice = np.flatnonzero(seen[video] == 0), np.flatnonzero(seen[video] > 1)
        details = [
            f"{name}: {', '.join(map(str, views))}"
            for name, views in (("missing", missing), ("twice", twice))
            if len(views)
        ]
        raise MissingViewsError(
            f"{len(wrong):,} of {len(seen):,} videos did not get each of their {self.num_views} views once "
            f"(video {video}: {'; '.join(details)}). Their "
            "scores would average other views, so no accuracy is reported."
        )
