"""How accuracy grows with the number of views of a video. C clips, S crops, V = C * S views, K classes, N videos."""

from __future__ import annotations

from typing import Any

import numpy as np

from slowfast.evaluation.ensemble import fuse_views
from slowfast.utils import distributed

MAX_CLIP_COUNTS = 10


class AccuracyByViews:
    """Collects, for several subsets of the views, the rank of each video's label in the scores fused over them.

    The subsets are 1, 2, ... C clips spread over the video (at most ten numbers of them), with only the center crop and
    with all crops. The last one is the whole test.

    Args:
        labels: (N,); below 0 if unknown.
        num_clips, num_crops: of every video; view i is clip i // num_crops, crop i % num_crops.
        method: how views are fused, see ``ViewEnsemble``.
    """

    def __init__(self, labels: np.ndarray, *, num_clips: int, num_crops: int, method: str):
        self.labels = np.asarray(labels)
        self.method = method
        counts = np.unique(np.linspace(1, num_clips, min(num_clips, MAX_CLIP_COUNTS)).round().astype(int)).tolist()
        crop_sets = [[num_crops // 2]] * (num_crops > 1) + [list(range(num_crops))]
        self.subsets = [(n, crops) for crops in crop_sets for n in counts]
        self._views = [_view_ids(n, crops, num_clips, num_crops) for n, crops in self.subsets]
        self._ranks = np.full((len(self.labels), len(self.subsets)), -1, np.int32)
        self._num_classes = 0

    def update(self, video: int, view_scores: np.ndarray) -> None:
        """Add the scores (V, K) of all views of one video."""
        self._num_classes = view_scores.shape[1]
        label = int(self.labels[video])
        if label < 0:
            return
        for column, views in enumerate(self._views):
            self._ranks[video, column] = _rank(fuse_views(view_scores[views], self.method), label)

    def gather(self) -> None:
        """Merge the results of all processes."""
        if distributed.world_size() == 1:
            return
        own = np.flatnonzero((self._ranks >= 0).any(1))
        for videos, ranks, num_classes in distributed.all_gather_objects((own, self._ranks[own], self._num_classes)):
            self._ranks[videos] = ranks
            self._num_classes = max(self._num_classes, num_classes)

    def table(self) -> list[dict[str, Any]]:
        """One row per subset: ``clips``, ``crops``, ``views``; percent ``top1`` and, with more than five classes,
        ``top5``.

        A video without scores counts as wrong. Empty without labels.
        """
        known = self.labels >= 0
        rows = []
        for (num_clips, crops), ranks in zip(self.subsets, self._ranks[known].T, strict=True):
            if known.any():
                row = {"clips": num_clips, "crops": len(crops), "views": num_clips * len(crops)}
                ks = (1, 5) if self._num_classes > 5 else (1,)
                rows.append(row | {f"top{k}": 100 * float(((ranks >= 0) & (ranks < k)).mean()) for k in ks})
        return rows


def _view_ids(count: int, crops: list[int], num_clips: int, num_crops: int) -> list[int]:
    """``count`` clips at the middles of equal parts of the video, with some crops of each."""
    clips = ((np.arange(count) + 0.5) * num_clips / count).astype(int)
    return [clip * num_crops + crop for clip in clips.tolist() for crop in crops]


def _rank(scores: np.ndarray, label: int) -> int:
    """Classes before ``label``; of equal scores the smaller number comes first, as in ``metrics.in_top_k``."""
    return int((scores > scores[label]).sum() + (scores[:label] == scores[label]).sum())
