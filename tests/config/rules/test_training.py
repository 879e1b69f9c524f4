"""Rules of the training loop."""

import pytest

from slowfast.config import ConfigError, load_cfg


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["TRAIN.CHECKPOINT_MINUTES", -1], "TRAIN.CHECKPOINT_MINUTES=-1.0: must be at least 0"),
        (["TRAIN.KEEP_CHECKPOINTS", -1], "TRAIN.KEEP_CHECKPOINTS=-1: must be at least 0"),
        (["TRAIN.EARLY_STOPPING", 3], r"TRAIN.EARLY_STOPPING=3 needs the figure .*TRAIN.BEST_FIGURE"),
        (["TRAIN.BEST_FIGURE", "top1", "TRAIN.EVAL_PERIOD", 0], "TRAIN.BEST_FIGURE='top1' needs validations"),
        (["TRAIN.EMA_DECAY", 1.0], r"TRAIN\.EMA_DECAY=1\.0: must be at least 0 and below 1"),
        (["TEST.EMA", True], "TEST.EMA without TRAIN.EMA_DECAY"),
        (["TRAIN.ACCUMULATE", 0], "TRAIN.ACCUMULATE=0: must be at least 1"),
        (["TRAIN.ACCUMULATE", 3, "NUM_GPUS", 8], r"=3 does not divide the 8 clips .* may be 1, 2, 4, 8\."),
        (["TRAIN.DDP.COMPRESSION", "bfloat16", "MODEL.FP16_ALLREDUCE", True], "contradict each other"),
        (["DIST_TIMEOUT", 0], "DIST_TIMEOUT=0.0: must be above 0"),
    ],
)
def test_what_cannot_be(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg("Kinetics/SLOWFAST_4x16_R50", overrides)


def test_what_can():
    load_cfg(
        "Kinetics/SLOWFAST_4x16_R50",
        ["TRAIN.BEST_FIGURE", "top1", "TRAIN.EARLY_STOPPING", 3, "TRAIN.ACCUMULATE", 4, "NUM_GPUS", 8],
    )


@pytest.mark.parametrize("more", [["DATA.MULTI_LABEL", True, "MODEL.HEAD_ACT", "sigmoid", "MODEL.LOSS_FUNC", "bce"]])
def test_classes_are_balanced_by_one_label(more):
    with pytest.raises(ConfigError, match=r"TRAIN\.BALANCE_CLASSES goes by the one label of a video"):
        load_cfg("Kinetics/SLOWFAST_4x16_R50", ["TRAIN.BALANCE_CLASSES", True, *more])
