"""From an open video and a protocol to the pixels that a model sees.

Tests, validation and pipelines read videos here, and so they see the same pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from slowfast.datasets.frame_source import open_frames
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samples import VideoViews
from slowfast.video.flow import FlowReader, FlowStore
from slowfast.video.geometry import Crop, center_crop, mirror, resize, uniform_crops, whole_frame
from slowfast.video.reader import FrameReader
from slowfast.video.sampling import scaled_size


def open_video(
    path: str | os.PathLike, protocol: Protocol, *, flow: FlowStore | None = None, num_threads: int = 1
) -> FrameReader:
    """The frames of a video file, or of a folder of images, as the protocol counts them, with flow by ``flow``."""
    sampling = protocol.sampling
    video = open_frames(path, sampling.counted_fps, image_fps=sampling.image_fps, num_threads=num_threads)
    return with_flow(video, flow, path)


def with_flow(video: FrameReader, flow: FlowStore | None, path: str | os.PathLike) -> FrameReader:
    """``video``, with optical flow if ``flow`` stores it."""
    return video if flow is None else FlowReader(video, flow, path)


def read_views(
    video: FrameReader,
    protocol: Protocol,
    *,
    clips: Tensor | None = None,
    label: Tensor | None = None,
    video_index: int = 0,
    path: str = "",
) -> VideoViews:
    """The views of a video; frames that several share are decoded once for each scale.

    Args:
        clips: source frames, int64 (num_clips, T), used only at the first scale; default those of the protocol,
            at all of its scales, mirrored and not.
        label, video_index, path: passed on.
    """
    if clips is None:
        clips = protocol.sampling.eval_indices(video.num_frames, video.fps, protocol.num_clips)
        facts: dict[str, Any] = {"clips": clips, "label": label, "video_index": video_index, "path": path}
        looks: list[VideoViews] = []
        for side in protocol.short_sides:
            at_side = [look for look in protocol.variants() if look.short_sides == (side,)]
            plain = read_views(video, at_side[0], **facts)
            looks += [_mirrored(plain, has_flow=look.flow is not None) if look.flip else plain for look in at_side]
        return replace(looks[0], others=tuple(looks[1:]))
    wanted, positions = clips.unique(return_inverse=True)
    frames = video.frames_at(wanted, protocol.decoder_short_side, apply=frame_scale(protocol))
    return VideoViews(
        frames=frames,
        clip_indices=positions,
        crops=_crop_corners(protocol, *frames.shape[-2:]),
        crop_size=_view_side(protocol),
        label=torch.tensor(-1) if label is None else label,
        video_index=video_index,
        path=path,
        clip_seconds=clip_seconds(clips, video.fps),
    )


def _mirrored(views: VideoViews, *, has_flow: bool) -> VideoViews:
    return replace(views, frames=mirror(views.frames, has_flow=has_flow))


def failed_views(protocol: Protocol, reason: str, *, label: Tensor, video_index: int, path: str) -> VideoViews:
    """A placeholder for the views of a video that cannot be read."""
    clips = torch.zeros(protocol.num_clips, protocol.sampling.num_frames, dtype=torch.int64)
    corners = ((0, 0),) * protocol.num_crops
    none = torch.zeros(0, 3, 0, 0, dtype=torch.uint8)
    return VideoViews(none, clips, corners, _view_side(protocol), label, video_index, path, failure=reason)


def clip_seconds(clips: Tensor, fps: float) -> Tensor:
    """float64 (V, 2): when the first frame of clips, source frames (V, T), begins and the last one ends."""
    return torch.stack([clips[:, 0], clips[:, -1] + 1], dim=1).double() / fps


def frame_scale(protocol: Protocol) -> Callable[[Tensor], Tensor]:
    """A function that scales frames uint8 (F, C, H, W) to the protocol's short side; frames that have it are
    unchanged."""
    return partial(_scale, short_side=protocol.short_sides[0], has_flow=protocol.flow is not None)


def _scale(frames: Tensor, *, short_side: int, has_flow: bool) -> Tensor:
    height, width = frames.shape[-2:]
    return resize(frames, *scaled_size(height, width, short_side), has_flow=has_flow)


def _crop_corners(protocol: Protocol, height: int, width: int) -> tuple[tuple[int, int], ...]:
    first_of_three = protocol.num_crops == 1 and protocol.single_crop == "first"
    num_crops = 3 if first_of_three else protocol.num_crops
    frame = {"height": height, "width": width, "short_side": protocol.short_sides[0]}
    crops = uniform_crops(**frame, size=_view_side(protocol), num_crops=num_crops)
    return tuple((crop.top, crop.left) for crop in crops)[: protocol.num_crops]


def _view_side(protocol: Protocol) -> int:
    if protocol.crop_size is None:
        raise ValueError("views of whole clips are squares: set crop_size, in pixels.")
    return protocol.crop_size


def _key_frame_window(protocol: Protocol, *, height: int, width: int) -> Crop:
    """The part of a frame of height x width that a detection protocol uses: all of it, or the center crop."""
    if protocol.crop_size is None:
        return whole_frame(height=height, width=width, short_side=protocol.short_side, flip=protocol.flip)
    crop = center_crop(height=height, width=width, size=protocol.crop_size, short_side=protocol.short_side)
    return replace(crop, flip=protocol.flip)


def read_key_frame(video: FrameReader, protocol: Protocol, seconds: float, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The clip around a key frame, uint8 (3, T, H, W), and its boxes in pixels of the clip, float32 (R, 4).

    Args:
        protocol: with one scale, mirrored or not.
        seconds: of the key frame, from the first frame of the video.
        boxes: float32 (R, 4), x1 y1 x2 y2 as fractions of the frame.
    """
    indices = protocol.sampling.indices_at(video.num_frames, video.fps, seconds)
    (frames,), (window,) = cut_clips(video, indices, partial(_key_frame_window, protocol))
    return frames, place_boxes(boxes, window)


