from __future__ import annotations

import copy
import io
import pickle
import re

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.models import SlowFast, build_model
from slowfast.models.pathways import slow_frame_indices
from tests.models.toys import seeded, toy_clip, toy_slowfast


@pytest.mark.parametrize("mode", ["linspace", "strided"])
def test_a_clip_and_its_two_pathways_give_the_same(mode):
    model = seeded(lambda: toy_slowfast(slow_frames=mode)).eval()
    clip = toy_clip()
    slow = clip[:, :, slow_frame_indices(8, 4, mode=mode)]
    with torch.no_grad():
        scores = model(clip)
        assert torch.equal(model([slow, clip]), scores)
        assert torch.equal(model((slow, clip)), scores)
        assert torch.equal(model([clip]), scores)
    assert scores.shape == (2, 5)
    assert torch.allclose(scores.sum(1), torch.ones(2))


@pytest.mark.parametrize(
    "beta_inv, widths", [(6, [10, 42, 85, 170, 341]), (12, [5, 21, 42, 85, 170]), (32, [2, 8, 16, 32, 64])]
)
def test_widths_that_do_not_divide_are_rounded_down(beta_inv, widths):
    with torch.device("meta"):
        fast = SlowFast(beta=1 / beta_inv).fast
    assert fast.stem.conv.out_channels == widths[0]
    assert [getattr(fast, f"res{n}").block0.c.out_channels for n in range(2, 6)] == widths[1:]


def test_beta_need_not_be_the_inverse_of_a_whole_number():
    assert toy_slowfast(width=10, beta=0.3).fast.stem.conv.out_channels == 3
    assert toy_slowfast(width=10, beta=0.7).fast.stem.conv.out_channels == 7
    assert toy_slowfast(width=2, beta=1 / 8).fast.stem.conv.out_channels == 1


def test_a_clip_that_alpha_does_not_divide():
    message = r"T, H, W\) with T a multiple of alpha=4, or \[slow, fast\]; received \(2, 3, 7, 32, 32\)\."
    with pytest.raises(ValueError, match=message):
        toy_slowfast()(torch.zeros(2, 3, 7, 32, 32))


@pytest.mark.parametrize(
    "slow, fast",
    [
        ((2, 3, 8, 32, 32), (2, 3, 2, 32, 32)),  # swapped
        ((2, 3, 8, 32, 32), (2, 3, 8, 32, 32)),  # as many frames
        ((2, 1, 2, 32, 32), (2, 3, 8, 32, 32)),  # channels of Slow
        ((2, 3, 2, 32, 32), (2, 1, 8, 32, 32)),  # channels of Fast
        ((1, 3, 2, 32, 32), (2, 3, 8, 32, 32)),  # batch
        ((2, 3, 2, 32, 32), (2, 3, 8, 32, 64)),  # size
        ((3, 2, 32, 32), (3, 8, 32, 32)),  # no batch
    ],
)
def test_a_pair_of_wrong_shapes(slow, fast):
    message = (
        "expected [slow, fast] = [(B, 3, t, H, W), (B, 3, 4 * t, H, W)]; "
        f"received [({', '.join(map(str, slow))}), ({', '.join(map(str, fast))})]."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        toy_slowfast()([torch.zeros(slow), torch.zeros(fast)])


def test_three_inputs_or_none_at_all():
    clip = toy_clip()
    with pytest.raises(ValueError, match=r"expected \[slow, fast\] = .*received \[\(2, 3, 8, 32, 32\), .*, .*\]\."):
        toy_slowfast()([clip, clip, clip])
    with pytest.raises(ValueError, match=r"received \[ndarray, ndarray\]\."):
        toy_slowfast()([clip.numpy(), clip.numpy()])


def test_pathways_of_different_channels_are_given_as_a_pair():
    model = seeded(lambda: toy_slowfast(in_channels=(3, 1))).eval()
    clip = toy_clip()
    assert model([clip[:, :, ::4], clip[:, :1]]).shape == (2, 5)
    with pytest.raises(ValueError, match=r"or \[slow, fast\]; received \(2, 3, 8, 32, 32\)"):
        model(clip)


def test_copies_work_and_are_apart():
    model = seeded(toy_slowfast).eval()
    clip = toy_clip()
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(buffer, weights_only=False)]
    with torch.no_grad():
        expected = model(clip)
        for other in copies:
            assert torch.equal(other(clip), expected)
            other.head.classifier.weight.zero_()
            other.load_state_dict(model.state_dict())  # the load hook came along
            assert torch.equal(other(clip), expected)
        assert torch.equal(model(clip), expected)


