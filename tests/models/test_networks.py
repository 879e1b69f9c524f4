"""What every network here offers: checked arguments and clips, features, a new classifier, docstrings, tracing."""

from __future__ import annotations

import copy
import inspect
import re
from dataclasses import fields

import pytest
import torch
from torchvision.models.feature_extraction import create_feature_extractor

from slowfast.models import CSN, X3D, R2Plus1D, ResNet, SlowFast
from tests.models.toys import TOYS, seeded, toy_clip, toy_resnet, toy_slowfast

NETWORKS = [SlowFast, ResNet, X3D, CSN, R2Plus1D]
BOXES = torch.tensor([[0, 2.0, 3.0, 20.0, 30.0], [1, 0.0, 0.0, 31.0, 31.0]])


# --- arguments ---


@pytest.mark.parametrize("network", NETWORKS)
def test_the_signature_shows_every_option_and_the_docstring_explains_it(network):
    parameters = inspect.signature(network).parameters
    for value in network.option_types:
        assert {field.name for field in fields(value)} <= parameters.keys()
    documented = set(re.findall(r"^ +(\w[\w, ]*): ", network.__doc__, re.MULTILINE))
    documented = {name for names in documented for name in names.split(", ")}
    assert parameters.keys() <= documented
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())


@pytest.mark.parametrize(
    "network, arguments, message",
    [
        (SlowFast, {"alpha": 0}, "alpha=0 must be a whole number >= 1."),
        (SlowFast, {"alpha": 2.5}, "alpha=2.5 must be a whole number >= 1."),
        (SlowFast, {"depth": 77}, "depth=77 is not one of 18, 50, 101."),
        (SlowFast, {"depth": (50, 34)}, "depth=34 is not one of 18, 50, 101."),
        (SlowFast, {"beta": 2}, "beta=2 must be in (0, 1]"),
        (SlowFast, {"width": 0}, "width=0 must be a whole number >= 1."),
        (SlowFast, {"num_classes": 0}, "num_classes=0 must be a whole number >= 1."),
        (SlowFast, {"num_classes": True}, "num_classes=True must be a whole number >= 1."),
        (SlowFast, {"dropout": 1.5}, "dropout=1.5 must be in [0, 1]."),
        (SlowFast, {"dropout": "half"}, "dropout='half' must be in [0, 1]."),
        (SlowFast, {"drop_path": -0.1}, "drop_path=-0.1 must be in [0, 1]."),
        (SlowFast, {"fusion": "TtoC"}, "fusion='TtoC' is not a known lateral connection. Known: NoFusion, "),
        (SlowFast, {"fusion_kernel": 4}, "fusion_kernel=4 must be odd, centered on a frame."),
        (SlowFast, {"fusion_channel_ratio": 0}, "fusion_channel_ratio=0 must be a whole number >= 1."),
        (
            SlowFast,
            {"slow_frames": "linspce"},
            "slow_frames='linspce' is not one of linspace, strided. Did you mean linsp",
        ),
        (SlowFast, {"fast_input": "grey"}, "fast_input='grey' is not one of rgb, half_resolution, gray"),
        (SlowFast, {"in_channels": (3,)}, "in_channels=(3,) must be two numbers, of Slow and of Fast."),
        (
            SlowFast,
            {"spatial_strides": (1, 2, 2)},
            "spatial_strides=(1, 2, 2) needs one entry for each of the 4 stages",
        ),
        (
            SlowFast,
            {"dilations": ((1,), (1,), (1,), (2,))},
            "dilations: the entry (1,) of a stage needs one value for each",
        ),
        (SlowFast, {"pool_size": 0}, "pool_size=0 must be a whole number >= 1, or None for the whole map."),
        (
            SlowFast,
            {"roi_head": {"scale": 1}},
            "an argument of roi_head='scale' is not one of resolution, spatial_scale",
        ),
        (SlowFast, {"fc_init_std": -1}, "fc_init_std=-1 must be a number >= 0."),
        (ResNet, {"arch": "slowest"}, "arch='slowest' is not one of slow, fast, c2d"),
        (
            ResNet,
            {"block": "bottleneck"},
            "block='bottleneck' is not one of bottleneck_transform, basic_transform. Did",
        ),
        (ResNet, {"activation": "relu"}, "activation='relu' is not one of softmax, sigmoid, none."),
        (ResNet, {"average": "mean"}, "average='mean' is not one of scores, logits."),
        (ResNet, {"beta": 0}, "beta=0 must be in (0, 1]"),
        (ResNet, {"groups": 0}, "groups=0 must be a whole number >= 1."),
        (ResNet, {"stem_pool_padding": 2}, "stem_pool_padding=2 is not one of 0, 1."),
        (X3D, {"width_factor": 0}, "width_factor=0 must be a number > 0."),
        (X3D, {"stem_channels": 1.5}, "stem_channels=1.5 must be a whole number >= 1."),
        (CSN, {"depth": 18}, "depth=18 is not one of 50, 101."),
        (R2Plus1D, {"depth": 18}, "depth=18 is not one of 34, 50."),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_an_argument_is_refused_by_its_name(network, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)) as info:
        network(**arguments)
    assert not re.search(r"[A-Z0-9]+\.[A-Z]", str(info.value)), "no config key: there is no config"


@pytest.mark.parametrize("network", NETWORKS)
def test_a_misspelt_argument_gets_a_suggestion(network):
    message = rf"{network.__name__} takes no argument 'num_clases'\. Did you mean num_classes\? It takes: .*dropout"
    with pytest.raises(TypeError, match=message):
        network(num_clases=3)


# --- clips ---


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize(
    "clip, message",
    [
        (
            torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8),
            r"normalized clip of floats, received uint8 \(1, 3, 8, 32, 32\)",
        ),
        (torch.zeros(3, 8, 32, 32), r"expected a clip \(B, 3, T, H, W\).* received \(3, 8, 32, 32\)"),
        (torch.zeros(1, 8, 3, 32, 32), r"expected a clip \(B, 3, T, H, W\).* received \(1, 8, 3, 32, 32\)"),
        (
            torch.zeros(1, 3, 0, 32, 32),
            r"expected a clip .* at least \d frames? of \dx\d pixels; received \(1, 3, 0, 32, 32\)",
        ),
        (
            torch.zeros(1, 3, 8, 0, 32),
            r"expected a clip .* at least \d frames? of \dx\d pixels; received \(1, 3, 8, 0, 32\)",
        ),
    ],
    ids=["uint8", "rank", "channels", "frames", "size"],
)
def test_a_clip_is_refused_with_its_shape(name, clip, message):
    with pytest.raises(ValueError, match=message):
        TOYS[name]()(clip)


