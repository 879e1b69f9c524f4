from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from slowfast.models import FUSION_REGISTRY
from slowfast.models.build import build_fusion
from slowfast.models.fusion import time_to_channel
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
    return seeded(lambda: build_fusion(name, slow_channels=SLOW, fast_channels=FAST, alpha=ALPHA, options=options))


def test_the_papers_connections_are_registered():
    assert [name for name in FUSION_REGISTRY.names() if name in BUILT_IN] == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_output_has_the_channels_that_it_states_and_the_slow_shape(name):
    fusion, (slow, fast) = make(name), features()
    assert fusion(slow, fast).shape == (2, fusion.out_channels, 3, 5, 6)


@pytest.mark.parametrize(
    "name, out_channels",
    [
        ("NoFusion", 8),
        ("TimeStridedConv", 12),
        ("TimeStridedSample", 10),
        ("TimeToChannelConcat", 16),
        ("TimeToChannelSum", 8),
    ],
)
def test_out_channels(name, out_channels):
    assert make(name).out_channels == out_channels


@pytest.mark.parametrize("name", BUILT_IN)
def test_gradient_reaches_fast_but_for_no_fusion(name):
    fusion, (slow, fast) = make(name), features()
    slow.requires_grad_(), fast.requires_grad_()
    (fusion(slow, fast) ** 2).sum().backward()
    assert slow.grad.abs().sum() > 0
    if name == "NoFusion":
        assert fast.grad is None
    else:
        assert fast.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["TimeStridedConv", "TimeStridedSample", "TimeToChannelConcat"])
def test_slow_features_pass_unchanged_in_front(name):
    fusion, (slow, fast) = make(name), features()
    assert torch.equal(fusion(slow, fast)[:, :SLOW], slow)


def test_strided_sample_takes_every_alphath_frame():
    slow, fast = features()
    sampled = make("TimeStridedSample")(slow, fast)[:, SLOW:]
    for t in range(3):
        assert torch.equal(sampled[:, :, t], fast[:, :, ALPHA * t])


def test_time_to_channel_against_loops():
    _, fast = features()
    assert torch.equal(time_to_channel(fast, ALPHA), reference.time_to_channel(fast, ALPHA))
    channels_last = fast.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(time_to_channel(channels_last, ALPHA), reference.time_to_channel(fast, ALPHA))


def test_both_time_to_channel_connections_carry_all_fast_frames():
    slow, fast = features()
    packed = reference.time_to_channel(fast, ALPHA)
    assert torch.equal(make("TimeToChannelConcat")(slow, fast), torch.cat([slow, packed], 1))
    assert torch.equal(make("TimeToChannelSum")(slow, fast), slow + packed)


@pytest.mark.parametrize("kernel", [1, 5, 7])
def test_strided_conv_is_centered_on_every_alphath_frame(kernel):
    """An impulse in Fast frame alpha * t reaches Slow frame t through the middle of the kernel."""
    fusion = make("TimeStridedConv", kernel_size=kernel, channel_ratio=3).eval()
    assert fusion.out_channels == SLOW + 3 * FAST
    nn.init.zeros_(fusion.conv.weight)
    fusion.conv.weight.data[:, :, kernel // 2] = 1
    slow, fast = features()
    expected = fast[:, :, ::ALPHA].sum(1, keepdim=True).relu() / (1 + 1e-5) ** 0.5
    assert torch.allclose(fusion(slow, fast)[:, SLOW:], expected.expand(-1, 3 * FAST, -1, -1, -1), atol=1e-5)


def test_sum_needs_channels_that_match():
    message = (
        "TimeToChannelSum needs alpha * Fast channels = Slow channels, got 8 * 2 and 8. "
        "Set SLOWFAST.BETA_INV = SLOWFAST.ALPHA"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        build_fusion("TimeToChannelSum", slow_channels=8, fast_channels=2, alpha=8)


def test_an_unknown_name_and_an_unknown_argument():
    with pytest.raises(
        ValueError,
        match=r"SLOWFAST\.FUSION\): there is no lateral connection 'TimeStridedConf'\. Did you mean TimeStridedConv\?",
    ):
        make("TimeStridedConf")
    with pytest.raises(ValueError, match=r"SLOWFAST\.FUSION_ARGS: TimeStridedConv takes no argument 'kernel'"):
        make("TimeStridedConv", kernel=5)
    with pytest.raises(ValueError, match=r"SLOWFAST\.FUSION_ARGS: NoFusion takes no argument 'kernel_size'"):
        make("NoFusion", kernel_size=5)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_whole_network_with_each(name):
    model = seeded(lambda: toy_slowfast(fusion=name, alpha=2, beta=1 / 2)).train()
    logits = model(toy_clip())
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


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
