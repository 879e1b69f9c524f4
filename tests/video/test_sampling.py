"""Index arithmetic: hand-written lists, PySlowFast's own figures, and what holds for any video."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.video.geometry import uniform_crops
from slowfast.video.sampling import (
    center_segment_indices,
    clip_frame_indices,
    clip_span,
    eval_clip_indices,
    eval_strided_indices,
    scaled_size,
    segment_bounds,
    strided_clip_indices,
    train_clip_indices,
    train_segment_indices,
    train_strided_indices,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden"  # PySlowFast 287ec00 (tests/data/README.md)
TEMPORAL = json.loads((GOLDEN / "temporal_sampling.json").read_text())
CROPS = json.loads((GOLDEN / "spatial_crops.json").read_text())


def test_span_counts_in_the_frames_of_the_video():
    assert clip_span(32, 2, 30, 30) == 64
    assert clip_span(32, 2, 25, 30) == pytest.approx(53.3333, abs=1e-4)
    assert clip_span(1, 1, 0.1, 30) == 1  # never less than a frame


@pytest.mark.parametrize("name", ["num_frames", "sampling_rate", "fps", "target_fps"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_span_refuses_what_is_no_rate(name, value):
    arguments = {"num_frames": 8, "sampling_rate": 8, "fps": 30, "target_fps": 30, name: value}
    with pytest.raises(ValueError, match=f"{name} must be a positive number, got {value}"):
        clip_span(**arguments)


@pytest.mark.parametrize(
    "start, span, num_frames, num_video_frames, expected",
    [
        (0, 8, 4, 100, [0, 2, 4, 7]),
        (0, 64, 8, 100, [0, 9, 18, 27, 36, 45, 54, 63]),
        (0, 64, 8, 40, [0, 9, 18, 27, 36, 39, 39, 39]),  # the last frame repeats
        (0.5, 8, 4, 100, [0, 2, 5, 7]),  # 0.5, 2.83, 5.17, 7.5
        (5, 8, 1, 100, [5]),
        (0, 8, 4, 1, [0, 0, 0, 0]),
        (7, 1, 3, 100, [7, 7, 7]),
    ],
)
def test_clip_frames_by_hand(start, span, num_frames, num_video_frames, expected):
    indices = clip_frame_indices(start, span=span, num_frames=num_frames, num_video_frames=num_video_frames)
    assert indices.tolist() == expected
    assert str(indices.dtype) == "torch.int64"


def test_clip_frames_round_like_torch_in_float32():
    # The exact value of frame 27 is 219; PySlowFast shows 218, and its weights were tested so.
    assert clip_frame_indices(0, span=512, num_frames=64, num_video_frames=1000)[27] == 218


@pytest.mark.parametrize("name, value", [("span", 0.5), ("num_frames", 0), ("num_video_frames", 0), ("start", -1)])
def test_clip_frames_name_the_wrong_argument(name, value):
    arguments = {"start": 0, "span": 8, "num_frames": 4, "num_video_frames": 10, name: value}
    with pytest.raises(ValueError, match=f"^{name} must .*, got {value}"):
        clip_frame_indices(arguments.pop("start"), **arguments)


@pytest.mark.parametrize("case", TEMPORAL, ids=lambda case: f"{case['num_video_frames']}at{case['fps']}")
@pytest.mark.parametrize("offset, key", [(False, "views"), (True, "views_offset_sampling")])
def test_test_clips_are_pyslowfasts(case, offset, key):
    names = ("num_video_frames", "fps", "num_frames", "sampling_rate", "target_fps", "num_views")
    assert eval_clip_indices(*(case[name] for name in names), offset=offset).tolist() == case[key]


@pytest.mark.parametrize("seed", range(30))
def test_any_training_clip_is_full_ordered_and_inside(seed):
    rng = np.random.default_rng(seed)
    num_video_frames, fps = int(rng.integers(1, 400)), rng.uniform(5, 60)
    num_frames, rate = int(rng.integers(1, 64)), int(rng.integers(1, 16))
    clip = train_clip_indices(num_video_frames, fps, num_frames, rate, 30, rng)
    assert len(clip) == num_frames
    assert (clip.diff() >= 0).all()
    assert clip.min() >= 0 and clip.max() < num_video_frames


def test_a_video_as_long_as_the_clip_leaves_one_choice():
    clips = [train_clip_indices(64, 30, 32, 2, 30, np.random.default_rng(seed)).tolist() for seed in range(5)]
    assert all(clip == clips[0] for clip in clips)
    assert eval_clip_indices(64, 30, 32, 2, 30, 1, True)[0].tolist() == clips[0]
    assert eval_clip_indices(64, 30, 32, 2, 30, 3).tolist() == [clips[0]] * 3


def test_training_clips_cover_the_video():
    rng = np.random.default_rng(0)
    clips = [train_clip_indices(100, 30, 8, 2, 30, rng) for _ in range(400)]
    assert min(clip[0] for clip in clips) == 0
    assert max(clip[-1] for clip in clips) >= 98


@pytest.mark.parametrize("case", CROPS, ids=lambda case: f"{case['height']}x{case['width']}")
def test_test_crops_are_pyslowfasts(case):
    size = case["height"], case["width"], case["crop"]
    assert list(scaled_size(*size)) == case["scaled"]
    crops = uniform_crops(height=size[0], width=size[1], size=size[2], num_crops=3)
    assert [[crop.top, crop.left] for crop in crops] == case["crops"]


def test_crops_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="a crop of 256 pixels does not fit into a side of 255"):
        uniform_crops(height=340, width=255, size=256, num_crops=3, short_side=255)
    with pytest.raises(ValueError, match="cannot scale 0x10 pixels"):
        scaled_size(0, 10, 5)


@pytest.mark.parametrize("height, width", [(256, 340), (340, 256), (256, 256), (255, 1000)])
def test_scaling_keeps_the_shape_and_a_second_time_changes_nothing(height, width):
    scaled = scaled_size(height, width, 256)
    assert min(scaled) == 256
    assert max(scaled) / 256 == pytest.approx(max(height, width) / min(height, width), abs=1 / 256)
    assert scaled_size(*scaled, 256) == scaled


# ---- Sets of single images ----


def test_the_ten_test_clips_of_a_charades_video():
    """PySlowFast's test clips: N=730, T=64, tau=2, K=10 has L=127 and starts at 0, 67, 134, ..., 603."""
    clips = eval_strided_indices(730, 64, 2, 10)
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
    assert eval_strided_indices(num_video_frames, 4, 2, 5)[:, 0].tolist() == starts


def test_a_single_clip_lies_in_the_middle():
    assert eval_strided_indices(15, 4, 2, 1).tolist() == [[4, 6, 8, 10]]
    assert eval_strided_indices(12, 4, 2, 1).tolist() == [[2, 4, 6, 8]]  # 2.5 to even


def test_a_short_video_repeats_its_last_frame():
    assert eval_strided_indices(5, 4, 2, 2).tolist() == [[0, 2, 4, 4]] * 2
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
        eval_strided_indices(10, 4, 0, 1)
    with pytest.raises(ValueError, match="num_views must be at least 1, got 0"):
        eval_clip_indices(300, 30, 32, 2, 30, 0)
    with pytest.raises(ValueError, match="num_views must be at least 1, got 0"):
        eval_strided_indices(10, 4, 1, 0)
    with pytest.raises(ValueError, match="num_video_frames must be at least 1, got 0"):
        center_segment_indices(0, 4)
