from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from slowfast.models.fusion import FusionOptions, time_to_channel
from tests import reference
from tests.models.toys import seeded, toy_clip, toy_slowfast

BUILT_IN = ["NoFusion", "TimeStridedConv", "TimeStridedSample", "TimeToChannelConcat", "TimeToChannelSum"]
ALPHA, SLOW, FAST = 4, 8, 2  # alpha * FAST = SLOW, so that the sum is possible too


def features():
    generator = torch.Generator().manual_seed(0)
    slow = torch.randn(2, SLOW, 3, 5, 6, generator=generator)
    fast = torch.randn(2, FAST, 3 * ALPHA, 5, 6, generator=generator)
    return slow, fast


def make(name: str, **options) -> nn.Module:
    fusion = FusionOptions(fusion=name, fusion_args=options)
    return seeded(lambda: fusion.build(SLOW, FAST, alpha=ALPHA, norm=nn.BatchNorm3d))


def test_what_comes_after_slow_against_loops():
    slow, fast = features()
    packed, sampled = reference.time_to_channel(fast, ALPHA), torch.stack([fast[:, :, ALPHA * t] for t in range(3)], 2)
    expected = {
        "NoFusion": slow,
        "TimeStridedSample": torch.cat([slow, sampled], 1),
        "TimeToChannelConcat": torch.cat([slow, packed], 1),
        "TimeToChannelSum": slow + packed,
    }
    for name, output in expected.items():
        fusion = make(name)
        assert torch.equal(fusion(slow, fast), output) and fusion.out_channels == output.shape[1], name
    channels_last = fast.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(time_to_channel(channels_last, ALPHA), packed)


@pytest.mark.parametrize("kernel", [1, 5, 7])
def test_strided_conv_is_centered_on_every_alphath_frame(kernel):
    """An impulse in Fast frame alpha * t reaches Slow frame t through the middle of the kernel."""
    fusion = make("TimeStridedConv", kernel_size=kernel, channel_ratio=3).eval()
    assert fusion.out_channels == SLOW + 3 * FAST
    nn.init.zeros_(fusion.conv.weight)
    fusion.conv.weight.data[:, :, kernel // 2] = 1
    slow, fast = features()
    expected = fast[:, :, ::ALPHA].sum(1, keepdim=True).relu() / (1 + 1e-5) ** 0.5
    output = fusion(slow, fast)
    assert torch.equal(output[:, :SLOW], slow)
    assert torch.allclose(output[:, SLOW:], expected.expand(-1, 3 * FAST, -1, -1, -1), atol=1e-5)


def test_sum_needs_channels_that_match():
    message = (
        "TimeToChannelSum needs alpha * Fast channels = Slow channels, got 8 * 2 and 8. "
        "Set SLOWFAST.BETA_INV = SLOWFAST.ALPHA"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        FusionOptions(fusion="TimeToChannelSum").build(8, 2, alpha=8, norm=nn.BatchNorm3d)


@pytest.mark.parametrize("name", BUILT_IN)
def test_slow_features_depend_on_fast_only_through_a_connection(name):
    """Fast alone changes (Slow keeps its frames): with NoFusion the Slow features stay, with any other they move."""
    model = seeded(lambda: toy_slowfast(fusion=name, alpha=2, beta=1 / 2)).eval()
    seen = []
    model.slow.res5.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    clip = toy_clip()
    slow = clip[:, :, ::2]
    with torch.no_grad():
        model([slow, clip])
        model([slow, toy_clip(seed=1)])
    assert torch.equal(seen[0], seen[1]) == (name == "NoFusion")
