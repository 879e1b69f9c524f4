"""Which frames make a clip, as values: a protocol holds one, and data sets and pipelines execute it.

There are four kinds for data sets: clips of a fixed duration (Kinetics), clips with an exact stride at a counted frame
rate (Charades), one frame from each of equal segments (Something-Something), and clips around a key frame (AVA); and
one for weights: the clips with which mmaction2 tests. The index arithmetic is in ``video/sampling.py``.

A data set with its own kind of clips registers it: a frozen dataclass over ``ClipSampling`` in
``CLIP_SAMPLING_REGISTRY``. Letters: T frames of a clip, V clips.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from slowfast.datasets.samples import ClipShape
from slowfast.utils.registry import Registry
from slowfast.utils.signature import check_kwargs
from slowfast.video.sampling import (
    center_segment_indices,
    clip_frame_indices,
    clip_span,
    eval_clip_indices,
    eval_strided_indices,
    strided_clip_indices,
    strided_span,
    train_clip_indices,
    train_segment_indices,
    train_strided_indices,
)

Rate = TypeVar("Rate", int, float)

CLIP_SAMPLING_REGISTRY = Registry("clip sampling")

_ROUNDING = 1e-6  # frames: seconds * fps may come out a hair below the integer that it is


@dataclass(frozen=True)
class ClipSampling:
    """Which frames of a video make a clip of ``num_frames``.

    Attributes:
        kind: its name in ``CLIP_SAMPLING_REGISTRY`` and in files.
        rule: the frames of a clip as a formula, for programs that cut clips themselves.
    """

    kind: ClassVar[str] = ""
    rule: ClassVar[str] = ""

    num_frames: int

    def __post_init__(self):
        if self.num_frames < 1:
            raise ValueError(f"num_frames={self.num_frames}: a clip has at least 1 frame.")

    @property
    def counted_fps(self) -> float | None:
        """Frame rate to which a video is resampled before its frames are counted; None: its own."""
        return None

    @property
    def image_fps(self) -> float | None:
        """Frame rate that a folder of images is assumed to have; None: unknown."""
        return self.counted_fps

    @property
    def span_seconds(self) -> float | None:
        """Duration of a clip in seconds; None if it depends on the video."""
        return None

    def describe(self) -> str:
        """The clip in a few words."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """``{"kind": ..., ...}``, safe for JSON and YAML; ``sampling_from_dict`` reads it."""
        return {"kind": self.kind, **asdict(self)}

    def centered(self) -> ClipSampling:
        """The sampling whose only clip lies in the middle of the video, as validation takes it."""
        return self

    def shaped(self, shape: ClipShape, rng: np.random.Generator) -> ClipSampling:
        """The sampling of one training clip of ``shape``."""
        return replace(self, num_frames=shape.num_frames)

    def train_indices(self, num_video_frames: int, fps: float, rng: np.random.Generator) -> Tensor:
        """Source frames, int64 (T,), of a random clip."""
        raise NotImplementedError

    def eval_indices(self, num_video_frames: int, fps: float, num_clips: int) -> Tensor:
        """Source frames, int64 (num_clips, T), of the clips of a test."""
        raise NotImplementedError

    def indices_at(self, num_video_frames: int, fps: float, seconds: float) -> Tensor:
        """Source frames, int64 (T,), of the clip around the key frame at ``seconds``.

        Raises:
            ValueError: such clips have no key frame.
        """
        raise ValueError(f"clips of kind {self.kind!r} have no key frame: {self.describe()}.")

    def sliding_indices(self, num_video_frames: int, fps: float, stride_seconds: float | None = None) -> Tensor:
        """Source frames, int64 (V, T), of clips that begin every ``stride_seconds``; one clip of a short video.

        Args:
            stride_seconds: default a quarter of a clip's duration.

        Raises:
            ValueError: ``stride_seconds`` is not above 0, or clips of this kind cannot slide.
        """
        raise ValueError(f"clips of kind {self.kind!r} cannot slide along a video: {self.describe()}.")


def sampling_from_dict(data: dict[str, Any]) -> ClipSampling:
    """The sampling that ``as_dict`` described.

    Raises:
        ValueError: an unknown kind, or fields that it does not have.
    """
    fields = dict(data)
    sampling_class = CLIP_SAMPLING_REGISTRY.get(fields.pop("kind", "(none)"))
    check_kwargs(sampling_class, fields, "sampling")
    return sampling_class(**fields)


def _every(rate: float) -> str:
    return "every frame" if rate == 1 else f"every {rate:g} frames"


def _starts(num_video_frames: int, span: float, stride_seconds: float | None, fps: float) -> list[float]:
    """First source frames: 0, stride, ... as long as the clip ends within the video; only 0 in a short one."""
    if stride_seconds is not None and not stride_seconds > 0:
        raise ValueError(f"stride_seconds={stride_seconds}: must be above 0.")
    stride = span / 4 if stride_seconds is None else stride_seconds * fps
    return [i * stride for i in range(int(max(num_video_frames - span, 0) / stride + 1e-6) + 1)]


def _drawn_rate(own: Rate, shape: ClipShape, rng: np.random.Generator) -> Rate:
    """``own``, or in multigrid training an integer from it to the shape's largest."""
    if shape.max_sampling_rate <= own:
        return own
    return int(rng.integers(math.ceil(own), shape.max_sampling_rate, endpoint=True))


