from __future__ import annotations

import json
import re

import pytest

from slowfast.config import get_cfg
from slowfast.solver import LearningRateSchedule, build_schedule
from tests import reference
from tests.models.golden import GOLDEN

CASES = json.loads((GOLDEN / "lr.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_every_point_of_the_reference(name):
    cfg = get_cfg()
    for key, value in CASES[name]["solver"].items():
        cfg.SOLVER[key] = value
    schedule = build_schedule(cfg)
    for epoch, lr in zip(CASES[name]["epoch"], CASES[name]["lr"], strict=True):
        assert schedule(epoch) == pytest.approx(lr, rel=1e-12), epoch


def cosine(**arguments) -> LearningRateSchedule:
    return LearningRateSchedule(**{"base_lr": 0.8, "max_epoch": 20, **arguments})


def test_cosine_ends_and_middle():
    schedule = cosine(end_lr=0.2)
    assert [schedule(epoch) for epoch in (0, 10, 20)] == pytest.approx([0.8, 0.5, 0.2])


@pytest.mark.parametrize("after_warmup", [True, False])
def test_warmup_is_a_line_that_meets_the_policy(after_warmup):
    schedule = cosine(warmup_epochs=4, warmup_start_lr=0.1, cosine_after_warmup=after_warmup)
    meets = 0.8 if after_warmup else reference.cosine_rate(4, base=0.8, end=0.0, num_epochs=20)
    assert schedule(0) == 0.1
    assert schedule(4) == pytest.approx(meets)
    assert schedule(1) == pytest.approx(0.1 + (meets - 0.1) / 4)
    assert schedule(4 - 1e-9) == pytest.approx(meets)
    assert schedule(20) == pytest.approx(0, abs=1e-12)


STEPS = {"policy": "steps_with_relative_lrs"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"policy": "linear"}, "SOLVER.LR_POLICY='linear' is not one of cosine, steps_with_relative_lrs."),
        (
            {"policy": "cosin"},
            "SOLVER.LR_POLICY='cosin' is not one of cosine, steps_with_relative_lrs. Did you mean cos",
        ),
        ({"end_lr": 0.9}, "SOLVER.COSINE_END_LR=0.9: must lie between 0 and SOLVER.BASE_LR=0.8, because"),
        ({"end_lr": 0.8}, "SOLVER.COSINE_END_LR=0.8: must lie between 0 and SOLVER.BASE_LR=0.8"),
        ({"end_lr": -0.1}, "SOLVER.COSINE_END_LR=-0.1: must lie between 0 and SOLVER.BASE_LR=0.8"),
        (
            {"cosine_after_warmup": True, "warmup_epochs": 300.0, "max_epoch": 300},
            "SOLVER.WARMUP_EPOCHS=300.0 leaves no epoch of SOLVER.MAX_EPOCH=300",
        ),
        ({**STEPS}, "SOLVER.STEPS=[]: the first step must begin at epoch 0"),
        ({**STEPS, "steps": (5, 9)}, "SOLVER.STEPS=[5, 9]: the first step must begin at epoch 0"),
        ({**STEPS, "steps": (0, 9, 5)}, "SOLVER.STEPS=[0, 9, 5]: epochs must rise"),
        ({**STEPS, "steps": ("a",), "lrs": (1,)}, "SOLVER.STEPS=['a'], SOLVER.LRS=[1]: expected two lists of numbers"),
        (
            {**STEPS, "steps": (0, 9), "lrs": (1,)},
            "SOLVER.LRS=[1] has 1 entries for the 2 of SOLVER.STEPS=[0, 9]: every",
        ),
    ],
)
def test_schedules_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cosine(**arguments)
