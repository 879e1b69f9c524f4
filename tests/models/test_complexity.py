from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.config import load_cfg
from slowfast.models import SlowFast, build_model
from slowfast.models.complexity import measure
from slowfast.models.norm import norm_layer
from tests import reference
from tests.models.toys import seeded, toy_clip, toy_resnet, toy_slowfast


def recipe_cost(name: str, overrides=(), *, crop: int = 256):
    cfg = load_cfg(name, list(overrides))
    with torch.device("meta"):
        model = build_model(cfg)
    return measure(model, (3, cfg.DATA.NUM_FRAMES, crop, crop))


SLOWFAST, SLOW = "Kinetics/SLOWFAST_4x16_R50", "Kinetics/SLOW_4x16_R50"


# The paper's GFLOPs, row by row, are in tests/cli/test_ablations.py; here the count itself, exactly.
@pytest.mark.parametrize(
    "recipe, macs, parameters",
    [
        (SLOWFAST, 36_098_277_376, 34_480_216),
        (SLOW, 27_258_781_696, 32_454_096),
        ("Kinetics/SLOWFAST_NLN_16x8_R101", 229_126_438_912, 60_080_088),
    ],
)
def test_convolutions_and_parameters_are_counted(recipe, macs, parameters):
    cost = recipe_cost(recipe)
    assert (cost.conv_macs, cost.num_parameters) == (macs, parameters)


def test_all_operators_add_the_classifier_at_every_window():
    """A 256 crop leaves 8 x 8 maps and 2 x 2 windows of 7 x 7; the classifier has (2048 + 256) x 400 weights."""
    cost = recipe_cost(SLOWFAST)
    assert cost.all_macs - cost.conv_macs == 4 * (2048 + 256) * 400
    cost = recipe_cost(SLOWFAST, crop=224)
    assert cost.all_macs - cost.conv_macs == (2048 + 256) * 400


@pytest.mark.parametrize("instantiation", ["dot_product", "softmax"])
def test_all_operators_add_the_products_of_a_non_local_block(instantiation):
    """res3 of the toy at 8 frames of 64: latent 32, N = 8 * 8 * 8 positions, P = 8 * 4 * 4 after pooling."""
    args = [{"instantiation": instantiation, "pool": (1, 2, 2)}] * 4
    model = toy_resnet(pool_size=2, nonlocal_after=((), (1,), (), ()), nonlocal_args=args)
    cost = measure(model, (3, 8, 64, 64))
    latent, positions, keys = 32, 8 * 8 * 8, 8 * 4 * 4
    products = {
        "softmax": 2 * positions * keys * latent,
        "dot_product": latent * latent * (keys + positions),  # without a softmax the cheap order is as good
    }
    assert cost.all_macs - cost.conv_macs == products[instantiation] + 256 * 5


def test_convolutions_against_a_count_by_hand():
    model = toy_slowfast(groups=2, nonlocal_after=(((), ()), ((1,), ()), ((), ()), ((), ())))
    expected, counted = measure(model, (3, 8, 32, 32)).conv_macs, []

    def count(module, _inputs, output):
        counted.append(reference.conv_macs(module, output.shape[1:]))

    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(toy_clip(batch=1))
    assert sum(counted) == expected


def test_non_local_groups_cost_the_same_convolutions():
    """The groups of a clip lie along the batch dimension; all of them are counted."""
    costs = []
    for num_groups in (1, 4):
        args = [{"num_groups": num_groups, "pool": (1, 2, 2)}] * 4
        model = toy_resnet(nonlocal_after=((), (1,), (), ()), nonlocal_args=args)
        costs.append(measure(model, (3, 8, 32, 32)).conv_macs)
    assert costs[0] == costs[1]


