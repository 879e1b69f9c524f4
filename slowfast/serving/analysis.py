"""The server's results for one video: its entry as ``slowfast predict --json`` writes it, and what the page draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slowfast.engine.pipeline import Pipeline, takes_boxes
from slowfast.engine.prediction import class_name
from slowfast.prediction.boxes import DetectedBoxes
from slowfast.prediction.predictor import Look, VideoPredictor, moments_of_clips
from slowfast.prediction.sources import Source
from slowfast.prediction.windows import WindowCut, open_forward, predict_windows
from slowfast.serving.jobs import JobError
from slowfast.serving.screening import screened_seconds
from slowfast.utils.text import printable
from slowfast.video.index import read_index
from slowfast.video.watch import VideoReadError

MOST_POINTS = 60  # of a chart: windows of a long video lie further apart
OVERLAY = "overlay.mp4"
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Video:
    """A file sent by a client.

    Attributes:
        path: of the file on this machine.
        name: replaces the path in responses.
        is_ours: no upload: it is opened without being decoded elsewhere before.
    """

    path: Path
    name: str
    is_ours: bool = False

    def without_path(self, text: str) -> str:
        """``text`` with the name in place of the path."""
        return text.replace(str(self.path), self.name).replace(str(self.path.parent), "")


class Analyst:
    """Runs a model on files; may be called from several threads.

    Args:
        boxes: for a detection model, the source of boxes.
        explain: writes a video of where the model finds its evidence in a file to a path; returns whether it could.
        max_seconds: the longest video.

    Raises:
        ValueError: a detection model without a detector, or a detector with a clip model.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        boxes: DetectedBoxes | None = None,
        explain: Callable[[str, Path], bool] | None = None,
        max_seconds: float = 600,
    ):
        self.of_boxes = takes_boxes(pipeline.model)
        if self.of_boxes != (boxes is not None):
            raise ValueError(
                "this is a detection model: name a detector (--detector)."
                if self.of_boxes
                else "this model scores whole clips: omit --detector."
            )
        self.pipeline, self.look, self.max_seconds = pipeline, Look(boxes=boxes), max_seconds
        self.explain = explain

    def check(self, video: Video) -> float:
        """Duration of the video, seconds.

        Raises:
            JobError: 415 it is no video; 413 it is too long; 400 decoding it is dangerous (``screening``).
        """
        path = str(video.path)
        try:
            if video.is_ours:
                index = read_index(path)
                seconds = index.num_frames / index.fps
            else:
                seconds = screened_seconds(path, max_seconds=self.max_seconds)
        except VideoReadError as error:
            raise JobError(415, video.without_path(str(error))) from None
        if seconds > self.max_seconds:
            raise JobError(
                413, f"{video.name} lasts {seconds:.0f} seconds; this server takes up to {self.max_seconds:g}."
            )
        return seconds

    def record(self, video: Video) -> dict[str, Any]:
        """The entry of ``videos`` that ``slowfast predict --json`` writes, "path" being the name.

        Raises:
            JobError: as ``check``; 422 the video cannot be decoded.
        """
        self.check(video)
        return self._record(video)

    def _record(self, video: Video) -> dict[str, Any]:
        record = VideoPredictor(self.pipeline, self.look)(Source("file", str(video.path))).record
        if record["failure"]:
            raise JobError(422, video.without_path(record["failure"]))
        return record | {"path": printable(video.name)}

    def analyze(self, video: Video, *, explain_into: Path | None, report: Progress) -> dict[str, Any]:
        """``{"record", "duration", "timeline", "overlay"}`` for the page.

        "timeline" is ``{"start": [V], "end": [V], "classes": [{"name", "scores": [V]}]}`` of the best classes, or None
        for a detection model, whose key frames are in the record.

        Args:
            explain_into: folder for the overlay video, if requested.
            report: called with a description of the step and the share that is done.

        Raises:
            JobError: as ``record``.
        """
        report("reading", 0.02)
        seconds = self.check(video)
        report("scoring the whole video", 0.05)
        record = self._record(video)
        shares = (0.3, 0.7 if explain_into else 0.98)
        timeline = None if self.of_boxes else self._timeline(video, seconds, report, shares)
        overlay = False
        if explain_into and self.explain:
            report("locating the evidence", shares[1])
            overlay = self.explain(str(video.path), explain_into / OVERLAY)
        return {"record": record, "duration": seconds, "timeline": timeline, "overlay": overlay}

    def _timeline(self, video: Video, seconds: float, report: Progress, shares: tuple[float, float]) -> dict[str, Any]:
        """Mean scores of windows of one clip's length; of the test's clips if clips have no duration."""
        span = self.pipeline.protocol.sampling.span_seconds
        if span is None:
            whole = self.pipeline(str(video.path))
            rows = [(moment.start, moment.end, moment.scores) for moment in moments_of_clips(whole)]
        else:
            cut = WindowCut(span, max(span / 4, (seconds - span) / MOST_POINTS))
            rows = []
            with open_forward(self.pipeline, str(video.path)) as reader:
                for window in predict_windows(self.pipeline, reader, cut):
                    rows.append((window.start, window.end, window.prediction.mean_scores))
                    share = min(1.0, window.end / max(seconds, 1e-6))
                    report("scoring the video over time", shares[0] + share * (shares[1] - shares[0]))
        scores = np.stack([row[2] for row in rows])
        best = np.argsort(-scores.mean(0), kind="stable")[: self.look.num_top].tolist()
        names = self.pipeline.class_names
        return {
            "start": [round(row[0], 4) for row in rows],
            "end": [round(row[1], 4) for row in rows],
            "classes": [{"name": class_name(i, names), "scores": scores[:, i].round(5).tolist()} for i in best],
        }
