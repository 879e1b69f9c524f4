"""Agreement with PySlowFast (commit 287ec00) on the values of tests/data/golden/models.

Tolerances, relative to the largest value: in double 1e-6; in float32 eval 1e-5, train 2e-3, loss 1e-4.
"""

from __future__ import annotations

import pytest
import torch

from slowfast.losses import LOSS_REGISTRY
from slowfast.models.resnet3d import STAGES
from slowfast.models.weights.names import from_pyslowfast
from tests.models.golden import (
    case_boxes,
    case_clip,
    case_model,
    case_names,
    case_pathways,
    load_case,
    relative_error,
)

# Evaluated in double too, at three times the cost: one case of every kind of part.
IN_DOUBLE = {
    "AVA__SLOW_8x8_R50_SHORT",
    "Kinetics__I3D_NLN_8x8_R50",
    "Kinetics__SLOWFAST_4x16_R50",
    "Kinetics__SLOWFAST_4x16_R50__depth18_basic",
    "Kinetics__SLOW_8x8_R50__resnext",
    "Kinetics__X3D_S",
}

# 64 frames take long, and each of these has the parts of another case: that of Charades, and R101 with 32 frames.
LONG = {"Kinetics__c2__SLOWFAST_16x8_R101_50_50", "SSv2__SLOWFAST_16x8_R50"}
CASES = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in case_names()]


def test_the_cases_are_those_that_can_be_built():
    assert len(case_names()) == 23 and set(case_names()) > IN_DOUBLE | LONG
    assert {name.split("__")[0] for name in case_names()} == {"Kinetics", "Charades", "SSv2", "AVA"}


@pytest.mark.parametrize("name", CASES)
def test_scores_in_eval_mode_and_logits_in_train_mode_agree(name):
    """The scores of every crop in float32, the logits in double: batch statistics over few values magnify rounding."""
    case = load_case(name)
    model = case_model(case)  # strict load of PySlowFast's names
    assert sum(p.numel() for p in model.parameters()) == case["num_parameters"]
    assert len(model.state_dict()) == len(case["state_dict"])
    assert_scores_agree(model, case, torch.float32, tolerance=1e-5)
    model = model.double()
    if name in IN_DOUBLE:
        assert_scores_agree(model, case, torch.float64, tolerance=1e-6)
    boxes = tuple(box.double() for box in case_boxes(case))
    with torch.no_grad():
        logits = model.train()(case_clip(case).double(), *boxes)
    # of boxes, the reference gives sigmoid(logits) in train mode
    assert relative_error(logits.sigmoid() if boxes else logits, case["train"]) < 1e-6, "train mode"


def assert_scores_agree(model, case, dtype, *, tolerance):
    """Those of all clips at the training crop, and of the first one at the larger crop of the tests."""
    boxes = tuple(box.to(dtype) for box in case_boxes(case))
    for crop, expected in case["eval"].items():
        num_clips = case["batch"] if int(crop) == case["train_crop"] else 1
        num_rows = len(boxes[0]) if boxes else num_clips
        with torch.no_grad():
            scores = model(case_clip(case, int(crop))[:num_clips].to(dtype), *boxes)
        assert scores.shape == (num_rows, case["num_classes"])
        expected = expected[: num_rows * case["num_classes"]]
        assert relative_error(scores, expected) < tolerance, f"eval at crop {crop} in {dtype}"


@pytest.mark.parametrize("name", ["Kinetics__SLOWFAST_4x16_R50", "Kinetics__SLOWFAST_8x8_R50"])
def test_loss_and_gradients_agree(name):
    case = load_case(name)
    model = case_model(case).double().train()
    loss = LOSS_REGISTRY.get("cross_entropy")()(model(case_clip(case).double()), torch.tensor(case["labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-6)
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    expected = {from_pyslowfast(name, num_pathways=2): norm for name, norm in case["grad_norm"].items()}
    assert norms.keys() == expected.keys()
    largest = max(expected.values())
    for name, norm in norms.items():
        assert norm == pytest.approx(expected[name], rel=1e-6, abs=1e-9 * largest), name


@pytest.mark.parametrize("name", ["Kinetics__SLOWFAST_4x16_R50", "Kinetics__I3D_NLN_8x8_R50"])
def test_every_stage_has_the_statistics_of_the_reference(name):
    case = load_case(name)
    model = case_model(case).double()
    outputs: dict[str, torch.Tensor] = {}

    def keep(key: str):
        return lambda _module, _inputs, output: outputs.__setitem__(key, output)

    for p, pathway in enumerate(model.pathway_names):
        for s, stage in enumerate(("stem", *STAGES), start=1):
            model.get_submodule(f"{pathway}.{stage}").register_forward_hook(keep(f"s{s}/{p}"))
    for s, lateral in enumerate(getattr(model, "laterals", []), start=1):
        lateral.register_forward_hook(keep(f"s{s}_fuse/0"))
    with torch.no_grad():
        model(case_clip(case).double())

    for stage, pathways in case["stages"].items():
        for p, expected in enumerate(pathways):
            # the Fast features leave a lateral connection as they entered it
            output = outputs[f"{stage}/{p}" if f"{stage}/{p}" in outputs else f"{stage.removesuffix('_fuse')}/{p}"]
            assert list(output.shape) == expected["shape"], (stage, p)
            assert output.mean().item() == pytest.approx(expected["mean"], rel=1e-6, abs=1e-7), (stage, p)
            assert output.std(unbiased=False).item() == pytest.approx(expected["std"], rel=1e-4), (stage, p)


@pytest.mark.parametrize("name", ["Kinetics__SLOWFAST_8x8_R50", "Kinetics__SLOW_NLN_4x16_R50"])
def test_float32_agrees_to_its_precision(name):
    case = load_case(name)
    model = case_model(case)
    with torch.no_grad():
        channels_last = case_clip(case).contiguous(memory_format=torch.channels_last_3d)
        assert relative_error(model(channels_last), case["eval"][str(case["train_crop"])]) < 1e-5
        logits = model.train()(case_clip(case))
    assert relative_error(logits, case["train"]) < 2e-3
    if "loss" in case:
        loss = LOSS_REGISTRY.get("cross_entropy")()(logits, torch.tensor(case["labels"]))
        assert loss.item() == pytest.approx(case["loss"], rel=1e-4)


def test_a_pair_of_pathways_gives_what_its_clip_gives():
    case = load_case("Kinetics__SLOWFAST_4x16_R50")
    model = case_model(case)
    clip = case_clip(case)
    with torch.no_grad():
        assert torch.equal(model(case_pathways(case, clip)), model(clip))
