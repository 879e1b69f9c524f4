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


# golden: PySlowFast 287ec00, 400 classes. Kernel 5 -> 7 adds 2 * 2 * (8^2 + 32^2 + 64^2 + 128^2) = 86,272.
@pytest.mark.parametrize("alpha, kernel, expected", [(8, 5, 34_480_216), (4, 7, 34_566_488)])
def test_parameter_count_of_slowfast_r50(alpha, kernel, expected):
    with torch.device("meta"):
        model = SlowFast(depth=50, num_classes=400, alpha=alpha, beta=1 / 8, fusion_kernel=kernel)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_modules_have_the_papers_names():
    model = toy_slowfast()
    for name in ("slow.stem", "slow.res3", "fast.stem", "fast.res5", "laterals.1", "head"):
        model.get_submodule(name)
    assert len(model.laterals) == 4


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


def test_the_choice_of_slow_frames_matters():
    clip = toy_clip()
    with torch.no_grad():
        linspace, strided = (
            seeded(lambda mode=mode: toy_slowfast(slow_frames=mode)).eval()(clip) for mode in ("linspace", "strided")
        )
    assert not torch.allclose(linspace, strided)


def test_train_mode_gives_logits_and_eval_mode_scores():
    model = seeded(lambda: toy_slowfast(fc_init_std=1.0))
    logits = model.train()(toy_clip())
    assert logits.min() < 0
    assert model.eval()(toy_clip()).min() >= 0


@pytest.mark.parametrize("alpha, beta", [(1, 1.0), (2, 1 / 4), (8, 1 / 8)])
def test_alpha_and_beta_shape_the_pathways(alpha, beta):
    model = toy_slowfast(alpha=alpha, beta=beta)
    seen = {}
    for name in ("slow", "fast"):
        stage = model.get_submodule(f"{name}.res5")
        stage.register_forward_hook(lambda _m, _i, output, name=name: seen.__setitem__(name, tuple(output.shape[1:])))
    model.eval()(toy_clip(size=64))
    assert seen == {"slow": (256, 8 // alpha, 2, 2), "fast": (256 * beta, 8, 2, 2)}


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


@pytest.mark.parametrize("beta", [0, -0.5, 8])
def test_beta_is_a_share(beta):
    with pytest.raises(ValueError, match=re.escape(f"beta={beta} must be in (0, 1]")):
        toy_slowfast(beta=beta)


@pytest.mark.parametrize(
    "shape, received",
    [
        ((3, 8, 32, 32), r"(3, 8, 32, 32)"),  # no batch
        ((2, 8, 3, 32, 32), r"(2, 8, 3, 32, 32)"),  # time before channels
        ((2, 3, 7, 32, 32), r"(2, 3, 7, 32, 32)"),  # alpha does not divide
    ],
)
def test_a_clip_of_a_wrong_shape(shape, received):
    message = f"expected a clip (B, 3, T, H, W) with T a multiple of alpha=4, or [slow, fast]; received {received}."
    with pytest.raises(ValueError, match=re.escape(message)):
        toy_slowfast()(torch.zeros(shape))


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


def test_channels_last_gives_the_same():
    model, clip = seeded(toy_slowfast).eval(), toy_clip()
    with torch.no_grad():
        expected = model(clip)
        model.to(memory_format=torch.channels_last_3d)
        assert torch.allclose(model(clip.contiguous(memory_format=torch.channels_last_3d)), expected, atol=1e-6)


def test_a_config_reaches_every_argument():
    cfg = load_cfg(
        "Kinetics/SLOWFAST_4x16_R50",
        [
            *("RESNET.DEPTH", 18, "RESNET.WIDTH_PER_GROUP", 8, "SLOWFAST.BETA_INV", 2, "SLOWFAST.ALPHA", 4),
            *("SLOWFAST.FUSION", "TimeToChannelConcat", "SLOWFAST.SLOW_FRAMES", "strided", "MODEL.NUM_CLASSES", 7),
            *("MODEL.HEAD_ACT", "sigmoid", "MODEL.DROPOUT_RATE", 0.25, "DATA.TRAIN_CROP_SIZE", 64),
            *("MODEL.DROPCONNECT_RATE", 0.125, "RESNET.SPATIAL_STRIDES", [[1, 1], [2, 2], [2, 2], [1, 1]]),
            *(
                "RESNET.SPATIAL_DILATIONS",
                [[1, 1], [1, 1], [1, 1], [2, 2]],
                "NONLOCAL.LOCATION",
                [[[]], [[1]], [[]], [[]]],
            ),
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


def test_dropout_changes_train_mode_alone():
    model = seeded(lambda: toy_slowfast(dropout=0.5, fc_init_std=1.0))
    clip = toy_clip()
    with torch.no_grad():
        first, second = model.train()(clip), model(clip)
        assert not torch.allclose(first, second)
        assert torch.equal(model.eval()(clip), model(clip))


def test_detached_features_leave_the_classifier_alone_to_learn():
    model = seeded(lambda: toy_slowfast(detach_features=True)).train()
    model(toy_clip()).square().sum().backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learning == {"head.classifier.weight", "head.classifier.bias"}


def test_bfloat16_autocast_runs_and_scores_are_float32():
    model = seeded(toy_slowfast)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.train()(toy_clip())
        scores = model.eval()(toy_clip())
    assert torch.isfinite(logits).all()
    assert scores.dtype == torch.float32
    assert torch.allclose(scores.sum(1), torch.ones(2), atol=1e-5)
