"""Scores along a video, against clips cut by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from slowfast.engine.inputs import ClipPreprocessor
from slowfast.motion.clips import write_video
from slowfast.video.reader import VideoReader
from slowfast.visualization.predictions import ScoresOverTime, plot_top_k_over_time, scores_over_time

CLIP = {"num_frames": 4, "sampling_rate": 2, "crop_size": 32}


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
    result = scores_over_time(model, video, **CLIP, stride_seconds=0.2, batch_size=batch_size)
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
    result = scores_over_time(Brightness(), video, **CLIP)
    np.testing.assert_allclose(np.diff(result.seconds), 1 / 15)
    assert len(result.seconds) == 27


def test_a_video_shorter_than_a_clip_gives_one(video):
    result = scores_over_time(Brightness(), video, num_frames=16, sampling_rate=8, crop_size=32)
    assert result.scores.shape == (1, 2) and result.seconds.tolist() == [1.0]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_runs_in_eval_mode_and_keeps_its_own(video, training):
    model = Brightness().train(training)
    scores_over_time(model, video, **CLIP)
    assert not any(model.modes) and model.training is training


def test_pixels_go_through_the_preprocessing_that_is_given(video):
    plain = scores_over_time(Brightness(), video, **CLIP, preprocess=lambda frames: frames.float())
    assert plain.scores.max() > 100  # pixels as they are


def test_a_stride_of_nothing_is_refused(video):
    with pytest.raises(ValueError, match=r"stride_seconds=0: must be above 0"):
        scores_over_time(Brightness(), video, **CLIP, stride_seconds=0)


def result_of(scores) -> ScoresOverTime:
    scores = np.asarray(scores, np.float32)
    return ScoresOverTime(np.arange(len(scores)) / 2, scores, span_seconds=0.5)


def test_the_best_classes_are_those_of_the_largest_mean():
    result = result_of([[0.1, 0.6, 0.3, 0.0], [0.1, 0.2, 0.7, 0.0]])
    assert result.top_classes(2) == [2, 1]
    assert result.top_classes(9) == [2, 1, 0, 3]


def test_the_plot_draws_them_under_their_names():
    figures = pytest.importorskip("matplotlib.figure")
    axes = figures.Figure().subplots()
    result = result_of([[0.1, 0.6, 0.3], [0.1, 0.2, 0.7]])
    assert plot_top_k_over_time(axes, result, ["a", "b", "c"], k=2, title="video") == [2, 1]
    assert [line.get_label() for line in axes.lines] == ["c", "b"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.3, 0.7])
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0.0, 0.5])
    assert "0.50 s" in axes.get_xlabel() and axes.get_title() == "video"
    axes = figures.Figure().subplots()
    plot_top_k_over_time(axes, result)
    assert [line.get_label() for line in axes.lines] == ["2", "1", "0"]
