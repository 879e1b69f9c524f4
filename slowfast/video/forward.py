"""Reads frames once from start to end, from files and from streams that cannot be rewound; memory does not grow.

A ``ForwardReader`` is used like any reader, but never for a frame before the first of the last request. From a file it
returns exactly the pixels that ``VideoReader`` returns, without seeking. A stream's frame n is what it shows n / fps
seconds after its first frame, as in files whose rate varies.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO

import av
import numpy as np
import torch
from torch import Tensor

from slowfast.video.container import close_container, open_address, open_pipe, pyav_errors, set_threads
from slowfast.video.frame_reader import Change, FrameReader, Numbers
from slowfast.video.index import FALLBACK_FPS, best_stream
from slowfast.video.reader import FrameCounter, RgbConverter
from slowfast.video.stream import FrameStream
from slowfast.video.watch import VideoReadError

NumberedFrames = Iterable[tuple[int, Callable[[], np.ndarray]]]  # rising numbers, and what gives uint8 (H, W, 3), RGB
TimedFrames = Iterable[tuple[float, Callable[[], np.ndarray]]]  # seconds since the first frame, and its pixels
MAX_STREAM_FPS = 240.0  # a stream that states more states the ticks of its clock
LONGEST_PAUSE_SECONDS = 10.0  # of a stream; what is longer, or goes back, is a jump of its clock


class ForwardReader(FrameReader):
    """Frames that arrive in order; each is kept until the first frame of a request is a later one.

    Attributes:
        frames_read: number of frames that have arrived so far.

    Args:
        name: of the source, for messages.
        frames: in their order.
        fps: frame rate to which the numbers refer.
        num_frames: number of frames; None: unknown before the end.
        scale: what to keep of a frame, uint8 (1, 3, H, W) to (1, 3, h, w).
        on_frame: called with the seconds and the pixels of every frame as it arrives.
        frame_numbers: from requested numbers to those of ``frames``; default the same.
        close: called at the end.
    """

    def __init__(
        self,
        name: str,
        frames: NumberedFrames,
        fps: float,
        *,
        num_frames: int | None = None,
        scale: Change | None = None,
        on_frame: Callable[[float, np.ndarray], None] | None = None,
        frame_numbers: Callable[[np.ndarray], np.ndarray] | None = None,
        close: Callable[[], None] | None = None,
    ):
        self.name, self.fps = name, float(fps)
        self.known_frames = num_frames
        self._frames = iter(frames)
        self._scale = scale or (lambda frames: frames)
        self._on_frame = on_frame
        self.frames_read = 0
        self._numbers_of = frame_numbers or (lambda indices: indices)
        self._close = close
        self._kept: dict[int, Tensor] = {}  # (3, h, w)
        self._next = 0  # all frames below have come
        self._expected: set[int] | None = None

    def __repr__(self) -> str:
        return self.name

    def close(self) -> None:
        self._kept.clear()
        close, self._close = self._close, None
        if close is not None:
            close()

    @property
    def num_frames(self) -> int:  # type: ignore[override]
        """The total number of frames; as long as it is unknown, the number that has arrived."""
        return self._next if self.known_frames is None else self.known_frames

    def expect(self, indices: Numbers) -> None:
        """Keep only these frames: no others will be requested."""
        self._expected = set(self._numbers_of(np.asarray(indices, dtype=np.int64).reshape(-1)).tolist())

    def reaches(self, num_frames: int) -> bool:
        """Whether there are this many frames; waits for them if that is unknown."""
        if self.known_frames is not None:
            return num_frames <= self.known_frames
        return self._read_to(num_frames)

    def read_on(self) -> None:
        """Read to the end, for callers that watch every frame."""
        self._read_to(sys.maxsize)

    def forget(self, before: int) -> None:
        """Drop the frames below this number; later requests never go below it."""
        for number in [number for number in self._kept if number < before]:
            del self._kept[number]

    def frames_at(self, indices: Numbers, short_side: int | None = None, *, apply: Change | None = None) -> Tensor:
        """As in ``FrameReader``; the decoder's short side was chosen when the source was opened.

        Raises:
            VideoReadError: a frame did not arrive, or is before the first one of the previous call.
        """
        numbers = self._numbers_of(np.asarray(indices, dtype=np.int64).reshape(-1))
        self._read_to(int(numbers.max()) + 1)
        missing = len({*numbers.tolist()} - self._kept.keys())
        if missing:
            raise self._error(numbers, f"{missing} of them missing")
        frames = torch.stack([self._kept[number] for number in numbers.tolist()])
        self.forget(int(numbers.min()))
        return frames if apply is None else apply(frames)

    def _read_to(self, stop: int) -> bool:
        """Read frames until all below ``stop`` have arrived; False if the source ends before that."""
        while self._next < stop:
            frame = next(self._frames, None)
            if frame is None:
                return False
            number, pixels = frame
            self._next = max(self._next, number + 1)
            self.frames_read += 1
            self._take(number, pixels)
        return True

    def _take(self, number: int, pixels: Callable[[], np.ndarray]) -> None:
        is_expected = self._expected is None or number in self._expected
        if not is_expected and self._on_frame is None:
            return
        picture = np.array(pixels())  # a copy: the converter writes the next frame into the same memory
        if self._on_frame is not None:
            self._on_frame(number / self.fps, picture)
        if is_expected:
            self._kept[number] = self._scale(torch.from_numpy(picture)[None].permute(0, 3, 1, 2))[0].contiguous()


def open_file(
    path: str,
    *,
    short_side: int | None = None,
    num_threads: int = 1,
    pace: Callable[[float], None] | None = None,
    **options,
) -> ForwardReader:
    """A file from its first frame to its last.

    Args:
        short_side: that the decoder scales to; None leaves pixels as they are.
        num_threads: of the decoder.
        pace: called with the seconds of every frame before it is returned, to play a file at a given speed.
        options: ``scale`` and ``on_frame`` of the ``ForwardReader``.
    """
    stream = FrameStream(path, num_threads=num_threads)
    index, convert = stream.index, RgbConverter(short_side)

    def frames() -> Iterator[tuple[int, Callable[[], np.ndarray]]]:
        number_of = FrameCounter(index.pts)
        for _, frame in stream.frames():
            number = number_of(frame)
            if number >= 0:
                if pace is not None:
                    pace(number / index.fps)
                yield number, partial(convert, frame)

    options |= {"num_frames": index.num_frames, "frame_numbers": index.frame_numbers}
    return ForwardReader(path, frames(), index.fps, close=partial(stream.__exit__, None, None, None), **options)


def open_stream(
    source: str | BinaryIO,
    *,
    name: str,
    fps: float | None = None,
    short_side: int | None = None,
    num_threads: int = 1,
    **options,
) -> ForwardReader:
    """A stream from an address that the user typed, or from bytes such as standard input.

    Args:
        fps: frame rate to which it is resampled; None: its own.
        short_side, num_threads, options: as in ``open_file``.
    """
    container = open_address(source) if isinstance(source, str) else open_pipe(source, name)
    try:
        stream = best_stream(container, name)
    except VideoReadError:
        container.close()
        raise
    set_threads(stream, num_threads)
    rate = fps or stated_fps(stream)
    # Times are rounded to ticks: what is up to half a tick late is on time.
    tolerance = 0.5 * float(stream.time_base or 0)
    frames = numbered(_timed_frames(container, stream, name, short_side, rate), rate, tolerance=tolerance)
    return ForwardReader(name, frames, rate, close=partial(close_container, container), **options)


def stated_fps(stream: av.video.stream.VideoStream) -> float:
    """The frame rate that a stream states, or FALLBACK_FPS if it states none that is plausible."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= MAX_STREAM_FPS:
            return float(rate)
    return FALLBACK_FPS


