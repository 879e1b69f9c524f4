"""From scores of windows to parts of a video: start, end, label, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from slowfast.engine.prediction import class_name

_TOUCHING = 1e-6  # seconds: times are sums of floats


@dataclass(frozen=True)
class Segment:
    """A part of a video in which a class reaches the threshold.

    Attributes:
        start, end: seconds from the first frame.
        label: name of the class.
        score: the mean over its windows, on the scale of one view.
        track: number of the box that it belongs to; None: the whole frame.
    """

    start: float
    end: float
    label: str
    score: float
    track: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """``{"start", "end", "label", "score"}``, and "track" if there is one."""
        values = asdict(self)
        rounded = {name: round(values[name], 4) for name in ("start", "end")}
        return {name: value for name, value in (values | rounded).items() if value is not None}


@dataclass
class _Open:
    start: float
    end: float
    total: float
    count: int


class SegmentMerger:
    """Merges consecutive or overlapping windows that share a class; returns a segment when it ends.

    Args:
        threshold: minimum mean score for a class of a window.
        class_names: in the order of scores, or None.
        track: of the segments.

    Raises:
        ValueError: the threshold is not a number above 0.
    """

    def __init__(self, threshold: float, class_names: Sequence[str] | None = None, *, track: int | None = None):
        if not threshold > 0:
            raise ValueError(f"threshold={threshold:g}: must be above 0, or else every window would have every class.")
        self.threshold, self.class_names, self.track = threshold, class_names, track
        self._open: dict[int, _Open] = {}

    def add(self, start: float, end: float, scores: np.ndarray) -> list[Segment]:
        """The segments that end before this window.

        Args:
            start, end: of the window, seconds; windows come in their order.
            scores: (K,), on the scale of one view.
        """
        present = np.flatnonzero(scores >= self.threshold).tolist()
        ended = [
            class_id
            for class_id, open_ in self._open.items()
            if class_id not in present or start > open_.end + _TOUCHING
        ]
        segments = self._close(ended)
        for class_id in present:
            open_ = self._open.setdefault(class_id, _Open(start, end, 0.0, 0))
            open_.end, open_.total, open_.count = end, open_.total + float(scores[class_id]), open_.count + 1
        return segments

    def finish(self, end: float | None = None) -> list[Segment]:
        """The segments that reach to the end of the video.

        Args:
            end: of the video; default that of the last window.
        """
        for open_ in self._open.values():
            open_.end = open_.end if end is None else max(open_.end, end)
        return self._close(list(self._open))

    def _close(self, class_ids: Sequence[int]) -> list[Segment]:
        closed = [(class_name(class_id, self.class_names), self._open.pop(class_id)) for class_id in class_ids]
        segments = [Segment(one.start, one.end, label, one.total / one.count, self.track) for label, one in closed]
        return sorted(segments, key=lambda segment: (segment.start, segment.label))


class WindowSegments:
    """The segments of a video with overlapping windows: each window stands for the stretch around its middle.

    Otherwise, segments would overlap as far as windows do.

    Args:
        stride_seconds: from the start of one window to the start of the next.
        threshold, class_names: as in ``SegmentMerger``.
    """

    def __init__(self, stride_seconds: float, threshold: float, class_names: Sequence[str] | None = None):
        self.half_stride = stride_seconds / 2
        self._merger = SegmentMerger(threshold, class_names)
        self._told = 0.0  # seconds that windows have spoken for
        self._end = 0.0

    def add(self, start: float, end: float, scores: np.ndarray) -> list[Segment]:
        """The segments that end before this window; arguments as in ``SegmentMerger.add``."""
        own_end = min(end, (start + end) / 2 + self.half_stride)
        own_start, self._told, self._end = max(start, self._told), own_end, end
        return self._merger.add(own_start, own_end, scores)

    def finish(self) -> list[Segment]:
        """The segments that reach to the end of the last window."""
        return self._merger.finish(self._end)
