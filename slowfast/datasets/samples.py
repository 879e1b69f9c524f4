"""The samples and batches of data sets and loaders: small values that check their shapes on creation and print shapes,
not pixels.

Letters: B batch, T frames of a clip, S side of a crop, K classes, F decoded frames, V views.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True, repr=False)
class _Sample:
    """Printing and moving of the dataclasses below."""

    def __repr__(self) -> str:
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor) and value.ndim:
                value = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
            parts.append(f"{field.name}={value}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _mapped(self, function):
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), Tensor)}
        return replace(self, **{name: function(tensor) for name, tensor in tensors.items()})

    def pin_memory(self):
        """The same in page-locked memory, from which copies to a GPU are fast."""
        return self._mapped(Tensor.pin_memory)

    def to(self, device: torch.device | str, *, non_blocking: bool = False):
        """The same with all tensors on ``device``."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))


def _check_frames(owner: str, frames: Tensor, shape: str, *, dtypes: tuple[torch.dtype, ...] = (torch.uint8,)) -> None:
    letters = shape.split()
    channels = (3, 5)  # RGB, or with optical flow in x and y (flow.py)
    if frames.dtype not in dtypes or frames.ndim != len(letters) or frames.shape[letters.index("3")] not in channels:
        raise ValueError(
            f"{owner}.frames must be uint8 ({', '.join(letters)}), got {frames.dtype} {tuple(frames.shape)}."
        )


@dataclass(frozen=True, repr=False)
class ClipSample(_Sample):
    """One clip of a video.

    Attributes:
        frames: uint8 (3, T, S, S), RGB.
        label: int64 (), or float32 (K,) of 0 and 1 when a video has several labels.
        video_index: index of the video in its list.
        failures: for each video that could not be read on the way here, the reason.
        is_valid: False if no video could be read; the frames are then black.
    """

    frames: Tensor
    label: Tensor
    video_index: int
    failures: tuple[str, ...] = ()
    is_valid: bool = True

    def __post_init__(self):
        _check_frames("ClipSample", self.frames, "3 T S S")
        _check_labels("ClipSample.label", self.label, ())


def _check_labels(name: str, labels: Tensor, batch: tuple[int, ...]) -> None:
    one_each = labels.dtype == torch.int64 and tuple(labels.shape) == batch
    several = labels.dtype == torch.float32 and labels.ndim == len(batch) + 1 and tuple(labels.shape[:-1]) == batch
    if not (one_each or several):
        expected = f"int64 {batch} or float32 {(*batch, 'K')}".replace("'", "")
        raise ValueError(f"{name} must be {expected}, got {labels.dtype} {tuple(labels.shape)}.")


@dataclass(frozen=True, repr=False)
class ClipBatch(_Sample):
    """Clips of several videos.

    Attributes:
        frames: uint8 (B, 3, T, S, S), RGB.
        labels: int64 (B,), or float32 (B, K) when a video has several labels.
        video_indices: int64 (B,), indices of the videos in their list.
        is_valid: bool (B,), False where no video could be read.
        failures: for each video that could not be read on the way here, the reason.
    """

    frames: Tensor
    labels: Tensor
    video_indices: Tensor
    is_valid: Tensor
    failures: tuple[str, ...] = ()

    def __post_init__(self):
        _check_frames("ClipBatch", self.frames, "B 3 T S S")
        batch = (len(self.frames),)
        _check_labels("ClipBatch.labels", self.labels, batch)
        for name in ("video_indices", "is_valid"):
            if tuple(getattr(self, name).shape) != batch:
                raise ValueError(f"ClipBatch.{name} must be {batch}, got {tuple(getattr(self, name).shape)}.")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def extra_inputs(self) -> tuple[Tensor, ...]:
        """What a model takes beside the clip: nothing."""
        return ()

    def split(self, num_parts: int) -> list[ClipBatch]:
        """The batch in parts of equally many clips, in their order; the failures stay with the first.

        Raises:
            ValueError: the clips do not divide into this number of parts.
        """
        return [
            replace(
                self,
                **{name: getattr(self, name)[rows] for name in ("frames", "labels", "video_indices", "is_valid")},
                failures=self.failures if rows.start == 0 else (),
            )
            for rows in _equal_parts(len(self), num_parts)
        ]


def _equal_parts(num_clips: int, num_parts: int) -> list[slice]:
    if num_clips % num_parts:
        raise ValueError(f"a batch of {num_clips} clips cannot be computed in {num_parts} equal parts.")
    size = num_clips // num_parts
    return [slice(start, start + size) for start in range(0, num_clips, size)]


