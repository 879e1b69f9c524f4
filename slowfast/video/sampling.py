"""Which source frames make a clip, and the size of scaled frames: index arithmetic without pixels.

A clip of T frames covers a *span* of C source frames. With T = 4, sampling rate 2, video and target at 30 fps,
C = 8 and the frames shown (x) are spread evenly over the whole span, first and last included:

    source  0 1 2 3 4 5 6 7 8 9
    clip    x . x . x . . x          floor(linspace(0, 7, 4)) = 0 2 4 7

Sets of single images count frames instead: clips with an exact stride (Charades), or one frame from each of equal
segments (Something-Something). All positions follow PySlowFast, whose released weights were trained and tested on them.
Letters: N frames of the video, T frames of a clip, K test clips.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor


def check_at_least_one(**values: float) -> None:
    """Check that every value is 1 or more."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")


def clip_span(num_frames: int, sampling_rate: float, fps: float, target_fps: float) -> float:
    """Source frames that a clip covers: num_frames * sampling_rate * fps / target_fps, at least 1.

    Args:
        num_frames: frames of the clip, T.
        sampling_rate: nominal source frames between two clip frames, if the video were at ``target_fps``.
        fps: frames per second of the video.
        target_fps: frame rate to which ``sampling_rate`` refers (30 for Kinetics).

    Raises:
        ValueError: an argument is not a positive finite number.
    """
    values = {"num_frames": num_frames, "sampling_rate": sampling_rate, "fps": fps, "target_fps": target_fps}
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive number, got {value}.")
    return max(1.0, sampling_rate * num_frames / target_fps * fps)


def clip_frame_indices(start: float, *, span: float, num_frames: int, num_video_frames: int) -> Tensor:
    """Source-frame index of every frame of one clip.

    Frame k shows source frame floor(start + k * (span - 1) / (num_frames - 1)). Past the end the last frame
    repeats, so a short video still gives a full clip. The points come from torch.linspace in float32 on the CPU:
    where the exact value is an integer it may round to the frame below, and NumPy's rounds elsewhere.

    Args:
        start: first source frame, >= 0; fractional when a clip starts between two frames.
        span: source frames that the clip covers, >= 1 (see clip_span).
        num_frames: frames of the clip, >= 1.
        num_video_frames: source frames in the video, >= 1.

    Returns:
        int64, shape (num_frames,), non-decreasing, within [0, num_video_frames).

    Raises:
        ValueError: ``span``, ``num_frames`` or ``num_video_frames`` below 1, ``start`` below 0.
    """
    check_at_least_one(span=span, num_frames=num_frames, num_video_frames=num_video_frames)
    if start < 0:
        raise ValueError(f"start must not be negative, got {start}.")
    points = torch.linspace(start, start + span - 1, num_frames, dtype=torch.float32, device="cpu")
    return points.clamp(0, num_video_frames - 1).long()


def eval_clip_indices(
    num_video_frames: int,
    fps: float,
    num_frames: int,
    sampling_rate: float,
    target_fps: float,
    num_views: int,
    offset: bool = False,
) -> Tensor:
    """Source-frame indices of all test clips of one video.

    With D = num_video_frames - span (at least 0), clip k of K starts at D * k / K, which never reaches the end of
    the video. ``offset`` is the variant that does: k * floor(D / (K - 1)), or floor(D / 2) for a single clip.

    Returns:
        int64, shape (num_views, num_frames).

    Raises:
        ValueError: ``num_views`` or another argument below 1.
    """
    check_at_least_one(num_views=num_views)
    span = clip_span(num_frames, sampling_rate, fps, target_fps)
    slack = max(num_video_frames - span, 0)
    if not offset:
        starts = [slack * k / num_views for k in range(num_views)]
    elif num_views == 1:
        starts = [math.floor(slack / 2)]
    else:
        starts = [k * math.floor(slack / (num_views - 1)) for k in range(num_views)]
    clip = partial(clip_frame_indices, span=span, num_frames=num_frames, num_video_frames=num_video_frames)
    return torch.stack([clip(start) for start in starts])


