"""The whole frame as a view: sizes, and boxes that go where their pixels go."""

import numpy as np
import pytest
import torch

from slowfast.video.geometry import whole_frame


def test_the_example_of_the_documentation():
    """data_formats.md, 4.6: 640x480, short side 256; PySlowFast scales y by 341 / 640 too, 0.2 pixels away."""
    view = whole_frame(height=480, width=640, short_side=256)
    assert (view.scaled_height, view.scaled_width, view.region) == (256, 341, (0, 0, 480, 640))
    (box,) = view.apply_to_boxes(torch.tensor([[160.0, 48, 480, 432]]))
    assert box.tolist() == pytest.approx([85.25, 25.6, 255.75, 230.4])
    assert box.tolist() == pytest.approx([85.25, 25.575, 255.75, 230.175], abs=0.25)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_boxes_move_with_their_pixels(seed, flip):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 44), rng.integers(0, 30)
    frames = torch.zeros(2, 3, 40, 56, dtype=torch.uint8)
    frames[..., y : y + 10, x : x + 12] = 255  # a painted actor
    view = whole_frame(height=40, width=56, short_side=40 if seed % 2 else 80, flip=flip)
    box = view.apply_to_boxes(torch.tensor([[x, y, x + 12, y + 10]]).float())[0]
    rows, cols = torch.nonzero(view.apply_to_frames(frames)[0, 0] > 127, as_tuple=True)
    assert box.tolist() == [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]


def test_boxes_are_clipped_to_the_frame():
    view = whole_frame(height=40, width=60, short_side=20, flip=True)
    boxes = view.apply_to_boxes(torch.tensor([[-6.0, -4, 30, 20], [30, 20, 66, 44]]))
    assert boxes.tolist() == [[15, 0, 30, 10], [0, 10, 15, 20]]
