"""Crops: pixels and boxes move together, sizes and distributions are those asked for, resizing is PySlowFast's."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from slowfast.video.augment import normalize
from slowfast.video.geometry import (
    Crop,
    center_crop,
    random_crop,
    random_resized_crop,
    resize,
    uniform_crops,
    whole_frame,
)
from slowfast.video.sampling import scaled_size

GOLDEN = Path(__file__).parents[1] / "data" / "golden"  # PySlowFast 287ec00 (tests/data/README.md)
MEAN, STD = [0.45] * 3, [0.225] * 3


def test_resize_is_pyslowfasts():
    golden = json.loads((GOLDEN / "resize.json").read_text())
    frames = torch.tensor(golden["uint8_thwc"], dtype=torch.uint8).permute(0, 3, 1, 2)  # (T, 3, H, W)
    expected = torch.tensor(golden["first_channel_first_frame"])
    size = scaled_size(*frames.shape[-2:], golden["short_side"])
    clip = normalize(frames.permute(1, 0, 2, 3), MEAN, STD)  # (3, T, H, W)
    resized = resize(clip, *size)
    assert list(resized.shape) == golden["shape"]
    torch.testing.assert_close(resized[0, 0], expected, atol=1e-5, rtol=0)
    for memory_format in (torch.channels_last, torch.contiguous_format):
        pixels = resize(frames.contiguous(memory_format=memory_format), *size)
        assert pixels.dtype == torch.uint8
        levels = (normalize(pixels.permute(1, 0, 2, 3), MEAN, STD)[0, 0] - expected) * 0.225 * 255
        assert levels.abs().max() <= 1


@pytest.mark.parametrize("size", [(288, 382), (130, 170), (256, 341), (63, 97)])
def test_uint8_resize_is_within_one_level_of_float(size):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 128, 170, 3), np.uint8)).permute(0, 3, 1, 2)
    exact = F.interpolate(frames.double(), size=size, mode="bilinear", align_corners=False)
    # The fast kernel rounds after each of its two passes and has 16-bit weights: at most a level, and a hair.
    assert (resize(frames, *size).double() - exact).abs().max() <= 1.01
    assert resize(frames, 128, 170) is frames


@pytest.mark.parametrize("seed", range(60))
def test_boxes_move_with_their_pixels(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 80), rng.integers(0, 50)
    frames = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)
    frames[..., y : y + 10, x : x + 12] = 255  # a painted actor
    crop = random_crop(height=64, width=96, size=48, rng=rng)  # maybe flipped
    if seed % 3 == 0:
        crop = whole_frame(height=64, width=96, short_side=64 if seed % 2 else 128, flip=seed % 4 > 1)
    box = crop.apply_to_boxes(torch.tensor([[x, y, x + 12, y + 10]]).float())[0]
    rows, cols = torch.nonzero(crop.apply_to_frames(frames)[0, 0] > 127, as_tuple=True)
    if len(rows) == 0:
        assert (box[2] - box[0]) * (box[3] - box[1]) == 0  # fully outside: empty box
    else:
        assert box.tolist() == [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["jitter", "inception", "test"])
def test_boxes_move_with_their_pixels_when_scaled(seed, kind):
    rng = np.random.default_rng(seed)
    window = {"height": 64, "width": 96, "size": 48}
    if kind == "jitter":
        crop = random_crop(**window, rng=rng, short_side_range=(64, 128))
    elif kind == "inception":
        crop = random_resized_crop(**window, rng=rng, area_fractions=(0.3, 1), aspect_ratios=(0.75, 1.3333))
    else:
        crop = uniform_crops(**window, num_crops=3)[seed % 3]
    x, y = rng.integers(0, 70), rng.integers(0, 44)
    frames = torch.zeros(1, 3, 64, 96)
    frames[..., y : y + 20, x : x + 26] = 1
    box = crop.apply_to_boxes(torch.tensor([[x, y, x + 26, y + 20]]).float())[0]
    rows, cols = torch.nonzero(crop.apply_to_frames(frames)[0, 0] > 0.5, as_tuple=True)
    if len(rows):
        seen = torch.tensor([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]).float()
        assert (box - seen).abs().max() <= 1  # the edge pixel is a blend


def test_crop_by_hand():
    # A 4 x 8 frame is doubled; the window of 4 x 4 at (y, x) = (2, 6) of that shows rows 1-2 and columns 3-4 of it.
    crop = Crop((0, 0, 4, 8), scaled_height=8, scaled_width=16, top=2, left=6, size=4)
    boxes = torch.tensor([[3.0, 1.0, 5.0, 3.0], [0.0, 0.0, 8.0, 4.0], [6.0, 0.0, 8.0, 4.0]])
    assert crop.apply_to_boxes(boxes).tolist() == [[0, 0, 4, 4], [0, 0, 4, 4], [4, 0, 4, 4]]
    mirrored = Crop((0, 0, 4, 8), 8, 16, 2, 6, 4, flip=True)
    assert mirrored.apply_to_boxes(torch.tensor([[3.0, 1.0, 3.5, 3.0]])).tolist() == [[3, 0, 4, 4]]


def test_jitter_stays_in_its_range_and_reaches_every_place():
    rng = np.random.default_rng(0)
    crops = [random_crop(height=256, width=340, size=224, rng=rng, short_side_range=(256, 320)) for _ in range(4000)]
    sides = [crop.scaled_height for crop in crops]
    assert min(sides) == 256 and max(sides) == 320
    assert np.mean(sides) == pytest.approx(288, abs=1.5)
    assert np.mean([crop.flip for crop in crops]) == pytest.approx(0.5, abs=0.04)
    smallest = [crop for crop in crops if crop.scaled_height == 256]
    assert {crop.top for crop in smallest} >= {0, 32} or len(smallest) < 50
    assert all(crop.scaled_width == int(340 / 256 * crop.scaled_height) for crop in crops)


def test_inverse_uniform_jitter_favors_the_small():
    rng = np.random.default_rng(0)
    window = {"height": 256, "width": 340, "size": 224, "short_side_range": (256, 512)}
    sides = [random_crop(**window, rng=rng, inverse_uniform=True).scaled_height for _ in range(4000)]
    assert min(sides) == 256 and 500 < max(sides) <= 512
    # E[1 / u] for u uniform in [1/512, 1/256] is 512 ln 2.
    assert np.mean(sides) == pytest.approx(512 * np.log(2), rel=0.01)


def test_the_last_position_is_reached():
    rng = np.random.default_rng(0)
    corners = {(crop.top, crop.left) for crop in (random_crop(height=9, width=10, size=8, rng=rng) for _ in range(200))}
    assert corners == {(y, x) for y in range(2) for x in range(3)}


@pytest.mark.parametrize("height, width", [(256, 340), (340, 256), (100, 1000), (30, 30)])
def test_inception_crops_are_regions_of_the_frame(height, width):
    rng = np.random.default_rng(0)
    for _ in range(200):
        crop = random_resized_crop(
            height=height, width=width, size=32, rng=rng, area_fractions=(0.08, 1), aspect_ratios=(0.75, 4 / 3)
        )
        top, left, h, w = crop.region
        assert top >= 0 and left >= 0 and top + h <= height and left + w <= width
        assert 0.65 <= w / h <= 1.55  # rounded to pixels
        assert (crop.scaled_height, crop.scaled_width, crop.size) == (32, 32, 32)


def test_inception_crop_falls_back_to_the_center():
    crop = random_resized_crop(
        height=10, width=1000, size=8, rng=np.random.default_rng(0), area_fractions=(1, 1), aspect_ratios=(0.5, 2)
    )
    assert crop.region == (0, 490, 10, 20)


@pytest.mark.parametrize(
    "height, width, last", [(240, 320, (0, 85)), (848, 480, (196, 0)), (256, 256, (0, 0)), (256, 340, (0, 84))]
)
def test_uniform_crops_lie_at_both_ends_and_in_the_center(height, width, last):
    crops = uniform_crops(height=height, width=width, size=256, num_crops=3)
    assert [(crop.top, crop.left) for crop in crops] == [(0, 0), tuple(-(-side // 2) for side in last), last]
    assert center_crop(height=height, width=width, size=256) == crops[1]


def test_a_crop_outside_the_frame_is_refused():
    with pytest.raises(ValueError, match=r"a crop of 48x48 pixels at .* leaves the frame, scaled to 32x64"):
        random_crop(height=32, width=64, size=48, rng=np.random.default_rng(0))


def test_a_whole_frame_scales_both_axes_by_their_own_ratio():
    """640x480, short side 256; PySlowFast scales y by 341 / 640 too, 0.2 pixels away."""
    view = whole_frame(height=480, width=640, short_side=256)
    assert (view.scaled_height, view.scaled_width, view.region) == (256, 341, (0, 0, 480, 640))
    (box,) = view.apply_to_boxes(torch.tensor([[160.0, 48, 480, 432]]))
    assert box.tolist() == pytest.approx([85.25, 25.6, 255.75, 230.4])
    assert box.tolist() == pytest.approx([85.25, 25.575, 255.75, 230.175], abs=0.25)


def test_boxes_of_a_whole_frame_are_clipped_to_it():
    view = whole_frame(height=40, width=60, short_side=20, flip=True)
    boxes = view.apply_to_boxes(torch.tensor([[-6.0, -4, 30, 20], [30, 20, 66, 44]]))
    assert boxes.tolist() == [[15, 0, 30, 10], [0, 10, 15, 20]]
