"""Smaller copies of videos for training: H.264 with many keyframes and no sound, with every frame at its time."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av
import numpy as np

from slowfast.utils.files import atomic_write
from slowfast.video.container import create_video
from slowfast.video.index import read_index
from slowfast.video.reader import Orientation
from slowfast.video.stream import FrameStream, error_text, upright_size
from slowfast.video.watch import VideoReadError


def resize_video(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    short_side: int = 256,
    keyframe_interval: int = 32,
    crf: int = 20,
    preset: str = "fast",
    num_threads: int = 1,
) -> int:
    """Write a copy of ``source`` whose shorter side is ``short_side``; returns its number of frames.

    Sides are even, the aspect is kept up to that, and nothing is enlarged. Frames keep their times (from 0), so the
    rate does not change, whether constant or not. A rotation in the file's metadata is applied to the pixels; color
    range and matrix stay and are recorded. The best video stream is kept; sound and the rest are dropped.

    Args:
        target: an .mp4 file; it appears when it is complete and was verified to hold as many frames as ``source``.
        keyframe_interval: maximum number of frames between keyframes.
        crf: quality of x264, 0 lossless to 51.
        preset: effort of x264, "ultrafast" to "veryslow".
        num_threads: of the decoder and of the encoder.

    Raises:
        VideoReadError: ``source`` cannot be decoded whole (what `check` calls bad is not copied).
    """
    with FrameStream(source, num_threads=num_threads) as stream, atomic_write(target) as draft:
        options = {"crf": str(crf), "preset": preset, "g": str(keyframe_interval)}
        _encode(stream, os.fspath(draft), short_side, options, num_threads)
        if stream.num_frames == 0 or stream.missing():
            raise VideoReadError(f"cannot decode {stream.path}: {stream.missing()}.")
        written = read_index(os.fspath(draft)).num_frames
        if written != stream.num_frames:
            raise VideoReadError(
                f"cannot decode {stream.path}: the copy holds {written} of {stream.num_frames} frames."
            )
    return written


def _encode(stream: FrameStream, draft: str, short_side: int, options: dict[str, str], num_threads: int) -> None:
    rate = Fraction(stream.index.fps).limit_denominator(1001) or Fraction(1, 1001)
    is_constant = stream.index.shown is None
    # Times of a constant rate are written exactly, instead of as the source rounds them.
    tick = 1 / rate if is_constant else stream.tick
    if not is_constant:
        options = {**options, "bf": "0"}  # MP4 keeps durations in the order of decoding: let that be the order of times
    encoder: Any = None
    first_seconds, last_pts = 0.0, -1
    durations: dict[int | None, int] = {}
    with create_video(draft, file_format="mp4", options={"movflags": "faststart"}) as container:
        for number, (seconds, frame) in enumerate(stream.frames()):
            if encoder is None:
                size, first_seconds = even_size(*upright_size(frame), short_side), seconds
                encoder = _add_encoder(container, stream, frame, size, rate, tick, options)
                encoder.codec_context.thread_count = num_threads
            picture = upright_yuv(frame, *size)
            # Equal or falling times would be refused; a tick later is as good.
            last_pts = number if is_constant else max(round((seconds - first_seconds) / tick), last_pts + 1)
            picture.pts, picture.time_base = last_pts, tick
            durations[last_pts] = 1 if is_constant else frame.duration
            _mux(container, encoder.encode(picture), durations)
        if encoder is not None:
            _mux(container, encoder.encode(), durations)


def _mux(container, packets: list[av.Packet], durations: dict[int | None, int]) -> None:
    for packet in packets:
        packet.duration = durations.pop(packet.pts, 0) or packet.duration or 0
        container.mux(packet)


def _add_encoder(
    container: av.container.OutputContainer,
    source: FrameStream,
    frame: av.VideoFrame,
    size: tuple[int, int],
    rate: Fraction,
    tick: Fraction,
    options: dict[str, str],
) -> av.VideoStream:
    encoder = container.add_stream("libx264", rate=rate, options=options)
    encoder.height, encoder.width = size
    encoder.pix_fmt = _pixel_format(frame)
    context, decoder = encoder.codec_context, source.stream.codec_context
    context.time_base = tick
    context.color_range, context.colorspace = frame.color_range, frame.colorspace
    context.color_primaries, context.color_trc = decoder.color_primaries, decoder.color_trc
    return encoder


def even_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width), both even, of a frame scaled down so that its shorter side is ``short_side``."""
    scale = min(1.0, short_side / min(height, width))
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))


def upright_yuv(frame: av.VideoFrame, height: int, width: int) -> av.VideoFrame:
    """The frame in 4:2:0, scaled to an upright (height, width), both even, turned and mirrored as the file says."""
    orientation = Orientation.of(frame)
    stored = (height, width) if orientation.swaps_sides else (width, height)
    scaled = frame.reformat(*stored, _pixel_format(frame), interpolation="BICUBIC")
    if orientation == Orientation():
        return scaled
    planes = scaled.to_ndarray()  # (3 H / 2, W): the brightness, then the two colors at a quarter of the size
    height, width = scaled.height, scaled.width
    brightness, colors = planes[:height], planes[height:].reshape(2, height // 2, width // 2)
    turned = [orientation.apply(plane) for plane in (brightness, *colors)]
    flat = np.concatenate([plane.reshape(-1) for plane in turned]).reshape(-1, turned[0].shape[1])
    return av.VideoFrame.from_ndarray(flat, format=scaled.format.name)


def _pixel_format(frame: av.VideoFrame) -> str:
    """4:2:0 with the range of the frame: PyAV's releases differ in whether yuvj to yuv changes the values."""
    return "yuvj420p" if frame.format.name.startswith("yuvj") else "yuv420p"


def resize_job(job: tuple[str, str], **options) -> str:
    """``resize_video`` from one path to the other; returns an empty string, or why there is no copy."""
    source, target = job
    try:
        resize_video(source, target, **options)
    except (VideoReadError, OSError, av.FFmpegError) as error:
        return error_text(error, source)
    return ""
