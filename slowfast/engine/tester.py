"""Multi-view tests: every video is decoded once, its views run in chunks, and their scores are fused."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slowfast.engine.partial_scores import PartialScores, evaluation_key
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.wrong_videos import WrongVideos
from slowfast.evaluation.ensemble import ViewEnsemble, fuse_views
from slowfast.evaluation.metrics import describe_figures, labeled_figures
from slowfast.evaluation.view_counts import AccuracyByViews
from slowfast.utils import distributed
from slowfast.utils.logging import format_seconds
from slowfast.utils.progress import Progress, with_log_lines
from slowfast.utils.signals import stop_requested

logger = logging.getLogger(__name__)


@dataclass
class TestResult:
    """The result of a test.

    Attributes:
        figures: metric name -> value, over the videos with a label; empty without any.
        scores: fused, float32 (N, K); NaN for a video that could not be decoded.
        labels: (N,), -1 where none is known, or (N, K).
        failures: video number -> reason.
        seconds: of the whole test.
        accuracy_by_views: rows of ``AccuracyByViews``; empty for one view, or several labels per video.
        wrong_strips: video number -> JPEG of its frames, for some misclassified videos.
    """

    __test__ = False  # not a test case, whatever its name makes pytest think

    figures: dict[str, float]
    scores: np.ndarray
    labels: np.ndarray
    failures: dict[int, str]
    seconds: float
    accuracy_by_views: list[dict[str, Any]] = field(default_factory=list)
    wrong_strips: dict[int, bytes] = field(default_factory=dict)


class Tester:
    """Tests a pipeline on a loader of ``VideoViews``.

    Args:
        loader: yields one video at a time, this process's share.
        labels: of all videos, in list order.
        ensemble: empty; good for one test.
        evaluator: (scores, labels) -> figures.
        partial: where what is done so far is kept, for a test that is stopped.
        num_wrong_videos: number of misclassified videos whose frames are saved.
    """

    __test__ = False

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        loader,
        labels: np.ndarray,
        ensemble: ViewEnsemble,
        evaluator: Callable[[np.ndarray, np.ndarray], dict[str, float]],
        partial: PartialScores | None = None,
        num_wrong_videos: int = 0,
    ):
        self.pipeline = pipeline
        self.loader = loader
        self.labels = labels
        self.ensemble = ensemble
        self.evaluator = evaluator
        self.partial = partial or PartialScores()
        one_label = np.ndim(labels) == 1
        self.wrong_videos = WrongVideos(labels, limit=num_wrong_videos if one_label else 0)
        self.by_views = self._accuracy_by_views() if one_label else None

    def _accuracy_by_views(self) -> AccuracyByViews | None:
        protocol = self.pipeline.protocol
        if self.ensemble.num_views == 1 or protocol.num_clips * protocol.num_crops != self.ensemble.num_views:
            return None  # other scales and mirrored clips are no more clips
        views = {"num_clips": protocol.num_clips, "num_crops": protocol.num_crops}
        return AccuracyByViews(self.labels, **views, method=self.ensemble.method)

    def test(self) -> TestResult:
        """Test every video with all its views."""
        start = time.perf_counter()
        for record in self.partial.begin(self.loader, self._key):
            self._take(record["video"], record["scores"], record["failure"])
            if record["strip"] is not None:
                strip = record["strip"].numpy().tobytes()
                self.wrong_videos.restore(record["video"], self._fused(record["scores"]), strip)
        total = len(self.loader)
        with Progress(self.loader, total=total, name="test", unit="video") as progress:
            for views in with_log_lines(progress, total=total, name="test", unit="videos"):
                if views.failure:
                    logger.warning("%s It counts as wrong.", views.failure)
                scores = None if views.failure else torch.as_tensor(self.pipeline.scores_of(views))
                self._take(views.video_index, scores, views.failure)
                strip = None if scores is None else self.wrong_videos.update(views, self._fused(scores))
                self.partial.add(
                    [views.video_index],
                    video=views.video_index,
                    scores=scores,
                    failure=views.failure,
                    strip=None if strip is None else torch.frombuffer(bytearray(strip), dtype=torch.uint8),
                )
                if stop_requested():
                    break
        self.partial.write_and_stop("test")
        collected: list[Any] = [self.ensemble, self.wrong_videos, *([self.by_views] if self.by_views else [])]
        for collector in collected:
            collector.gather()
        fused = self.ensemble.scores()
        figures = labeled_figures(self.evaluator, fused, self.labels)
        self.partial.finish()
        return TestResult(
            figures,
            fused,
            self.labels,
            dict(self.ensemble.failures),
            time.perf_counter() - start,
            accuracy_by_views=self.by_views.table() if self.by_views else [],
            wrong_strips=self.wrong_videos.strips(),
        )

    def _key(self) -> str:
        return evaluation_key(self.pipeline, self.loader.dataset, "wrong videos", self.wrong_videos.limit)

    def _fused(self, scores: Tensor) -> np.ndarray:
        return fuse_views(scores.numpy(), self.ensemble.method)

    def _take(self, video: int, scores: Tensor | None, failure: str) -> None:
        """One video: the scores (V, K) of its views, or why there are none."""
        if scores is None:
            self.ensemble.fail(video, failure)
        else:
            self.ensemble.update(video, range(len(scores)), scores.numpy())
            if self.by_views:
                self.by_views.update(video, scores.numpy())


class ClipEvaluator:
    """Evaluates a model on one deterministic clip per video, as during training: ``evaluate(model) -> figures``.

    Args:
        pipeline: of models of this kind.
        loader: yields ``ClipBatch`` of this process's share of the validation list.
        make_ensemble: returns an empty ``ViewEnsemble`` with one view per video.
        partial: keeps the scores so far, in case the evaluation is stopped.

    Attributes:
        scores: of the last evaluation, float32 (N, K), NaN for a video that could not be decoded; None before it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        loader,
        labels: np.ndarray,
        make_ensemble: Callable[[], ViewEnsemble],
        evaluator: Callable[[np.ndarray, np.ndarray], dict[str, float]],
        partial: PartialScores | None = None,
    ):
        self.pipeline = pipeline
        self.loader = loader
        self.labels = labels
        self.make_ensemble = make_ensemble
        self.evaluator = evaluator
        self.partial = partial or PartialScores()
        self.scores: np.ndarray | None = None

    @property
    def dataset(self):
        """What is evaluated."""
        return self.loader.dataset

    def __call__(self, model: nn.Module) -> dict[str, float]:
        pipeline, ensemble = self.pipeline.with_model(model), self.make_ensemble()
        start = time.perf_counter()
        for record in self.partial.begin(self.loader, lambda: evaluation_key(pipeline, self.dataset)):
            _take_clips(ensemble, record["done"], record["is_valid"], record["scores"])
        with Progress(self.loader, total=len(self.loader), name="evaluate") as batches:
            for batch in batches:
                for reason in batch.failures:
                    logger.warning("%s It counts as wrong.", reason)
                scores, videos = pipeline.scores(batch.frames), batch.video_indices.tolist()
                _take_clips(ensemble, videos, batch.is_valid, scores)
                self.partial.add(videos, is_valid=batch.is_valid, scores=scores)
                if stop_requested():
                    break
        self.partial.write_and_stop("evaluation")
        ensemble.gather()
        self.scores = ensemble.scores()
        figures = labeled_figures(self.evaluator, self.scores, self.labels)
        self.partial.finish()
        if distributed.is_main():
            logger.info(
                "validation, one center clip per video: %s  (%d videos, %s)",
                describe_figures(figures, self.labels),
                len(self.labels),
                format_seconds(time.perf_counter() - start),
            )
        return figures


def _take_clips(ensemble: ViewEnsemble, videos: Sequence[int], is_valid: Tensor, scores: Tensor) -> None:
    """The scores (B, K) of one clip of each video."""
    for video, valid, row in zip(videos, is_valid.tolist(), scores.numpy(), strict=True):
        if valid:
            ensemble.update(video, [0], row[None])
        else:
            ensemble.fail(video, "could not be decoded")
