"""All frames of a file in order, with a count of what went wrong; for work that reads whole files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

import av
import numpy as np

from slowfast.video.container import (
    check_frame_size,
    close_container,
    failure_text,
    pyav_errors,
    set_threads,
    until_end,
)
from slowfast.video.index import open_stream, video_index
from slowfast.video.reader import Orientation
from slowfast.video.watch import VideoReadError, reading


class FrameStream:
    """The frames of the best video stream of a file, decoded one by one. Use as a context manager.

    The time limit of reads applies to each packet, not to the whole file.

    Attributes:
        index: the index of the file's packets.
        announced: frames that the header announces, 0 if it does not (Matroska).
        announced_seconds: announced end of the last stream of a Matroska file, 0 if the header does not state it.
        end_seconds: end of the last packet read so far, over all streams.
        num_packets: packets read so far.
        num_frames: frames decoded so far.
        num_damaged: frames among them that the decoder marks as corrupt.
        problems: the decoder's complaints so far.
    """

    def __init__(self, path: str | os.PathLike, *, num_threads: int = 1):
        self.path = os.fspath(path)
        self.num_threads = num_threads
        self.index = video_index(self.path)
        self._exit = ExitStack()
        self._deadline = self._exit.enter_context(reading(self.path))
        try:
            self._open()
        except VideoReadError:
            self._exit.close()
            raise
        self.announced = self.stream.frames
        is_matroska = "matroska" in self.container.format.name
        # Elsewhere a duration may be guessed from the size of the file.
        self.announced_seconds = (self.container.duration or 0) / av.time_base if is_matroska else 0.0
        self.codec: str = self.stream.codec_context.codec.canonical_name
        self.tick = self.stream.time_base or Fraction(1, 90_000)

    def _open(self) -> None:
        self.container, self.stream = open_stream(self.path, self._deadline)
        set_threads(self.stream, self.num_threads)
        self.num_packets = self.num_frames = self.num_damaged = 0
        self.end_seconds = 0.0
        self.problems: list[str] = []

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(self, *_) -> None:
        close_container(self.container)
        self._exit.close()

    @property
    def start_seconds(self) -> float:
        """Time of the container that FFmpeg calls second 0."""
        if self.index.pts is None:
            return 0.0
        started = self.container.start_time
        return float(self.index.pts[0] * self.tick) if started is None else started / av.time_base

    def frames(self, *, from_seconds: float = 0.0) -> Iterator[tuple[float, av.VideoFrame]]:
        """(seconds since the start of the file, frame), from a frame that is shown no later than ``from_seconds``.

        Files without reliable times are assumed to have a constant rate and are decoded from their beginning.
        """
        with pyav_errors(self.path, self._deadline):
            yield from self._frames_from(from_seconds)

    def _frames_from(self, from_seconds: float) -> Iterator[tuple[float, av.VideoFrame]]:
        if from_seconds > 0 and self.index.pts is not None:
            target = int((from_seconds + self.start_seconds) / self.tick)
            try:
                self.container.seek(target, stream=self.stream)
            except av.FFmpegError:
                self._reopen()
            frames = self._timed(self._decode())
            first = next(frames, None)
            if first is not None and first[0] <= from_seconds:
                yield first
                yield from frames
                return
            self._reopen()  # the seek went too far
        yield from self._timed(self._decode())

    def _reopen(self) -> None:
        self.container.close()
        self._open()

    def _timed(self, frames: Iterator[av.VideoFrame]) -> Iterator[tuple[float, av.VideoFrame]]:
        start, last = self.start_seconds, 0.0
        for number, frame in enumerate(frames):
            if self.index.pts is None:
                last = number / self.index.fps
            elif frame.pts is not None:
                last = float(frame.pts * self.tick) - start
            yield last, frame

    def _decode(self) -> Iterator[av.VideoFrame]:
        context = self.stream.codec_context
        for packet in self._packets():
            try:
                frames = context.decode(packet)
            except av.FFmpegError as error:
                self.problems.append(failure_text(error))
                continue
            for frame in frames:
                check_frame_size(frame.height, frame.width)
                self.num_frames += 1
                self.num_damaged += frame.is_corrupt
                yield frame

    def _packets(self) -> Iterator[av.Packet | None]:
        """The packets of the stream, then None; those of all streams are timed."""
        for packet in until_end(self.container.demux(), self.problems.append, self._deadline.extend):
            if packet is not None and packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self.end_seconds = max(self.end_seconds, end)
            if packet is None or packet.stream_index == self.stream.index:
                self.num_packets += packet is not None
                yield packet

    def missing(self) -> str:
        """What could not be decoded, once all frames were requested; an empty string if nothing is missing."""
        why = f" ({self.problems[0]})" if self.problems else ""
        if self.announced_seconds - self.end_seconds > max(0.5, 0.05 * self.announced_seconds):
            return f"{self.end_seconds:.1f} of {self.announced_seconds:.1f} seconds announced are in the file{why}"
        if self.num_packets < self.announced:
            return f"{self.num_packets:,} of {self.announced:,} frames announced are in the file{why}"
        if self.num_frames < self.index.num_frames:
            return f"{self.num_frames:,} of {self.index.num_frames:,} frames can be decoded{why}"
        if self.num_damaged or self.problems:
            return f"{max(self.num_damaged, len(self.problems)):,} of {self.num_frames:,} frames are damaged{why}"
        return ""


def upright_rgb(frame: av.VideoFrame, size: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 (H, W, 3), turned and mirrored as the file says; ``size``: the upright (H, W) to scale to."""
    orientation = Orientation.of(frame)
    height, width = size or upright_size(frame)
    if orientation.swaps_sides:
        height, width = width, height
    pixels = frame.reformat(width, height, "rgb24", interpolation="BICUBIC").to_ndarray()
    return np.ascontiguousarray(orientation.apply(pixels))


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """(height, width) as displayed."""
    return (frame.width, frame.height) if Orientation.of(frame).swaps_sides else (frame.height, frame.width)


def error_text(error: Exception, path: str) -> str:
    """What went wrong, without the name of the file, which has its own column in the tables."""
    text = str(error) if isinstance(error, VideoReadError) else (getattr(error, "strerror", None) or str(error))
    for beginning in ("cannot open", "cannot decode"):
        text = text.removeprefix(f"{beginning} {path}: ")
    return text.removesuffix(".")
