"""Which frames make a clip in sets of single images: Charades' exact stride and Something-Something's segments.

Index arithmetic without pixels; Kinetics' evenly spread clips are in sampling.py. The positions follow PySlowFast.
Letters: N frames of the video, T frames of a clip, K test clips.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from slowfast.video.sampling import check_at_least_one


def strided_clip_indices(start: int, *, num_frames: int, stride: int, num_video_frames: int) -> Tensor:
    """Source frames, int64 (T,), of a clip: start, start + stride, ...; the first and the last frame repeat outside.

    Args:
        start: may be negative: a clip longer than its video may begin before it.
        num_frames: T.
        stride: source frames from one frame of the clip to the next.
        num_video_frames: N.

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
    slack = num_video_frames - _span(num_frames, stride)
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
    slack = max(num_video_frames - _span(num_frames, stride), 0)
    starts = [round(k * slack / (num_views - 1)) for k in range(num_views)] if num_views > 1 else [round(slack / 2)]
    clip = {"num_frames": num_frames, "stride": stride, "num_video_frames": num_video_frames}
    return torch.stack([strided_clip_indices(start, **clip) for start in starts])


def _span(num_frames: int, stride: int) -> int:
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