@pytest.mark.parametrize("name", TOYS)
def test_double_precision_goes_with_itself_alone(name):
    model = TOYS[name]().eval()
    clip = torch.zeros(1, 3, 8, 32, 32)
    with pytest.raises(ValueError, match=r"a clip of float32, as the weights are; received float64: clip\.to\(torch\."):
        model(clip.double())
    with pytest.raises(ValueError, match=r"a clip of float64, as the weights are; received float32"):
        model.double()(clip)
    assert model(clip.double()).dtype == torch.float64


def test_too_few_frames_for_a_pool_over_time():
    model = toy_resnet(arch="i3d", stem_temporal_strides=(2, 2)).eval()
    message = "expected a clip (B, C, T, H, W) of at least 5 frames of 1x1 pixels; received (1, 3, 4, 32, 32)."
    with pytest.raises(ValueError, match=re.escape(message)):
        model(toy_clip(batch=1, frames=4))
    assert model(toy_clip(batch=1, frames=5)).shape == (1, 5)


def test_a_map_that_an_unpadded_pool_cannot_take():
    model = toy_resnet(arch="c2d", stem_pool_padding=0).eval()
    with pytest.raises(ValueError, match=re.escape("at least 2 frames of 5x5 pixels; received (1, 3, 2, 4, 5).")):
        model(torch.zeros(1, 3, 2, 4, 5))
    assert model(torch.zeros(1, 3, 2, 5, 5)).shape == (1, 5)


# --- features and classifier ---


@pytest.mark.parametrize("name", TOYS)
def test_features_go_through_the_head_to_the_scores(name):
    model, clip = seeded(TOYS[name]).eval(), toy_clip()
    with torch.no_grad():
        features = model.forward_features(clip)
        maps = [features] if isinstance(features, torch.Tensor) else features
        assert len(maps) == len(model.pathway_names)
        assert all(x.ndim == 5 and x.shape[0] == 2 and x.shape[3:] == (1, 1) for x in maps)
        assert torch.equal(model.head(maps[0] if name == "X3D" else maps), model(clip))


