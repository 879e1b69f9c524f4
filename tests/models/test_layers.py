from __future__ import annotations

import pytest
import torch

from slowfast.models import MODEL_REGISTRY
from slowfast.models.network import layer_numbers
from tests.models.toys import toy_resnet, toy_slowfast


def test_stem_blocks_and_head_in_order():
    numbers = toy_slowfast(nonlocal_after=((), ((1,), ()), (), ())).layer_numbers()
    # depth 18 has 2 blocks a stage: 1 and 2 in res2, ..., 7 and 8 in res5
    assert numbers["slow.stem.conv.weight"] == numbers["fast.stem.bn.bias"] == 0
    assert numbers["slow.res2.block0.a.weight"] == numbers["fast.res2.block0.b_bn.weight"] == 1
    assert numbers["slow.res3.block1.a.weight"] == numbers["slow.res3.nonlocal1.theta.weight"] == 4
    assert numbers["fast.res5.block1.b.weight"] == 8
    assert numbers["head.classifier.bias"] == 9
    laterals = {name.split(".")[1]: number for name, number in numbers.items() if name.startswith("laterals")}
    assert laterals == {"0": 0, "1": 2, "2": 4, "3": 6}  # those that feed res2, res3, res4, res5


def test_stages_of_pathways_of_other_depths_begin_together():
    numbers = layer_numbers(["slow.res2.block2.a", "fast.res2.block0.a", "fast.res3.block0.a", "head.classifier.bias"])
    assert list(numbers.values()) == [3, 1, 4, 5]


@pytest.mark.parametrize("name", ["ResNet", "X3D", "CSN", "R2Plus1D"])
def test_every_network_of_the_package_tells_its_layers(name):
    with torch.device("meta"):
        model = MODEL_REGISTRY.get(name)()
    numbers = model.layer_numbers()
    assert set(numbers) == {name for name, _ in model.named_parameters()}
    assert set(numbers.values()) == set(range(max(numbers.values()) + 1))
    assert numbers["head.classifier.weight"] == max(numbers.values())


def test_a_part_that_nobody_knows_is_named():
    model = toy_resnet()
    model.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"extra\.weight belongs to no stem"):
        model.layer_numbers()
