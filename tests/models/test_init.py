from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from slowfast.models.network import init_weights
from slowfast.models.nonlocal_block import NonLocalBlock
from slowfast.models.norm import norm_layer
from slowfast.models.resnet3d import ResidualBlock
from tests.models.toys import seeded, toy_clip, toy_resnet, toy_slowfast

NONLOCAL = {"nonlocal_after": (((), ()), ((1,), ()), ((), ()), ((), ()))}


def modules(model: nn.Module, kind) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if isinstance(module, kind)}


def test_convolutions_are_he_normal_by_fan_out():
    model = seeded(lambda: toy_slowfast(width=32, block="basic_transform"))
    checked = 0
    for name, conv in modules(model, nn.Conv3d).items():
        if conv.weight.numel() < 10_000:
            continue
        expected = math.sqrt(2 / (conv.out_channels * math.prod(conv.kernel_size)))
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.05), name
        assert abs(conv.weight.mean().item()) < 0.05 * expected, name
        checked += 1
    assert checked > 20


def test_grouped_convolutions_count_all_outputs_as_the_reference_does():
    conv = seeded(lambda: nn.Sequential(nn.Conv3d(256, 256, (1, 3, 3), groups=32)))
    seeded(lambda: init_weights(conv))
    assert conv[0].weight.std().item() == pytest.approx(math.sqrt(2 / (256 * 9)), rel=0.05)


@pytest.mark.parametrize("std", [0.01, 0.5])
def test_the_classifier_is_normal_with_its_own_spread(std):
    classifier = seeded(lambda: toy_slowfast(fc_init_std=std, num_classes=100)).head.classifier
    assert classifier.weight.std().item() == pytest.approx(std, rel=0.05)
    assert torch.equal(classifier.bias, torch.zeros(100))


@pytest.mark.parametrize("block", ["bottleneck_transform", "basic_transform"])
def test_zero_final_bn_leaves_every_other_norm_at_one(block):
    model = toy_slowfast(block=block, zero_init_final_bn=True, **NONLOCAL)
    final = {f"{name}.{b.chain[-1]}_bn" for name, b in modules(model, ResidualBlock).items()}
    final |= {f"{name}.bn" for name in modules(model, NonLocalBlock)}
    assert len(final) == 16 + 1
    for name, norm in modules(model, nn.BatchNorm3d).items():  # the laterals' norms are among those at one
        assert torch.equal(norm.weight, torch.full_like(norm.weight, name not in final)), name
        assert torch.equal(norm.bias, torch.zeros_like(norm.bias)), name


@pytest.mark.parametrize("norm", ["batchnorm", "sub_batchnorm"])
@pytest.mark.parametrize("arguments", [{"zero_init_final_bn": True}, {"zero_init_final_conv": True}])
def test_every_block_starts_as_the_identity(norm, arguments):
    model = seeded(
        lambda: toy_resnet(norm=norm_layer(norm), **{"nonlocal_after": ((), (1,), (), ()), **arguments})
    ).train()
    seen = []
    for block in modules(model, ResidualBlock).values():
        block.register_forward_hook(lambda block, inputs, output: seen.append((block, inputs[0], output)))
    model(toy_clip())
    assert len(seen) == 8
    for block, x, output in seen:
        shortcut = block.shortcut_bn(block.shortcut(x)) if block.has_projection else x
        assert torch.allclose(output, shortcut.relu(), atol=1e-6)


def test_a_non_local_block_starts_as_the_identity_by_its_norm():
    model = toy_resnet(nonlocal_after=((), (1,), (), ()), zero_init_final_bn=True).train()
    x = torch.randn(2, 64, 4, 4, 4)
    assert torch.equal(model.pathway.res3.nonlocal1(x), x)


def test_parameters_of_other_kinds_are_left_alone():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Parameter(torch.full((3,), 7.0))

    gate = Gate()
    init_weights(gate, zero_final_bn=True)
    assert torch.equal(gate.gate, torch.full((3,), 7.0))
