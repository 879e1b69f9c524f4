"""Index arithmetic: hand-written lists, PySlowFast's own figures, and what holds for any video."""

import json
from pathlib import Path

import numpy as np
import pytest

from slowfast.video.geometry import uniform_crops
from slowfast.video.sampling import (
    clip_frame_indices,
    clip_span,
    scaled_size,
    train_clip_indices,
    uniform_crop_offsets,
)
from slowfast.video.sampling import eval_clip_indices as clip_indices_for_test

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
    assert clip_indices_for_test(*(case[name] for name in names), offset=offset).tolist() == case[key]


def test_default_test_clips_leave_the_end_unseen_and_offset_ones_reach_it():
    assert clip_indices_for_test(300, 30, 32, 2, 30, 10)[-1, -1] == 275
    assert clip_indices_for_test(300, 30, 32, 2, 30, 10, offset=True)[-1, -1] == 297
    assert clip_indices_for_test(300, 30, 32, 2, 30, 1, offset=True)[0, 0] == 118


def test_at_least_one_test_clip():
    with pytest.raises(ValueError, match="num_views must be at least 1, got 0"):
        clip_indices_for_test(300, 30, 32, 2, 30, 0)


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
    assert clip_indices_for_test(64, 30, 32, 2, 30, 1, True)[0].tolist() == clips[0]
    assert clip_indices_for_test(64, 30, 32, 2, 30, 3).tolist() == [clips[0]] * 3


def test_training_clips_cover_the_video():
    rng = np.random.default_rng(0)
    clips = [train_clip_indices(100, 30, 8, 2, 30, rng) for _ in range(400)]
    assert min(clip[0] for clip in clips) == 0
    assert max(clip[-1] for clip in clips) >= 98


def test_center_clip_is_in_the_center():
    clip = clip_indices_for_test(300, 30, 32, 2, 30, 1, True)[0]
    assert (clip[0], clip[-1]) == (118, 181)


@pytest.mark.parametrize("case", CROPS, ids=lambda case: f"{case['height']}x{case['width']}")
def test_test_crops_are_pyslowfasts(case):
    size = case["height"], case["width"], case["crop"]
    assert list(scaled_size(*size)) == case["scaled"]
    crops = uniform_crops(height=size[0], width=size[1], size=size[2], num_crops=3)
    assert [[crop.top, crop.left] for crop in crops] == case["crops"]


@pytest.mark.parametrize("long_side", [256, 257, 340, 455])
def test_three_crops_reach_both_edges_and_mirror(long_side):
    left, center, right = uniform_crop_offsets(long_side, size=256, num_crops=3)
    assert (left, right) == (0, long_side - 256)  # no border stays unseen
    assert abs((long_side - 256 - center) - center) <= 1  # a mirrored video gets the same crops
    assert uniform_crop_offsets(long_side, size=256, num_crops=1) == [center]


def test_crops_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"num_crops must be 1 .* or 3 .*, got 2"):
        uniform_crop_offsets(340, size=256, num_crops=2)
    with pytest.raises(ValueError, match="a crop of 256 pixels does not fit into a side of 255"):
        uniform_crop_offsets(255, size=256, num_crops=3)
    with pytest.raises(ValueError, match="cannot scale 0x10 pixels"):
        scaled_size(0, 10, 5)


@pytest.mark.parametrize("height, width", [(256, 340), (340, 256), (256, 256), (255, 1000)])
def test_scaling_keeps_the_shape_and_a_second_time_changes_nothing(height, width):
    scaled = scaled_size(height, width, 256)
    assert min(scaled) == 256
    assert max(scaled) / 256 == pytest.approx(max(height, width) / min(height, width), abs=1 / 256)
    assert scaled_size(*scaled, 256) == scaled
