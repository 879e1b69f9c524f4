"""What was predicted, as a video with captions and as a plot of scores over time."""

from __future__ import annotations

import bisect
import os
from collections.abc import Callable, Sequence

import numpy as np

from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import class_name
from slowfast.engine.sliding import ScoresOverTime
from slowfast.prediction.predictor import Moment, VideoResult
from slowfast.visualization.comparison import pyplot
from slowfast.visualization.overlay import BoxLabel, Caption, frames_of, write_captioned
from slowfast.visualization.predictions import plot_top_k_over_time


def best_of(scores: np.ndarray, class_names: Sequence[str] | None, k: int) -> list[tuple[str, float]]:
    """The k best classes of (K,), as (name, score)."""
    return [(class_name(int(i), class_names), float(scores[i])) for i in np.argsort(-scores, kind="stable")[:k]]


def captions_of(result: VideoResult, class_names: Sequence[str] | None, *, k: int = 3) -> Callable[[float], Caption]:
    """The caption of every time of a video: of the window around it, or the nearest key frame, or of the whole."""
    if result.key_frames:
        return _box_captions(result, k)
    if "windows" in result.record and result.moments:
        return _window_captions(result.moments, class_names, k)
    best = [] if result.whole is None else result.whole.top(k)
    return lambda seconds: Caption(best=best)


def _window_captions(moments: Sequence[Moment], class_names, k: int) -> Callable[[float], Caption]:
    middles = [(moment.start + moment.end) / 2 for moment in moments]

    def caption(seconds: float) -> Caption:
        moment = moments[_nearest(middles, seconds)]
        return Caption(f"{moment.start:.1f} - {moment.end:.1f} s", best_of(moment.scores, class_names, k))

    return caption


def _box_captions(result: VideoResult, k: int) -> Callable[[float], Caption]:
    times = [key_frame.seconds for key_frame in result.key_frames]

    def caption(seconds: float) -> Caption:
        key_frame = result.key_frames[_nearest(times, seconds)]
        if abs(key_frame.seconds - seconds) > result.spacing / 2:
            return Caption()
        rows = zip(key_frame.boxes, key_frame.tracks, key_frame.prediction.top(k), strict=True)
        return Caption(f"{key_frame.seconds:.1f} s", boxes=[BoxLabel(*row) for row in rows])

    return caption


def _nearest(times: Sequence[float], seconds: float) -> int:
    after = bisect.bisect_left(times, seconds)
    candidates = range(max(0, after - 1), min(len(times), after + 1))
    return min(candidates, key=lambda index: abs(times[index] - seconds))


def save_captioned_video(
    path: str | os.PathLike, pipeline: Pipeline, result: VideoResult, *, k: int = 3, size: tuple[int, int] | None = None
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
        write_captioned(path, frames, reader.fps, captions_of(result, pipeline.class_names, k=k), size=size)


def plot_result(path: str | os.PathLike, result: VideoResult, class_names: Sequence[str] | None, *, k: int = 5) -> bool:
    """Write a PNG of the best classes over time; False where there are no scores over time.

    Raises:
        ImportError: matplotlib is not installed.
    """
    moments = result.moments or _box_moments(result)
    if not moments:
        return False
    plt = pyplot()
    times = np.array([(moment.start + moment.end) / 2 for moment in moments])
    scores = np.stack([moment.scores for moment in moments])
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    over_time = ScoresOverTime(times, scores, moments[0].end - moments[0].start)
    plot_top_k_over_time(axes, over_time, class_names, k=k, title=os.path.basename(result.source.path))
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True


def _box_moments(result: VideoResult) -> list[Moment]:
    """Of every key frame, for each class the score of the box that has most of it."""
    half = result.spacing / 2
    return [
        Moment(frame.seconds - half, frame.seconds + half, frame.prediction.mean_scores.max(0))
        for frame in result.key_frames
    ]
