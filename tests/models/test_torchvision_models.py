"""torchvision's networks behind the adapter: the same numbers under the same names, in our modes."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import StochasticDepth

from slowfast.cli.run import main as run_net
from slowfast.config import find, load_cfg
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.models.torchvision_models import FAMILIES, TorchvisionBuilder
from tests.models.toys import seeded, toy_clip

PUBLISHED = {name: get_model_weights(name)["KINETICS400_V1"] for name in FAMILIES}


def on_meta(name: str, **arguments):
    with torch.device("meta"):
        return TorchvisionBuilder(name)(**arguments)


@pytest.mark.parametrize("name", FAMILIES)
def test_names_parameters_and_gflops_are_the_published_ones(name):
    """Golden: torchvision's own record beside its weights; it counts a clip of 16 frames."""
    meta = PUBLISHED[name].meta
    crop = 112 if FAMILIES[name].classifier == "fc" else 224
    model = on_meta(name)
    with torch.device("meta"):
        assert list(model.state_dict()) == list(get_model(name, weights=None).state_dict())
    assert FAMILIES[name].has_batch_norm == any(isinstance(m, nn.BatchNorm3d) for m in model.modules())
    cost = measure(model, (3, 16, crop, crop))
    assert cost.num_parameters == meta["num_params"]
    assert cost.all_macs / 1e9 == pytest.approx(meta["_ops"], abs=0.0006)
    assert cost.conv_macs <= cost.all_macs


@pytest.mark.parametrize("name, frames", [("mc3_18", 4), ("swin3d_t", 2)])
def test_the_numbers_are_torchvisions(name, frames):
    ours = seeded(lambda: TorchvisionBuilder(name)(num_classes=5)).eval()
    theirs = get_model(name, weights=None, num_classes=5).eval()
    theirs.load_state_dict(ours.state_dict())
    clip = toy_clip(frames=frames)
    with torch.no_grad():
        expected = theirs(clip)
        torch.testing.assert_close(ours(clip), expected.softmax(1))
        assert torch.equal(ours([clip]), ours(clip))  # a list of one, as PySlowFast gives it
        logits = TorchvisionBuilder(name)(num_classes=5, activation="none").eval()
        logits.load_state_dict(ours.state_dict())
        torch.testing.assert_close(logits(clip), expected)


def test_dropout_and_drop_path_arrive():
    assert on_meta("s3d", dropout=0.7).classifier[0].p == 0.7
    assert on_meta("mvit_v1_b", dropout=0.1).head[0].p == 0.1
    for name in ("mvit_v2_s", "swin3d_t"):
        rates = [m.p for m in on_meta(name, drop_path=0.4).modules() if isinstance(m, StochasticDepth)]
        assert rates[0] == 0 and rates[-1] == pytest.approx(0.4) and rates == sorted(rates)
        assert {m.p for m in on_meta(name, drop_path=0.0).modules() if isinstance(m, StochasticDepth)} == {0.0}


@pytest.mark.parametrize(
    "name, argument, message",
    [
        ("r3d_18", "dropout", r"torchvision/r3d_18 has no dropout before its classifier, got dropout=0\.5"),
        ("swin3d_t", "dropout", "torchvision/swin3d_t has no dropout"),
        ("s3d", "drop_path", r"torchvision/s3d drops no residuals, got drop_path=0\.5"),
    ],
)
def test_arguments_that_a_network_does_not_have(name, argument, message):
    with pytest.raises(ValueError, match=message):
        on_meta(name, **{argument: 0.5})


def test_detached_features_teach_the_classifier_alone():
    model = seeded(lambda: TorchvisionBuilder("mc3_18")(num_classes=5, detach_features=True))
    model(toy_clip(frames=4)).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    "name, shape, message",
    [
        ("mvit_v2_s", (2, 3, 16, 256, 256), "mvit_v2_s takes clips of exactly 16 frames of 224x224 pixels; received"),
        ("mvit_v1_b", (2, 3, 8, 224, 224), r"exactly 16 frames .* \(2, 3, 8, 224, 224\)"),
        ("s3d", (2, 3, 8, 224, 224), "s3d takes clips of at least 14 frames of 224x224 pixels"),
        ("r3d_18", (2, 1, 8, 32, 32), r"expected a clip \(B, 3, T, H, W\); received \(2, 1, 8, 32, 32\)"),
    ],
)
def test_clips_that_do_not_fit(name, shape, message):
    with pytest.raises(ValueError, match=message):
        on_meta(name)(torch.empty(shape, device="meta"))