def train_clip_indices(
    num_video_frames: int,
    fps: float,
    num_frames: int,
    sampling_rate: float,
    target_fps: float,
    rng: np.random.Generator,
) -> Tensor:
    """Source-frame indices, int64 (num_frames,), of a clip that starts anywhere, real and uniform in [0, slack]."""
    span = clip_span(num_frames, sampling_rate, fps, target_fps)
    start = rng.uniform(0, max(num_video_frames - span, 0))
    return clip_frame_indices(start, span=span, num_frames=num_frames, num_video_frames=num_video_frames)


def strided_clip_indices(start: int, *, num_frames: int, stride: int, num_video_frames: int) -> Tensor:
    """Source frames, int64 (T,), of a clip: start, start + stride, ...; the first and the last frame repeat outside.

    Args:
        start: may be negative: a clip longer than its video may begin before it.
        stride: source frames from one frame of the clip to the next.

    Raises:
        ValueError: ``num_frames``, ``stride`` or ``num_video_frames`` below 1.
    """
    check_at_least_one(num_frames=num_frames, stride=stride, num_video_frames=num_video_frames)
    return (start + stride * torch.arange(num_frames)).clamp(0, num_video_frames - 1)


def train_strided_indices(num_video_frames: int, num_frames: int, stride: int, rng: np.random.Generator) -> Tensor:
    """Source frames, int64 (T,), of a random clip.

    A clip spans L = (T - 1) * stride + 1 frames; its start is a random integer of [0, N - L], or of [N - L, 0] where
    the video is shorter than the clip, so that the repeated frames may stand at either end.
    """
    slack = num_video_frames - strided_span(num_frames, stride)
    start = int(rng.integers(min(0, slack), max(0, slack), endpoint=True))
    return strided_clip_indices(start, num_frames=num_frames, stride=stride, num_video_frames=num_video_frames)


def eval_strided_indices(num_video_frames: int, num_frames: int, stride: int, num_views: int) -> Tensor:
    """Source frames, int64 (K, T), of all test clips: the first begins the video, the last ends it.

    With the slack D = N - L (at least 0), clip k starts at k * D / (K - 1), rounded half to even. A single clip, for
    which PySlowFast divides by zero, lies in the middle: D / 2, rounded likewise.

    Raises:
        ValueError: ``num_views`` or another argument below 1.
    """
    check_at_least_one(num_views=num_views)
    slack = max(num_video_frames - strided_span(num_frames, stride), 0)
    starts = [round(k * slack / (num_views - 1)) for k in range(num_views)] if num_views > 1 else [round(slack / 2)]
    clip = {"num_frames": num_frames, "stride": stride, "num_video_frames": num_video_frames}
    return torch.stack([strided_clip_indices(start, **clip) for start in starts])


def strided_span(num_frames: int, stride: int) -> int:
    """Source frames from the first to the last of a clip, both included."""
    return (num_frames - 1) * stride + 1


def segment_bounds(num_video_frames: int, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last source frame of each of the T segments that a video is cut into: int64 (T,) each.

    With q = (N - 1) / T, segment j goes from q * j to q * (j + 1), both rounded half to even, and neighbors share
    their border. A video of fewer than T frames has segments of one frame, and some frames lie in several.

    Raises:
        ValueError: an argument below 1.
    """
    check_at_least_one(num_video_frames=num_video_frames, num_frames=num_frames)
    borders = np.rint((num_video_frames - 1) / num_frames * np.arange(num_frames + 1)).astype(np.int64)
    return borders[:-1], borders[1:]


def train_segment_indices(num_video_frames: int, num_frames: int, rng: np.random.Generator) -> Tensor:
    """Source frames, int64 (T,): one drawn from every segment, its borders included."""
    first, last = segment_bounds(num_video_frames, num_frames)
    return torch.from_numpy(rng.integers(first, last, endpoint=True))


def center_segment_indices(num_video_frames: int, num_frames: int) -> Tensor:
    """Source frames, int64 (T,): the middle one of every segment, rounded down."""
    first, last = segment_bounds(num_video_frames, num_frames)
    return torch.from_numpy((first + last) // 2)


def scaled_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) after the short side is scaled to ``size`` pixels: the long side is floored.

    A frame whose short side already is ``size`` keeps its size.

    Raises:
        ValueError: a side below 1 pixel.
    """
    if min(height, width, size) < 1:
        raise ValueError(f"cannot scale {height}x{width} pixels (height x width) to a short side of {size}.")
    if min(height, width) == size:
        return height, width
    if width < height:
        return math.floor(height / width * size), size
    return size, math.floor(width / height * size)
