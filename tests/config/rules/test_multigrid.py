"""What a multigrid schedule needs of the other keys."""

from __future__ import annotations

import pytest

from slowfast.config import ConfigError, assert_and_infer_cfg, get_cfg, load_cfg

STEPS = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", [0, 20], "SOLVER.LRS", [1, 0.1]]
FRAMES = ["DATA.NUM_FRAMES", 32, "SLOWFAST.ALPHA", 4]
LONG = ["MULTIGRID.LONG_CYCLE", True, *STEPS, *FRAMES]
SHORT = ["MULTIGRID.SHORT_CYCLE", True]


def check(*overrides):
    cfg = get_cfg()
    cfg.merge_from_list(list(overrides))
    return assert_and_infer_cfg(cfg)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            [*LONG, "SOLVER.LR_POLICY", "cosine"],
            r"MULTIGRID\.LONG_CYCLE with SOLVER\.LR_POLICY='cosine'.*or use MULTIGRID\.SHORT_CYCLE alone",
        ),
        ([*LONG, "SOLVER.STEPS", [0]], r"SOLVER\.STEPS=\[0\]: MULTIGRID\.LONG_CYCLE needs at least two"),
        ([*LONG, "SOLVER.MAX_EPOCH", 20], r"SOLVER\.STEPS=\[0, 20\] leaves no epoch of SOLVER\.MAX_EPOCH=20"),
        ([*LONG, "SOLVER.GAMMA", 0], r"SOLVER\.GAMMA=0\.0: must be above 0"),
        (
            [*LONG, "SLOWFAST.ALPHA", 16],
            r"stage 1 of MULTIGRID\.LONG_CYCLE_FACTORS \(0\.25 x 0\.707107\) has clips of 8 of DATA\.NUM_FRAMES=32 "
            r"frames, which SLOWFAST\.ALPHA=16 does not divide",
        ),
        ([*LONG, "MULTIGRID.LONG_CYCLE_FACTORS", []], r"LONG_CYCLE_FACTORS=\[\]: expected pairs"),
        ([*LONG, "MULTIGRID.LONG_CYCLE_FACTORS", [[0.5, 2]]], r"LONG_CYCLE_FACTORS=\[\[0\.5, 2\]\]: expected pairs"),
        ([*LONG, "MULTIGRID.LONG_CYCLE_FACTORS", [0.5]], r"LONG_CYCLE_FACTORS=\[0\.5\]: expected pairs"),
        (
            [*LONG, "MULTIGRID.LONG_CYCLE_FACTORS", [[1, 1], [0.01, 1]]],
            r"stage 2 of MULTIGRID\.LONG_CYCLE_FACTORS \(0\.01 x 1\) has clips of 0 frames and 224 pixels",
        ),
        ([*LONG, "MULTIGRID.EPOCH_FACTOR", 0], r"MULTIGRID\.EPOCH_FACTOR=0\.0: must be above 0"),
        (
            [*SHORT, "MULTIGRID.EPOCH_FACTOR", 0.1, "SOLVER.MAX_EPOCH", 5],
            r"EPOCH_FACTOR=0\.1 of SOLVER\.MAX_EPOCH=5 leaves no epoch",
        ),
        ([*SHORT, "MULTIGRID.BN_BASE_SIZE", 0], r"MULTIGRID\.BN_BASE_SIZE=0: must be at least 1"),
        ([*LONG, "MULTIGRID.EVAL_FREQ", 0], r"MULTIGRID\.EVAL_FREQ=0: must be at least 1"),
        ([*SHORT, "MULTIGRID.SHORT_CYCLE_FACTORS", []], r"SHORT_CYCLE_FACTORS=\[\]: expected shares"),
        ([*SHORT, "MULTIGRID.SHORT_CYCLE_FACTORS", [0.5, 1.5]], r"SHORT_CYCLE_FACTORS=\[0\.5, 1\.5\]: expected shares"),
        ([*SHORT, "MULTIGRID.SHORT_CYCLE_FACTORS", [0.001]], r"of DATA\.TRAIN_CROP_SIZE=224 is less than one pixel"),
        ([*SHORT, "DETECTION.ENABLE", True], r"DETECTION\.ENABLE with MULTIGRID.*Turn one off"),
    ],
    ids=lambda value: " ".join(map(str, value))[-60:] if isinstance(value, list) else "",
)
def test_rule(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        LONG,
        SHORT,
        [*LONG, *SHORT],
        [*LONG, "DATA.NUM_FRAMES", 30, "MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "slow"],  # nothing to divide
        ["MULTIGRID.EPOCH_FACTOR", 0.0],  # not read
    ],
    ids=lambda value: " ".join(map(str, value))[-60:],
)
def test_what_is_fine_passes_silently(overrides, caplog):
    check(*overrides)
    assert not caplog.records


def test_norms_that_multigrid_replaces_are_warned_of(caplog):
    check(*SHORT, "BN.NORM_TYPE", "sub_batchnorm")
    assert caplog.messages == [
        "BN.NORM_TYPE='sub_batchnorm' has no effect in multigrid training: a batch-norm statistic covers "
        "MULTIGRID.BN_BASE_SIZE=8 clips."
    ]


def test_the_clips_of_every_stage_of_our_recipes_can_be_divided():
    with pytest.raises(ConfigError, match=r"stage 1 .*SLOWFAST\.ALPHA=16"):
        load_cfg("Kinetics/SLOWFAST_8x8_R50_stepwise_multigrid", ["SLOWFAST.ALPHA", 16])
