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
    Stage,
    Stem,
    StemOptions,
    stage_shapes,
    temporal_kernels,
)
from tests.models.toys import seeded, toy_clip, toy_resnet, toy_slowfast


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


def test_stem_halves_space_twice_and_keeps_time():
    stem = Stem(in_channels=3, out_channels=8, options=StemOptions(temporal_kernel=5))
    assert stem(torch.randn(2, 3, 6, 32, 48)).shape == (2, 8, 6, 8, 12)
    assert stem.conv.kernel_size == (5, 7, 7)


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
def test_a_projection_stands_where_width_or_stride_change(kind):
    assert not block(kind, out_channels=8, spatial_stride=1).has_projection
    assert block(kind, out_channels=8, spatial_stride=2).has_projection
    assert block(kind, out_channels=16, spatial_stride=1).has_projection


@pytest.mark.parametrize("kind", [BottleneckBlock, BasicBlock])
def test_a_zero_final_norm_makes_the_block_the_identity(kind):
    made = block(kind, out_channels=8, spatial_stride=1).train()
    nn.init.zeros_(getattr(made, made.final_norm).weight)
    x = torch.randn(2, 8, 5, 8, 8)
    assert torch.equal(made(x), x.relu())


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


@pytest.mark.parametrize("make", [toy_slowfast, toy_resnet])
def test_drop_path_of_a_network_acts_in_train_mode_alone(make):
    model, clip = seeded(lambda: make(drop_path=0.5, fc_init_std=1.0)), toy_clip()
    with torch.no_grad():
        assert not torch.allclose(model.train()(clip), model(clip))
        assert torch.equal(model.eval()(clip), model(clip))


def test_groups_divide_the_weights_of_b():
    assert block(BottleneckBlock, groups=2).b.weight.shape == (4, 2, 1, 3, 3)


@pytest.mark.parametrize("arguments", [{"groups": 2}, {"stride_1x1": True}])
def test_a_basic_block_refuses_what_it_cannot_follow(arguments):
    groups, stride_1x1 = arguments.get("groups", 1), arguments.get("stride_1x1", False)
    with pytest.raises(ValueError, match=re.escape(f"(got groups={groups}, stride_1x1={stride_1x1})")):
        block(BasicBlock, **arguments)


@pytest.mark.parametrize("block_name", ["bottleneck_transform", "basic_transform"])
@pytest.mark.parametrize("depth, num_blocks", [(18, [2, 2, 2, 2]), (50, [3, 4, 6, 3]), (101, [3, 4, 23, 3])])
def test_depths(block_name, depth, num_blocks):
    with torch.device("meta"):
        pathway = toy_resnet(depth=depth, block=block_name).pathway
    assert [len(list(pathway.get_submodule(f"res{n}").children())) for n in range(2, 6)] == num_blocks


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"depth": 34}, "depth=34 is not one of 18, 50, 101."),
        ({"block": "shuffle"}, "block='shuffle' is not one of bottleneck_transform, basic_transform."),
        ({"nonlocal_after": ((), (2,), (), ())}, "nonlocal_after=[2]: the stage has blocks 0 to 1."),
    ],
)
def test_what_a_pathway_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        toy_resnet(**arguments)


def test_non_local_blocks_stand_after_the_blocks_named():
    shapes = stage_shapes([1, 1, 1], in_channels=4, inner_channels=4, out_channels=8)
    stage = Stage(shapes, lambda shape: BottleneckBlock(shape, BlockOptions()), nonlocal_after=(0, 2))
    assert [name for name, _ in stage.named_children()] == ["block0", "nonlocal0", "block1", "block2", "nonlocal2"]
    assert stage(torch.randn(2, 4, 2, 8, 8)).shape == (2, 8, 2, 8, 8)


def test_dilation_sees_farther_than_a_plain_kernel():
    made = block(BottleneckBlock, in_channels=1, inner_channels=1, out_channels=1, spatial_stride=1, dilation=2).eval()
    for conv in (made.a, made.b, made.c):
        nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, 3, 9, 9)
    x[0, 0, 1, 4, 4] = 1
    rows, columns = torch.nonzero((made(x) - x)[0, 0, 1] > 0, as_tuple=True)
    assert sorted(set(rows.tolist())) == sorted(set(columns.tolist())) == [2, 4, 6]
