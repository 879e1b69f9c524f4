from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from slowfast.engine.precision import autocast, autocast_dtype, grad_scaler, guard_small_inputs
from tests.models.toys import seeded, toy_slowfast

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["auto", "bfloat16"])
def test_a_cpu_computes_in_bfloat16(name):
    assert autocast_dtype(name, CPU) is torch.bfloat16


@pytest.mark.parametrize("has_bfloat16, expected", [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_on_a_gpu_is_what_it_computes_in(monkeypatch, has_bfloat16, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    assert autocast_dtype("auto", torch.device("cuda")) is expected
    assert autocast_dtype("float16", torch.device("cuda")) is torch.float16


@pytest.mark.parametrize(
    "name, message",
    [
        ("float16", "TRAIN.MIXED_PRECISION_DTYPE=float16 needs a GPU. Set it to auto or bfloat16."),
        ("fp8", "TRAIN.MIXED_PRECISION_DTYPE='fp8' is not one of auto, bfloat16, float16."),
    ],
)
def test_types_that_a_cpu_has_not(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        autocast_dtype(name, CPU)


@pytest.mark.parametrize("dtype, enabled", [(None, False), (torch.bfloat16, False), (torch.float16, True)])
def test_only_float16_gradients_are_scaled(dtype, enabled):
    assert grad_scaler(CPU, dtype).is_enabled() == enabled


def dirty_memory() -> None:
    """Leave NaN in memory that will be handed out again."""
    for size in (10, 100, 1_000, 10_000, 100_000):
        torch.full((size,), float("nan"))


@pytest.mark.parametrize("kernel, num_frames", [(3, 2), (5, 2), (5, 4), (7, 3)])
def test_kernels_larger_than_their_input_get_the_gradient_of_full_precision(kernel, num_frames):
    """Without the guard it is NaN, or wrong by its whole size (torch 2.15, oneDNN 3.13)."""
    torch.manual_seed(0)
    conv = nn.Conv3d(8, 8, (kernel, 1, 1), padding=(kernel // 2, 0, 0))
    clip = torch.randn(2, 8, num_frames, 7, 7).contiguous(memory_format=torch.channels_last_3d)
    conv(clip).square().mean().backward()
    expected = conv.weight.grad.clone()
    guard_small_inputs(conv, CPU, torch.bfloat16)
    for _ in range(5):
        dirty_memory()
        conv.zero_grad()
        with autocast(CPU, torch.bfloat16):
            output = conv(clip.bfloat16())
        output.square().mean().backward()
        torch.testing.assert_close(conv.weight.grad, expected, rtol=0.02, atol=1e-4)  # the clip was rounded


def test_a_network_with_two_slow_frames_trains_in_bfloat16():
    """Its Slow pathway has kernels of 3 frames in res4 and res5."""
    model = seeded(toy_slowfast)
    guard_small_inputs(model, CPU, torch.bfloat16)
    types = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(lambda _m, _i, output, name=name: types.update({name: output.dtype}))
    dirty_memory()
    with autocast(CPU, torch.bfloat16):
        logits = model(torch.randn(2, 3, 8, 32, 32))
    nn.functional.cross_entropy(logits.float(), torch.tensor([0, 1])).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert types["slow.res5.block0.a"] is torch.float32 and types["fast.res5.block0.a"] is torch.bfloat16


def test_the_guard_changes_nothing_elsewhere():
    for device, dtype in ((CPU, None), (torch.device("cuda"), torch.bfloat16), (CPU, torch.float16)):
        model = nn.Sequential(nn.Conv3d(1, 1, (3, 1, 1)))
        guard_small_inputs(model, device, dtype)
        assert not model[0]._forward_pre_hooks


def test_the_guard_ends_with_the_layer_when_it_raises():
    conv = nn.Conv3d(1, 1, (3, 1, 1), padding=(1, 0, 0))
    guard_small_inputs(conv, CPU, torch.bfloat16)
    with autocast(CPU, torch.bfloat16):
        with pytest.raises(RuntimeError):
            conv(torch.randn(1, 2, 2, 4, 4))  # two channels for one
        assert torch.is_autocast_enabled("cpu")
        assert conv(torch.randn(1, 1, 2, 4, 4)).dtype is torch.float32
        assert conv(torch.randn(1, 1, 3, 4, 4)).dtype is torch.bfloat16
