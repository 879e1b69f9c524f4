"""Weights of PyTorchVideo and mmaction2: their names, and scores equal to theirs (tests/data/golden, its README)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from slowfast.models import build_model
from slowfast.models.weights import mmaction2, pytorchvideo
from slowfast.models.weights.load import load_weights
from slowfast.models.weights.names import MMACTION2, PYTORCHVIDEO, in_our_names, naming_of
from slowfast.models.weights.zoo import published_config
from slowfast.models.weights.zoo_table import find_entry, zoo_entries
from tests.models.golden import load_published, published_clip, published_names, published_weights, relative_error

NAMES = published_names()
QUICK = {
    "mmaction2/ava_slowfast_r50_8x8",
    "mmaction2/r2plus1d_r34_8x8",
    "pytorchvideo/slowfast_r50_detection",
    "pytorchvideo/x3d_xs",
}
CASES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


def test_there_are_cases_of_both_publishers():
    assert len(NAMES) == 21 and QUICK <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_those_of_the_network_here(name):
    case = load_published(name)
    theirs = {key: torch.empty(shape, device="meta") for key, shape in case["state_dict"].items()}
    with torch.device("meta"):
        model = build_model(published_config(find_entry(name)))
    ours = in_our_names(theirs)
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    background = 2305 if name.startswith("mmaction2/ava_") else 0  # row 0 of its classifier, which is left out
    assert sum(p.numel() for p in model.parameters()) == case["num_parameters"] - background


def in_mmaction2s_names(ours: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """With their order of columns; row 0 of an AVA classifier is zero, and kernels keep their dimensions of size 1."""
    weight, ours = ours["head.classifier.weight"], dict(ours)
    if kind == "slowfast":
        num_slow = weight.shape[1] - len(ours["fast.res5.block0.shortcut_bn.weight"])
        ours["head.classifier.weight"] = torch.cat([weight[:, num_slow:], weight[:, :num_slow]], dim=1)
    if kind.endswith("_detection"):
        for name in ("head.classifier.weight", "head.classifier.bias"):
            ours[name] = torch.cat([torch.zeros_like(ours[name][:1]), ours[name]])
    return {mmaction2.TABLES[kind].to_theirs(name) or name: value for name, value in ours.items()}


def in_pytorchvideos_names(ours: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    theirs = {pytorchvideo.TABLES[kind].to_theirs(name) or name: value for name, value in ours.items()}
    if not kind.endswith("_detection"):
        return theirs
    return {f"model.{name}" if name.startswith("blocks.") else name: value for name, value in theirs.items()}


def numbered(shape: list[int], first: int) -> Tensor:
    """``first``, ``first`` + 1, ...: no two values of a tensor are equal, and no two tensors."""
    return torch.arange(first, first + math.prod(shape), dtype=torch.float32).view(shape)


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_are_bijections(name):
    shapes = load_published(name)["state_dict"]
    theirs = {key: numbered(shape, first) for first, (key, shape) in enumerate(shapes.items())}
    publisher = {"pytorchvideo": pytorchvideo, "mmaction2": mmaction2}[name.partition("/")[0]]
    to_theirs = {pytorchvideo: in_pytorchvideos_names, mmaction2: in_mmaction2s_names}[publisher]
    assert naming_of(theirs) == {pytorchvideo: PYTORCHVIDEO, mmaction2: MMACTION2}[publisher]
    ours = in_our_names(theirs)
    assert len(ours) == len(theirs) and not ours.keys() & theirs.keys()
    back = to_theirs(ours, publisher.kind_of(theirs))
    assert list(back) == list(theirs)
    for key, value in theirs.items():
        if "roi_head" in key:
            assert torch.equal(back[key][1:], value[1:]) and not back[key][0].any()
        else:
            assert torch.equal(back[key].reshape(value.shape), value), key


def expected(case: dict, output: list[float]) -> Tensor:
    """What the publisher's network gives; of the 81 columns of mmaction2's boxes, those that mean something."""
    values = torch.tensor(output, dtype=torch.float64).view(case["output_shape"])
    return values[:, 1:] if values.shape[1] == 81 else values


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_the_publishers(name):
    case = load_published(name)
    gives_logits = case["output_is"].startswith("logits")
    with torch.device("meta"):  # without the random weights that loading replaces
        model = build_model(published_config(find_entry(name), ["MODEL.HEAD_ACT", "none"] if gives_logits else []))
    model.to_empty(device="cpu")
    assert load_weights(model, published_weights(case)).is_complete
    model = model.double().eval()
    boxes = [torch.tensor(case["boxes"]).double()] if "boxes" in case else []
    clips, outputs = published_clip(case).double(), expected(case, case["output"])
    if not boxes:  # one clip says what two would
        clips, outputs = clips[:1], outputs[:1]
    with torch.no_grad():
        output = model(clips, *boxes)
        assert output.shape == outputs.shape
        assert relative_error(output, outputs) < 1e-6
        for crop, larger in case.get("output_at", {}).items():
            output = model(published_clip(case, int(crop)).double())
            assert relative_error(output, expected(case, larger["output"])) < 1e-6, f"crop {crop}"


def test_a_prefix_of_pyslowfasts_wrapper_is_understood():
    case = load_published("pytorchvideo/c2d_r50")
    theirs = {f"model.{key}": torch.empty(shape, device="meta") for key, shape in case["state_dict"].items()}
    assert (
        in_our_names(theirs).keys() == in_our_names({key.removeprefix("model."): theirs[key] for key in theirs}).keys()
    )


@pytest.mark.parametrize("entry", [entry for entry in zoo_entries() if entry.overrides], ids=lambda entry: entry.name)
def test_every_published_network_builds_and_says_what_one_has_to_know(entry):
    cfg = published_config(entry)
    with torch.device("meta"):
        model = build_model(cfg).eval()
        size = cfg.DATA.TEST_CROP_SIZE
        boxes = [torch.empty(2, 5)] if cfg.DETECTION.ENABLE else []
        scores = model(torch.empty(2, 3, cfg.DATA.NUM_FRAMES, size, size), *boxes)
    assert scores.shape == (2, cfg.MODEL.NUM_CLASSES)
    assert entry.name.startswith(f"{entry.publisher.lower()}/")
    assert entry.class_order and entry.published and entry.url.startswith("https://")
    if entry.publisher == "mmaction2":
        assert list(cfg.DATA.MEAN) != [0.45, 0.45, 0.45] or "x3d" in entry.name


def test_colors_are_the_publishers():
    assert published_config(find_entry("mmaction2/slowfast_r50_8x8")).DATA.MEAN == [0.485, 0.456, 0.406]
    x3d = published_config(find_entry("mmaction2/x3d_m")).DATA
    assert [255 * value for value in x3d.MEAN + x3d.STD] == pytest.approx([114.75] * 3 + [57.38] * 3)
    assert published_config(find_entry("pytorchvideo/x3d_m")).DATA.STD == [0.225, 0.225, 0.225]
