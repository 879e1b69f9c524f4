"""What a model says along a video: scores of clips that slide over it, and a picture of the best classes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from slowfast.engine.inputs import ClipPreprocessor
from slowfast.video.geometry import centre_crop
from slowfast.video.reader import FrameReader, VideoReader
from slowfast.video.sampling import clip_frame_indices, clip_span


@dataclass(frozen=True)
class ScoresOverTime:
    """Scores of V clips along one video.

    Attributes:
        seconds: float64 (V,), the middle of each clip, from the start of the video.
        scores: float32 (V, K).
        span_seconds: what one clip covers.
    """

    seconds: np.ndarray
    scores: np.ndarray
    span_seconds: float

    def top_classes(self, k: int) -> list[int]:
        """The k classes with the largest mean over time (all, when there are fewer), the best first."""
        return np.argsort(-self.scores.mean(0), kind="stable")[:k].tolist()


@torch.inference_mode()
def scores_over_time(
    model: nn.Module,
    path: str | os.PathLike,
    *,
    num_frames: int,
    sampling_rate: int,
    crop_size: int,
    target_fps: float = 30,
    stride_seconds: float | None = None,
    batch_size: int = 8,
    preprocess: Callable[[Tensor], Tensor] | None = None,
) -> ScoresOverTime:
    """Scores of clips that begin every ``stride_seconds`` along a video file, centre crops.

    Memory does not grow with the video: ``batch_size`` clips are read and scored at a time.

    Args:
        model: gives scores (B, K) for a clip in eval mode, which it is set to for the call.
        num_frames, sampling_rate, target_fps, crop_size: of a clip, as the model was trained (DATA.NUM_FRAMES,
            DATA.SAMPLING_RATE, DATA.TARGET_FPS, DATA.TEST_CROP_SIZE).
        stride_seconds: from one clip's start to the next; default a quarter of what a clip covers.
        preprocess: uint8 frames (B, 3, T, S, S) -> clip; default ``ClipPreprocessor`` with its mean and std.

    Raises:
        ValueError: ``stride_seconds`` is not above 0.
        VideoReadError: the video cannot be read.
    """
    device = next(model.parameters()).device
    preprocess = preprocess or ClipPreprocessor(device=device)
    with VideoReader(path) as video, _eval_mode(model):
        span = clip_span(num_frames, sampling_rate, video.fps, target_fps)
        starts = _starts(video.num_frames, span, stride=_stride_frames(stride_seconds, span, video.fps))
        scores = []
        for first in range(0, len(starts), batch_size):
            frames = _read_clips(video, starts[first : first + batch_size], span, num_frames, crop_size)
            scores.append(model(preprocess(frames)).float().cpu().numpy())
    return ScoresOverTime(
        seconds=(np.array(starts) + min(span, video.num_frames) / 2) / video.fps,
        scores=np.concatenate(scores),
        span_seconds=span / video.fps,
    )


@contextlib.contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """The model in eval mode for the length of a with statement."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _stride_frames(stride_seconds: float | None, span: float, fps: float) -> float:
    if stride_seconds is None:
        return span / 4
    if not stride_seconds > 0:
        raise ValueError(f"stride_seconds={stride_seconds}: must be above 0.")
    return stride_seconds * fps


def _starts(num_video_frames: int, span: float, *, stride: float) -> list[float]:
    """First source frames: 0, stride, ... as long as the clip ends in the video; 0 alone in a short one."""
    slack = max(num_video_frames - span, 0)
    return [i * stride for i in range(int(slack / stride + 1e-6) + 1)]


def _read_clips(video: FrameReader, starts: Sequence[float], span: float, num_frames: int, crop_size: int) -> Tensor:
    """uint8 (B, 3, T, S, S); frames that clips share are decoded once."""
    indices = torch.stack(
        [
            clip_frame_indices(start, span=span, num_frames=num_frames, num_video_frames=video.num_frames)
            for start in starts
        ]
    )
    crop = centre_crop(height=video.height, width=video.width, size=crop_size)
    wanted, places = indices.unique(return_inverse=True)
    frames = video.frames_at(wanted, apply=crop.apply_to_frames)  # (F, 3, S, S)
    return frames[places].transpose(1, 2)


def plot_top_k_over_time(
    axes, result: ScoresOverTime, class_names: Sequence[str] | None = None, *, k: int = 5, title: str = ""
) -> list[int]:
    """Draw the scores of the best classes over time into matplotlib's ``axes``; the classes drawn, the best first.

    Args:
        class_names: in label order; None shows numbers.
        k: number of classes.
    """
    classes = result.top_classes(k)
    for class_id in classes:
        name = class_names[class_id] if class_names else str(class_id)
        marker = "o" if len(result.seconds) < 40 else None
        axes.plot(result.seconds, result.scores[:, class_id], marker=marker, markersize=3, label=name)
    axes.set(title=title, xlabel=f"seconds (the middle of a clip of {result.span_seconds:.2f} s)", ylabel="score")
    axes.set_ylim(0, max(1.0, float(result.scores.max())) * 1.03)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return classes
