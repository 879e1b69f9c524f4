"""Videos as folders of JPEG files at a constant rate, as AVA and Charades are kept."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from slowfast.utils.files import atomic_write
from slowfast.video.stream import FrameStream, error_text, upright_rgb, upright_size
from slowfast.video.watch import VideoReadError

ROUNDING_SECONDS = 0.001  # most that a file's clock is taken to be off


@dataclass(frozen=True)
class FrameLayout:
    """How the frames of a data set are stored.

    Attributes:
        name: of the files, with ``{id}`` and ``{number}``, which counts from 1.
        fps: images per second.
        start_seconds: where in the file to begin.
        duration_seconds: how much to keep; 0 for all of it.
        long_side: scale down to this longer side; 0 keeps the size.
        quality: of the JPEG files, 1 to 100 on Pillow's scale.
        min_frames: fewer are reported.
    """

    name: str
    fps: float
    start_seconds: float = 0.0
    duration_seconds: float = 0.0
    long_side: int = 0
    quality: int = 95
    min_frames: int = 1


# Qualities: the least of 85, 87, 90, 92, 95 and 97 that reaches the PSNR of FFmpeg's quantizer 1 (AVA) or 3 (Charades),
# on 60 frames each of two videos.
LAYOUTS = {
    # 900 s to 1801 s; a complete cut has 27,030 frames. The size stays: smaller frames cost mAP.
    "ava": FrameLayout("{id}_{number:06d}.jpg", 30.0, start_seconds=900.0, duration_seconds=901.0, min_frames=27_000),
    "charades": FrameLayout("{id}-{number:06d}.jpg", 24.0, long_side=320, quality=87),
}


@dataclass(frozen=True)
class Extraction:
    """The outcome for one video: images written, and what needs attention (empty if nothing)."""

    num_frames: int
    problem: str = ""


def extract_frames(source: str | os.PathLike, folder: str | os.PathLike, layout: FrameLayout) -> Extraction:
    """Write the frames of ``source`` to ``folder``, which appears when it is complete and must not exist before.

    Image number n shows the frame visible at start_seconds + (n - 1) / fps after the start of the file: the last frame
    whose time has come (to half a tick of the file's clock, at most a millisecond), or the first frame before that. So
    frames are repeated or dropped if the file has a different rate, and an image never shows the future. Images run to
    the end of the last frame, or for ``duration_seconds``. They are upright.

    Raises:
        VideoReadError: that part of the file yields no frame.
    """
    video_id = Path(folder).name
    with FrameStream(source) as stream, atomic_write(folder) as draft:
        draft.mkdir()
        writer = _JpegWriter(draft, video_id, layout)
        _resample(stream, layout, writer)
        if writer.num_written == 0:
            raise VideoReadError(f"cannot decode {stream.path}: {_why_nothing(stream, layout)}.")
    problems = []
    if writer.num_written < layout.min_frames:
        problems.append(f"{writer.num_written:,} frames, expected at least {layout.min_frames:,}")
    if stream.problems:
        problems.append(f"{len(stream.problems):,} packets could not be decoded ({stream.problems[0]})")
    return Extraction(writer.num_written, "; ".join(problems))


def _resample(stream: FrameStream, layout: FrameLayout, writer: _JpegWriter) -> None:
    limit = round(layout.duration_seconds * layout.fps) if layout.duration_seconds else None
    # A time that was rounded up to a tick is not late. Ticks as long as a frame (AVI) round nothing.
    tolerance = min(float(stream.tick) / 2, ROUNDING_SECONDS)
    shown: av.VideoFrame | None = None
    seconds = 0.0

    def show_until(end: float, frame: av.VideoFrame) -> None:
        while limit is None or writer.num_written < limit:
            if layout.start_seconds + writer.num_written / layout.fps + tolerance >= end:
                return
            writer.write(frame)

    for seconds, frame in stream.frames(from_seconds=layout.start_seconds):
        show_until(seconds, shown or frame)
        shown = frame
        if writer.num_written == limit:
            return
    if shown is not None:
        show_until(seconds + 1 / stream.index.fps, shown)


def _why_nothing(stream: FrameStream, layout: FrameLayout) -> str:
    if stream.num_frames == 0:
        return f"no frame can be decoded{f' ({stream.problems[0]})' if stream.problems else ''}"
    ends = stream.index.num_frames / stream.index.fps
    return f"it ends after {ends:.1f} s, before second {layout.start_seconds:g}, where its frames should begin"


class _JpegWriter:
    """Writes images in sequence; a repeated image is not encoded again."""

    def __init__(self, folder: Path, video_id: str, layout: FrameLayout):
        self.folder = folder
        self.video_id = video_id
        self.layout = layout
        self.num_written = 0
        self._size: tuple[int, int] | None = None
        self._frame: av.VideoFrame | None = None
        self._data = b""

    def write(self, frame: av.VideoFrame) -> None:
        if frame is not self._frame:
            self._size = self._size or fitting_size(*upright_size(frame), self.layout.long_side)
            self._frame, self._data = frame, _jpeg(upright_rgb(frame, self._size), self.layout.quality)
        self.num_written += 1
        name = self.layout.name.format(id=self.video_id, number=self.num_written)
        (self.folder / name).write_bytes(self._data)


def fitting_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """(height, width) scaled down so that the longer one is ``long_side``, if that is not 0."""
    if not 0 < long_side < max(height, width):
        return height, width
    scale = long_side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def frames_job(job: tuple[str, str], *, layout: FrameLayout) -> Extraction:
    """``extract_frames`` from the file to the folder; no frames and the reason if it fails."""
    source, folder = job
    try:
        return extract_frames(source, folder, layout)
    except (VideoReadError, OSError, av.FFmpegError) as error:
        return Extraction(0, error_text(error, source))
