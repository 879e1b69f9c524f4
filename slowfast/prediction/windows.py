"""Predictions along a long video: each window is scored as a test scores a video of that length.

Memory does not grow with the video: frames are read from start to end, and those of past windows are dropped.
Letters: V views of a window, K classes, n frames of a window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samples import VideoViews
from slowfast.datasets.views import frame_scale, read_views
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import Prediction
from slowfast.video.forward import ForwardReader, open_file
from slowfast.video.reader import FrameReader, VideoReader


@dataclass(frozen=True)
class WindowCut:
    """How a video is cut into windows: the first begins at 0, the last ends with the video.

    Attributes:
        seconds: length of a window.
        stride_seconds: from the start of one to the start of the next.

    Raises:
        ValueError: one of them is not above 0.
    """

    seconds: float
    stride_seconds: float

    def __post_init__(self):
        for name in ("seconds", "stride_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name):g}: windows and their stride must be above 0 seconds.")

    @classmethod
    def of(cls, protocol: Protocol, seconds: float | None = None, stride_seconds: float | None = None) -> WindowCut:
        """With the defaults for a model: windows of one clip's length, half a window apart.

        Raises:
            ValueError: its clips have no duration, so ``seconds`` must be given.
        """
        seconds = protocol.sampling.span_seconds if seconds is None else seconds
        if seconds is None:
            raise ValueError(
                f"the length of a window is unknown, because this model's clips have no length of their own: "
                f"{protocol.sampling.describe()}. Set --window."
            )
        return cls(seconds, seconds / 2 if stride_seconds is None else stride_seconds)

    def length(self, fps: float) -> int:
        """Frames of a window, at least 1."""
        return max(1, round(self.seconds * fps))

    def start(self, index: int, fps: float) -> int:
        """First frame of a window."""
        return round(index * self.stride_seconds * fps)

    def spans(self, reader: FrameReader) -> Iterator[tuple[int, int]]:
        """(first frame, number of frames) of every window, as soon as its frames have arrived."""
        reaches = reader.reaches if isinstance(reader, ForwardReader) else reader.num_frames.__ge__
        length, index, stop = self.length(reader.fps), 0, 0
        while reaches(self.start(index, reader.fps) + length):
            start = self.start(index, reader.fps)
            stop = start + length
            yield start, length
            index += 1
        rest = reader.num_frames  # known by now
        if stop < rest:
            length = min(length, rest)
            yield rest - length, length

    def count(self, reader: FrameReader) -> int | None:
        """Number of windows of a video; None if its length is unknown."""
        if isinstance(reader, ForwardReader) and reader.known_frames is None:
            return None
        return sum(1 for _ in self.spans(reader))


@dataclass(frozen=True)
class WindowScores:
    """A model's prediction for one window.

    Attributes:
        start, end: seconds from the first frame of the video.
        prediction: as for a video that consists of the window; its seconds count from the first frame of the whole
            video.
    """

    start: float
    end: float
    prediction: Prediction


@dataclass(frozen=True)
class WindowViews:
    """The pixels of one or several windows.

    Attributes:
        views: all different clips of all windows.
        fps: of the video.
        spans: (first frame, number of frames) of every window.
        clips: for every window, which of the clips are its own (num_clips,); identical clips are kept once.
    """

    views: VideoViews
    fps: float
    spans: tuple[tuple[int, int], ...]
    clips: tuple[Tensor, ...]


def window_clips(protocol: Protocol, span: tuple[int, int], fps: float) -> Tensor:
    """Frames of the video, int64 (num_clips, T), that a test would use if the window were the whole video."""
    start, length = span
    return start + protocol.sampling.eval_indices(length, fps, protocol.num_clips)


def read_windows(
    reader: FrameReader, protocol: Protocol, cut: WindowCut, *, views_at_a_time: int = 1
) -> Iterator[WindowViews]:
    """The pixels of all windows in order, at least this number of views together.

    Args:
        reader: at its beginning.
        views_at_a_time: of windows that are scored together; 1 returns each as soon as it has arrived.

    Raises:
        VideoReadError: the video cannot be read on; what came before has been given.
    """
    if isinstance(reader, ForwardReader) and reader.known_frames is not None:
        spans = cut.spans(reader)
        reader.expect(np.unique(np.concatenate([window_clips(protocol, s, reader.fps).flatten() for s in spans])))
    group: list[tuple[tuple[int, int], Tensor]] = []
    num_views = 0
    for span in cut.spans(reader):
        clips = window_clips(protocol, span, reader.fps)
        group.append((span, clips))
        num_views += len(clips.unique(dim=0)) * protocol.num_crops
        if num_views >= views_at_a_time:
            yield _read_group(reader, protocol, group)
            group, num_views = [], 0
    if group:
        yield _read_group(reader, protocol, group)


def _read_group(reader: FrameReader, protocol: Protocol, group: Sequence[tuple[tuple[int, int], Tensor]]):
    spans, clips = zip(*group, strict=True)
    distinct, places = torch.cat(clips).unique(dim=0, return_inverse=True)
    views = read_views(reader, protocol, clips=distinct)
    return WindowViews(views, reader.fps, spans, places.split([len(part) for part in clips]))


def score_windows(pipeline: Pipeline, windows: WindowViews) -> Iterator[WindowScores]:
    """The prediction for each window, exactly as for a video that consists of the window."""
    protocol = pipeline.protocol
    clip_seconds = windows.views.clip_seconds
    assert clip_seconds is not None  # read_views notes them
    scores = pipeline.scores_of(windows.views)
    scores = scores.reshape(-1, len(windows.views.crops), scores.shape[-1])
    for (start, length), clips in zip(windows.spans, windows.clips, strict=True):
        view_scores = scores[clips.numpy()].reshape(-1, scores.shape[-1])
        fused = protocol.fuse(view_scores)
        seconds = clip_seconds[clips].repeat_interleave(scores.shape[1], dim=0).numpy()
        prediction = Prediction(fused, view_scores, seconds, protocol.mean_scores(fused), pipeline.class_names)
        yield WindowScores(start / windows.fps, (start + length) / windows.fps, prediction)


def predict_windows(
    pipeline: Pipeline, reader: FrameReader, cut: WindowCut, *, views_at_a_time: int | None = None
) -> Iterator[WindowScores]:
    """The predictions for every window of a video, as they arrive.

    Args:
        reader: from ``open_forward``, or any other.
        views_at_a_time: of windows that are scored together; default as many as the pipeline scores at a time on a
            GPU, else one window: a CPU gains nothing from more.

    Raises:
        VideoReadError: the video cannot be read on; what came before has been given.
    """
    if views_at_a_time is None:
        views_at_a_time = 1 if pipeline.device.type == "cpu" else pipeline.views_per_forward
    for windows in read_windows(reader, pipeline.protocol, cut, views_at_a_time=views_at_a_time):
        yield from score_windows(pipeline, windows)


def forward_options(pipeline: Pipeline) -> dict[str, Any]:
    """Options for the readers of ``video.forward`` that give frames as the pipeline's protocol needs them."""
    protocol, num_threads = pipeline.protocol, pipeline.decoder_threads
    return {"short_side": protocol.decoder_short_side, "scale": frame_scale(protocol), "num_threads": num_threads}