def collate_clips(samples: Sequence[ClipSample | Sequence[ClipSample]]) -> ClipBatch:
    """One batch of clips that have equal shapes; a sample may be several clips of a video.

    Raises:
        ValueError: they have not; names the shapes.
    """
    clips = [clip for sample in samples for clip in ([sample] if isinstance(sample, ClipSample) else sample)]
    _check_one_shape([clip.frames for clip in clips], "(3, T, S, S)")
    return ClipBatch(
        frames=torch.stack([clip.frames for clip in clips]),
        labels=torch.stack([clip.label for clip in clips]),
        video_indices=torch.tensor([clip.video_index for clip in clips]),
        is_valid=torch.tensor([clip.is_valid for clip in clips]),
        failures=tuple(reason for clip in clips for reason in clip.failures),
    )


def _check_one_shape(clips: Sequence[Tensor], letters: str) -> None:
    shapes = {tuple(clip.shape) for clip in clips}
    if len(shapes) != 1:
        raise ValueError(f"clips of a batch must have one shape {letters}, got {sorted(shapes)}.")


@dataclass(frozen=True)
class ClipShape:
    """The shape of the clips of one training batch, if it changes from batch to batch (multigrid training).

    Attributes:
        num_frames: T.
        crop_size: side of the crops, pixels; the smallest short side is scaled with it.
        max_sampling_rate: the sampling rate is an integer drawn from the data set's own to this one.
    """

    num_frames: int
    crop_size: int
    max_sampling_rate: int


@dataclass(frozen=True, repr=False)
class DetectionSample(_Sample):
    """The clip around one key frame, with boxes.

    Attributes:
        frames: uint8 (3, T, H, W), RGB; int16 where colors were changed (color.py).
        boxes: float32 (R, 4), x1 y1 x2 y2 in pixels of ``frames``.
        labels: float32 (R, K) of 0 and 1.
        boxes_normalized: float32 (R, 4), the boxes as annotated, in fractions of the whole frame.
        sample_index: index of the key frame in its data set.
        failures: why the clip could not be read; empty if it could.
        is_valid: False if it could not; the frames are then black, and their size may differ from the video's.
    """

    frames: Tensor
    boxes: Tensor
    labels: Tensor
    boxes_normalized: Tensor
    sample_index: int
    failures: tuple[str, ...] = ()
    is_valid: bool = True

    def __post_init__(self):
        _check_frames("DetectionSample", self.frames, "3 T H W", dtypes=(torch.uint8, torch.int16))
        _check_boxes("DetectionSample", self, columns=4)


def _check_boxes(owner: str, sample, *, columns: int) -> None:
    shapes = {"boxes": (columns,), "labels": tuple(sample.labels.shape[1:]), "boxes_normalized": (4,)}
    for name, rest in shapes.items():
        value, expected = getattr(sample, name), (len(sample.boxes), *rest)
        if value.dtype != torch.float32 or value.ndim != 2 or tuple(value.shape) != expected:
            raise ValueError(f"{owner}.{name} must be float32 {expected}, got {value.dtype} {tuple(value.shape)}.")


@dataclass(frozen=True, repr=False)
class DetectionBatch(_Sample):
    """Clips around several key frames, with the boxes of all. R boxes in all.

    Attributes:
        frames: uint8 (B, 3, T, H, W), RGB; int16 where colors were changed (color.py).
        boxes: float32 (R, 5), index of the clip in the batch, then x1 y1 x2 y2 in pixels of ``frames``.
        labels: float32 (R, K) of 0 and 1.
        boxes_normalized: float32 (R, 4), the boxes as annotated, in fractions of the whole frame.
        sample_indices: int64 (R,), index of every box's key frame in its data set.
        is_valid: bool (B,), False where the clip could not be read.
        failures: for each clip that could not be read on the way here, the reason.
    """

    frames: Tensor
    boxes: Tensor
    labels: Tensor
    boxes_normalized: Tensor
    sample_indices: Tensor
    is_valid: Tensor
    failures: tuple[str, ...] = ()

    def __post_init__(self):
        _check_frames("DetectionBatch", self.frames, "B 3 T H W", dtypes=(torch.uint8, torch.int16))
        _check_boxes("DetectionBatch", self, columns=5)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def extra_inputs(self) -> tuple[Tensor, ...]:
        """What a model takes beside the clip: the boxes."""
        return (self.boxes,)

    @property
    def video_indices(self) -> Tensor:
        """int64 (B,), indices of the key frames in their data set."""
        return self.sample_indices.unique_consecutive()

    def split(self, num_parts: int) -> list[DetectionBatch]:
        """The batch in parts of equally many clips, each with its boxes; see ``ClipBatch.split``."""
        parts = []
        for rows in _equal_parts(len(self), num_parts):
            inside = (self.boxes[:, 0] >= rows.start) & (self.boxes[:, 0] < rows.stop)
            part = {name: getattr(self, name)[inside] for name in ("labels", "boxes_normalized", "sample_indices")}
            boxes = self.boxes[inside] - torch.tensor([rows.start, 0.0, 0.0, 0.0, 0.0])
            clips = {"frames": self.frames[rows], "is_valid": self.is_valid[rows]}
            failures = self.failures if rows.start == 0 else ()
            parts.append(replace(self, boxes=boxes, **part, **clips, failures=failures))
        return parts


