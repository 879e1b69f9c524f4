"""Multi-view tests: every video is decoded once, its views run in chunks, their scores are fused."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from slowfast.engine.pipeline import Pipeline
from slowfast.evaluation.ensemble import ViewEnsemble
from slowfast.evaluation.labelled import describe_figures, labelled_figures
from slowfast.utils import distributed
from slowfast.utils.eta import with_log_lines
from slowfast.utils.logging import Progress, format_seconds

logger = logging.getLogger(__name__)


@dataclass
class TestResult:
    """What a test gives.

    Attributes:
        figures: metric name -> value, over the videos with a label; empty without any.
        scores: fused, float32 (N, K); NaN for a video that could not be decoded.
        labels: (N,), -1 where none is known, or (N, K).
        failures: video number -> reason.
        seconds: of the whole test.
    """

    __test__ = False  # not a test case, whatever its name makes pytest think

    figures: dict[str, float]
    scores: np.ndarray
    labels: np.ndarray
    failures: dict[int, str]
    seconds: float


class Tester:
    """Tests a pipeline on a loader of ``VideoViews``.

    Args:
        loader: yields one video at a time, this process's share.
        labels: of all videos, in list order.
        ensemble: empty; used up by one test.
        evaluator: (scores, labels) -> figures.
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
    ):
        self.pipeline = pipeline
        self.loader = loader
        self.labels = labels
        self.ensemble = ensemble
        self.evaluator = evaluator

    def test(self) -> TestResult:
        """Test every video with all its views."""
        start, total = time.perf_counter(), len(self.loader)
        with Progress(self.loader, total=total, name="test", unit="video") as progress:
            for views in with_log_lines(progress, total=total, name="test", unit="videos"):
                if views.failure:
                    logger.warning("%s It counts as wrong.", views.failure)
                    self.ensemble.fail(views.video_index, views.failure)
                else:
                    scores = self.pipeline.scores_of(views)
                    self.ensemble.update(views.video_index, range(views.num_views), scores)
        self.ensemble.gather()
        scores = self.ensemble.scores()
        figures = labelled_figures(self.evaluator, scores, self.labels)
        return TestResult(figures, scores, self.labels, dict(self.ensemble.failures), time.perf_counter() - start)


class ClipEvaluator:
    """Evaluates a model on one deterministic clip a video, as during training: ``evaluate(model) -> figures``.

    Args:
        pipeline: of models of this kind.
        loader: yields ``ClipBatch`` of this process's share of the validation list.
        make_ensemble: gives an empty ``ViewEnsemble`` with one view a video.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        loader,
        labels: np.ndarray,
        make_ensemble: Callable[[], ViewEnsemble],
        evaluator: Callable[[np.ndarray, np.ndarray], dict[str, float]],
    ):
        self.pipeline = pipeline
        self.loader = loader
        self.labels = labels
        self.make_ensemble = make_ensemble
        self.evaluator = evaluator

    @property
    def dataset(self):
        """What is evaluated."""
        return self.loader.dataset

    def __call__(self, model: nn.Module) -> dict[str, float]:
        pipeline, ensemble = self.pipeline.with_model(model), self.make_ensemble()
        start = time.perf_counter()
        with Progress(self.loader, total=len(self.loader), name="evaluate") as batches:
            for batch in batches:
                for reason in batch.failures:
                    logger.warning("%s It counts as wrong.", reason)
                scores = pipeline.scores(batch.frames).numpy()
                rows = zip(batch.video_indices.tolist(), batch.is_valid, scores, strict=True)
                for video_index, is_valid, row in rows:
                    if is_valid:
                        ensemble.update(video_index, [0], row[None])
                    else:
                        ensemble.fail(video_index, "could not be decoded")
        ensemble.gather()
        figures = labelled_figures(self.evaluator, ensemble.scores(), self.labels)
        if distributed.is_main():
            logger.info(
                "validation, one centre clip a video: %s  (%d videos, %s)",
                describe_figures(figures, self.labels),
                len(self.labels),
                format_seconds(time.perf_counter() - start),
            )
        return figures
