"""Scores and evaluates the boxes of key frames (AVA), during training and as a test, at several scales and flips.

Letters: R boxes, K classes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from slowfast.engine.partial_scores import PartialScores, evaluation_key
from slowfast.engine.pipeline import Pipeline
from slowfast.evaluation.ava.table import BoxTable
from slowfast.evaluation.ensemble import check_scores
from slowfast.utils import distributed
from slowfast.utils.logging import format_seconds
from slowfast.utils.progress import Progress, with_log_lines
from slowfast.utils.signals import stop_requested

logger = logging.getLogger(__name__)


@dataclass
class BoxScores:
    """A model's scores for the boxes of a data set, in the order of its key frames.

    Attributes:
        sample_indices: int64 (R,), index of every box's key frame.
        boxes: float32 (R, 4), fractions of the frame.
        scores: float32 (R, K).
        failures: index of a key frame that could not be read -> reason; its boxes are not among the rows.
    """

    sample_indices: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    failures: dict[int, str] = field(default_factory=dict)


def score_boxes(
    pipeline: Pipeline, loader, *, num_classes: int, name: str = "test", partial: PartialScores | None = None
) -> BoxScores:
    """Scores of all boxes, gathered from all processes.

    Args:
        loader: yields ``DetectionBatch`` of this process's share.
        name: on the progress bar and in the log.
        partial: keeps the scores so far, in case the evaluation is stopped; the caller finishes it.
    """
    partial = partial or PartialScores()
    parts: list[tuple[np.ndarray, ...]] = [
        (np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros((0, num_classes), np.float32))
    ]
    failures: dict[int, str] = {}
    for record in partial.begin(loader, lambda: evaluation_key(pipeline, loader.dataset)):
        parts.append(tuple(x.numpy() for x in record["rows"]))
        failures |= record["failures"]
    with Progress(loader, total=len(loader), name=name) as progress:
        for batch in with_log_lines(progress, total=len(loader), name=name):
            unreadable = _failures_of(batch)
            scores = pipeline.scores(batch.frames, batch.boxes)
            check_scores(scores.numpy(), f"key frames {batch.video_indices.tolist()}")
            kept = batch.is_valid[batch.boxes[:, 0].long()]
            rows = [x[kept] for x in (batch.sample_indices, batch.boxes_normalized, scores)]
            parts.append(tuple(x.numpy() for x in rows))
            failures |= unreadable
            partial.add(batch.video_indices.tolist(), rows=rows, failures=unreadable)
            if stop_requested():
                break
    partial.write_and_stop(name)
    indices, boxes, box_scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _gather(BoxScores(indices, boxes, box_scores, failures))


def _failures_of(batch) -> dict[int, str]:
    """Key frame -> reason, of the clips of a batch that could not be read; they are logged."""
    failures: dict[int, str] = {}
    invalid = torch.nonzero(~batch.is_valid).flatten().tolist()
    for clip, reason in zip(invalid, batch.failures, strict=True):
        first_box = int(torch.nonzero(batch.boxes[:, 0] == clip).flatten()[0])
        failures[int(batch.sample_indices[first_box])] = str(reason)
        logger.warning("%s Its boxes count as not detected.", reason)
    return failures


def _gather(own: BoxScores) -> BoxScores:
    """The rows of all processes, by key frame; boxes of one key frame keep their order."""
    parts = distributed.all_gather_objects(own)
    order = np.argsort(np.concatenate([part.sample_indices for part in parts]), kind="stable")
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])[order]
        for name in ("sample_indices", "boxes", "scores")
    }
    failures = {index: reason for part in parts for index, reason in part.failures.items()}
    return BoxScores(**columns, failures=failures)


def mean_scores(passes: Sequence[BoxScores]) -> BoxScores:
    """The mean over several views (scales, flips) of the same boxes.

    A key frame that could not be read in one of them is dropped from all.

    Raises:
        ValueError: they do not have the same boxes.
    """
    failures = {index: reason for one in reversed(passes) for index, reason in one.failures.items()}
    passes = [_without(one, failures) for one in passes]
    first = passes[0]
    for other in passes[1:]:
        same = np.array_equal(other.sample_indices, first.sample_indices) and np.array_equal(other.boxes, first.boxes)
        if not same:
            raise ValueError(
                f"passes of {len(first.boxes)} and {len(other.boxes)} boxes cannot be averaged: they are not the same "
                f"boxes. All views of a data set (its ``with_view``) must give the same boxes in the same order."
            )
    scores = np.stack([one.scores for one in passes]).mean(0, dtype=np.float64).astype(np.float32)
    return BoxScores(first.sample_indices, first.boxes, scores, failures)


def _without(scored: BoxScores, sample_indices: Iterable[int]) -> BoxScores:
    """The rows of all other key frames."""
    kept = ~np.isin(scored.sample_indices, list(sample_indices))
    return BoxScores(scored.sample_indices[kept], scored.boxes[kept], scored.scores[kept], scored.failures)


@dataclass
class DetectionResult:
    """The result of an evaluation.

    Attributes:
        figures: {"mAP": percent}.
        report: what ``slowfast.evaluation.ava.protocols.evaluate`` returned: fractions by class, counts, the protocol.
        table: all detections.
        failures: (video, second) as text -> reason.
    """

    figures: dict[str, float]
    report: dict
    table: BoxTable
    failures: dict[str, str]
    num_key_frames: int
    seconds: float


class DetectionEvaluator:
    """Scores all boxes of a data set and evaluates them: ``evaluator(model) -> {"mAP": percent}``.

    Args:
        pipeline: of models of this kind.
        loaders: of the same key frames, one per scale and flip; the scores are averaged.
        key_frames: (video, second) by index.
        evaluate: detections -> report with "mAP" as a fraction and "protocol".
        name: what the log calls it.
        partials: keep the scores so far of each loader, in case the evaluation is stopped.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        loaders: Sequence,
        key_frames: Sequence[tuple[str, int]],
        num_classes: int,
        evaluate: Callable[[BoxTable], dict],
        name: str = "test",
        partials: Sequence[PartialScores] = (),
    ):
        self.pipeline = pipeline
        self.loaders = list(loaders)
        self.partials = list(partials) or [PartialScores() for _ in self.loaders]
        self.key_frames = key_frames
        self.num_classes = num_classes
        self.evaluate = evaluate
        self.name = name

    @property
    def dataset(self):
        """The data set evaluated, from the first loader."""
        return self.loaders[0].dataset

    def __call__(self, model: nn.Module) -> dict[str, float]:
        return self.run(model).figures

    def run(self, model: nn.Module) -> DetectionResult:
        """The evaluation with all intermediate results; the model's mode is restored."""
        pipeline, start = self.pipeline.with_model(model), time.perf_counter()
        names = [self.name]
        if len(self.loaders) > 1:
            names = [f"{self.name} {number}/{len(self.loaders)}" for number in range(1, len(self.loaders) + 1)]
        passes = [
            score_boxes(pipeline, loader, num_classes=self.num_classes, name=name, partial=partial)
            for loader, name, partial in zip(self.loaders, names, self.partials, strict=True)
        ]
        scored = mean_scores(passes)
        table = BoxTable.from_score_matrix(
            list(self.key_frames), scored.sample_indices, scored.boxes, scored.scores, source="detections"
        )
        report = self.evaluate(table)
        for partial in self.partials:
            partial.finish()
        result = DetectionResult(
            figures={"mAP": 100 * report["mAP"]},
            report=report,
            table=table,
            failures={_name(self.key_frames[i]): reason for i, reason in sorted(scored.failures.items())},
            num_key_frames=len(self.key_frames),
            seconds=time.perf_counter() - start,
        )
        self._log(result)
        return result

    def _log(self, result: DetectionResult) -> None:
        if not distributed.is_main():
            return
        scored = [value for value in result.report["ap"].values() if not np.isnan(value)]
        failed = f", {len(result.failures)} not decodable" if result.failures else ""
        logger.info(
            "%s (frame mAP at IoU 0.5, protocol %s): mAP %.2f over %d classes  (%s boxes on %s key frames%s, %s)",
            self.name,
            result.report["protocol"],
            result.figures["mAP"],
            len(scored),
            f"{len(result.table) // self.num_classes:,}",
            f"{result.num_key_frames:,}",
            failed,
            format_seconds(result.seconds),
        )


def _name(key_frame: tuple[str, int]) -> str:
    video, second = key_frame
    return f"{video},{second:04d}"