@pytest.mark.parametrize("name", ["swin3d_t", "r3d_18"])
@pytest.mark.parametrize("size", [(1, 32, 32), (5, 45, 33)])
def test_these_take_any_size(name, size):
    assert on_meta(name, num_classes=7)(torch.empty(2, 3, *size, device="meta")).shape == (2, 7)


@pytest.mark.parametrize(
    "recipe, overrides, message",
    [
        ("mvit_v2_s", ["DATA.TEST_CROP_SIZE", 256], r"DATA\.TEST_CROP_SIZE=256: .* Set DATA\.NUM_FRAMES 16, .* 224"),
        ("mvit_v1_b", ["DATA.NUM_FRAMES", 32], r"DATA\.NUM_FRAMES=32, .* exactly 16 frames"),
        ("s3d", ["DATA.NUM_FRAMES", 8], r"DATA\.NUM_FRAMES=8, .* at least 14 frames"),
        ("r3d_18", ["DATA.INPUT_CHANNEL_NUM", [2]], r"DATA\.INPUT_CHANNEL_NUM=\[2\]: .* 3 color channels"),
        ("r3d_18", ["BN.NORM_TYPE", "sub_batchnorm"], r"BN\.NORM_TYPE='sub_batchnorm'.* Set BN\.NORM_TYPE batchnorm"),
        ("r3d_18", ["MODEL.MODEL_NAME", "torchvision/r2plus18"], r"Did you mean torchvision/r2plus1d_18\?"),
        ("r3d_18", ["MODEL.ARGS.pretrained", True], r"torchvision/r3d_18 takes no argument 'pretrained'"),
    ],
)
def test_configs_that_do_not_fit(recipe, overrides, message):
    cfg = load_cfg(f"comparators/{recipe}", overrides)
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build_model(cfg)


@pytest.mark.parametrize(
    "recipe, key, overrides, message",
    [
        ("mvit_v2_s", "SHORT_CYCLE", [], r"SHORT_CYCLE: .*mvit_v2_s takes clips of exactly 16 .* and 112x112 pixels"),
        ("mvit_v1_b", "LONG_CYCLE", [], r"LONG_CYCLE: .*mvit_v1_b takes .* as few as 4 frames and 158x158 pixels"),
        ("s3d", "SHORT_CYCLE", [], r"s3d takes clips of at least 14 frames of 224x224 .* and 112x112 pixels"),
        ("s3d", "LONG_CYCLE", ["MULTIGRID.LONG_CYCLE_FACTORS", [[0.1, 1], [1, 1]]], "MULTIGRID.LONG_CYCLE False"),
    ],
)
def test_multigrid_training_on_clips_that_do_not_fit(recipe, key, overrides, message):
    steps = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", [0, 2, 4], "SOLVER.LRS", [1, 0.1, 0.01]]
    cfg = load_cfg(f"comparators/{recipe}", [*steps, f"MULTIGRID.{key}", True, *overrides])
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build_model(cfg)


def test_multigrid_training_without_its_batch_norm_is_said(caplog):
    """Swin has none, so it lacks nothing."""
    with torch.device("meta"):
        build_model(load_cfg("comparators/swin3d_t", ["MULTIGRID.SHORT_CYCLE", True]))
        assert "BN_BASE_SIZE" not in caplog.text
        build_model(load_cfg("comparators/r3d_18", ["MULTIGRID.SHORT_CYCLE", True]))
    assert "MULTIGRID.BN_BASE_SIZE=8 has no effect: torchvision/r3d_18 has" in caplog.text


def test_boxes_are_refused():
    with pytest.raises(ValueError, match=r"r3d_18 was called with 2 inputs: .* DETECTION\.ENABLE needs SlowFast or"):
        on_meta("r3d_18")(torch.empty(2, 3, 8, 32, 32, device="meta"), torch.empty(2, 5, device="meta"))


def test_a_rate_without_effect_is_said(caplog):
    with torch.device("meta"):
        build_model(load_cfg("comparators/r3d_18", ["MODEL.DROPOUT_RATE", 0.5]))
    assert "MODEL.DROPOUT_RATE=0.5 has no effect on torchvision/r3d_18" in caplog.text


