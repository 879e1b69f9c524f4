from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.config import load_cfg
from slowfast.models import build_model
from slowfast.models.x3d import X3DBlock, rounded_width
from tests.models.toys import seeded, toy_clip, toy_x3d


@pytest.mark.parametrize(
    "width, expected",
    [(24, 24), (26, 24), (27, 32), (28, 32), (3.4, 8), (12.0, 16), (19, 24), (11.9, 16), (100, 104), (8.9, 16)],
)
def test_widths_are_multiples_of_8_never_a_tenth_below(width, expected):
    assert rounded_width(width) == expected


def test_detached_features_leave_the_classifier_alone_to_learn():
    model, clip = seeded(lambda: toy_x3d(detach_features=True)).train(), toy_clip()
    logits = model(clip)
    logits.square().sum().backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learning == {"head.classifier.weight", "head.classifier.bias"}
    everything = seeded(toy_x3d).train()
    assert torch.equal(everything(clip), logits)
    everything(clip).square().sum().backward()
    assert all(p.grad is not None for p in everything.parameters())


def test_the_config_detaches_the_features():
    with torch.device("meta"):
        assert build_model(load_cfg("Kinetics/X3D_XS", ["MODEL.DETACH_FINAL_FC", True])).head.detach
        assert not build_model(load_cfg("Kinetics/X3D_XS")).head.detach


def test_depthwise_is_a_choice():
    assert toy_x3d(depthwise=False).pathway.res2.block0.b.groups == 1
    block = toy_x3d().pathway.res2.block0
    assert block.b.groups == block.b.in_channels


def test_drop_path_grows_with_depth_and_acts_in_train_mode_alone():
    model = seeded(lambda: toy_x3d(drop_path=0.5, fc_init_std=1.0))
    rates = [model.pathway.get_submodule(f"res{n}").block0.drop_path for n in range(2, 6)]
    assert rates == [0.2, 0.3, 0.4, 0.5]
    with torch.no_grad():
        assert not torch.allclose(model.train()(toy_clip()), model(toy_clip()))
        assert torch.equal(model.eval()(toy_clip()), model(toy_clip()))


def test_blocks_start_as_the_identity():
    model = toy_x3d(zero_init_final_bn=True, depth_factor=2.0)
    block = model.pathway.res3.block1.train()
    assert isinstance(block, X3DBlock)
    x = torch.randn(2, 16, 3, 4, 4)
    assert torch.equal(block(x), x.relu())


def test_a_norm_before_the_classifier_on_request():
    assert not hasattr(toy_x3d().head, "lin_5_bn")
    assert isinstance(toy_x3d(norm_lin5=True).head.lin_5_bn, nn.BatchNorm3d)
