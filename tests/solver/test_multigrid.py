"""Multigrid schedules: PySlowFast's golden ones, the rule by hand on round numbers, and what must hold of any."""

from __future__ import annotations

import json

import pytest

from slowfast.config import get_cfg, load_cfg
from slowfast.solver import ShapeSchedule, build_schedule, evaluation_epochs
from slowfast.solver.multigrid import BatchShape, Stage, long_cycle_rates, long_cycle_stages, short_cycle
from tests.models.golden import GOLDEN

# Schedules of PySlowFast 287ec00 (tests/data/README.md).
CASES = json.loads((GOLDEN / "multigrid.json").read_text())
PAPER = [[0.25, 0.5**0.5], [0.5, 0.5**0.5], [0.5, 1], [1, 1]]
HALVES = [0.5, 0.5**0.5]


def stages_of(**arguments) -> list[Stage]:
    plain = {"num_frames": 32, "crop_size": 224, "steps": [0, 90], "max_epoch": 120, "epoch_factor": 1.5}
    return long_cycle_stages(**{**plain, "factors": PAPER, "short_cycle_factors": HALVES, **arguments})


@pytest.mark.parametrize("name", CASES)
def test_every_stage_and_rate_of_the_reference(name):
    recipe = CASES[name]["recipe"]
    stages = long_cycle_stages(
        num_frames=recipe["NUM_FRAMES"],
        crop_size=recipe["CROP"],
        steps=recipe["STEPS"],
        max_epoch=recipe["MAX_EPOCH"],
        epoch_factor=recipe["EPOCH_FACTOR"],
        factors=PAPER,
        short_cycle_factors=HALVES,
    )
    expected = [
        Stage(row["step"], row["batch_factor"], row["num_frames"], row["crop"], row["until_epoch"])
        for row in CASES[name]["schedule"]
    ]
    assert stages == expected
    assert long_cycle_rates(stages, gamma=recipe["GAMMA"]) == (CASES[name]["STEPS"], CASES[name]["LRS"])


@pytest.mark.parametrize("name", CASES)
def test_our_recipes_have_the_references_schedule(name):
    cfg = load_cfg(name)
    schedule = build_schedule(cfg)
    assert (list(schedule.steps), list(schedule.lrs)) == (CASES[name]["STEPS"], CASES[name]["LRS"])
    assert schedule.max_epoch == ShapeSchedule.from_config(cfg).max_epoch == CASES[name]["MAX_EPOCH"]


def test_the_rule_by_hand():
    """Two shapes of batch 4 and 1: 20 epochs are 16 and 4, 4 iterations (in epochs of B) each: 20 in 8.

    The 6 epochs after the step become 6 / (20 / 8) = 2.4: 22.4 epochs in all, scaled to 26.
    """
    stages = long_cycle_stages(
        num_frames=8, crop_size=32, steps=[0, 20], max_epoch=26, epoch_factor=1, factors=[[0.5, 0.5**0.5], [1, 1]]
    )
    scale = 26 / 22.4
    assert stages == [
        Stage(0, 4, 4, 23, round(16 * scale)),
        Stage(0, 1, 8, 32, round(20 * scale)),
        Stage(1, 1, 8, 32, 26),
    ]
    # The last stage, epochs 23 to 26, keeps the rate before it until 24.
    assert long_cycle_rates(stages, gamma=0.1) == ([0, 19, 23, 24], [4, 1, 1, 0.1])


@pytest.mark.parametrize("short", [[], HALVES])
@pytest.mark.parametrize("steps, max_epoch", [([0, 94, 154, 196], 239), ([0, 7], 8), ([0, 1, 2, 3], 5), ([0, 99], 100)])
@pytest.mark.parametrize("epoch_factor", [0.5, 1.0, 1.5, 3.0])
def test_what_holds_of_every_long_cycle(short, steps, max_epoch, epoch_factor):
    stages = stages_of(steps=steps, max_epoch=max_epoch, epoch_factor=epoch_factor, short_cycle_factors=short)
    ends = [stage.until_epoch for stage in stages]
    assert ends == sorted(ends) and abs(ends[-1] - max_epoch * epoch_factor) <= 0.5
    assert [stage.step for stage in stages] == sorted(stage.step for stage in stages)
    assert len(stages) == 4 * (len(steps) - 1) + 1
    assert all(stage.num_frames * stage.crop_size**2 * stage.batch_factor <= 1.01 * 32 * 224**2 for stage in stages)
    changes, rates = long_cycle_rates(stages, gamma=0.1)
    assert len(changes) == len(rates) == len(stages) + 1
    assert changes[0] == 0 and changes == sorted(changes)
    assert rates[-1] == pytest.approx(0.1 ** (len(steps) - 1)) and rates[-3] == rates[-2]