def place_boxes(boxes: Tensor, window: Crop) -> Tensor:
    """Boxes (R, 4) as fractions of the frame, in pixels of a window of it."""
    height, width = window.region[2:]
    return window.apply_to_boxes(boxes * torch.tensor([width, height, width, height], dtype=torch.float32))


def cut_clips(
    video: FrameReader,
    indices: Tensor,
    draw: Callable[..., Any],
    number: int = 1,
    *,
    at_once: bool = False,
    short_side: int | None = None,
    **options,
) -> tuple[list[Tensor], list[Any]]:
    """``number`` windows of the frames ``indices``, uint8 (3, T, H, W) each, decoded once; and the windows themselves.

    Args:
        draw: returns a window, a ``Crop`` or ``DriftingCrop``, for ``height`` and ``width`` of the frames.
        at_once: windows need all frames of the clip together, as a ``DriftingCrop`` does.
        short_side: that the decoder scales to.
        options: of the windows' ``apply_to_frames``.
    """
    windows: list[Any] = []

    def cut(frames: Tensor) -> Tensor:
        while len(windows) < number:
            windows.append(draw(height=frames.shape[-2], width=frames.shape[-1]))
        clips = [window.apply_to_frames(frames, **options) for window in windows]
        return clips[0] if number == 1 else torch.cat(clips, dim=1)

    if at_once:
        frames = cut(video.frames_at(indices, short_side))
    else:
        frames = video.frames_at(indices, short_side, apply=cut)
    return list(frames.permute(1, 0, 2, 3).chunk(number)), windows


def black_clip(protocol: Protocol) -> Tensor:
    """uint8 (3, T, S, S), or (5, ...) with optical flow: a placeholder for a clip that cannot be read."""
    side = protocol.crop_size or protocol.short_side
    return torch.zeros(3 if protocol.flow is None else 5, protocol.sampling.num_frames, side, side, dtype=torch.uint8)