def test_the_model_is_not_touched():
    model = seeded(toy_slowfast).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure(model, (3, 8, 32, 32))
    assert model.training
    assert all(not module._forward_hooks for module in model.modules())
    assert all(value.device.type == "cpu" for value in model.state_dict().values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_activations_scale_with_the_clip():
    model = toy_slowfast()
    sizes = {frames: measure(model, (3, frames, 32, 32)).activation_bytes for frames in (8, 16, 32)}
    assert 0 < sizes[8] < sizes[16] < sizes[32]
    # what grows with the clip doubles; what does not (running statistics, the classifier's input) is small
    assert sizes[32] - sizes[16] == 2 * (sizes[16] - sizes[8])
    assert sizes[16] == pytest.approx(2 * sizes[8], rel=0.1)


def test_activations_are_those_that_autograd_keeps():
    """conv keeps its input, batch norm its input and two statistics, ReLU its output; the weights are not counted."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv3d(3, 4, 1, bias=False), nn.BatchNorm3d(4)

        def forward(self, clip):
            return self.bn(self.conv(clip)).relu()

    values = 2 * 8 * 8  # of a channel
    expected = 4 * ((3 + 4 + 4) * values)
    kept = measure(Net(), (3, 2, 8, 8)).activation_bytes
    assert expected <= kept <= expected + 4 * 6 * 4  # per channel: mean, deviation, running statistics, ...


def test_stages_are_the_rows_of_the_papers_table():
    """SlowFast 4x16 R50, input 32 x 224 x 224 (paper, table 1)."""
    cfg = load_cfg(SLOWFAST)
    with torch.device("meta"):
        model = SlowFast(**SlowFast.from_config(cfg))
    outputs = {name: output for name, _, output in measure(model, (3, 32, 224, 224)).stages}
    widths = {
        "stem": (64, 8, 56),
        "res2": (256, 32, 56),
        "res3": (512, 64, 28),
        "res4": (1024, 128, 14),
        "res5": (2048, 256, 7),
    }
    for stage, (slow, fast, size) in widths.items():
        assert outputs[f"slow.{stage}"] == (slow, 4, size, size)
        assert outputs[f"fast.{stage}"] == (fast, 32, size, size)
    assert [outputs[f"laterals.{i}"][0] for i in range(4)] == [80, 320, 640, 1280]
    assert outputs["head"] == (400,)


def test_stages_come_in_the_order_of_execution_with_their_inputs():
    stages = measure(toy_slowfast(), (3, 8, 32, 32)).stages
    names = [name for name, _, _ in stages]
    assert names[:5] == ["slow.stem", "fast.stem", "laterals.0", "slow.res2", "fast.res2"]
    assert names[-1] == "head"
    inputs = {name: shape for name, shape, _ in stages}
    assert inputs["slow.stem"] == (3, 2, 32, 32) and inputs["fast.stem"] == (3, 8, 32, 32)
    assert inputs["laterals.0"] == ((8, 2, 8, 8), (4, 8, 8, 8))


def test_norms_over_several_processes_or_parts_of_a_batch_do_not_hinder():
    """Measuring takes no process group and no batch that NUM_SPLITS divides; the figures are those of plain norms."""
    plain, split = toy_slowfast(), toy_slowfast(norm=norm_layer("sub_batchnorm", num_splits=4))
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(toy_slowfast())
    for module in synced.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.process_group = NotCopied()
    expected = measure(plain, (3, 8, 32, 32))
    for model in (split, synced):
        cost = measure(model, (3, 8, 32, 32))
        assert (cost.conv_macs, cost.num_parameters) == (expected.conv_macs, expected.num_parameters)
        assert cost.activation_bytes == pytest.approx(expected.activation_bytes, rel=0.5)
    assert split.slow.stem.bn.num_splits == 4
    assert split.slow.stem.bn.split_bn.num_features == 32


class NotCopied:
    """As a process group: it cannot be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")


def test_a_clip_that_leaves_one_value_a_channel():
    assert measure(toy_slowfast(alpha=8), (3, 8, 32, 32)).activation_bytes > 0  # Slow: 1 x 1 x 1 in res5