# S = 224: crops of 112 and 158.39 pixels; (224 / 112)^2 = 4, (224 / 158.39)^2 = 2, (158 / 112)^2 = 1.99.
@pytest.mark.parametrize(
    "base_crop, factors, expected",
    [
        (224, HALVES, [(112, 4), (158, 2), (224, 1)]),
        (158, HALVES, [(112, 2), (158, 1), (158, 1)]),
        (22, [0.5], [(112, 1), (22, 1)]),  # never empty
        (158, [], [(158, 1)]),
    ],
)
def test_the_short_cycle(base_crop, factors, expected):
    assert short_cycle(base_crop, crop_size=224, factors=factors) == expected


@pytest.mark.parametrize("per_stage, expected", [(1, [10, 12]), (2, [4, 10, 12]), (3, [2, 6, 10, 11, 12])])
def test_evaluations_end_a_stage_and_are_evenly_spread(per_stage, expected):
    """PySlowFast's rule: every (length // per_stage + 1) epochs, counted back from the end."""
    stages = [Stage(0, 1, 8, 32, until) for until in (10, 10, 12)]
    assert sorted(evaluation_epochs(stages, per_stage=per_stage)) == expected


# ---- from the config ----


def config(*overrides):
    cfg = get_cfg()
    cfg.merge_from_list(list(overrides))
    return cfg


STEPS = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", [0, 5, 8], "SOLVER.LRS", [1, 0.1, 0.01]]


def test_without_multigrid_nothing_changes():
    schedule = ShapeSchedule.from_config(config("SOLVER.MAX_EPOCH", 7))
    assert schedule.is_constant
    assert schedule.spans() == [(0, 7, Stage(0, 1, 8, 224, 7))]
    assert schedule.batches_at(3) == [BatchShape(1, 8, 224)]


def test_the_short_cycle_alone_stretches_steps_and_end():
    """Rounded down: 1.5 times 5, 8 and 11."""
    cfg = config("MULTIGRID.SHORT_CYCLE", True, "SOLVER.MAX_EPOCH", 11, *STEPS)
    schedule = build_schedule(cfg)
    assert (schedule.steps, schedule.lrs, schedule.max_epoch) == ((0, 7, 12), (1, 0.1, 0.01), 16)
    shapes = ShapeSchedule.from_config(cfg)
    assert not shapes.is_constant
    assert shapes.batches_at(15) == [BatchShape(4, 8, 112), BatchShape(2, 8, 158), BatchShape(1, 8, 224)]


def test_the_short_cycle_goes_with_a_cosine():
    schedule = build_schedule(config("MULTIGRID.SHORT_CYCLE", True, "SOLVER.MAX_EPOCH", 10, "SOLVER.BASE_LR", 0.2))
    assert schedule.max_epoch == 15
    assert schedule(7.5) == pytest.approx(0.1)


def test_both_cycles():
    cfg = config("MULTIGRID.SHORT_CYCLE", True, "MULTIGRID.LONG_CYCLE", True, "SOLVER.MAX_EPOCH", 20, *STEPS)
    schedule = ShapeSchedule.from_config(cfg)
    assert schedule.max_epoch == 30
    assert schedule.batches_at(0) == [BatchShape(16, 2, 112), BatchShape(8, 2, 158), BatchShape(8, 2, 158)]
    assert schedule.batches_at(29) == [BatchShape(4, 8, 112), BatchShape(2, 8, 158), BatchShape(1, 8, 224)]
    assert build_schedule(cfg).lrs[0] == 8


def test_past_the_end_clips_are_whole():
    cfg = config("MULTIGRID.SHORT_CYCLE", True, "SOLVER.MAX_EPOCH", 2, *STEPS)
    assert ShapeSchedule.from_config(cfg).batches_at(1_000_003) == [BatchShape(1, 8, 224)]


def test_stages_without_an_epoch_have_no_span():
    """SSv2's eighth stage: epochs 30 to 30."""
    schedule = ShapeSchedule.from_config(load_cfg("SSv2/SLOWFAST_16x8_R50_multigrid"))
    assert (len(schedule.stages), len(schedule.spans())) == (9, 8)
    assert [start for start, _, _ in schedule.spans()][1:] == [end for _, end, _ in schedule.spans()][:-1]
