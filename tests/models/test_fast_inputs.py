"""The weaker Fast inputs of table 5c, alone and in a network."""

import pytest
import torch

from slowfast.models.pathways import FAST_INPUTS, fast_input
from tests.models.toys import toy_slowfast

CLIP = torch.randn(2, 5, 8, 32, 32, generator=torch.Generator().manual_seed(0))
FUSIONS = ["TimeStridedConv", "TimeStridedSample", "TimeToChannelConcat", "TimeToChannelSum", "NoFusion"]


def test_gray_is_the_luma_of_every_pixel():
    gray = fast_input(CLIP[:, :3], "gray")
    assert gray.shape == (2, 1, 8, 32, 32)
    red, green, blue = CLIP[1, :3, 4, 5, 6]
    assert gray[1, 0, 4, 5, 6].item() == pytest.approx((0.299 * red + 0.587 * green + 0.114 * blue).item(), abs=1e-6)
    assert torch.allclose(fast_input(torch.ones(1, 3, 2, 4, 4), "gray"), torch.ones(1, 1, 2, 4, 4))


def test_half_resolution_is_the_mean_of_four_pixels():
    half = fast_input(CLIP[:, :3], "half_resolution")
    assert half.shape == (2, 3, 8, 16, 16)
    assert half[0, 1, 2, 3, 4].item() == pytest.approx(CLIP[0, 1, 2, 6:8, 8:10].mean().item(), abs=1e-6)


def test_time_difference_sums_up_to_the_clip():
    difference = fast_input(CLIP[:, :3], "time_difference")
    assert (difference[:, :, 0] == 0).all()
    assert torch.allclose(CLIP[:, :3, :1] + difference.cumsum(2), CLIP[:, :3], atol=1e-5)


def test_flow_is_the_last_two_channels():
    assert torch.equal(fast_input(CLIP, "flow"), CLIP[:, 3:])


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("mode", FAST_INPUTS)
def test_every_input_goes_with_every_lateral_connection(mode, fusion):
    model = toy_slowfast(beta=1 / 4, fast_input=mode, fusion=fusion)
    assert model.clip_channels == (5 if mode == "flow" else 3)
    clip = CLIP[:, : model.clip_channels]
    assert model.fast.stem.conv.in_channels == FAST_INPUTS[mode]
    logits = model(clip)
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    slow, fast = model.split(clip)
    assert torch.equal(slow, clip[:, :3, [0, 7]])  # in color, whatever Fast sees
    assert torch.allclose(model.eval()([slow, fast]), model(clip))
    with pytest.raises(ValueError, match="expected a clip"):
        model(CLIP[:, :4])


def test_half_resolution_shares_its_windows_with_a_larger_test_crop():
    model = toy_slowfast(pool_size=2, fast_input="half_resolution").eval()
    clip = torch.randn(1, 3, 8, 96, 96)
    with torch.no_grad():
        assert model(clip).shape == (1, 5)  # Slow has 3 x 3 with 2 x 2 windows, Fast 2 x 2 with one
    slow, fast = model.split(clip)
    with pytest.raises(ValueError, match=r"expected \[slow, fast\]"):
        model([slow, torch.randn(1, 3, 8, 96, 96)])
    assert fast.shape == (1, 3, 8, 48, 48)
