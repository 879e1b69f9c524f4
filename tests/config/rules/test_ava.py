"""Rules of detection: they hold where boxes are scored, and nowhere else."""

import pytest

from slowfast.config import ConfigError, assert_and_infer_cfg, get_cfg

DETECTION = ["DETECTION.ENABLE", True, "TRAIN.DATASET", "ava", "TEST.DATASET", "ava", "MODEL.HEAD_ACT", "sigmoid"]
DETECTION += ["MODEL.LOSS_FUNC", "bce", "MODEL.NUM_CLASSES", 80]


def check(*overrides):
    cfg = get_cfg()
    cfg.merge_from_list([*DETECTION, *overrides])
    return assert_and_infer_cfg(cfg)


PROBLEMS = [
    (["AVA.DETECTION_SCORE_THRESH", 1.5], r"AVA\.DETECTION_SCORE_THRESH=1\.5: must lie between 0 and 1"),
    (["AVA.MOVIE_START_SECONDS", -1.0], r"AVA\.MOVIE_START_SECONDS=-1\.0: must be at least 0"),
    (["AVA.TEST_SCALES", [224, 0]], r"AVA\.TEST_SCALES=\[224, 0\]: expected short sides"),
    (["AVA.TEST_SCALES", [224.5]], r"AVA\.TEST_SCALES=\[224\.5\]: expected"),
    (["DATA.SAMPLING_RATE", 1, "DATA.NUM_FRAMES", 1], r"DATA\.NUM_FRAMES=1 times DATA\.SAMPLING_RATE=1 is odd"),
    (["SLOWFAST.FAST_INPUT", "flow"], r"SLOWFAST\.FAST_INPUT=flow: the data set ava provides only colors"),
    (
        ["AVA.TRAIN_USE_COLOR_AUGMENTATION", True, "DATA.TRAIN_PCA_EIGVAL", [0.2]],
        r"DATA\.TRAIN_PCA_EIGVAL=\[0\.2\] has 1 entries; expected 3",
    ),
    (
        ["AVA.TRAIN_USE_COLOR_AUGMENTATION", True, "DATA.TRAIN_PCA_EIGVEC", [[1, 0], [0, 1]]],
        r"DATA\.TRAIN_PCA_EIGVEC=\[\[1, 0\], \[0, 1\]\]: expected three rows of three numbers",
    ),
]


@pytest.mark.parametrize("overrides, message", PROBLEMS, ids=lambda value: str(value)[:40])
def test_rule(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check(*overrides)


@pytest.mark.parametrize("overrides", [overrides for overrides, _ in PROBLEMS[:5]], ids=lambda value: str(value)[:40])
def test_rules_of_detection_leave_classification_alone(overrides):
    slow = ["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "slow"]  # SlowFast has rules of its own for one frame
    cfg = get_cfg()
    cfg.merge_from_list([*slow, *overrides])
    assert_and_infer_cfg(cfg)


def test_a_recipe_needs_no_folders():
    assert check("AVA.TEST_SCALES", [224, 256]).AVA.FRAME_DIR == ""
