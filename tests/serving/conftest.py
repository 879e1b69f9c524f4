"""Small models behind the server, and videos to send."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from slowfast.datasets.clip_sampling import KeyFrameSampling, SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine.pipeline import Pipeline
from slowfast.models.slowfast import SlowFast
from slowfast.prediction.boxes import DetectedBoxes
from slowfast.serving.analysis import Analyst, Video
from slowfast.serving.app import build_app
from tests.prediction.toys import brightness_pipeline

PROTOCOL = Protocol(SecondsSampling(8, 1), num_clips=2, num_crops=1, short_sides=(32,), crop_size=32)


def slowfast_pipeline() -> Pipeline:
    """A SlowFast of a few channels with random weights."""
    torch.manual_seed(0)
    model = SlowFast(depth=18, width=8, alpha=4, beta=1 / 2, num_classes=3).eval()
    return Pipeline(model, PROTOCOL, class_names=["left", "right", "<b>up</b>"], device="cpu")


def box_analyst() -> Analyst:
    """Over a SlowFast that scores boxes, one of which is found every 0.4 seconds."""
    torch.manual_seed(0)
    model = SlowFast(depth=18, width=8, alpha=4, beta=1 / 2, num_classes=2, roi_head={"resolution": 2}).eval()
    protocol = Protocol(KeyFrameSampling(8, 1), num_clips=1, num_crops=1, short_sides=(32,), crop_size=32)
    boxes = DetectedBoxes(lambda frames: [[[0.1, 0.2, 0.6, 0.9, 0.95]]], stride_seconds=0.4)
    return Analyst(Pipeline(model, protocol, class_names=["walk", "sit"], device="cpu"), boxes=boxes)


@pytest.fixture
def video(tiny_motion) -> Path:
    """24 frames of 40 x 32 pixels, 0.8 seconds."""
    return sorted((tiny_motion / "test").rglob("*.mp4"))[0]


@pytest.fixture
def analyst():
    return Analyst(brightness_pipeline())


@pytest.fixture
def client(analyst, video):
    """The application over a model of brightness, with one sample."""
    app = build_app(analyst, title="brightness", samples=[Video(video, "folder/a.mp4", is_ours=True)])
    with TestClient(app, base_url="http://127.0.0.1:8000") as made:
        yield made
