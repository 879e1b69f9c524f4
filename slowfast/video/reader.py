"""Frames of a video by their number: a file decoded with PyAV, or a folder of images.

``with VideoReader("a.mp4") as video: frames = video.frames_at([0, 7, 7, 300])`` gives exactly the pixels that decoding
the whole file in order would, after one seek and one pass from the keyframe before the first wanted frame.

Pictures are those that FFmpeg's command line writes: turned and mirrored as the file says, colors by the range and
matrix that it notes (BT.601 where it notes none), transparency dropped, both fields of an interlaced frame in one.
Non-square pixels stay as stored: the usual 340x256 copies of Kinetics, on which published models were trained, hold
16:9 pictures in this way. Letters: F requested frames, H W pixels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

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
from slowfast.video.frame_reader import FrameReader
from slowfast.video.image_folder import FrameFolderReader
from slowfast.video.index import VideoIndex, open_stream, video_index
from slowfast.video.sampling import scaled_size
from slowfast.video.watch import Deadline, VideoReadError

__all__ = ["FrameFolderReader", "FrameReader", "Orientation", "VideoReadError", "VideoReader"]

# Decoders in which a frame that no other refers to can be passed over without changing any other frame.
# Not HEVC: a frame marked so may still be referred to from a higher temporal layer.
SKIPPING_CODECS = frozenset({"h264", "mpeg2video", "mpeg4"})


class VideoReader(FrameReader):
    """Frames of the best video stream of a file.

    Frames are counted from the file's packets, not from its header. The display matrix is applied: a phone's
    portrait video comes out upright, that of its front camera mirrored if it says so.

    Args:
        path: the file.
        num_threads: decoder threads, 0 for one per core. More than one may hang in DataLoader workers.

    Raises:
        VideoReadError: no such file, no video, or one without frames.
    """

    def __init__(self, path: str | os.PathLike, *, num_threads: int = 1):
        self.path = os.fspath(path)
        self.num_threads = num_threads
        self._index: VideoIndex = video_index(self.path)
        self.num_frames = self._index.num_frames
        self.fps = self._index.fps
        self._container: Any = None
        self._failure = ""

    def __repr__(self) -> str:
        return self.path

    def close(self) -> None:
        if self._container is not None:
            close_container(self._container)
            self._container = None

    def _frame_numbers(self, indices: np.ndarray) -> np.ndarray:
        return self._index.frame_numbers(indices)

    def _file_of(self, wanted: np.ndarray) -> str:
        return self.path

    def _read(self, wanted: np.ndarray, short_side: int | None, deadline: Deadline) -> Iterator[tuple[int, np.ndarray]]:
        convert = RgbConverter(short_side)
        missing = set(range(len(wanted)))
        self._failure = ""
        # A seek may land on the wrong frame, and a stream that starts at a keyframe may still lean on frames before
        # it: what is missing after the fast way is looked for once more by decoding everything from the start.
        with pyav_errors(self.path, deadline):
            for frames in (self._decode_from_keyframe, self._decode_from_start):
                for position, frame in frames(wanted, deadline):
                    if position in missing:
                        missing.discard(position)
                        yield position, convert(frame)
                    if not missing:
                        return
        got = len(wanted) - len(missing)
        raise self._error(wanted, f"got {got} ({self._failure or 'the decoder returned no more'})")

    def _decode_from_keyframe(self, wanted: np.ndarray, deadline: Deadline) -> Iterator[tuple[int, av.VideoFrame]]:
        """(position in ``wanted``, frame), from the last keyframe that is shown no later than the first wanted."""
        index = self._index
        if index.pts is None:
            return
        keyframe = int(np.searchsorted(index.keyframe_pts, index.pts[wanted[0]], side="right")) - 1
        stream = self._open(deadline, fresh=keyframe <= 0)
        packets = self._container.demux(stream) if keyframe <= 0 else self._packets_from(keyframe)
        skipping = stream.codec_context.name in SKIPPING_CODECS
        yield from self._decode(packets, wanted, deadline, skipping=skipping)

    def _packets_from(self, keyframe: int) -> Iterator[av.Packet]:
        """The packets from a keyframe on; none if no seek gets there."""
        target = self._index.keyframe_pts[keyframe]
        # Some formats seek by the time of showing, some by the time of decoding, and then overshoot with the first.
        for time in (target, self._index.keyframe_dts[keyframe]):
            try:
                self._container.seek(int(time), stream=self._stream)
            except av.FFmpegError:
                continue
            packets = self._container.demux(self._stream)
            first = next((packet for packet in packets if packet.is_keyframe and (packet.pts or 0) >= target), None)
            if first is not None and first.pts == target:
                yield first
                yield from packets
                return

    def _decode_from_start(self, wanted: np.ndarray, deadline: Deadline) -> Iterator[tuple[int, av.VideoFrame]]:
        """(position in ``wanted``, frame), by decoding every frame up to the last wanted."""
        stream = self._open(deadline, fresh=True)
        yield from self._decode(self._container.demux(stream), wanted, deadline, skipping=False)

    def _decode(
        self, packets: Iterator[av.Packet], wanted: np.ndarray, deadline: Deadline, *, skipping: bool
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """(position in ``wanted``, frame) for the wanted among the frames that ``packets`` hold.

        A damaged packet is skipped: what matters is whether the wanted frames arrive. ``skipping`` lets the
        decoder skip unwanted frames that no other frame needs, about half of an H.264 video.
        """
        context = self._stream.codec_context
        number_of = FrameCounter(self._index.pts)
        position_of = {int(number): position for position, number in enumerate(wanted)}
        wanted_pts = set() if self._index.pts is None else set(self._index.pts[wanted].tolist())
        for packet in until_end(packets, self._note, deadline.check):
            if skipping:
                context.skip_frame = "DEFAULT" if packet is None or packet.pts in wanted_pts else "NONREF"
            try:
                frames = context.decode(packet)
            except av.FFmpegError as error:
                self._note(failure_text(error))
                continue
            for frame in frames:
                position = position_of.get(number_of(frame))
                if position is not None:
                    yield position, frame

    def _note(self, failure: str) -> None:
        self._failure = self._failure or failure

    def _open(self, deadline: Deadline, *, fresh: bool = False):
        """The stream of the open file; ``fresh``: rewound to its start."""
        if fresh:
            self.close()
        if self._container is None:
            self._container, self._stream = open_stream(self.path, deadline)
            set_threads(self._stream, self.num_threads)
        return self._stream


def open_video_file(path: str | os.PathLike, *, num_threads: int = 1) -> FrameReader:
    """The frames of a video file; errors as in ``VideoReader``.

    Data sets and pipelines open files only here: another decoder would be a ``FrameReader`` of its own, chosen here.
    """
    return VideoReader(path, num_threads=num_threads)


class FrameCounter:
    """Numbers decoded frames: by their time if ``pts`` is given, else by order.

    Frames with equal times are told apart by the order in which they come.
    """

    def __init__(self, pts: np.ndarray | None):
        self.pts = pts
        self.num_seen: dict[int | None, int] = {}

    def __call__(self, frame: av.VideoFrame) -> int:
        time = None if self.pts is None else frame.pts
        seen = self.num_seen.get(time, 0)
        self.num_seen[time] = seen + 1
        if self.pts is None:
            return seen
        first = -1 if time is None else int(np.searchsorted(self.pts, time))
        return first + seen if 0 <= first < len(self.pts) and self.pts[first] == time else -1


class Orientation(NamedTuple):
    """How to turn and mirror a stored picture for display.

    Attributes:
        swaps_sides: whether rows become columns, before the mirroring.
        mirrors_rows: whether the top becomes the bottom.
        mirrors_columns: whether left becomes right.
    """

    swaps_sides: bool = False
    mirrors_rows: bool = False
    mirrors_columns: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """The rotation of a frame's display matrix, to the nearest quarter turn; none without a matrix."""
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # libavutil/display.h: a stored pixel (x, y) is shown at (a x + c y, b x + d y), y counting downwards.
        a, b, _, c, d, *_ = np.frombuffer(matrix, dtype=np.int32).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, mirrors_rows=b < 0, mirrors_columns=c < 0)
        return cls(False, mirrors_rows=d < 0, mirrors_columns=a < 0)

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """A view of ``pixels`` (H, W, ...), turned and mirrored."""
        pixels = pixels.swapaxes(0, 1) if self.swaps_sides else pixels
        return pixels[:: -1 if self.mirrors_rows else 1, :: -1 if self.mirrors_columns else 1]


class RgbConverter:
    """Turns decoded frames into upright RGB pixels, all of the size of the first one."""

    def __init__(self, short_side: int | None):
        self.short_side = short_side
        self.size: tuple[int, int] | None = None  # as stored, before rotation
        self.reformatter = av.video.reformatter.VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 (H, W, 3); valid until the next call."""
        if self.size is None:
            check_frame_size(frame.height, frame.width)
            self.size = (frame.height, frame.width)
            if self.short_side is not None:
                self.size = scaled_size(*self.size, self.short_side)
        height, width = self.size
        # Unless one thread is asked for, there are as many as cores.
        pixels = self.reformatter.reformat(frame, width, height, "rgb24", threads=1).to_ndarray()
        return Orientation.of(frame).apply(pixels)
