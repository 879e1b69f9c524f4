import numpy as np

from slowfast.prediction.tracking import IouTracker

LEFT, RIGHT = [0.0, 0.0, 0.4, 0.4], [0.6, 0.0, 1.0, 0.4]


def shifted(box, by):
    return [box[0] + by, box[1], box[2] + by, box[3]]


def test_boxes_keep_their_track_whatever_their_order():
    tracker = IouTracker()
    assert tracker.update(np.array([LEFT, RIGHT])) == [0, 1]
    assert tracker.update(np.array([shifted(RIGHT, -0.1), shifted(LEFT, 0.1)])) == [1, 0]
    assert tracker.update(np.array([[0.0, 0.6, 0.4, 1.0]])) == [2]  # overlaps neither


def test_the_largest_overlap_goes_first():
    """Both boxes overlap the one track; the nearer one continues it, the other is new."""
    tracker = IouTracker()
    tracker.update(np.array([LEFT]))
    assert tracker.update(np.array([shifted(LEFT, 0.15), shifted(LEFT, 0.05)])) == [1, 0]


def test_a_track_may_be_missing_once():
    tracker = IouTracker()
    assert tracker.update(np.array([LEFT])) == [0]
    assert tracker.update(np.zeros((0, 4))) == []
    assert tracker.update(np.array([LEFT])) == [0]
    tracker.update(np.zeros((0, 4)))
    tracker.update(np.zeros((0, 4)))
    assert tracker.update(np.array([LEFT])) == [1]
