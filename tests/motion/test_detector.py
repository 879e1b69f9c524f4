"""Invented detections: near the true boxes or far from them, with the scores that go with it."""

import numpy as np
import pytest

from slowfast.motion.detector import LEAST_OVERLAP, MOST_OVERLAP, detect, overlap

BOXES = [np.array([0.1, 0.2, 0.3, 0.7]), np.array([0.6, 0.1, 0.9, 0.5])]


@pytest.mark.parametrize(
    "other, expected",
    [
        ([0.0, 0.0, 0.4, 0.2], 1.0),
        ([0.2, 0.0, 0.6, 0.2], 1 / 3),  # half of each: 0.5 / 1.5
        ([0.0, 0.1, 0.4, 0.2], 0.5),
        ([0.4, 0.0, 0.8, 0.2], 0.0),  # they touch
        ([0.5, 0.5, 0.6, 0.6], 0.0),
    ],
)
def test_overlap_of_drawn_boxes(other, expected):
    assert overlap(np.array([0.0, 0.0, 0.4, 0.2]), np.array(other)) == pytest.approx(expected)


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    return [list(detect(rng, 902, BOXES)) for _ in range(2000)]


def test_found_boxes_lie_on_their_actor_and_score_high(found):
    hits = [one for frame in found for one in frame if one.actor is not None]
    assert all(overlap(one.box, BOXES[one.actor]) >= LEAST_OVERLAP for one in hits)
    assert all(one.second == 902 and 0.9 <= one.score <= 1 for one in hits)
    assert len(np.unique([one.box for one in hits], axis=0)) == len(hits)  # no two are jittered alike


def test_false_alarms_lie_elsewhere_and_some_pass_the_threshold(found):
    others = [one for frame in found for one in frame if one.actor is None]
    assert all(max(overlap(one.box, box) for box in BOXES) <= MOST_OVERLAP for one in others)
    assert all((one.box >= 0).all() and (one.box <= 1).all() for one in others)
    certain = np.mean([one.score >= 0.8 for one in others])
    assert 0.1 < certain < 0.25  # 0.06 of 0.36


def test_rates_are_those_stated(found):
    """Of 4,000 true boxes 3 % are missed; a frame has 0.06 certain and 0.3 doubtful boxes of nothing."""
    hits = sum(one.actor is not None for frame in found for one in frame)
    assert hits / 4000 == pytest.approx(0.97, abs=0.01)
    certain = sum(one.actor is None and one.score >= 0.8 for frame in found for one in frame)
    doubtful = sum(one.actor is None and one.score < 0.8 for frame in found for one in frame)
    assert certain / 2000 == pytest.approx(0.06, abs=0.02)
    assert doubtful / 2000 == pytest.approx(0.3, abs=0.04)


def test_a_frame_without_room_has_no_false_alarm():
    everything = [np.array([0.0, 0.0, 1.0, 1.0])]
    rng = np.random.default_rng(0)
    assert all(one.actor == 0 for _ in range(50) for one in detect(rng, 902, everything))