@pytest.mark.parametrize("name", TOYS)
def test_a_new_classifier_leaves_all_else(name):
    model = seeded(lambda: TOYS[name](fc_init_std=0.5)).double()
    features = model.eval().forward_features(toy_clip().double())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.reset_classifier(9)
    assert model.num_classes == 9
    assert model(toy_clip().double()).shape == (2, 9)
    assert model.head.classifier.weight.dtype == torch.float64
    assert 0.3 < model.head.classifier.weight.std() < 0.7 and not model.head.classifier.bias.any()
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items() if "classifier" not in key)
    again = model.forward_features(toy_clip().double())
    for old, new in zip(features, again, strict=True):
        assert torch.equal(old, new)
    with pytest.raises(ValueError, match="num_classes=0 must be a whole number"):
        model.reset_classifier(0)


@pytest.mark.parametrize("make", [toy_slowfast, toy_resnet])
def test_a_detection_head_too(make):
    model = seeded(lambda: make(roi_head={"resolution": 2}, activation="sigmoid")).eval()
    model.reset_classifier(7)
    assert model.takes_boxes and model(toy_clip(), BOXES).shape == (2, 7)


# --- torchvision.models.feature_extraction ---


@pytest.mark.filterwarnings("ignore:NOTE. The nodes obtained by tracing")
@pytest.mark.parametrize("name", TOYS)
def test_features_are_extracted_by_name(name):
    model, clip = seeded(TOYS[name]).eval(), toy_clip()
    stages = [f"{pathway}.res4" for pathway in model.pathway_names]
    extract = create_feature_extractor(model, [*stages, "head"])
    expected = {}
    for stage in stages:
        hook = lambda _module, _inputs, output, stage=stage: expected.__setitem__(stage, output)  # noqa: E731
        model.get_submodule(stage).register_forward_hook(hook)
    with torch.no_grad():
        scores, extracted = model(clip), extract(clip)
        assert torch.equal(extracted["head"], scores)
        for stage in stages:
            assert torch.equal(extracted[stage], expected[stage])
        assert copy.deepcopy(extract)(clip).keys() == extracted.keys()


@pytest.mark.filterwarnings("ignore:NOTE. The nodes obtained by tracing")
@pytest.mark.parametrize(
    "model",
    [
        lambda: toy_slowfast(fusion="TimeToChannelConcat"),
        lambda: toy_slowfast(fusion="TimeStridedSample", fast_input="half_resolution"),
        lambda: toy_slowfast(fusion="NoFusion", drop_path=0.2),
        lambda: toy_slowfast(
            nonlocal_after=(((), ()), ((1,), ()), ((), ()), ((), ())), nonlocal_args=[[{"num_groups": 2}, {}]] * 4
        ),
        lambda: toy_resnet(nonlocal_after=((), (0,), (), ()), nonlocal_args=[{"instantiation": "softmax"}] * 4),
    ],
)
def test_features_of_every_kind_of_part_are_extracted(model):
    model, clip = seeded(model).train(), toy_clip(size=64)
    path = f"{model.pathway_names[0]}.res5"
    extract = create_feature_extractor(model, {path: "features"})
    with torch.no_grad():
        assert extract(clip)["features"].shape[0] == 2  # train mode
        expected = model.eval().forward_features(clip)
        expected = expected[0] if isinstance(expected, list) else expected
        assert torch.equal(extract.eval()(clip)["features"], expected)


@pytest.mark.filterwarnings("ignore:NOTE. The nodes obtained by tracing")
def test_features_of_a_detection_network_are_extracted():
    model = seeded(lambda: toy_slowfast(roi_head={}, activation="sigmoid")).eval()
    with torch.no_grad():
        extracted = create_feature_extractor(model, ["slow.res5", "head"])(toy_clip(), BOXES)
        assert torch.equal(extracted["head"], model(toy_clip(), BOXES))
        assert torch.equal(extracted["slow.res5"], model.forward_features(toy_clip())[0])


# --- the networks of their own ---


@pytest.mark.parametrize(
    "name, frames, expected", [("CSN", 16, 2), ("R2Plus1D-50", 16, 4), ("R2Plus1D-34", 16, 2), ("R2Plus1D-34", 3, 1)]
)
def test_strides_in_time(name, frames, expected):
    model = seeded(TOYS[name]).eval()
    assert model.forward_features(toy_clip(frames=frames)).shape[2] == expected
