"""From a source to its entry in the results: whole videos, windows of long ones, boxes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slowfast.engine.pipeline import Pipeline, takes_boxes
from slowfast.engine.prediction import Prediction
from slowfast.prediction.boxes import (
    BoxListError,
    DetectedBoxes,
    KeyFramePrediction,
    ListedBoxes,
    TrackSegments,
    key_frame_spacing,
    predict_boxes,
)
from slowfast.prediction.records import boxes_record, failed_record, named_scores, video_record
from slowfast.prediction.segments import Segment, WindowSegments
from slowfast.prediction.sources import Source, spooled, standard_input
from slowfast.prediction.windows import (
    ScoresSoFar,
    Smoothing,
    WindowCut,
    WindowScores,
    forward_options,
    open_forward,
    predict_windows,
)
from slowfast.video.forward import open_stream
from slowfast.video.watch import VideoReadError


@dataclass(frozen=True)
class Look:
    """What to compute for every video.

    Attributes:
        num_top: best classes named.
        cut: windows of long videos; None scores a video as a whole, as a test does.
        threshold: minimum mean score for a class of a window or box.
        smooth: number of windows over which scores are averaged.
        boxes: for detection models, the source of boxes.
    """

    num_top: int = 5
    cut: WindowCut | None = None
    threshold: float = 0.5
    smooth: int = 1
    boxes: ListedBoxes | DetectedBoxes | None = None


@dataclass(frozen=True)
class Moment:
    """Mean scores float32 (K,) of a part of a video, from ``start`` to ``end``, seconds."""

    start: float
    end: float
    scores: np.ndarray


@dataclass
class VideoResult:
    """The results for one video.

    Attributes:
        record: its entry in the JSON of predictions.
        whole: the prediction for the whole video; None if it could not be read, and for boxes.
        moments: the scores over time, of clips or windows, if requested.
        key_frames: for detection models, if requested.
        spacing: seconds between key frames.
    """

    source: Source
    record: dict[str, Any]
    whole: Prediction | None = None
    moments: list[Moment] = field(default_factory=list)
    key_frames: list[KeyFramePrediction] = field(default_factory=list)
    spacing: float = 1.0


class VideoPredictor:
    """Runs the model on one source after the other.

    Args:
        on_windows: called with the path and the total number of windows, or None if that is unknown.
        on_segment: called with the path and every segment as soon as it ends.
        on_window: called with the path and every window, or key frame, as soon as it is scored.
        keeps_moments: whether results hold the scores over time; they take memory.

    Raises:
        ValueError: boxes for a clip model, or none for a detection model.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        look: Look,
        *,
        on_windows: Callable[[str, int | None], Any] = lambda path, count: None,
        on_segment: Callable[[str, Segment], Any] = lambda path, segment: None,
        on_window: Callable[[str, WindowScores | KeyFramePrediction], Any] = lambda path, window: None,
        keeps_moments: bool = False,
    ):
        check_look(pipeline, look)
        self.pipeline, self.look, self.on_windows = pipeline, look, on_windows
        self.on_segment, self.on_window, self.keeps_moments = on_segment, on_window, keeps_moments

    def __call__(self, source: Source) -> VideoResult:
        """The results for ``source``; if it cannot be read, its record has a failure."""
        start = time.perf_counter()
        if source.failure:
            return VideoResult(source, failed_record(source.path, source.failure))
        result = VideoResult(source, {})
        segments: list[Segment] = []
        windows: list[dict[str, Any]] = []
        failure = None
        try:
            for segment in self._look_at(source, result, windows):
                segments.append(segment)
                self.on_segment(source.path, segment)
        except (VideoReadError, BoxListError) as error:
            failure = str(error)
        seconds = time.perf_counter() - start
        result.record = self._record(result, segments, windows, seconds, failure)
        return result

    def _record(self, result: VideoResult, segments, windows, seconds: float, failure: str | None) -> dict[str, Any]:
        path, listed = result.source.path, [segment.as_dict() for segment in segments]
        if self.look.boxes is not None:
            return boxes_record(path, windows, seconds=seconds, segments=listed, failure=failure)
        if result.whole is None:
            return failed_record(path, failure or "there is nothing to see.", seconds=seconds)
        given = {"num_top": self.look.num_top}
        record = video_record(path, result.whole, seconds=seconds, segments=listed, failure=failure, **given)
        return record if self.look.cut is None else record | {"windows": windows}

    def _look_at(self, source: Source, result: VideoResult, windows: list[dict[str, Any]]) -> Iterator[Segment]:
        """The segments of a source, as they end; fills ``result`` and ``windows``."""
        with ExitStack() as stack:
            path = source.path
            if source.is_stream and self.look.cut is None:
                path = stack.enter_context(_whole_stream(source))
            if self.look.boxes is not None:
                yield from self._boxes(path, self.look.boxes, result, windows)
            elif self.look.cut is None:
                result.whole = self.pipeline(path)
                if self.keeps_moments:
                    result.moments = moments_of_clips(result.whole)
            else:
                reader = stack.enter_context(self._open_forward(source))
                self.on_windows(source.path, self.look.cut.count(reader))
                scored = predict_windows(
                    self.pipeline, reader, self.look.cut, views_at_a_time=1 if source.is_stream else None
                )
                yield from self._windows(scored, self.look.cut, result, windows)

    def _open_forward(self, source: Source):
        if not source.is_stream:
            return open_forward(self.pipeline, source.path)
        is_stdin = source.kind == "stdin"
        stream, name = (standard_input(), "standard input") if is_stdin else (source.path, source.path)
        fps = self.pipeline.protocol.sampling.counted_fps
        return open_stream(stream, name=name, fps=fps, **forward_options(self.pipeline))

    def _windows(
        self, scored: Iterator[WindowScores], cut: WindowCut, result: VideoResult, windows: list[dict[str, Any]]
    ) -> Iterator[Segment]:
        smooth = Smoothing(self.look.smooth)
        merger = WindowSegments(cut.stride_seconds, self.look.threshold, self.pipeline.class_names)
        so_far = ScoresSoFar()
        for raw in scored:
            so_far.add(raw.prediction)
            result.whole = so_far.prediction
            window = smooth(raw)
            means = window.prediction.mean_scores
            windows.append(window_entry(window, self.look.num_top))
            if self.keeps_moments:
                result.moments.append(Moment(window.start, window.end, means))
            self.on_window(result.source.path, window)
            yield from merger.add(window.start, window.end, means)
        yield from merger.finish()

    def _boxes(
        self, path: str, boxes: ListedBoxes | DetectedBoxes, result: VideoResult, windows: list[dict[str, Any]]
    ) -> Iterator[Segment]:
        result.spacing = key_frame_spacing(boxes, path)
        tracks = TrackSegments(self.look.threshold, self.pipeline.class_names, seconds_apart=result.spacing)
        for key_frame in predict_boxes(self.pipeline, path, boxes):
            windows.append(key_frame.as_dict(self.look.num_top))
            if self.keeps_moments:
                result.key_frames.append(key_frame)
            self.on_window(path, key_frame)
            yield from tracks.add(key_frame)
        yield from tracks.finish()


