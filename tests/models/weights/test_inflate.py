"""2D image weights in 3D networks. The 2D network is torchvision's own, with random weights."""

from __future__ import annotations

import re

import pytest
import torch
import torchvision
from torch import Tensor, nn

from slowfast.engine.checkpoint import load_for_finetuning, load_for_test
from slowfast.models import ResNet, SlowFast
from slowfast.models.weights.load import CheckpointError, load_weights
from tests.models.toys import randomize_batch_norms, same_weights, seeded, toy_resnet, toy_x3d


@pytest.fixture(scope="module")
def resnet50() -> nn.Module:
    """torchvision's ResNet-50 with statistics as after training, in double precision, eval mode."""
    model = seeded(lambda: torchvision.models.resnet50(weights=None))
    randomize_batch_norms(model)
    for name, value in model.state_dict().items():  # bn1 .. bn3, downsample.1: not named *bn
        if re.search(r"(bn\d|downsample\.1)\.weight", name):
            value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(1)) + 0.5)
    return model.double().eval()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def unfilled(**arguments) -> ResNet:
    """A network whose weights are whatever its memory held: random ones take longer than those that replace them."""
    with torch.device("meta"):
        model = ResNet(**{"num_classes": 1000, **arguments})
    return model.to_empty(device="cpu")


def inflated(arch: str, source: nn.Module, **arguments) -> ResNet:
    """Our network of one pathway with the 2D weights, in double precision, eval mode."""
    model = unfilled(**{"arch": arch, "pool_size": 2, "dropout": 0.0, **arguments}).double()
    assert load_weights(model, source.state_dict(), inflate=True).is_complete
    return model.eval()


