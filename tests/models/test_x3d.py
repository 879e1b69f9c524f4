from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from slowfast.config import load_cfg
from slowfast.models import X3D, build_model
from slowfast.models.weights.names import rename
from slowfast.models.x3d import SqueezeExcite, X3DBlock, rounded_width
from tests.models.toys import seeded, toy_clip, toy_x3d


# golden: tests/data/golden/models/Kinetics__X3D_*.json, num_parameters, 400 classes
def test_parameter_count_of_x3d_m():
    with torch.device("meta"):
        model = X3D(width_factor=2.0, depth_factor=2.2, bottleneck_factor=2.25)
    assert sum(p.numel() for p in model.parameters()) == 3_794_322
    depths = [len(model.pathway.get_submodule(f"res{n}")) for n in range(2, 6)]
    assert depths == [3, 5, 11, 7]


@pytest.mark.parametrize(
    "width, expected",
    [(24, 24), (26, 24), (27, 32), (28, 32), (3.4, 8), (12.0, 16), (19, 24), (11.9, 16), (100, 104), (8.9, 16)],
)
def test_widths_are_multiples_of_8_never_a_tenth_below(width, expected):
    assert rounded_width(width) == expected


def test_rounding_stays_near():
    for width in range(1, 300):
        rounded = rounded_width(width)
        assert rounded % 8 == 0 and 0.9 * width <= rounded < width + 8, width


def test_every_other_block_has_a_squeeze_excite():
    stage = toy_x3d(depth_factor=2.2).pathway.res4
    kinds = [isinstance(block.se, SqueezeExcite) for block in stage]
    assert kinds == [i % 2 == 0 for i in range(11)]


def test_squeeze_excite_weighs_channels_by_the_whole_clip():
    se, x = seeded(lambda: SqueezeExcite(32)), torch.randn(2, 32, 3, 4, 5)
    assert se.fc1.out_channels == 8
    weights = (se(x) / x).flatten(2)
    assert torch.allclose(weights, weights[:, :, :1].expand_as(weights), atol=1e-4)
    assert (weights > 0).all() and (weights < 1).all()


def test_stages_stride_in_space_alone():
    model = toy_x3d().eval()
    seen = {}
    for name, module in model.pathway.named_children():
        module.register_forward_hook(lambda _m, _i, output, name=name: seen.__setitem__(name, tuple(output.shape[2:])))
    model(toy_clip(frames=5, size=64))
    assert seen == {name: (5, size, size) for name, size in zip(seen, (32, 16, 8, 4, 2), strict=True)}


def test_scores_logits_and_lists_of_one():
    model, clip = seeded(lambda: toy_x3d(fc_init_std=1.0)), toy_clip()
    assert model.train()(clip).min() < 0
    scores = model.eval()(clip)
    assert scores.shape == (2, 5) and torch.allclose(scores.sum(1), torch.ones(2))
    assert torch.equal(model([clip]), scores)


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


def test_pyslowfast_names_load():
    source, target = seeded(toy_x3d, 0), seeded(toy_x3d, 1)
    theirs = rename(source.state_dict(), to="pyslowfast")
    assert "s1.pathway0_stem.conv_xy.weight" in theirs and "s2.pathway0_res0.branch2.se.fc1.weight" in theirs
    target.load_state_dict(theirs, strict=True)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("shape", [(3, 8, 32, 32), (2, 8, 3, 32, 32)])
def test_a_clip_of_a_wrong_shape(shape):
    message = f"expected a clip (B, 3, T, H, W); received ({', '.join(map(str, shape))})."
    with pytest.raises(ValueError, match=re.escape(message)):
        toy_x3d()(torch.zeros(shape))


def test_an_unknown_activation():
    with pytest.raises(ValueError, match="activation='relu' is not one of softmax, sigmoid, none"):
        toy_x3d(activation="relu")
