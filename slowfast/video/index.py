"""What a video file holds, from its packets: how many frames, at what times, from which keyframe to start.

Headers are not believed: frame counts are zero in webm and wrong elsewhere, rates may be 0 or 90000.
Reading all packets of a file costs a few milliseconds, decodes nothing, and is remembered.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.format import Flags as FormatFlags

FALLBACK_FPS = 30.0  # of a file that tells no rate and has too few frames to measure one
LONGEST_STEP_SECONDS = 10  # where clocks may jump, a longer one is a jump: FFmpeg's -dts_delta_threshold
CACHE_BYTES = 64 * 2**20  # of remembered indices in one process, about 10,000 videos of 300 frames


class VideoReadError(ValueError):
    """A video cannot be opened, or frames of it cannot be decoded; the message names the file and the cause."""


@dataclass(frozen=True)
class VideoIndex:
    """Frames of one video stream, in the order they are shown.

    Attributes:
        num_frames: frames in the file, N.
        fps: average frames per second.
        pts: int64 (N,), ascending: when each frame is shown, in the stream's time base. None if the file has no
            times that tell its frames apart; they are then known by their order of decoding alone.
        keyframe_pts: int64, ascending: the frames that decoding may start from.
        keyframe_dts: int64, same order: when each is decoded; formats seek by the one or by the other.
        shown: int64 (N,), or None for the identity: which frame is shown at i / fps (variable frame rate).
    """

    num_frames: int
    fps: float
    pts: np.ndarray | None
    keyframe_pts: np.ndarray
    keyframe_dts: np.ndarray
    shown: np.ndarray | None

    def frame_numbers(self, indices: np.ndarray) -> np.ndarray:
        """Frames, counted as shown, that are on the screen at times indices / fps."""
        return indices if self.shown is None else self.shown[indices]

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.pts, self.keyframe_pts, self.keyframe_dts, self.shown)
        return sum(array.nbytes for array in arrays if array is not None)


def open_stream(path: str) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
    """An open container, which the caller closes, and its best video stream.

    Best as FFmpeg ranks them, which is not always the first; a cover picture is no video stream.

    Raises:
        VideoReadError: the file is missing, is no video, or holds none.
    """
    try:
        # "file:" keeps a colon in a name from being read as a network protocol.
        container = av.open(f"file:{path}")
    except av.FFmpegError as error:
        raise VideoReadError(f"cannot open {path}: {error.strerror}{_what_it_is(path)}.") from error
    videos = [stream for stream in container.streams.video if not _is_cover(stream) and stream.codec_context]
    if not videos:
        found = sorted({"cover picture" if _is_cover(stream) else str(stream.type) for stream in container.streams})
        container.close()
        raise VideoReadError(
            f"cannot decode {path}: it has no video stream that can be decoded (streams: {', '.join(found) or 'none'})."
        )
    best = container.streams.best("video")
    return container, best if best in videos else videos[0]


def _is_cover(stream) -> bool:
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


def _what_it_is(path: str) -> str:
    """ " (the file is empty)" and the like, for a file that is no video; an empty string when nothing is to say."""
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return ""
    if not head:
        return " (the file is empty)"
    if head.lstrip()[:1] == b"<":
        return " (it is an HTML or XML page)"
    if all(byte in b"\t\r\n\f" or byte >= 32 for byte in head) and b"\0" not in head:
        return " (it is a text file)"
    return f" ({os.path.getsize(path):,} bytes, of no known or of an unfinished format)"


def _other_spelling(path: str) -> str:
    """What to know of a missing file whose name is there in another Unicode form, as copies from a Mac have it."""
    folder, name = os.path.split(path)
    for form in ("NFC", "NFD"):
        for twin in (os.path.join(folder, unicodedata.normalize(form, name)), unicodedata.normalize(form, path)):
            if twin != path and os.path.lexists(twin):
                return f" (but there is a file of that name in Unicode form {form}: rename it, or correct the list)"
    return ""


_cache: OrderedDict[tuple[str, int, int], VideoIndex] = OrderedDict()
_cache_bytes = 0


def video_index(path: str) -> VideoIndex:
    """The index of a file, remembered in this process as long as its modification time and size stay.

    Raises:
        VideoReadError: the file cannot be opened, or holds no frame.
    """
    global _cache_bytes
    try:
        status = os.stat(path)
    except OSError as error:
        raise VideoReadError(f"cannot open {path}: {error.strerror}{_other_spelling(path)}.") from error
    key = (path, status.st_mtime_ns, status.st_size)
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    container, stream = open_stream(path)
    with container:
        index = read_index(container, stream)
    _cache[key] = index
    _cache_bytes += index.num_bytes
    while _cache_bytes > CACHE_BYTES and len(_cache) > 1:
        _cache_bytes -= _cache.popitem(last=False)[1].num_bytes
    return index


def read_index(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> VideoIndex:
    """The index of a freshly opened stream: reads the file to its end, without decoding.

    Raises:
        VideoReadError: no packet holds a frame.
    """
    packets, reason = _read_packets(container, stream)
    if not packets:
        raise VideoReadError(f"cannot decode {_name(container)}: its video stream holds no frame{reason}.")
    tick = stream.time_base or Fraction(1, 90_000)
    may_jump = container.format.flags & FormatFlags.ts_discont.value
    packets, has_jumped = _on_one_clock(packets, LONGEST_STEP_SECONDS / tick if may_jump else math.inf)
    unordered = _has_guessed_times(container, stream) or any(packet.pts is None for packet in packets)
    has_times = not (unordered or has_jumped)
    pts = np.sort(np.array([packet.pts for packet in packets if packet.pts is not None], dtype=np.int64))
    keyframes = sorted((p.pts, p.pts if p.dts is None else p.dts) for p in packets if p.is_keyframe and has_times)
    stated = 1 / (stream.average_rate * tick) if stream.average_rate else None
    ticks_per_frame, constant = _ticks_per_frame(pts, packets[-1].duration, stated)
    return VideoIndex(
        num_frames=len(packets),
        fps=float(1 / (Fraction(ticks_per_frame) * tick)) if ticks_per_frame else FALLBACK_FPS,
        pts=pts if has_times else None,
        keyframe_pts=np.array([pts for pts, _ in keyframes], dtype=np.int64),
        keyframe_dts=np.array([dts for _, dts in keyframes], dtype=np.int64),
        shown=None if unordered or constant else _frames_on_screen(pts, float(ticks_per_frame)),
    )


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    duration: int
    is_keyframe: bool
    is_cut_off: bool

    def shifted(self, ticks: int) -> _Packet:
        """The same packet, so much later."""
        pts, dts = (None if time is None else time + ticks for time in (self.pts, self.dts))
        return self._replace(pts=pts, dts=dts)


def _read_packets(container, stream) -> tuple[list[_Packet], str]:
    """Every packet that holds a frame to be shown, and " (why)" if reading ended early."""
    packets: list[_Packet] = []
    reason = ""
    try:
        for packet in container.demux(stream):
            # Empty packets end the stream or repeat a frame; discarded ones lie before an edit list's start.
            if packet.size and not packet.is_discard:
                times = packet.pts, packet.dts, packet.duration or 0
                packets.append(_Packet(*times, packet.is_keyframe, packet.is_corrupt))
    except av.FFmpegError as error:
        reason = f" ({error.strerror})"
    while packets and packets[-1].is_cut_off:
        packets.pop()  # by the end of the file: never a whole picture
    return packets, reason


def _on_one_clock(packets: list[_Packet], longest_step: float) -> tuple[list[_Packet], bool]:
    """The packets with the times of one clock, and whether they had several.

    In a file joined from others the clock starts anew, or leaps, where the next part begins; what follows is moved to
    where the part before it ends. Times of decoding never fall otherwise.
    """
    moved: list[_Packet] = []
    last: _Packet | None = None  # as it was
    shift = num_jumps = 0
    for packet in packets:
        if packet.dts is not None:
            if last is not None and not 0 <= packet.dts - last.dts <= longest_step:
                shift += last.dts + last.duration - packet.dts
                num_jumps += 1
            last = packet
        moved.append(packet.shifted(shift) if shift else packet)
    return moved, num_jumps > 0


def _has_guessed_times(container, stream) -> bool:
    """Whether the times of packets may not follow the order of showing: AVI stores none, MPEG-PS one now and then."""
    return container.format.name in ("avi", "mpeg") and bool(stream.codec_context.has_b_frames)


def _ticks_per_frame(
    times: np.ndarray, last_duration: int, stated: Fraction | None
) -> tuple[Fraction | float | None, bool]:
    """Average frame duration in ticks (None if unknown), and whether all frames have it.

    The stated duration is exact (1001 / 30000 s) where the measured one is rounded, so it is taken unless the times
    contradict it: by more than 1 % where the rate is constant, and by more than 20 % where it varies, because there
    containers count the duration of the last frame differently.
    """
    if stated is not None and stated <= 0:
        stated = None
    if len(times) < 2 or times[-1] == times[0]:
        return stated, True
    step = (times[-1] - times[0]) / (len(times) - 1)
    deviation = np.abs(times - times[0] - step * np.arange(len(times))).max()
    constant = bool(deviation <= max(0.1 * step, min(1.0, 0.25 * step)))  # times are rounded to a tick
    measured = step if constant else (times[-1] - times[0] + (last_duration or step)) / len(times)
    if stated is not None and abs(float(stated) / measured - 1) <= (0.01 if constant else 0.2):
        return stated, constant
    return float(measured), constant


def _frames_on_screen(times: np.ndarray, ticks_per_frame: float) -> np.ndarray:
    """For i = 0, 1, ...: the last frame whose time has come at i frame durations after the first one's."""
    # Half a tick: a time that was rounded up to a tick is not late.
    now = times[0] + np.arange(len(times)) * ticks_per_frame + 0.5
    return np.clip(np.searchsorted(times, now, side="right") - 1, 0, len(times) - 1)


def _name(container) -> str:
    return container.name.removeprefix("file:")
