from __future__ import annotations

import json
import re

import pytest
import torch

from slowfast.models.pathways import slow_frame_indices, split_pathways
from tests.models.golden import GOLDEN

PACKING = json.loads((GOLDEN / "pathway_packing.json").read_text())


@pytest.mark.parametrize("row", PACKING, ids=lambda row: f"{row['num_frames']}/{row['alpha']}")
def test_linspace_is_the_reference(row):
    assert slow_frame_indices(row["num_frames"], row["alpha"]).tolist() == row["slow_index"]


def test_linspace_does_not_hang_on_the_default_dtype():
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        rows = [slow_frame_indices(frames, 4).tolist() for frames in range(4, 1025, 4)]
    finally:
        torch.set_default_dtype(before)
    assert rows == [slow_frame_indices(frames, 4).tolist() for frames in range(4, 1025, 4)]


@pytest.mark.parametrize("num_frames, alpha", [(32, 4), (64, 8), (30, 3), (8, 1), (8, 8)])
def test_both_modes_give_rising_frames_of_the_clip(num_frames, alpha):
    for mode in ("linspace", "strided"):
        indices = slow_frame_indices(num_frames, alpha, mode=mode)
        assert indices.dtype == torch.int64
        assert len(indices) == num_frames // alpha
        assert indices[0] == 0 and indices[-1] < num_frames
        assert (indices.diff() > 0).all()
    assert slow_frame_indices(num_frames, alpha, mode="strided").tolist() == list(range(0, num_frames, alpha))


@pytest.mark.parametrize("mode", ["linspace", "strided"])
def test_split_keeps_the_clip_and_picks_its_frames(mode):
    clip = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(2, 3, 8, 4, 4)
    slow, fast = split_pathways(clip, 4, mode=mode)
    assert fast is clip
    assert slow.shape == (2, 3, 2, 4, 4)
    assert slow[0, 0, :, 0, 0].tolist() == slow_frame_indices(8, 4, mode=mode).tolist()


@pytest.mark.parametrize(
    "num_frames, alpha, lengths, alphas",
    [(30, 4, "28 or 32", [1, 2, 3, 5, 6, 10, 15, 30]), (3, 8, "8", [1, 3])],
)
def test_a_clip_that_alpha_does_not_divide(num_frames, alpha, lengths, alphas):
    message = (
        f"alpha={alpha} does not divide the clip length {num_frames}: Slow holds 1 in {alpha} Fast frames. "
        f"Clips of {lengths} frames fit it, and this one fits alpha in {alphas}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        slow_frame_indices(num_frames, alpha)