@CLIP_SAMPLING_REGISTRY.register("seconds")
@dataclass(frozen=True)
class SecondsSampling(ClipSampling):
    """Clips that last num_frames * sampling_rate / target_fps seconds, whatever the frame rate of the video.

    Attributes:
        sampling_rate: source frames, at ``target_fps``, from one frame of a clip to the next.
        target_fps: the frame rate to which ``sampling_rate`` refers.
        offset_sampling: test clips from the first frame to the last; see ``eval_clip_indices``.
    """

    kind: ClassVar[str] = "seconds"
    rule: ClassVar[str] = (
        "frame k of a clip is source frame floor(start + k * (span - 1) / (num_frames - 1)), "
        "with span = num_frames * sampling_rate * fps / target_fps"
    )

    sampling_rate: float
    target_fps: float = 30.0
    offset_sampling: bool = False

    @property
    def span_seconds(self) -> float:
        return self.num_frames * self.sampling_rate / self.target_fps

    def describe(self) -> str:
        rate = f"{_every(self.sampling_rate)} at {self.target_fps:g} a second"
        return f"{self.num_frames} frames over {self.span_seconds:.4g} s ({rate})"

    def centered(self) -> SecondsSampling:
        return replace(self, offset_sampling=True)

    def shaped(self, shape: ClipShape, rng: np.random.Generator) -> SecondsSampling:
        return replace(self, num_frames=shape.num_frames, sampling_rate=_drawn_rate(self.sampling_rate, shape, rng))

    def train_indices(self, num_video_frames: int, fps: float, rng: np.random.Generator) -> Tensor:
        clip = (self.num_frames, self.sampling_rate, self.target_fps)
        return train_clip_indices(num_video_frames, fps, *clip, rng)

    def eval_indices(self, num_video_frames: int, fps: float, num_clips: int) -> Tensor:
        clip = (self.num_frames, self.sampling_rate, self.target_fps)
        return eval_clip_indices(num_video_frames, fps, *clip, num_clips, self.offset_sampling)

    def sliding_indices(self, num_video_frames: int, fps: float, stride_seconds: float | None = None) -> Tensor:
        span = clip_span(self.num_frames, self.sampling_rate, fps, self.target_fps)
        clip = partial(clip_frame_indices, span=span, num_frames=self.num_frames, num_video_frames=num_video_frames)
        starts = _starts(num_video_frames, span, stride_seconds, fps)
        return torch.stack([clip(start) for start in starts])


