"""The content of a video file, from its packets: how many frames, at what times, and from which keyframe to start.

Headers are not trusted: frame counts are zero in webm and wrong elsewhere, and rates may be 0 or 90000. Reading all
    packets of a file takes a few milliseconds, decodes nothing, and is cached.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.format import Flags as FormatFlags

from slowfast.video.container import check_video_file, open_video, pyav_errors, until_end
from slowfast.video.watch import Deadline, VideoReadError, reading

FALLBACK_FPS = 30.0  # for a file without a stated rate and with too few frames to measure one
LONGEST_STEP_SECONDS = 10  # where clocks may jump, a longer one is a jump: FFmpeg's -dts_delta_threshold
CACHE_BYTES = 64 * 2**20  # of remembered indices in one process, about 10,000 videos of 300 frames


@dataclass(frozen=True)
class VideoIndex:
    """Frames of one video stream, in the order they are shown.

    Attributes:
        num_frames: frames in the file, N.
        fps: average frames per second.
        pts: int64 (N,), ascending: when each frame is shown, in the stream's time base. None if the file has no times
            that distinguish its frames, which are then known only by their decoding order.
        keyframe_pts: int64, ascending: the frames that decoding may start from.
        keyframe_dts: int64, same order: when each is decoded; formats seek by one or the other.
        shown: int64 (N,), or None for the identity: which frame is shown at i / fps (variable frame rate).
    """

    num_frames: int
    fps: float
    pts: np.ndarray | None
    keyframe_pts: np.ndarray
    keyframe_dts: np.ndarray
    shown: np.ndarray | None

    def frame_numbers(self, indices: np.ndarray) -> np.ndarray:
        """Frames, counted as shown, that are visible at times indices / fps."""
        return indices if self.shown is None else self.shown[indices]

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.pts, self.keyframe_pts, self.keyframe_dts, self.shown)
        return sum(array.nbytes for array in arrays if array is not None)


def open_stream(path: str, deadline: Deadline) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
    """An open container, which the caller closes, and its best video stream.

    Best as FFmpeg ranks them, which is not always the first; a cover picture is no video stream.
    """
    container = open_video(path, deadline)
    try:
        with pyav_errors(path, deadline):
            return container, best_stream(container, path)
    except VideoReadError:
        container.close()
        raise


def best_stream(container: av.container.InputContainer, path: str) -> av.video.stream.VideoStream:
    """The best video stream of an open container."""
    videos = [stream for stream in container.streams.video if not _is_cover(stream) and stream.codec_context]
    if not videos:
        found = sorted({"cover picture" if _is_cover(stream) else str(stream.type) for stream in container.streams})
        raise VideoReadError(
            f"cannot decode {path}: it has no video stream that can be decoded (streams: {', '.join(found) or 'none'})."
        )
    try:
        best = container.streams.best("video")
    except IndexError:  # FFmpeg's best is a stream that appeared while the file was opened
        best = None
    return best if best in videos else videos[0]


def _is_cover(stream) -> bool:
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


_cache: OrderedDict[tuple[str, int, int], VideoIndex] = OrderedDict()
_cache_bytes = 0


def video_index(path: str) -> VideoIndex:
    """The index of a file, cached in this process as long as its modification time and size stay the same."""
    global _cache_bytes
    status = check_video_file(path)
    key = (path, status.st_mtime_ns, status.st_size)
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    index = read_index(path)
    _cache[key] = index
    _cache_bytes += index.num_bytes
    while _cache_bytes > CACHE_BYTES and len(_cache) > 1:
        _cache_bytes -= _cache.popitem(last=False)[1].num_bytes
    return index


def read_index(path: str) -> VideoIndex:
    """The index of a file, read from start to end without decoding."""
    with reading(path) as deadline:
        container, stream = open_stream(path, deadline)
        with container, pyav_errors(path, deadline):
            packets, reason = _read_packets(container, stream, deadline)
            if not packets:
                raise VideoReadError(f"cannot decode {path}: its video stream holds no frame{reason}.")
            return _index_of(packets, container, stream)


def _index_of(packets: list[_Packet], container, stream) -> VideoIndex:
    tick = stream.time_base or Fraction(1, 90_000)
    may_jump = container.format.flags & FormatFlags.ts_discont.value
    longest_step = float(LONGEST_STEP_SECONDS / tick) if may_jump else math.inf
    packets, has_jumped = _on_one_clock(packets, longest_step)
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
        shown=None if unordered or constant else _frames_on_screen(pts, float(ticks_per_frame or 0)),
    )


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    duration: int
    is_keyframe: bool
    is_cut_off: bool

    def shifted(self, ticks: int) -> _Packet:
        """The same packet, shifted in time."""
        pts, dts = (None if time is None else time + ticks for time in (self.pts, self.dts))
        return self._replace(pts=pts, dts=dts)


def _read_packets(container, stream, deadline: Deadline) -> tuple[list[_Packet], str]:
    """Every packet that holds a frame to be shown, and " (why)" if reading ended early."""
    packets: list[_Packet] = []
    reasons: list[str] = []
    for packet in until_end(container.demux(stream), reasons.append, deadline.check):
        # Empty packets, which end the stream or repeat a frame, do not come; discarded ones precede an edit list.
        if packet is not None and not packet.is_discard:
            times = packet.pts, packet.dts, packet.duration or 0
            packets.append(_Packet(*times, packet.is_keyframe, packet.is_corrupt))
    while packets and packets[-1].is_cut_off:
        packets.pop()  # by the end of the file: never a whole picture
    return packets, f" ({reasons[0]})" if reasons else ""


def _on_one_clock(packets: list[_Packet], longest_step: float) -> tuple[list[_Packet], bool]:
    """The packets on a single clock, and whether they had several.

    In a file joined from others, the clock restarts or jumps where the next part begins; that part is moved to the end
    of the previous one. Decoding times never fall otherwise.
    """
    moved: list[_Packet] = []
    last: _Packet | None = None  # as it was
    shift = num_jumps = 0
    for packet in packets:
        if packet.dts is not None:
            if last is not None and last.dts is not None and not 0 <= packet.dts - last.dts <= longest_step:
                shift += last.dts + last.duration - packet.dts
                num_jumps += 1
            last = packet
        moved.append(packet.shifted(shift) if shift else packet)
    return moved, num_jumps > 0


def _has_guessed_times(container, stream) -> bool:
    """Whether packet times may not follow the display order: AVI stores none, MPEG-PS only a few."""
    return container.format.name in ("avi", "mpeg") and bool(stream.codec_context.has_b_frames)


def _ticks_per_frame(
    times: np.ndarray, last_duration: int, stated: Fraction | None
) -> tuple[Fraction | float | None, bool]:
    """Average frame duration in ticks (None if unknown), and whether all frames have it.

    The stated duration is exact (1001 / 30000 s), while the measured one is rounded, so it is used unless the times
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
