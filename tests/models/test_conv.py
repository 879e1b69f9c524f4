"""Training in bfloat16 on a CPU where maps are smaller than kernels: what the platform gets wrong is done in float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.models.conv import Conv3d
from tests.models.toys import TOYS, seeded, toy_clip, toy_slowfast

# kernel, stride, frames, side: bfloat16's backward pass writes beyond its memory (the first), or gives NaN
UNSAFE = [((1, 3, 3), (1, 2, 2), 4, 1), ((3, 1, 1), (1, 1, 1), 2, 4), ((5, 1, 1), (1, 1, 1), 4, 4)]
SAFE = [((1, 3, 3), (1, 2, 2), 4, 3), ((3, 1, 1), (1, 1, 1), 3, 4), ((1, 1, 1), (1, 2, 2), 1, 1)]


def convolution(kernel, stride) -> Conv3d:
    return seeded(lambda: Conv3d(16, 16, kernel, stride, tuple(k // 2 for k in kernel), bias=False))


@pytest.mark.parametrize("kernel, stride, frames, side", UNSAFE)
def test_what_is_unsafe_trains_in_float32(kernel, stride, frames, side):
    conv, x = convolution(kernel, stride), torch.randn(16, 16, frames, side, side)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x)
        assert out.dtype == torch.float32
    out.square().sum().backward()
    with torch.no_grad():
        assert torch.equal(out, nn.functional.conv3d(x, conv.weight, None, stride, conv.padding))
        with torch.autocast("cpu", torch.bfloat16):
            assert conv(x).dtype == torch.bfloat16  # nothing goes backward
    assert torch.isfinite(conv.weight.grad).all()


@pytest.mark.parametrize("kernel, stride, frames, side", SAFE)
def test_all_else_stays_in_bfloat16(kernel, stride, frames, side):
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution(kernel, stride)(torch.randn(2, 16, frames, side, side)).dtype == torch.bfloat16
    assert convolution(kernel, stride)(torch.randn(2, 16, frames, side, side)).dtype == torch.float32


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("name", ["SlowFast", "X3D", "CSN"])
def test_crops_that_leave_one_pixel_train(name, size):
    model = seeded(TOYS[name]).train()
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(toy_clip(batch=8, size=size))
        nn.functional.cross_entropy(logits.float(), torch.arange(8) % 5).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_two_slow_frames_train():
    model = seeded(lambda: toy_slowfast(width=16)).train()
    for _ in range(5):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(toy_clip(batch=8, frames=8))  # Slow has 2 of them
        nn.functional.cross_entropy(logits.float(), torch.arange(8) % 5).backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())
        model.zero_grad()
