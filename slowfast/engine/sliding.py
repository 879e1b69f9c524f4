"""Predictions along a video: scores of clips that slide over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from slowfast.datasets.samples import VideoViews
from slowfast.datasets.views import read_views
from slowfast.engine.pipeline import Pipeline, VideoPath
from slowfast.video.reader import FrameReader


@dataclass(frozen=True)
class ScoresOverTime:
    """Scores of V clips along one video.

    Attributes:
        seconds: float64 (V,), the middle of each clip, from the start of the video.
        scores: float32 (V, K).
        span_seconds: duration of one clip.
    """

    seconds: np.ndarray
    scores: np.ndarray
    span_seconds: float

    def top_classes(self, k: int) -> list[int]:
        """The k classes with the largest mean over time (all, if there are fewer), the best first."""
        return np.argsort(-self.scores.mean(0), kind="stable")[:k].tolist()


def sliding_views(
    reader: FrameReader, pipeline: Pipeline, *, stride_seconds: float | None = None, clips_at_a_time: int | None = None
) -> Iterator[VideoViews]:
    """Center crops of clips that begin every ``stride_seconds`` along an open video, several clips at a time.

    Memory does not grow with the video. Frames shared by clips that are read together are decoded once.

    Args:
        stride_seconds: from one clip's start to the next; default a quarter of a clip's duration.
        clips_at_a_time: default the number that the pipeline scores at a time.

    Raises:
        ValueError: ``stride_seconds`` is not above 0, or the model's clips have no length in time.
        VideoReadError: the video cannot be read.
    """
    protocol = replace(pipeline.protocol, num_crops=1, single_crop="centre")
    clips = protocol.sampling.sliding_indices(reader.num_frames, reader.fps, stride_seconds)
    for part in clips.split(clips_at_a_time or pipeline.views_per_forward):
        yield read_views(reader, protocol, clips=part)


def scores_over_time(
    pipeline: Pipeline, video: VideoPath | FrameReader, *, stride_seconds: float | None = None
) -> ScoresOverTime:
    """Scores of clips that slide along a video; arguments and errors as in ``sliding_views``."""
    with pipeline.open(video) as reader:
        scores, seconds = [], []
        for views in sliding_views(reader, pipeline, stride_seconds=stride_seconds):
            scores.append(pipeline.scores_of(views))
            assert views.clip_seconds is not None  # they were read
            seconds.append(views.clip_seconds.mean(1).numpy())
    span = pipeline.protocol.sampling.span_seconds
    assert span is not None  # else clips do not slide
    return ScoresOverTime(np.concatenate(seconds), np.concatenate(scores), span)