@pytest.mark.parametrize("name", FAMILIES)
def test_recipes_say_what_torchvision_published(name):
    """Sampling, colors and accuracy, from torchvision's record."""
    weights, path = PUBLISHED[name], find(f"comparators/{name}")
    cfg, text, docs = load_cfg(path), path.read_text(), weights.meta["_docs"]
    found = re.search(r"frame_rate=([\d.]+)`, `clips_per_video=(\d+)`, and `clip_len=(\d+)`", docs)
    assert cfg.DATA.TARGET_FPS / cfg.DATA.SAMPLING_RATE == float(found[1])
    assert (cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.DATA.NUM_FRAMES) == (int(found[2]), int(found[3]))
    preset = weights.transforms()
    assert (cfg.DATA.MEAN, cfg.DATA.STD) == (list(preset.mean), list(preset.std))
    assert cfg.DATA.TRAIN_CROP_SIZE == preset.crop_size[0]
    accuracy = weights.meta["_metrics"]["Kinetics-400"]
    assert f"{accuracy['acc@1']} top-1, {accuracy['acc@5']} top-5 (torchvision" in text
    clips = "1 clip " if found[2] == "1" else f"{found[2]} clips "
    assert f"{clips}of {found[3]} frames at {float(found[1]):g} a second" in text


def test_the_same_trainer_and_tester_run_them(tiny_opts, tmp_path):
    opts = [*tiny_opts, "MODEL.MODEL_NAME", "torchvision/mc3_18", "DATA.NUM_FRAMES", "4"]
    assert run_net(["--cfg", "Motion/SLOWFAST_4x4_R18", *opts]) == 0
    assert (tmp_path / "out/checkpoints/checkpoint_epoch_00001.pyth").is_file()
    assert '"num_failed": 0' in (tmp_path / "out/results.json").read_text()


# --- what every network here offers ---


@pytest.mark.parametrize(
    "name, shape",
    [
        ("r3d_18", (512, 2, 14, 14)),
        ("s3d", (1024, 2, 7, 7)),
        ("mvit_v2_s", (768, 8, 7, 7)),
        ("swin3d_t", (768, 8, 7, 7)),
    ],
)
def test_features_are_a_map(name, shape):
    model = on_meta(name, num_classes=5).eval()
    assert model.forward_features(torch.empty(2, 3, 16, 224, 224, device="meta")).shape == (2, *shape)
    assert model.pathway_names == ("pathway",)


@pytest.mark.parametrize("name, frames", [("mc3_18", 4), ("swin3d_t", 2)])
def test_features_lead_to_the_scores(name, frames):
    model = seeded(lambda: TorchvisionBuilder(name)(num_classes=5, activation="none")).eval()
    clip = toy_clip(frames=frames)
    with torch.no_grad():
        pooled = model.forward_features(clip).mean((2, 3, 4))
        classifier = model.get_submodule(model.classifier_name)
        torch.testing.assert_close(classifier(pooled), model(clip))


@pytest.mark.parametrize("name", ["mc3_18", "s3d", "mvit_v1_b", "swin3d_t"])
def test_a_new_classifier(name):
    model = on_meta(name, num_classes=5, detach_features=True)
    names = list(model.state_dict())
    model.reset_classifier(9)
    assert model.num_classes == 9 and list(model.state_dict()) == names
    assert model(torch.empty(2, 3, 16, 224, 224, device="meta")).shape == (2, 9)
    assert len(model.get_submodule(model.classifier_name)._forward_pre_hooks) == 1  # detaches still
    with pytest.raises(ValueError, match="num_classes=0 must be a whole number"):
        model.reset_classifier(0)


def test_copies_keep_their_methods():
    model = seeded(lambda: TorchvisionBuilder("mc3_18")(num_classes=5)).eval()
    clip = toy_clip(frames=4, size=16)
    copied = copy.deepcopy(model)
    pickled = pickle.loads(pickle.dumps(model))
    with torch.no_grad():
        for other in (copied, pickled):
            assert torch.equal(other(clip), model(clip))
            assert torch.equal(other.forward_features(clip), model.forward_features(clip))
        copied.reset_classifier(2)
        assert model.num_classes == 5


@pytest.mark.filterwarnings("ignore:NOTE. The nodes obtained by tracing")
@pytest.mark.parametrize("name, node, frames", [("mc3_18", "layer3", 4), ("swin3d_t", "features.2", 2)])
def test_features_are_extracted_by_name(name, node, frames):
    model = seeded(lambda: TorchvisionBuilder(name)(num_classes=5)).eval()
    seen = []
    clip = toy_clip(frames=frames)
    extract = create_feature_extractor(model, {node: "features"})
    model.get_submodule(node).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        model(clip)
        torch.testing.assert_close(extract(clip)["features"], seen[0])
