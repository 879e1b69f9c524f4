from __future__ import annotations

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.models import build_model
from slowfast.models.single_pathway import ARCHITECTURES
from tests.models.toys import seeded, toy_clip, toy_resnet


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_runs(arch):
    model = seeded(lambda: toy_resnet(arch=arch))
    frames = []
    model.pathway.res5.register_forward_hook(lambda _m, _i, output: frames.append(output.shape[2]))
    assert model.train()(toy_clip()).shape == (2, 5)
    scores = model.eval()(toy_clip())
    assert torch.allclose(scores.sum(1), torch.ones(2))
    assert frames == [4, 4] if arch in ("c2d", "i3d") else frames == [8, 8]  # time is pooled after res2


def test_a_list_of_one_is_a_clip():
    model, clip = seeded(toy_resnet).eval(), toy_clip()
    with torch.no_grad():
        assert torch.equal(model([clip]), model(clip))


def test_two_pathways_are_too_many():
    clip = toy_clip()
    with pytest.raises(ValueError, match=r"expected a clip \(B, 3, T, H, W\); received \[\(2, 3, 8, 32, 32\), "):
        toy_resnet()([clip, clip])


def test_fast_alone_is_narrow_and_slow_alone_is_not():
    recipe = "Kinetics/SLOWFAST_4x16_R50"
    with torch.device("meta"):
        fast = build_model(load_cfg(recipe, ["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "fast"]))
        slow = build_model(load_cfg(recipe, ["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "slow"]))
    assert fast.pathway.stem.conv.weight.shape == (8, 3, 5, 7, 7)
    assert slow.pathway.stem.conv.weight.shape == (64, 3, 1, 7, 7)