def features_2d(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Outputs of the stem and the four layers."""
    features = [model.maxpool(model.relu(model.bn1(model.conv1(image))))]
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        features.append(layer(features[-1]))
    return features


def features_3d(model: ResNet, clip: Tensor) -> list[Tensor]:
    pathway, features = model.pathway, [model.pathway.stem(clip)]
    for stage in (pathway.res2, pathway.res3, pathway.res4, pathway.res5):
        features.append(stage(features[-1]))
        if stage is pathway.res2:
            features[-1] = pathway.pool_after_res2(features[-1])
    return features


@pytest.mark.parametrize("arch", ["c2d", "c2d_nopool", "2d"])
def test_without_temporal_kernels_features_and_scores_equal_the_2d_networks(arch, resnet50, image):
    model, clip = inflated(arch, resnet50), image.unsqueeze(2).repeat(1, 1, 4, 1, 1)
    with torch.no_grad():
        for flat, deep in zip(features_2d(resnet50, image), features_3d(model, clip), strict=True):
            assert torch.allclose(deep, flat.unsqueeze(2).expand_as(deep), rtol=1e-9, atol=1e-12)
        assert torch.allclose(model(clip), resnet50(image).softmax(1), rtol=1e-9, atol=1e-15)


# Frames at each end of the clip that zero padding in time reaches, after the stem and each stage: half of every
# temporal kernel. Slow: six blocks of res4 and three of res5 with kernel 3. I3D: the stem with kernel 5; three blocks
# of res2 with 3; the pool makes these 5 frames 3; two blocks of res3, three of res4, one of res5.
MARGINS = {"slow": (0, 0, 0, 6, 9), "i3d": (2, 3, 5, 8, 9)}
NUM_FRAMES = {"slow": 20, "i3d": 40}


@pytest.mark.parametrize("arch", MARGINS)
def test_with_temporal_kernels_they_do_where_no_padding_reaches(arch, resnet50, image):
    model, num_frames = inflated(arch, resnet50), NUM_FRAMES[arch]
    with torch.no_grad():
        flat = features_2d(resnet50, image)
        deep = features_3d(model, image.unsqueeze(2).repeat(1, 1, num_frames, 1, 1))
    for margin, expected, found in zip(MARGINS[arch], flat, deep, strict=True):
        error = (found - expected.unsqueeze(2)).abs().amax((0, 1, 3, 4)) / expected.abs().max()
        inside = error[margin : len(error) - margin]
        assert len(inside) >= 2 and inside.max() < 1e-9
        assert margin == 0 or error[margin - 1] > 1e-8  # the margin is no larger than said


def test_every_entry_is_loaded_and_the_report_says_what_was_done(resnet50):
    model = ResNet(arch="i3d", num_classes=1000)
    report = load_weights(model, resnet50.state_dict(), inflate=True)
    assert report.is_complete
    # the 7x7 and sixteen 3x3 kernels, and nine 1x1 ones that get time: for the others nothing has to be done
    assert str(report) == "320 tensors loaded; 26 kernels inflated"
    assert torch.equal(model.head.classifier.weight, resnet50.fc.weight.float())


def test_nonlocal_blocks_are_new(resnet50):
    model = ResNet(arch="slow", num_classes=1000, nonlocal_after=((), (1,), (), ()))
    report = load_weights(model, resnet50.state_dict(), inflate=True)
    assert report.missing and all(".nonlocal1." in name for name in report.missing)


# --- our own names and PySlowFast's, without time ---


@pytest.mark.parametrize("num_dims", [4, 5])
def test_2d_weights_under_our_names(num_dims):
    source, target = seeded(lambda: toy_resnet(arch="2d")), seeded(lambda: toy_resnet(arch="i3d"), 1)
    randomize_batch_norms(source)
    state = source.state_dict()
    if num_dims == 4:
        state = {name: value.squeeze(2) if value.ndim == 5 else value for name, value in state.items()}
    report = load_weights(target, state, inflate=True)
    assert report.is_complete and "kernels inflated" in str(report)
    stem = target.pathway.stem.conv.weight
    assert torch.allclose(stem.sum(2), source.pathway.stem.conv.weight.squeeze(2), atol=1e-6)


def test_a_file_that_has_time_already_is_loaded_as_it_is():
    source, target = seeded(toy_resnet), seeded(toy_resnet, 1)
    report = load_weights(target, source.state_dict(), inflate=True)
    assert report.is_complete and not report.notes
    assert same_weights(source, target)


# --- the Slow pathway of SlowFast ---


def test_the_slow_pathway_starts_from_an_image_network(resnet50):
    model = SlowFast(num_classes=10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    single = ResNet(num_classes=10)
    report = load_weights(model, resnet50.state_dict(), inflate=True)
    load_weights(single, resnet50.state_dict(), inflate=True)
    assert "8 of Slow's kernels filled but for the channels of lateral connections" in str(report)
    assert not report.wrong_shape and not report.unexpected
    assert {name.split(".")[0] for name in report.missing} == {"fast", "laterals", "head"}
    for name, value in single.pathway.state_dict().items():
        loaded = model.slow.state_dict()[name]
        width = value.shape[1] if value.ndim == 5 else None
        assert torch.equal(loaded[:, :width] if width else loaded, value), name
        if width and loaded.shape[1] > width:  # what the lateral connection feeds stays random
            assert torch.equal(loaded[:, width:], before[f"slow.{name}"][:, width:])


# --- refused ---


def test_image_weights_are_not_taken_unasked(resnet50, tmp_path):
    torch.save(resnet50.state_dict(), tmp_path / "r50.pth")
    message = (
        r"r50\.pth: 26 kernels have no extent in time, as in an image network, e\.g\. pathway\.stem\.conv\.weight "
        r"\[64, 3, 7, 7\] where the model has \[64, 3, 1, 7, 7\]\..*Set TRAIN\.CHECKPOINT_INFLATE True"
    )
    model = unfilled()
    for load in (load_for_finetuning, load_for_test):
        with pytest.raises(CheckpointError, match=message):
            load(model, tmp_path / "r50.pth")


def test_x3d_is_no_counterpart_of_an_image_network(resnet50):
    message = r"the state dict is an image network.*It can start SlowFast, or a network of one pathway.*, not X3DHead\."
    with pytest.raises(CheckpointError, match=message):
        load_weights(toy_x3d().head, resnet50.state_dict(), inflate=True)


@pytest.mark.parametrize("arguments", [{"depth": 101}, {"width": 32}, {"arch": "fast", "beta": 1 / 8}])
def test_another_depth_or_width_is_no_counterpart(resnet50, arguments):
    message = (
        r"is a ResNet of torchvision, but not the model's 2D counterpart: .*RESNET\.DEPTH .*RESNET\.WIDTH_PER_GROUP 64"
    )
    with pytest.raises(CheckpointError, match=message):
        load_weights(unfilled(**arguments), resnet50.state_dict(), inflate=True)


def test_a_stride_in_another_convolution_would_change_the_features(resnet50):
    with pytest.raises(CheckpointError, match=r"strides in the 3x3 convolutions.*Set RESNET\.STRIDE_1X1 False\."):
        load_weights(unfilled(stride_1x1=True), resnet50.state_dict(), inflate=True)
