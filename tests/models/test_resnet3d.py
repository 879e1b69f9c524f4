from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from slowfast.models.options import BlockOptions
from slowfast.models.resnet3d import (
    BasicBlock,
    BlockShape,
    BottleneckBlock,
    temporal_kernels,
)
from tests.models.toys import seeded


@pytest.mark.parametrize(
    "pattern, num_blocks, num_temporal_blocks, expected",
    [
        ((3,), 3, 3, [3, 3, 3]),
        ((3, 1), 4, 4, [3, 1, 3, 1]),
        ((1, 3), 3, 3, [1, 3, 1]),
        ((3, 1), 4, 3, [3, 1, 3, 1]),
        ((3,), 6, 4, [3, 3, 3, 3, 1, 1]),  # R101 with the temporal kernels of an R50
        ((3,), 3, 0, [1, 1, 1]),
        ((1,), 2, 5, [1, 1]),
    ],
)
def test_temporal_kernels(pattern, num_blocks, num_temporal_blocks, expected):
    kernels = temporal_kernels(pattern, num_blocks=num_blocks, num_temporal_blocks=num_temporal_blocks)
    assert kernels == expected


def block(kind, **arguments) -> nn.Module:
    sizes = {"in_channels": 8, "inner_channels": 4, "out_channels": 16, "temporal_kernel": 3, "spatial_stride": 2}
    sizes |= {name: arguments.pop(name) for name in [*sizes, "dilation"] if name in arguments}
    return seeded(lambda: kind(BlockShape(**sizes), BlockOptions(**arguments)))


@pytest.mark.parametrize("kind", [BottleneckBlock, BasicBlock])
@pytest.mark.parametrize("stride, dilation, size", [(1, 1, 8), (2, 1, 4), (1, 2, 8), (2, 2, 4)])
def test_blocks_keep_time_and_stride_space(kind, stride, dilation, size):
    made = block(kind, spatial_stride=stride, dilation=dilation)
    assert made(torch.randn(2, 8, 5, 8, 8)).shape == (2, 16, 5, size, size)


@pytest.mark.parametrize("kind", [BottleneckBlock, BasicBlock])
def test_a_block_does_not_write_to_its_input(kind):
    x = torch.randn(2, 8, 5, 8, 8)
    before = x.clone()
    for mode in (True, False):
        block(kind, out_channels=8, spatial_stride=1).train(mode)(x)
        assert torch.equal(x, before)


@pytest.mark.parametrize("kind", [BottleneckBlock, BasicBlock])
def test_gradients_are_right_through_the_in_place_operations(kind):
    made = block(kind, in_channels=2, inner_channels=2, out_channels=4).double().train()
    x = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(made, x)


@pytest.mark.parametrize("rate", [0.5, 0.99])
def test_drop_path_drops_whole_residuals_in_train_mode_alone(rate):
    dropping = block(BottleneckBlock, in_channels=16, spatial_stride=1, drop_path=rate)
    plain = block(BottleneckBlock, in_channels=16, spatial_stride=1)
    dropping.load_state_dict(plain.state_dict())
    x = torch.randn(64, 16, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = seeded(lambda: dropping.train()(x))
        residual = plain.train().transform(x)
    dropped = torch.tensor([torch.equal(a, b) for a, b in zip(out, x.relu(), strict=True)])
    kept = (x + residual / (1 - rate)).relu()  # what remains is scaled up: the mean stays
    assert torch.allclose(out[~dropped], kept[~dropped], atol=1e-4)
    assert abs(dropped.float().mean().item() - rate) < 0.2
    dropping.load_state_dict(plain.state_dict())
    assert torch.equal(dropping.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("arguments", [{"groups": 2}, {"stride_1x1": True}])
def test_a_basic_block_refuses_what_it_cannot_follow(arguments):
    groups, stride_1x1 = arguments.get("groups", 1), arguments.get("stride_1x1", False)
    with pytest.raises(ValueError, match=re.escape(f"(got groups={groups}, stride_1x1={stride_1x1})")):
        block(BasicBlock, **arguments)