def check_look(pipeline: Pipeline, look: Look) -> None:
    """Check that the model supports these options.

    Raises:
        ValueError: it does not; says why.
    """
    of_boxes = takes_boxes(pipeline.model)
    if of_boxes and look.boxes is None:
        raise ValueError(
            "this is a detection model: name a list of boxes (--boxes FILE) or a detector (--detector NAME)."
        )
    if look.boxes is not None and not of_boxes:
        raise ValueError("this model scores whole clips: it takes neither --boxes nor --detector.")
    if look.boxes is not None and look.cut is not None:
        raise ValueError("this is a detection model, which scores boxes in key frames: it takes no --window.")


def _whole_stream(source: Source):
    """The path of a temporary copy of standard input.

    Raises:
        VideoReadError: it is another stream, which may never end.
    """
    if source.kind != "stdin":
        raise VideoReadError(f"{source.path} is a stream, which cannot be scored as a whole: set --window.")
    return spooled(standard_input())


def window_entry(window: WindowScores, num_top: int) -> dict[str, Any]:
    """``{"start", "end", "top"}`` of one window, of plain values."""
    top = named_scores(window.prediction.top(num_top))
    return {"start": round(window.start, 4), "end": round(window.end, 4), "top": top}


def moments_of_clips(prediction: Prediction) -> list[Moment]:
    """The scores of the clips of a video, in the order of time; crops of a clip are averaged."""
    spans, places = np.unique(prediction.seconds, axis=0, return_inverse=True)
    places = places.reshape(-1)
    rows = [prediction.view_scores[places == index].mean(0) for index in range(len(spans))]
    return [Moment(start, end, scores) for (start, end), scores in zip(spans.tolist(), rows, strict=True)]
