from __future__ import annotations

import re

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.models import ResNet, build_model
from slowfast.models.single_pathway import ARCHITECTURES
from tests.models.toys import seeded, toy_clip, toy_resnet


def temporal_kernels(model: ResNet) -> list[list[int]]:
    stages = [model.pathway.get_submodule(f"res{n}") for n in range(2, 6)]
    return [[model.pathway.stem.conv.kernel_size[0]]] + [[b.a.kernel_size[0] for b in s.children()] for s in stages]


# golden: tests/data/golden/models, num_parameters, 400 classes
@pytest.mark.parametrize("arch, expected", [("slow", 32_454_096), ("c2d", 24_327_632), ("i3d", 28_043_472)])
def test_parameter_count_at_depth_50(arch, expected):
    with torch.device("meta"):
        model = ResNet(arch=arch)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(
    "arch, expected",
    [
        ("slow", [[1], [1] * 3, [1] * 4, [3] * 6, [3] * 3]),
        ("fast", [[5], [3] * 3, [3] * 4, [3] * 6, [3] * 3]),
        ("c2d", [[1], [1] * 3, [1] * 4, [1] * 6, [1] * 3]),
        ("i3d", [[5], [3] * 3, [3, 1, 3, 1], [3, 1, 3, 1, 3, 1], [1, 3, 1]]),
    ],
)
def test_temporal_kernels_are_the_papers(arch, expected):
    with torch.device("meta"):
        assert temporal_kernels(ResNet(arch=arch)) == expected


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


@pytest.mark.parametrize("shape", [(3, 8, 32, 32), (2, 8, 3, 32, 32), (2, 1, 8, 32, 32)])
def test_a_clip_of_a_wrong_shape(shape):
    message = f"expected a clip (B, 3, T, H, W); received ({', '.join(map(str, shape))})."
    with pytest.raises(ValueError, match=re.escape(message)):
        toy_resnet()(torch.zeros(shape))


def test_two_pathways_are_too_many():
    clip = toy_clip()
    with pytest.raises(ValueError, match=r"expected a clip \(B, 3, T, H, W\); received \[\(2, 3, 8, 32, 32\), "):
        toy_resnet()([clip, clip])


def test_an_unknown_architecture():
    with pytest.raises(ValueError, match="arch='slowfast' is not one of slow, fast, c2d"):
        toy_resnet(arch="slowfast")


def test_fast_alone_is_narrow_and_slow_alone_is_not():
    recipe = "Kinetics/SLOWFAST_4x16_R50"
    with torch.device("meta"):
        fast = build_model(load_cfg(recipe, ["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "fast"]))
        slow = build_model(load_cfg(recipe, ["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "slow"]))
    assert fast.pathway.stem.conv.weight.shape == (8, 3, 5, 7, 7)
    assert slow.pathway.stem.conv.weight.shape == (64, 3, 1, 7, 7)


def test_stride_1x1_moves_the_stride_into_the_first_convolution():
    block = toy_resnet(stride_1x1=True).pathway.res3.block0
    assert (block.a.stride, block.b.stride) == ((1, 2, 2), (1, 1, 1))
    block = toy_resnet().pathway.res3.block0
    assert (block.a.stride, block.b.stride) == ((1, 1, 1), (1, 2, 2))
