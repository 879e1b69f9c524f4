"""Multi-view testing: every video is decoded once, its views run in chunks, their scores are fused."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from slowfast.engine.precision import autocast
from slowfast.evaluation.ensemble import ViewEnsemble
from slowfast.utils import distributed
from slowfast.utils.logging import Progress, format_figures, format_seconds

logger = logging.getLogger(__name__)


@dataclass
class TestResult:
    """What a test gives.

    Attributes:
        figures: metric name -> value.
        scores: fused, float32 (N, K); NaN for a video that could not be decoded.
        labels: (N,) or (N, K).
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
    """Tests a model on a loader of ``VideoViews``.

    Args:
        model: on its device.
        loader: yields one video at a time, this process's share.
        labels: of all videos, in list order.
        ensemble: empty; used up by one test.
        evaluator: (scores, labels) -> figures.
        preprocess: uint8 frames -> normalised clip on the device.
        views_per_forward: the most views of one forward pass; halved when the memory of a GPU does not hold them.
    """

    __test__ = False

    def __init__(
        self,
        *,
        model: nn.Module,
        loader,
        labels: np.ndarray,
        ensemble: ViewEnsemble,
        evaluator: Callable[[np.ndarray, np.ndarray], dict[str, float]],
        preprocess: Callable[[Tensor], Tensor],
        views_per_forward: int = 8,
        amp_dtype: torch.dtype | None = None,
        log_period: int = 10,
    ):
        self.model = model
        self.loader = loader
        self.labels = labels
        self.ensemble = ensemble
        self.evaluator = evaluator
        self.preprocess = preprocess
        self.views_per_forward = views_per_forward
        self.amp_dtype = amp_dtype
        self.log_period = log_period
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def test(self) -> TestResult:
        """Test every video with all its views."""
        self.model.eval()
        start = last_line = time.perf_counter()
        with Progress(self.loader, total=len(self.loader), name="test", unit="video") as progress:
            for count, views in enumerate(progress, 1):
                if views.failure:
                    logger.warning("%s It counts as wrong.", views.failure)
                    self.ensemble.fail(views.video_index, views.failure)
                else:
                    self.ensemble.update(views.video_index, range(views.num_views), self.scores_of(views))
                if time.perf_counter() - last_line > 10 or count == len(self.loader):
                    last_line = time.perf_counter()
                    left = (last_line - start) / count * (len(self.loader) - count)
                    logger.info(
                        "tested %d of %d videos, eta %s",
                        count,
                        len(self.loader),
                        format_seconds(left),
                        extra={"is_on_bar": progress.is_shown},
                    )
        self.ensemble.gather()
        scores = self.ensemble.scores()
        figures = self.evaluator(scores, self.labels)
        return TestResult(figures, scores, self.labels, dict(self.ensemble.failures), time.perf_counter() - start)

    def scores_of(self, views) -> np.ndarray:
        """Scores float32 (V, K) of all views of one video."""
        scores, first = [], 0
        while first < views.num_views:
            ids = range(first, min(first + self.views_per_forward, views.num_views))
            try:
                scores.append(self._forward(views.views(ids)))
            except torch.cuda.OutOfMemoryError:
                if self.views_per_forward == 1:
                    raise
                torch.cuda.empty_cache()
                self.views_per_forward = max(1, self.views_per_forward // 2)
                logger.warning("GPU memory is short: now %d views at a time.", self.views_per_forward)
                continue
            first = ids.stop
        return np.concatenate(scores)

    def _forward(self, frames: Tensor) -> np.ndarray:
        clip = self.preprocess(frames)
        with autocast(self.device, self.amp_dtype):
            return self.model(clip).float().cpu().numpy()


class ClipEvaluator:
    """Evaluates a model on one deterministic clip a video, as during training: ``evaluate(model) -> figures``.

    Args:
        loader: yields ``ClipBatch`` of this process's share of the validation list.
        make_ensemble: gives an empty ``ViewEnsemble`` with one view a video.
    """

    def __init__(
        self,
        *,
        loader,
        labels: np.ndarray,
        make_ensemble: Callable[[], ViewEnsemble],
        evaluator: Callable[[np.ndarray, np.ndarray], dict[str, float]],
        preprocess: Callable[[Tensor], Tensor],
        amp_dtype: torch.dtype | None = None,
    ):
        self.loader = loader
        self.labels = labels
        self.make_ensemble = make_ensemble
        self.evaluator = evaluator
        self.preprocess = preprocess
        self.amp_dtype = amp_dtype

    @torch.inference_mode()
    def __call__(self, model: nn.Module) -> dict[str, float]:
        was_training = model.training
        model.eval()
        device = next(model.parameters()).device
        ensemble = self.make_ensemble()
        start = time.perf_counter()
        with Progress(self.loader, total=len(self.loader), name="evaluate") as batches:
            for batch in batches:
                with autocast(device, self.amp_dtype):
                    scores = model(self.preprocess(batch.frames)).float().cpu().numpy()
                for reason in batch.failures:
                    logger.warning("%s It counts as wrong.", reason)
                for video_index, is_valid, row in zip(
                    batch.video_indices.tolist(), batch.is_valid, scores, strict=True
                ):
                    if is_valid:
                        ensemble.update(video_index, [0], row[None])
                    else:
                        ensemble.fail(video_index, "could not be decoded")
        model.train(was_training)
        ensemble.gather()
        figures = self.evaluator(ensemble.scores(), self.labels)
        if distributed.is_main():
            seconds = format_seconds(time.perf_counter() - start)
            logger.info(
                "validation, one centre clip a video: %s  (%d videos, %s)",
                format_figures(figures),
                len(self.labels),
                seconds,
            )
        return figures