def open_forward(pipeline: Pipeline, path: str) -> AbstractContextManager[FrameReader]:
    """A reader of a video from start to end, at the frame rate of the pipeline's protocol.

    Files that are resampled to another rate or have optical flow, and folders of images, are read by number:
    the same pixels, with a seek for each group of windows.

    Raises:
        VideoReadError: it cannot be opened.
    """
    reader = pipeline.open(path)
    if not isinstance(reader, VideoReader):
        return reader
    reader.close()
    return open_file(path, **forward_options(pipeline))


class ScoresSoFar:
    """The mean over all windows of a video, without keeping them.

    Attributes:
        prediction: the mean of the scores of the windows so far; None before the first.
    """

    def __init__(self):
        self.prediction: Prediction | None = None
        self._num_windows, self._scores, self._means = 0, np.zeros(1), np.zeros(1)

    def add(self, window: Prediction) -> None:
        self._num_windows += 1
        self._scores = self._scores + window.scores
        self._means = self._means + window.mean_scores
        scores, means = ((total / self._num_windows).astype(np.float32) for total in (self._scores, self._means))
        self.prediction = replace(self.prediction or window, scores=scores, mean_scores=means)


class Smoothing:
    """The mean of the newest few windows.

    Args:
        num_windows: number of windows; 1 leaves scores unchanged.
    """

    def __init__(self, num_windows: int):
        if num_windows < 1:
            raise ValueError(f"smoothing over {num_windows} windows: name at least 1.")
        self._newest: deque[Prediction] = deque(maxlen=num_windows)

    def __call__(self, window: WindowScores) -> WindowScores:
        self._newest.append(window.prediction)
        scores = np.stack([one.scores for one in self._newest]).mean(0, np.float64).astype(np.float32)
        means = np.stack([one.mean_scores for one in self._newest]).mean(0, np.float64).astype(np.float32)
        return replace(window, prediction=replace(window.prediction, scores=scores, mean_scores=means))