def test_a_config_reaches_every_argument():
    cfg = load_cfg(
        "Kinetics/SLOWFAST_4x16_R50",
        [
            *("RESNET.DEPTH", 18, "RESNET.WIDTH_PER_GROUP", 8, "SLOWFAST.BETA_INV", 2, "SLOWFAST.ALPHA", 4),
            *("SLOWFAST.FUSION", "TimeToChannelConcat", "SLOWFAST.SLOW_FRAMES", "strided", "MODEL.NUM_CLASSES", 7),
            *("MODEL.HEAD_ACT", "sigmoid", "MODEL.DROPOUT_RATE", 0.25, "DATA.TRAIN_CROP_SIZE", 64),
            *("MODEL.DROPCONNECT_RATE", 0.125, "RESNET.SPATIAL_STRIDES", [[1, 1], [2, 2], [2, 2], [1, 1]]),
            *("RESNET.SPATIAL_DILATIONS", [[1], [1], [1], [2]], "NONLOCAL.LOCATION", [[[]], [[1]], [[]], [[]]]),
            *("RESNET.NUM_BLOCK_TEMP_KERNEL", [[2, 2], [2, 2], [1, 2], [2, 0]], "MODEL.DETACH_FINAL_FC", True),
        ],
    )
    model = build_model(cfg)
    assert type(model.laterals[0]).__name__ == "TimeToChannelConcat"
    assert model.slow_frames == "strided"
    assert (model.head.activation, model.head.pool_size, model.head.dropout.p) == ("sigmoid", 2, 0.25)
    assert model.head.classifier.out_features == 7
    assert model.head.detach
    assert model.slow.res3.block1.drop_path == 0.125
    assert model.slow.res5.block0.b.dilation == (1, 2, 2) and model.slow.res5.block0.b.stride == (1, 1, 1)
    assert [name for name, _ in model.slow.res3.named_children()] == ["block0", "block1", "nonlocal1"]
    assert [model.slow.res4.get_submodule(f"block{i}").a.kernel_size[0] for i in range(2)] == [3, 1]
    assert [model.fast.res5.get_submodule(f"block{i}").a.kernel_size[0] for i in range(2)] == [1, 1]
    assert model(toy_clip(frames=32, size=64)).shape == (2, 7)


def test_the_config_of_a_clip_that_alpha_does_not_divide():
    cfg = load_cfg("Kinetics/SLOWFAST_4x16_R50").clone()
    cfg.defrost()
    cfg.DATA.NUM_FRAMES = 30
    with pytest.raises(ValueError, match=r"SLOWFAST\.ALPHA=8 does not divide the clip length 30"):
        build_model(cfg)


def test_stride_1x1_has_no_effect_as_in_the_reference_and_says_so(caplog):
    overrides = ["RESNET.STRIDE_1X1", True]
    with torch.device("meta"):
        model = build_model(load_cfg("Kinetics/SLOWFAST_4x16_R50", overrides))
        own = build_model(load_cfg("Kinetics/SLOWFAST_4x16_R50", [*overrides, "MODEL.ARGS.stride_1x1", True]))
    assert "RESNET.STRIDE_1X1 has no effect on SlowFast" in caplog.text
    assert model.slow.res3.block0.b.stride == (1, 2, 2)
    assert own.slow.res3.block0.a.stride == (1, 2, 2)
