"""Boxes that detectors find in key frames, and the tracks that they continue."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slowfast.prediction import boxes as module
from slowfast.prediction.boxes import DetectedBoxes, IouTracker, build_detector, key_frame_spacing
from tests.video_files import MemoryReader


class Found(torch.nn.Module):
    """As torchvision's detectors: two people and a dog in every frame, in pixels."""

    def forward(self, frames):
        boxes = torch.tensor([[0.0, 0.0, 32.0, 24.0], [32.0, 24.0, 64.0, 48.0], [0.0, 0.0, 64.0, 48.0]])
        result = {"boxes": boxes, "labels": torch.tensor([1, 1, 18]), "scores": torch.tensor([0.7, 0.95, 0.99])}
        return [result for _ in frames]


@pytest.fixture
def reader():
    return MemoryReader(torch.zeros(50, 3, 48, 64, dtype=torch.uint8), 20.0)


def test_torchvisions_detector_finds_people_as_fractions(reader, monkeypatch):
    monkeypatch.setattr(module, "load_detector", lambda name, weights, device: Found().eval())
    detector = build_detector("fasterrcnn_resnet50_fpn", weights="on_disk.pth", least_score=0.5)
    found = DetectedBoxes(detector, stride_seconds=1.0, least_score=0.8)
    key_frames = list(found.key_frames(reader))
    assert [seconds for seconds, _, _ in key_frames] == [0.0, 1.0, 2.0] and key_frame_spacing(found, "a.mp4") == 1.0
    for _, boxes, scores in key_frames:
        np.testing.assert_allclose(boxes, [[0.5, 0.5, 1.0, 1.0]])
        np.testing.assert_allclose(scores, [0.95])


def test_frames_without_anybody_are_passed_over(reader):
    found = [[], [[0.1, 0.1, 0.5, 0.5]], np.zeros((0, 5))]
    detected = DetectedBoxes(lambda frames: [found.pop(0)], stride_seconds=1.0)
    ((seconds, boxes, scores),) = detected.key_frames(reader)
    assert seconds == 1.0 and boxes.shape == (1, 4) and scores is None


def test_what_is_no_box_is_said(reader):
    with pytest.raises(ValueError, match=r"the detector gave an array \(1, 3\)"):
        list(DetectedBoxes(lambda frames: [[[1, 2, 3]]]).key_frames(reader))


def test_a_detector_needs_its_weights():
    with pytest.raises(ValueError, match="name its weights file"):
        build_detector("fasterrcnn_resnet50_fpn_v2")


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
