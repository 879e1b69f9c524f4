"""Clips of frame lists: worked vectors, borders, and a slow version."""

import itertools

import numpy as np
import pytest
import torch

from slowfast.video.frame_sampling import (
    center_segment_indices,
    segment_bounds,
    strided_clip_indices,
    train_segment_indices,
    train_strided_indices,
)
from slowfast.video.frame_sampling import eval_strided_indices as strided_indices_for_test


def test_the_ten_test_clips_of_a_charades_video():
    """PySlowFast's test clips: N=730, T=64, tau=2, K=10 has L=127 and starts at 0, 67, 134, ..., 603."""
    clips = strided_indices_for_test(730, 64, 2, 10)
    assert clips[:, 0].tolist() == list(range(0, 604, 67))
    assert (clips.diff(dim=1) == 2).all()
    assert clips[-1, -1] == 729  # the last clip ends the video


@pytest.mark.parametrize(
    "num_video_frames, starts",
    [
        (15, [0, 2, 4, 6, 8]),
        (16, [0, 2, 4, 7, 9]),  # 2.25, 4.5, 6.75: half to even
        (9, [0, 0, 1, 2, 2]),  # 0.5 and 1.5
        (7, [0] * 5),
    ],
)
def test_starts_are_rounded_half_to_even(num_video_frames, starts):
    assert strided_indices_for_test(num_video_frames, 4, 2, 5)[:, 0].tolist() == starts


def test_a_single_clip_lies_in_the_middle():
    assert strided_indices_for_test(15, 4, 2, 1).tolist() == [[4, 6, 8, 10]]
    assert strided_indices_for_test(12, 4, 2, 1).tolist() == [[2, 4, 6, 8]]  # 2.5 to even


def test_a_short_video_repeats_its_last_frame():
    assert strided_indices_for_test(5, 4, 2, 2).tolist() == [[0, 2, 4, 4]] * 2
    assert strided_clip_indices(-3, num_frames=4, stride=2, num_video_frames=3).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("num_video_frames, possible", [(10, {0, 1, 2, 3}), (7, {0}), (5, {-2, -1, 0}), (1, set())])
def test_training_clips_start_anywhere_in_their_range(num_video_frames, possible):
    rng = np.random.default_rng(0)
    found = {tuple(train_strided_indices(num_video_frames, 4, 2, rng).tolist()) for _ in range(200)}
    expected = {tuple(min(max(start + 2 * j, 0), num_video_frames - 1) for j in range(4)) for start in possible or {0}}
    assert found == expected


def test_the_middle_of_segments():
    """One frame from each of equal segments."""
    assert center_segment_indices(40, 8).tolist() == [2, 7, 12, 17, 22, 26, 31, 36]
    assert center_segment_indices(5, 8).tolist() == [0, 0, 1, 2, 2, 2, 3, 4]
    assert center_segment_indices(1, 4).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("num_video_frames, num_frames", [(40, 8), (5, 8), (64, 64), (123, 16), (2, 3)])
def test_segments_against_python(num_video_frames, num_frames):
    q = (num_video_frames - 1) / num_frames
    first, last = segment_bounds(num_video_frames, num_frames)
    assert first.tolist() == [round(q * j) for j in range(num_frames)]
    assert last.tolist() == [round(q * (j + 1)) for j in range(num_frames)]


def test_training_draws_every_frame_of_every_segment():
    rng = np.random.default_rng(0)
    drawn = torch.stack([train_segment_indices(13, 4, rng) for _ in range(300)])
    assert [sorted(set(column.tolist())) for column in drawn.T] == [
        [0, 1, 2, 3],
        [3, 4, 5, 6],
        [6, 7, 8, 9],
        [9, 10, 11, 12],
    ]
    assert drawn.dtype == torch.int64 and (drawn.diff(dim=1) >= 0).all()


def test_arguments_below_one_are_named():
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        strided_indices_for_test(10, 4, 0, 1)
    with pytest.raises(ValueError, match="num_views must be at least 1, got 0"):
        strided_indices_for_test(10, 4, 1, 0)
    with pytest.raises(ValueError, match="num_video_frames must be at least 1, got 0"):
        center_segment_indices(0, 4)


@pytest.mark.parametrize("num_video_frames", [1, 5, 40, 41, 117])
def test_preprocessing_json_describes_the_middles_of_segments(num_video_frames):
    """As SomethingSomething.describe_clips has it: floor((b(k) + b(k + 1)) / 2)."""
    borders = [round(k * (num_video_frames - 1) / 8) for k in range(9)]
    expected = [(first + last) // 2 for first, last in itertools.pairwise(borders)]
    assert center_segment_indices(num_video_frames, 8).tolist() == expected
