"""Sources that do not wait: cameras, live streams, and files played at their own speed.

A thread reads every frame, cuts windows and puts them into a short queue. If the model is slower than the source, the
oldest window in the queue is dropped, so results are never older than the queue is long.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from slowfast.engine.pipeline import Pipeline
from slowfast.prediction.sources import Source
from slowfast.prediction.windows import (
    WindowCut,
    WindowScores,
    WindowViews,
    forward_options,
    read_windows,
    score_windows,
)
from slowfast.video.forward import ForwardReader, camera_frames, numbered, open_file, open_stream

FrameSink = Callable[[float, np.ndarray], None]  # seconds since the first frame, and its pixels


class LatestQueue:
    """A queue whose ``put`` never waits: when it is full, the oldest entry is dropped.

    Args:
        capacity: entries that it holds.

    Attributes:
        num_dropped: number of dropped entries.
    """

    def __init__(self, capacity: int):
        if capacity < 1:
            raise ValueError(f"capacity={capacity}: a queue holds at least 1 entry.")
        self._entries: deque = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None
        self.num_dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry) -> None:
        with self._changed:
            if len(self._entries) == self._capacity:
                self._entries.popleft()
                self.num_dropped += 1
            self._entries.append(entry)
            self._changed.notify()

    def close(self, error: BaseException | None = None) -> None:
        """Mark the end of entries, caused by ``error`` if there is one."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify()

    def get(self, timeout: float | None = None):
        """The oldest entry; None if none arrived in time.

        Raises:
            StopIteration: no more will arrive.
            BaseException: the error that ``close`` was called with.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._entries or self._closed, timeout)
            if self._entries:
                return self._entries.popleft()
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopIteration
            return None


@dataclass(frozen=True)
class LiveScores:
    """A model's prediction for a window of a live source.

    Attributes:
        window: and its scores.
        latency_seconds: from the last frame of the window to the scores.
        fps: frames that arrived per second, so far.
        num_dropped: windows that the model had no time for, so far.
    """

    window: WindowScores
    latency_seconds: float
    fps: float
    num_dropped: int


class LivePredictor:
    """Scores of the windows of a live source, as they arrive. Use as a context manager and iterate.

    Args:
        reader: of the source.
        capacity: windows that may wait.
        idle: called about 30 times per second while there is nothing to score, to keep a window on the screen
            responsive.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        reader: ForwardReader,
        cut: WindowCut,
        *,
        capacity: int = 2,
        idle: Callable[[], None] | None = None,
    ):
        self.pipeline, self.reader, self.cut, self.idle = pipeline, reader, cut, idle
        self.queue = LatestQueue(capacity)
        self._stopping = False
        self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)

    def __enter__(self) -> LivePredictor:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopping = True
        self._thread.join(timeout=5.0)  # a read of a stream that hangs ends with its own time limit
        if not self._thread.is_alive():
            self.reader.close()

    def _capture(self) -> None:
        error = None
        try:
            for windows in read_windows(self.reader, self.pipeline.protocol, self.cut):
                if self._stopping:
                    break
                self.queue.put((windows, time.monotonic()))
            else:
                self.reader.read_on()  # behind the last frame of the last clip
        except BaseException as caught:  # it belongs to the thread that gets from the queue
            error = caught
        self.queue.close(error)

    def __iter__(self) -> Iterator[LiveScores]:
        while True:
            try:
                entry = self.queue.get(timeout=1 / 30)
            except StopIteration:
                return
            if entry is None:
                if self.idle is not None:
                    self.idle()
                continue
            yield self._score(*entry)

    def _score(self, windows: WindowViews, came: float) -> LiveScores:
        (window,) = score_windows(self.pipeline, windows)
        now = time.monotonic()
        fps = self.reader.frames_read / max(now - self._start, 1e-9)
        return LiveScores(window, now - came, fps, self.queue.num_dropped)


def open_live(pipeline: Pipeline, source: Source, *, on_frame: FrameSink | None = None) -> ForwardReader:
    """A camera, a stream, or a file that is played at its own speed.

    Args:
        on_frame: called with every frame, in the thread that reads them.

    Raises:
        VideoReadError: it cannot be opened.
    """
    options, fps = forward_options(pipeline), pipeline.protocol.sampling.counted_fps
    if source.kind == "camera":
        frames, camera_fps, close = camera_frames(int(source.path))
        rate = fps or camera_fps
        name = f"camera {source.path}"
        return ForwardReader(name, numbered(frames, rate), rate, scale=options["scale"], on_frame=on_frame, close=close)
    if source.kind == "address":
        return open_stream(source.path, name=source.path, fps=fps, on_frame=on_frame, **options)
    return open_file(source.path, pace=OwnSpeed(), on_frame=on_frame, **options)


class OwnSpeed:
    """Called with the seconds of each frame, waits until it is due."""

    def __init__(self):
        self._start: float | None = None

    def __call__(self, seconds: float) -> None:
        self._start = time.monotonic() - seconds if self._start is None else self._start
        time.sleep(max(0.0, self._start + seconds - time.monotonic()))