def _timed_frames(container, stream, name: str, short_side: int | None, fps: float) -> Iterator:
    """(seconds since the first frame, pixels); where the clock jumps, a frame comes one duration after the last."""
    convert, shift, last = RgbConverter(short_side), None, 0.0
    for frame in _decoded(container, stream, name):
        shown = None if frame.pts is None or stream.time_base is None else float(frame.pts * stream.time_base)
        if shown is None:
            last += 1 / fps
        else:
            if shift is None:
                shift = -shown
            elif not 0 <= shown + shift - last <= LONGEST_PAUSE_SECONDS:
                shift = last + 1 / fps - shown
            last = shown + shift
        yield last, partial(convert, frame)


def _decoded(container, stream, name: str) -> Iterator[av.VideoFrame]:
    """The frames of a stream until it ends; damaged packets are skipped."""
    with pyav_errors(name):
        for packet in container.demux(stream):
            try:
                yield from stream.codec_context.decode(packet if packet.size else None)
            except av.error.InvalidDataError:
                continue
            if not packet.size:
                return


def numbered(frames: TimedFrames, fps: float, *, tolerance: float = 0.0) -> Iterator[tuple[int, Callable]]:
    """Frame n is the last one that has arrived by n / fps seconds: a frame that is shown longer has several numbers.

    Args:
        tolerance: seconds that a frame may come late.
    """
    number, current = 0, None
    for seconds, pixels in frames:
        while current is not None and number / fps + tolerance < seconds:
            yield number, current
            number += 1
        current = pixels
    if current is not None:
        yield number, current


def camera_frames(number: int) -> tuple[TimedFrames, float, Callable[[], None]]:
    """(frames with their times, frames per second, what closes it) of a camera of this machine."""
    try:
        import cv2
    except ImportError as error:
        raise VideoReadError(
            f"cannot open camera {number}: cameras need OpenCV: pip install 'slowfast[camera]'."
        ) from error
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise VideoReadError(f"cannot open camera {number}: there is none, or another program uses it.")
    fps = camera.get(cv2.CAP_PROP_FPS)
    fps = fps if 0 < fps <= MAX_STREAM_FPS and math.isfinite(fps) else FALLBACK_FPS
    return _camera_frames(camera, number), fps, camera.release


def _camera_frames(camera, number: int) -> TimedFrames:
    start = None
    while True:
        came, picture = camera.read()
        if not came:
            raise VideoReadError(f"camera {number} gives no more frames: was it unplugged?")
        start = time.monotonic() if start is None else start
        pixels = picture[:, :, ::-1]  # BGR to RGB
        yield time.monotonic() - start, partial(np.asarray, pixels)
