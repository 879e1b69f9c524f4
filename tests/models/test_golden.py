"""Agreement with PySlowFast (commit 287ec00) on the values of tests/data/golden/models.

Tolerances, relative to the largest value: in double 1e-6; in float32 eval 1e-5, train 2e-3, where batch statistics
over few values magnify rounding.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

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

# Evaluated in double too, stage by stage, and trained in double: at three times the cost, one of every kind of part.
# The slow tests do it with all.
IN_DOUBLE = {
    "AVA__SLOW_8x8_R50_SHORT",
    "Kinetics__I3D_NLN_8x8_R50",
    "Kinetics__SLOWFAST_4x16_R50",
    "Kinetics__SLOWFAST_4x16_R50__depth18_basic",
    "Kinetics__SLOW_8x8_R50__resnext",
    "Kinetics__X3D_S",
}

# All parts of each of these are in another case: a slow test is enough.
CONTAINED = {
    "Kinetics__C2D_8x8_R50",
    "Kinetics__I3D_8x8_R50",
    "Kinetics__SLOW_4x16_R50",
    "Kinetics__X3D_M",
    "Kinetics__X3D_XS",
    "Kinetics__c2__SLOWFAST_16x8_R101_50_50",
    "SSv2__SLOWFAST_16x8_R50",
}
CASES = [
    *(pytest.param(name, name in IN_DOUBLE, id=name) for name in case_names() if name not in CONTAINED),
    *(
        pytest.param(name, True, id=f"{name} in double", marks=pytest.mark.slow)
        for name in case_names()
        if name not in IN_DOUBLE
    ),
]


def test_the_cases_are_those_that_can_be_built():
    assert len(case_names()) == 23 and set(case_names()) > IN_DOUBLE | CONTAINED
    assert {name.split("__")[0] for name in case_names()} == {"Kinetics", "Charades", "SSv2", "AVA"}
    assert "grad_norm" in load_case("Kinetics__SLOWFAST_4x16_R50")


@pytest.mark.parametrize("name, in_double", CASES)
def test_scores_logits_and_gradients_agree(name, in_double):
    case = load_case(name)
    model = case_model(case)  # strict load of PySlowFast's names
    assert sum(p.numel() for p in model.parameters()) == case["num_parameters"]
    assert len(model.state_dict()) == len(case["state_dict"])
    boxes = case_boxes(case)
    for crop in map(int, case["eval"]):
        clip, is_larger = case_clip(case, crop), crop != case["train_crop"]
        clip = clip[:1] if is_larger and not boxes else clip  # one says what two would
        check_scores(model, case, clip.contiguous(memory_format=torch.channels_last_3d) if is_larger else clip)
    if in_double:
        model = model.double()
        outputs = record_stages(model)
        check_scores(model, case, case_clip(case).double())
        check_stages(case, outputs)
    check_training(model.train(), case)


def check_scores(model: nn.Module, case: dict, clip: torch.Tensor) -> None:
    boxes = tuple(box.to(clip.dtype) for box in case_boxes(case))
    with torch.no_grad():
        scores = model(clip, *boxes)
    expected = torch.tensor(case["eval"][str(clip.shape[-1])], dtype=torch.float64).view(-1, case["num_classes"])
    expected = expected if boxes else expected[: len(clip)]
    assert scores.shape == expected.shape
    assert relative_error(scores, expected) < (1e-6 if clip.dtype is torch.float64 else 1e-5)


def record_stages(model: nn.Module) -> dict[str, torch.Tensor]:
    """The outputs of stages and lateral connections, by the reference's names: "s1/0" (pathway 0), "s1_fuse/0"."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(key: str):
        return lambda _module, _inputs, output: outputs.__setitem__(key, output)

    for p, pathway in enumerate(model.pathway_names):
        for s, stage in enumerate(("stem", *STAGES), start=1):
            model.get_submodule(f"{pathway}.{stage}").register_forward_hook(keep(f"s{s}/{p}"))
    for s, lateral in enumerate(getattr(model, "laterals", []), start=1):
        lateral.register_forward_hook(keep(f"s{s}_fuse/0"))
    return outputs


def check_stages(case: dict, outputs: dict[str, torch.Tensor]) -> None:
    for stage, pathways in case["stages"].items():
        for p, expected in enumerate(pathways):
            # the Fast features leave a lateral connection as they entered it
            output = outputs[f"{stage}/{p}" if f"{stage}/{p}" in outputs else f"{stage.removesuffix('_fuse')}/{p}"]
            assert list(output.shape) == expected["shape"], (stage, p)
            assert output.mean().item() == pytest.approx(expected["mean"], rel=1e-6, abs=1e-7), (stage, p)
            assert output.std(unbiased=False).item() == pytest.approx(expected["std"], rel=1e-4), (stage, p)


def check_training(model: nn.Module, case: dict) -> None:
    """Logits of the clip, given as pathways; loss and gradients where the reference has them."""
    dtype = next(model.parameters()).dtype
    boxes = tuple(box.to(dtype) for box in case_boxes(case))
    compares_gradients = "grad_norm" in case and dtype is torch.float64
    with torch.set_grad_enabled(compares_gradients):
        logits = model(case_pathways(case, case_clip(case).to(dtype)), *boxes)
    # of boxes, the reference gives sigmoid(logits) in train mode
    error = relative_error(logits.sigmoid() if boxes else logits, case["train"])
    assert error < (1e-6 if dtype is torch.float64 else 2e-3)
    if not compares_gradients:
        return
    loss = LOSS_REGISTRY.get("cross_entropy")()(logits, torch.tensor(case["labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-6)
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    expected = {from_pyslowfast(name, num_pathways=2): norm for name, norm in case["grad_norm"].items()}
    assert norms.keys() == expected.keys()
    largest = max(expected.values())
    for name, norm in norms.items():
        assert norm == pytest.approx(expected[name], rel=1e-6, abs=1e-9 * largest), name
