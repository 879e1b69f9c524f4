"""Predictions, as a video with captions and as a plot of scores over time."""

from __future__ import annotations

import bisect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import class_name
from slowfast.engine.sliding import ScoresOverTime
from slowfast.prediction.predictor import Moment, VideoResult
from slowfast.visualization.comparison import pyplot
from slowfast.visualization.overlay import BoxLabel, Caption, frames_of, write_captioned
from slowfast.visualization.predictions import plot_top_k_over_time

_ROUNDING = 1e-6  # frames: a middle between two frames counts to the later one


@dataclass(frozen=True)
class Drawing:
    """What is drawn of scores.

    Attributes:
        top: best classes drawn, where ``least`` does not choose them.
        least: score from which a class is drawn.
        least_of: another such score, by the name of a class.
        reach: frames that have labels, before and after the middle of a window, or a key frame; None: as far as the
            next has its own.
    """

    top: int = 3
    least: float | None = None
    least_of: Mapping[str, float] = field(default_factory=dict)
    reach: int | None = None

    def classes(self, scores: np.ndarray, class_names: Sequence[str] | None) -> list[tuple[str, float]]:
        """The classes drawn of scores (K,), as (name, score), the best first."""
        best = [(class_name(int(i), class_names), float(scores[i])) for i in np.argsort(-scores, kind="stable")]
        if self.least is None:
            return best[: self.top]
        return [(name, score) for name, score in best if score >= self.least_of.get(name, self.least)]

    def reaches(self, seconds: float, fps: float) -> bool:
        """Whether labels are drawn ``seconds`` after the time that they are of (before it: below 0)."""
        if self.reach is None:
            return True
        return -self.reach - 0.5 <= seconds * fps + _ROUNDING < self.reach + 0.5


def captions_of(
    result: VideoResult, class_names: Sequence[str] | None, fps: float, drawing: Drawing
) -> Callable[[float], Caption]:
    """The caption of every time of a video: of the window around it, or the nearest key frame, or of the whole."""
    if result.key_frames:
        return _box_captions(result, fps, drawing)
    if "windows" in result.record and result.moments:
        return _window_captions(result.moments, class_names, fps, drawing)
    best = [] if result.whole is None else drawing.classes(result.whole.mean_scores, class_names)
    return lambda seconds: Caption(best=best)


def _window_captions(
    moments: Sequence[Moment], class_names, fps: float, drawing: Drawing
) -> Callable[[float], Caption]:
    middles = [(moment.start + moment.end) / 2 for moment in moments]

    def caption(seconds: float) -> Caption:
        index = _nearest(middles, seconds)
        if not drawing.reaches(seconds - middles[index], fps):
            return Caption()
        moment = moments[index]
        return Caption(f"{moment.start:.1f} - {moment.end:.1f} s", drawing.classes(moment.scores, class_names))

    return caption


def _box_captions(result: VideoResult, fps: float, drawing: Drawing) -> Callable[[float], Caption]:
    times = [key_frame.seconds for key_frame in result.key_frames]

    def caption(seconds: float) -> Caption:
        key_frame = result.key_frames[_nearest(times, seconds)]
        away = seconds - key_frame.seconds
        if abs(away) > result.spacing / 2 or not drawing.reaches(away, fps):
            return Caption()
        said = key_frame.prediction
        classes = [drawing.classes(scores, said.class_names) for scores in said.mean_scores]
        rows = zip(key_frame.boxes, key_frame.tracks, classes, strict=True)
        return Caption(f"{key_frame.seconds:.1f} s", boxes=[BoxLabel(*row) for row in rows])

    return caption


def _nearest(times: Sequence[float], seconds: float) -> int:
    after = bisect.bisect_left(times, seconds)
    candidates = range(max(0, after - 1), min(len(times), after + 1))
    return min(candidates, key=lambda index: abs(times[index] - seconds))


def save_captioned_video(
    path: str | os.PathLike,
    pipeline: Pipeline,
    result: VideoResult,
    *,
    drawing: Drawing = Drawing(),
    size: tuple[int, int] | None = None,
) -> None:
    """Write the video of a result with its labels drawn.

    Args:
        size: (height, width) of the video.

    Raises:
        VideoReadError: the video can no longer be read.
    """
    with pipeline.open(result.source.path) as reader:
        source = reader if result.source.kind == "frames" else result.source.path
        frames = frames_of(source, num_threads=pipeline.decoder_threads)
        caption_at = captions_of(result, pipeline.class_names, reader.fps, drawing)
        write_captioned(path, frames, reader.fps, caption_at, size=size)


def plot_result(path: str | os.PathLike, result: VideoResult, class_names: Sequence[str] | None, *, k: int = 5) -> bool:
    """Write a PNG of the best classes over time; False if there are no scores over time.

    Raises:
        ImportError: matplotlib is not installed.
    """
    points, span = [((moment.start + moment.end) / 2, moment.scores) for moment in result.moments], result.spacing
    if points:
        span = result.moments[0].end - result.moments[0].start
    else:  # for every key frame and class, the highest score of any box
        points = [(frame.seconds, frame.prediction.mean_scores.max(0)) for frame in result.key_frames]
    if not points:
        return False
    plt = pyplot()
    times, scores = zip(*points, strict=True)
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    over_time = ScoresOverTime(np.array(times), np.stack(scores), span)
    plot_top_k_over_time(axes, over_time, class_names, k=k, title=os.path.basename(result.source.path))
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True