@CLIP_SAMPLING_REGISTRY.register("counted frames")
@dataclass(frozen=True)
class StridedSampling(ClipSampling):
    """Clips with an exact stride of ``sampling_rate`` frames of a video resampled to ``fps`` frames per second."""

    kind: ClassVar[str] = "counted frames"
    rule: ClassVar[str] = (
        "frame k of a clip is frame start + k * sampling_rate of the video at fps frames per second; "
        "before the first and past the last frame of the video these repeat"
    )

    sampling_rate: int
    fps: float

    @property
    def counted_fps(self) -> float:
        return self.fps

    @property
    def span_seconds(self) -> float:
        return self._span / self.fps

    @property
    def _span(self) -> int:
        return strided_span(self.num_frames, self.sampling_rate)

    def describe(self) -> str:
        stride = f"exactly {_every(self.sampling_rate)} at {self.fps:g} a second"
        return f"{self.num_frames} frames, {stride}"

    def shaped(self, shape: ClipShape, rng: np.random.Generator) -> StridedSampling:
        return replace(self, num_frames=shape.num_frames, sampling_rate=_drawn_rate(self.sampling_rate, shape, rng))

    def train_indices(self, num_video_frames: int, fps: float, rng: np.random.Generator) -> Tensor:
        return train_strided_indices(num_video_frames, self.num_frames, self.sampling_rate, rng)

    def eval_indices(self, num_video_frames: int, fps: float, num_clips: int) -> Tensor:
        return eval_strided_indices(num_video_frames, self.num_frames, self.sampling_rate, num_clips)

    def sliding_indices(self, num_video_frames: int, fps: float, stride_seconds: float | None = None) -> Tensor:
        starts = _starts(num_video_frames, self._span, stride_seconds, self.fps)
        clip = {"num_frames": self.num_frames, "stride": self.sampling_rate, "num_video_frames": num_video_frames}
        return torch.stack([strided_clip_indices(int(start), **clip) for start in starts])


@CLIP_SAMPLING_REGISTRY.register("segments")
@dataclass(frozen=True)
class SegmentSampling(ClipSampling):
    """One frame from each of ``num_frames`` equal segments of the whole video, resampled to ``fps`` frames per second.

    All test clips of a video are the same: the middle frames.
    """

    kind: ClassVar[str] = "segments"
    rule: ClassVar[str] = (
        "a clip spreads over the whole video, of N frames at fps frames per second: frame k is the middle of "
        "segment k, floor((b(k) + b(k + 1)) / 2) with b(k) = k * (N - 1) / num_frames rounded half to even"
    )

    fps: float

    @property
    def counted_fps(self) -> float:
        return self.fps

    def describe(self) -> str:
        return f"{self.num_frames} frames, one from each of as many segments of the video at {self.fps:g} a second"

    def train_indices(self, num_video_frames: int, fps: float, rng: np.random.Generator) -> Tensor:
        return train_segment_indices(num_video_frames, self.num_frames, rng)

    def eval_indices(self, num_video_frames: int, fps: float, num_clips: int) -> Tensor:
        return center_segment_indices(num_video_frames, self.num_frames).repeat(num_clips, 1)


def frames_on_screen(seconds: Tensor, fps: float) -> Tensor:
    """Source frames, int64, that are visible at times from the first frame on, including times beyond the video's
    end."""
    return (seconds * fps + _ROUNDING).floor().long()


