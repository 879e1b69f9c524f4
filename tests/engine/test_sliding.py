"""Scores along a video, against clips cut by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from slowfast.datasets.clip_sampling import SecondsSampling, SegmentSampling, StridedSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.sliding import scores_over_time
from slowfast.motion.files import write_video
from slowfast.video.reader import VideoReader

PROTOCOL = Protocol(SecondsSampling(4, 2), num_clips=10, num_crops=3, short_sides=(32,), crop_size=32)


class Brightness(nn.Module):
    """Scores (B, 2): the clip's mean, and that of its last frame."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))
        self.modes, self.batches = [], []

    def forward(self, clip):
        self.modes.append(self.training)
        self.batches.append(len(clip))
        return torch.stack([clip.mean((1, 2, 3, 4)), clip[:, :, -1].mean((1, 2, 3))], dim=1) + self.shift


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """30 frames at 15 per second, 48 x 32, ever brighter."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    frames = np.arange(30, dtype=np.uint8)[:, None, None, None] * 8 + np.zeros((30, 32, 48, 3), np.uint8)
    write_video(path, frames, fps=15)
    return path


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_scores_are_those_of_clips_cut_by_hand(video, batch_size):
    """Sampling rate 2 at 30 per second is 1 at the video's 15: a clip is 4 frames on end; the stride is 3 frames."""
    model = Brightness()
    result = scores_over_time(Pipeline(model, PROTOCOL, views_per_forward=batch_size), video, stride_seconds=0.2)
    with VideoReader(video) as reader:
        frames = reader.frames_at(range(30))[:, :, :, 8:40]
    starts = range(0, 27, 3)
    clips = torch.stack([frames[start : start + 4].transpose(0, 1) for start in starts])
    with torch.no_grad():
        expected = model(ClipPreprocessor(device=torch.device("cpu"))(clips))
    np.testing.assert_allclose(result.scores, expected.numpy(), rtol=1e-5)
    np.testing.assert_allclose(result.seconds, [(start + 2) / 15 for start in starts])
    assert result.span_seconds == pytest.approx(4 / 15)
    assert max(model.batches[:-1]) <= batch_size


def test_the_default_stride_is_a_quarter_of_a_clip(video):
    result = scores_over_time(Pipeline(Brightness(), PROTOCOL), video)
    np.testing.assert_allclose(np.diff(result.seconds), 1 / 15)
    assert len(result.seconds) == 27


def test_a_video_shorter_than_a_clip_gives_one(video):
    result = scores_over_time(Pipeline(Brightness(), replace(PROTOCOL, sampling=SecondsSampling(16, 8))), video)
    assert result.scores.shape == (1, 2) and result.seconds.tolist() == [1.0]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_runs_in_eval_mode_and_keeps_its_own(video, training):
    model = Brightness().train(training)
    scores_over_time(Pipeline(model, PROTOCOL), video)
    assert not any(model.modes) and model.training is training


def test_a_stride_of_nothing_is_refused(video):
    with pytest.raises(ValueError, match=r"stride_seconds=0: must be above 0"):
        scores_over_time(Pipeline(Brightness(), PROTOCOL), video, stride_seconds=0)


def test_clips_that_count_frames_slide_too(video):
    """3 frames, every other one at 30 a second: 5 counted frames, which the video at 15 shows in three."""
    pipeline = Pipeline(Brightness(), replace(PROTOCOL, sampling=StridedSampling(3, 2, 30.0)))
    result = scores_over_time(pipeline, video, stride_seconds=0.5)
    np.testing.assert_allclose(result.seconds, [start + 2.5 / 30 for start in (0, 0.5, 1, 1.5)])
    assert (np.diff(result.scores[:, 0]) > 0).all()


def test_clips_of_segments_cannot_slide(video):
    pipeline = Pipeline(Brightness(), replace(PROTOCOL, sampling=SegmentSampling(4, 30.0)))
    with pytest.raises(ValueError, match=r"clips of kind 'segments' cannot slide along a video: 4 frames, one from"):
        scores_over_time(pipeline, video)
