import numpy as np
import pytest

from slowfast.prediction.segments import Segment, SegmentMerger, WindowSegments


def merged(windows, threshold=0.5) -> list[tuple]:
    merger = SegmentMerger(threshold, ["a", "b"])
    segments = [segment for window in windows for segment in merger.add(*window[:2], np.array(window[2:]))]
    segments += merger.finish()
    return [(s.start, s.end, s.label, round(s.score, 3)) for s in segments]


def test_windows_that_overlap_or_touch_become_one_segment():
    windows = [(0, 2, 0.9, 0.1), (1, 3, 0.7, 0.3), (3, 5, 0.6, 0.4), (4, 6, 0.2, 0.8)]
    assert merged(windows) == [(0, 5, "a", 0.733), (4, 6, "b", 0.8)]


def test_classes_that_are_there_together_have_segments_of_their_own():
    windows = [(0, 1, 0.9, 0.6), (1, 2, 0.9, 0.1), (2, 3, 0.9, 0.7)]
    assert merged(windows) == [(0, 1, "b", 0.6), (0, 3, "a", 0.9), (2, 3, "b", 0.7)]
    assert merged(windows, threshold=0.95) == []


def test_a_segment_is_given_as_soon_as_it_ends():
    merger = SegmentMerger(0.5)
    assert merger.add(0, 1, np.array([0.9, 0.1])) == []
    (segment,) = merger.add(1, 2, np.array([0.1, 0.9]))
    assert segment == Segment(0, 1, "0", 0.9)
    assert segment.as_dict() == {"start": 0, "end": 1, "label": "0", "score": 0.9}


def test_a_threshold_of_nothing_is_refused():
    with pytest.raises(ValueError, match="threshold=0: must be above 0"):
        SegmentMerger(0.0)


def test_windows_that_overlap_speak_for_their_middles():
    """Windows of 4 s every second: a until 6 s, then b; the ends of the video belong to the windows there."""
    segments = WindowSegments(1.0, 0.5, ["a", "b"])
    found = []
    for start in range(7):
        found += segments.add(start, start + 4, np.array([0.9, 0.1]) if start + 2 < 6 else np.array([0.2, 0.8]))
    found += segments.finish()
    assert [(s.start, s.end, s.label) for s in found] == [(0, 5.5, "a"), (5.5, 10, "b")]


def test_windows_with_gaps_between_speak_for_themselves_alone():
    segments = WindowSegments(10.0, 0.5)
    found = [*segments.add(0, 2, np.array([1.0])), *segments.add(10, 12, np.array([1.0])), *segments.finish()]
    assert [(s.start, s.end) for s in found] == [(0, 2), (10, 12)]