@CLIP_SAMPLING_REGISTRY.register("key frame")
@dataclass(frozen=True)
class KeyFrameSampling(ClipSampling):
    """The clip around a second: the frames range(g - half, g + half, sampling_rate) at ``fps`` frames per second.

    g is the key frame and half = num_frames * sampling_rate / 2, so the key frame is number T / 2, right of the middle.

    Raises:
        ValueError: num_frames * sampling_rate is odd, so no such clip has ``num_frames`` frames.
    """

    kind: ClassVar[str] = "key frame"
    rule: ClassVar[str] = (
        "a clip is centered on the key frame g, on which the boxes lie: frames range(g - half, g + half, "
        "sampling_rate) of the video at fps frames per second, with half = num_frames * sampling_rate / 2; "
        "before the first and past the last frame of the video these repeat"
    )

    sampling_rate: int
    fps: float = 30.0

    def __post_init__(self):
        super().__post_init__()
        if self.num_frames * self.sampling_rate % 2:
            raise ValueError(
                f"num_frames={self.num_frames} times sampling_rate={self.sampling_rate} is odd: a clip reaches as far "
                "before its key frame as after it. Make one of DATA.NUM_FRAMES and DATA.SAMPLING_RATE even."
            )

    @property
    def image_fps(self) -> float:
        return self.fps

    @property
    def span_seconds(self) -> float:
        return self.num_frames * self.sampling_rate / self.fps

    @property
    def offsets(self) -> Tensor:
        """Frames of a clip relative to its key frame, at ``fps``: int64 (T,)."""
        span = self.num_frames * self.sampling_rate
        return torch.arange(-span // 2, span // 2, self.sampling_rate)

    def describe(self) -> str:
        stride = f"{_every(self.sampling_rate)} at {self.fps:g} a second"
        return f"{self.num_frames} frames around a key frame, {stride}"

    def shaped(self, shape: ClipShape, rng: np.random.Generator) -> KeyFrameSampling:
        """As in the base class; draws only rates with which a clip can be centered."""
        rate = self.sampling_rate
        if shape.max_sampling_rate > rate:
            rates = np.arange(rate, shape.max_sampling_rate + 1)
            even = rates[shape.num_frames * rates % 2 == 0]
            rate = int(rng.choice(even if len(even) else rates))
        return replace(self, num_frames=shape.num_frames, sampling_rate=rate)

    def indices_at(self, num_video_frames: int, fps: float, seconds: float) -> Tensor:
        """Source frames, int64 (T,), of the clip around ``seconds``; beyond the video's ends, the end frames repeat."""
        times = seconds + self.offsets.double() / self.fps
        return frames_on_screen(times, fps).clamp(0, num_video_frames - 1)


@CLIP_SAMPLING_REGISTRY.register("mmaction2")
@dataclass(frozen=True)
class Mmaction2Sampling(ClipSampling):
    """The test clips of mmaction2's ``SampleFrames``; a short video is looped.

    Without ``target_fps`` a clip has every ``sampling_rate``-th frame of the video, whatever its frame rate, and clips
    are spread from the first frame to the last; with it, a clip lasts num_frames * sampling_rate / target_fps seconds.

    Attributes:
        sampling_rate: frames from one of a clip to the next.
        target_fps: the frame rate to which ``sampling_rate`` refers; None: the video's own.
    """

    kind: ClassVar[str] = "mmaction2"
    rule: ClassVar[str] = (
        "frame k of a clip is source frame (start + k * sampling_rate) mod N of the N of the video; with target_fps, "
        "(start + floor(k * (span - 1) / (num_frames - 1))) mod N with "
        "span = num_frames * sampling_rate * fps / target_fps"
    )

    sampling_rate: int
    target_fps: float | None = None

    @property
    def span_seconds(self) -> float | None:
        return self.num_frames * self.sampling_rate / self.target_fps if self.target_fps else None

    def describe(self) -> str:
        rate = f" at {self.target_fps:g} a second" if self.target_fps else ""
        return f"{self.num_frames} frames, every {self.sampling_rate}{rate}, as mmaction2 takes them"

    def train_indices(self, num_video_frames: int, fps: float, rng: np.random.Generator) -> Tensor:
        raise ValueError("the clips of mmaction2 are for tests of its weights; train with those of a data set here.")

    def eval_indices(self, num_video_frames: int, fps: float, num_clips: int) -> Tensor:
        latest = max(num_video_frames - self._span(fps), 0)
        if num_clips == 1:
            starts = np.array([latest // 2])
        elif self.target_fps:
            starts = np.arange(num_clips) * np.floor(latest / (num_clips - 1))
        else:
            starts = np.round(np.arange(num_clips) * (latest / (num_clips - 1)))
        return self._indices(starts, num_video_frames, fps)

    def sliding_indices(self, num_video_frames: int, fps: float, stride_seconds: float | None = None) -> Tensor:
        span = self._span(fps)
        starts = _starts(num_video_frames, span, stride_seconds, fps)
        return self._indices(np.floor(starts), num_video_frames, fps)

    def _span(self, fps: float) -> float:
        """Source frames that a clip covers."""
        if self.target_fps:
            return max(1, self.num_frames * self.sampling_rate * fps / self.target_fps)
        return strided_span(self.num_frames, self.sampling_rate)

    def _indices(self, starts: np.ndarray, num_video_frames: int, fps: float) -> Tensor:
        if self.target_fps:
            offsets = np.linspace(0, self._span(fps) - 1, self.num_frames).astype(np.int64)
        else:
            offsets = np.arange(self.num_frames) * self.sampling_rate
        return torch.from_numpy((starts.astype(np.int64)[:, None] + offsets) % num_video_frames)


@CLIP_SAMPLING_REGISTRY.register("data set")
@dataclass(frozen=True)
class OwnSampling(ClipSampling):
    """Clips that a data set, here by its registered name, cuts in a way that it does not describe."""

    kind: ClassVar[str] = "data set"

    dataset: str

    def describe(self) -> str:
        return f"{self.num_frames} frames, chosen by the data set {self.dataset}"

    def eval_indices(self, num_video_frames: int, fps: float, num_clips: int) -> Tensor:
        raise ValueError(
            f"the data set {self.dataset} does not say which frames make a clip, so videos cannot be read in the same "
            f"way. Give its class a classmethod protocol_from_config(cfg, split)."
        )
