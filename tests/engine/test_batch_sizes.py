"""What a batch is, wherever one counts it, and the learning rate for it."""

import pytest

from slowfast.config import load_cfg
from slowfast.engine.batch_sizes import BatchSizes, learning_rate_batch
from slowfast.solver import build_schedule
from slowfast.utils import distributed


def config(*overrides):
    return load_cfg("Kinetics/SLOWFAST_4x16_R50", ["NUM_GPUS", 8, *overrides])  # 64 clips at 0.1


@pytest.fixture
def processes(monkeypatch):
    """``processes(16)``: as if so many ran, 8 a machine."""

    def pretend(number: int) -> None:
        monkeypatch.setattr(distributed, "world_size", lambda: number)
        monkeypatch.setattr(distributed, "is_initialized", lambda: True)

    return pretend


@pytest.mark.parametrize(
    "overrides, number, expected",
    [
        ([], 8, "a step: 64 clips over 8 processes, 8 at once in each; batch norm over 8 clips; learning rate 0.1"),
        ([], 16, "a step: 128 clips over 16 processes, 8 at once in each; batch norm over 8 clips; learning rate 0.1"),
        (
            ["SOLVER.SCALE_LR_TO_BATCH", True],
            16,
            "a step: 128 clips over 16 processes, 8 at once in each; batch norm over 8 clips; "
            "learning rate 0.2 (2 times the config's, which is for 64)",
        ),
        (
            ["TRAIN.BATCH_SIZE", 16, "SOLVER.SCALE_LR_TO_BATCH", True, "TRAIN.ACCUMULATE", 2],
            8,
            "a step: 16 clips over 8 processes, 1 at once in each; batch norm over 1 clip; "
            "learning rate 0.025 (0.25 times the config's, which is for 64)",
        ),
    ],
)
def test_a_line_at_the_start(processes, overrides, number, expected):
    processes(number)
    assert str(BatchSizes.from_config(config(*overrides))) == expected


@pytest.mark.parametrize(
    "overrides, clips",
    [
        ([], "8 clips"),
        (["BN.NORM_TYPE", "sync_batchnorm", "BN.NUM_SYNC_DEVICES", 4], "32 clips"),
        (["BN.NORM_TYPE", "sync_batchnorm", "BN.GLOBAL_SYNC", True], "128 clips"),
        (["BN.NORM_TYPE", "sub_batchnorm", "BN.NUM_SPLITS", 2], "4 clips"),
        (["MODEL.FROZEN_BN", True], "none (frozen)"),
    ],
)
def test_the_clips_of_a_statistic(processes, overrides, clips):
    processes(16)
    assert BatchSizes.from_config(config(*overrides)).norm == clips


def test_alone_on_a_cpu():
    sizes = BatchSizes.from_config(config("NUM_GPUS", 0, "TRAIN.BATCH_SIZE", 4, "TRAIN.ACCUMULATE", 2))
    assert str(sizes) == "a step: 4 clips, 2 at once; batch norm over 2 clips; learning rate 0.1"
    assert sizes.as_dict()["whole"] == 4


@pytest.mark.parametrize(
    "overrides, expected",
    [
        ([], 64),
        (["TRAIN.BATCH_SIZE", 8], 64),
        (["TRAIN.BATCH_SIZE", 8, "SOLVER.BASE_LR", 0.4], 8),  # chosen together
        (["TRAIN.BATCH_SIZE", "8", "SOLVER.BASE_LR", "0.4", "NUM_SHARDS", "4"], 32),
        (["SOLVER.LR_BATCH_SIZE", 256], 256),
    ],
)
def test_the_batch_that_the_rate_is_for(overrides, expected):
    assert learning_rate_batch(config(*overrides)) == expected


def test_all_rates_of_a_schedule_are_scaled():
    cfg = config("SOLVER.COSINE_END_LR", 0.001)
    plain, half = build_schedule(cfg), build_schedule(cfg, factor=0.5)
    for epoch in (0.0, 3.3, 100.0, cfg.SOLVER.MAX_EPOCH):
        assert half(epoch) == pytest.approx(0.5 * plain(epoch))