def collate_detections(samples: Sequence[DetectionSample]) -> DetectionBatch:
    """One batch of key frames whose clips have equal shapes; a clip that could not be read takes that of the others.

    Raises:
        ValueError: they have not; names the shapes.
    """
    # Nobody knows how large the frames would have been that could not be read.
    readable = [sample.frames for sample in samples if sample.is_valid] or [sample.frames for sample in samples]
    _check_one_shape(readable, "(3, T, H, W)")
    black = torch.zeros_like(readable[0])
    counts = torch.tensor([len(sample.boxes) for sample in samples])
    clip_index = torch.arange(len(samples)).repeat_interleave(counts)
    return DetectionBatch(
        frames=torch.stack([sample.frames if sample.is_valid else black for sample in samples]),
        boxes=torch.cat([clip_index[:, None].float(), torch.cat([sample.boxes for sample in samples])], dim=1),
        labels=torch.cat([sample.labels for sample in samples]),
        boxes_normalized=torch.cat([sample.boxes_normalized for sample in samples]),
        sample_indices=torch.tensor([sample.sample_index for sample in samples])[clip_index],
        is_valid=torch.tensor([sample.is_valid for sample in samples]),
        failures=tuple(reason for sample in samples for reason in sample.failures),
    )


@dataclass(frozen=True, repr=False)
class VideoViews(_Sample):
    """One video with all its test views, whose frames are shared. View i is clip i // num_crops, crop i % num_crops.

    Views at other scales, or mirrored, are ``others``: ``looks`` gives all of them one after the other.

    Attributes:
        frames: uint8 (F, 3, H, W), RGB, short side already scaled; none if the video could not be read.
        clip_indices: int64 (num_clips, T), positions in ``frames``.
        crops: corner (y, x) of every crop, pixels.
        crop_size: side of the crops, pixels.
        label: int64 (), or float32 (K,) when a video has several labels.
        video_index: index of the video in its list.
        path: the video, as it is called in reports.
        failure: why the video could not be read; empty if it could.
        clip_seconds: float64 (num_clips, 2), when the first frame of every clip begins and the last one ends.
        others: the same clips and crops at other scales, or mirrored; without others of their own.
    """

    frames: Tensor
    clip_indices: Tensor
    crops: tuple[tuple[int, int], ...]
    crop_size: int
    label: Tensor
    video_index: int
    path: str
    failure: str = ""
    clip_seconds: Tensor | None = None
    others: tuple[VideoViews, ...] = ()

    def __post_init__(self):
        _check_frames("VideoViews", self.frames, "F 3 H W")
        _check_labels("VideoViews.label", self.label, ())
        if self.clip_indices.dtype != torch.int64 or self.clip_indices.ndim != 2:
            got = f"{self.clip_indices.dtype} {tuple(self.clip_indices.shape)}"
            raise ValueError(f"VideoViews.clip_indices must be int64 (num_clips, T), got {got}.")

    @property
    def num_views(self) -> int:
        """Clips times crops; those of ``others`` are not counted."""
        return len(self.clip_indices) * len(self.crops)

    @property
    def looks(self) -> tuple[VideoViews, ...]:
        """The views at the first scale, and then ``others``."""
        return (replace(self, others=()), *self.others)

    def _mapped(self, function):
        others = tuple(other._mapped(function) for other in self.others)
        return replace(super()._mapped(function), others=others)

    @property
    def view_seconds(self) -> Tensor:
        """float64 (V, 2): ``clip_seconds`` of every view; where none could be read there are none."""
        assert self.clip_seconds is not None
        return self.clip_seconds.repeat_interleave(len(self.crops), dim=0).repeat(len(self.looks), 1)

    def view(self, view_id: int) -> Tensor:
        """uint8 (3, T, S, S): the frames of one view; errors as for ``views``."""
        return self.views([view_id])[0]

    def views(self, view_ids: Iterable[int]) -> Tensor:
        """uint8 (V, 3, T, S, S): the frames of several views, on the device that ``frames`` are on.

        Raises:
            IndexError: no such view.
            ValueError: the video could not be read.
        """
        if self.failure:
            raise ValueError(f"there are no views of a video that could not be read: {self.failure}")
        view_ids, size = list(view_ids), self.crop_size
        channels = self.frames.shape[1]
        result = self.frames.new_empty(len(view_ids), channels, self.clip_indices.shape[1], size, size)
        for view, view_id in zip(result, view_ids, strict=True):
            if not 0 <= view_id < self.num_views:
                raise IndexError(f"view {view_id} of {self.path}: it has views 0-{self.num_views - 1}.")
            clip_id, crop_id = divmod(view_id, len(self.crops))
            y, x = self.crops[crop_id]
            # Frame by frame: several times faster on the CPU than indexing all at once.
            for t, frame in enumerate(self.clip_indices[clip_id].tolist()):
                view[:, t] = self.frames[frame, :, y : y + size, x : x + size]
        return result
