"""Sources that do not wait: cameras, live streams, and files played at their own speed.

A thread reads every frame, cuts windows and puts them into a short queue. If the model is slower than the source, the
oldest window in the queue is dropped, so results are never older than the queue is long.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
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
        capacity: windows that may wait, at least 1.
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
        # Windows with the time of their arrival; last, what ended the source: an error, or None.
        self.queue: queue.Queue = queue.Queue()
        self.capacity, self.num_dropped = capacity, 0
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
        end: BaseException | None = None
        try:
            for windows in read_windows(self.reader, self.pipeline.protocol, self.cut):
                if self._stopping:
                    break
                with suppress(queue.Empty):  # taken meanwhile
                    while self.queue.qsize() >= self.capacity:
                        self.queue.get_nowait()
                        self.num_dropped += 1
                self.queue.put((windows, time.monotonic()))
            else:
                self.reader.read_on()  # behind the last frame of the last clip
        except BaseException as error:  # it belongs to the thread that gets from the queue
            end = error
        self.queue.put(end)

    def __iter__(self) -> Iterator[LiveScores]:
        while True:
            try:
                entry = self.queue.get(timeout=1 / 30)
            except queue.Empty:
                if self.idle is not None:
                    self.idle()
                continue
            if isinstance(entry, tuple):
                yield self._score(*entry)
                continue
            self.queue.put(entry)  # for who asks again
            if entry is None:
                return
            raise entry

    def _score(self, windows: WindowViews, came: float) -> LiveScores:
        (window,) = score_windows(self.pipeline, windows)
        now = time.monotonic()
        fps = self.reader.frames_read / max(now - self._start, 1e-9)
        return LiveScores(window, now - came, fps, self.num_dropped)


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
