"""The rules between keys: every one fires, says the values and the remedy, and all are reported at once."""

import pytest

from slowfast.config import CfgNode, ConfigError, assert_and_infer_cfg, get_cfg, load_cfg
from slowfast.config.rules.model import alpha_problem

SLOW = ["MODEL.MODEL_NAME", "ResNet", "MODEL.ARCH", "slow"]
STEPS = ["SOLVER.LR_POLICY", "steps_with_relative_lrs"]


def check(*overrides):
    """The defaults with overrides, checked."""
    cfg = get_cfg()
    cfg.merge_from_list(list(overrides))
    return assert_and_infer_cfg(cfg)


@pytest.mark.parametrize(
    "overrides, message",
    [
        # runs
        (["NUM_GPUS", -1], r"NUM_GPUS=-1: must be at least 0"),
        (["NUM_SHARDS", 0], r"NUM_SHARDS=0: must be at least 1"),
        (["NUM_SHARDS", 2, "SHARD_ID", 2], r"SHARD_ID=2: machines are numbered 0 to NUM_SHARDS - 1 = 1"),
        (["RNG_SEED", -3], r"RNG_SEED=-3"),
        (["LOG_PERIOD", 0], r"LOG_PERIOD=0"),
        # what belongs together
        (["MODEL.MODEL_NAME", "ResNet", "SLOWFAST.FAST_INPUT", "flow"], r"FAST_INPUT='flow' with .*=ResNet"),
        (["TRAIN.DATASET", "ava"], r"TRAIN\.DATASET=ava without DETECTION\.ENABLE"),
        (["DIST_BACKEND", "ncl"], r"DIST_BACKEND='ncl' is not one of nccl, gloo, mpi\. Did you mean nccl\?"),
        (["TASK", "segmentation"], r"TASK='segmentation': leave it empty"),
        (["TRAIN.BATCH_SIZE", 0], r"TRAIN\.BATCH_SIZE=0: must be at least 1"),
        (
            ["TRAIN.BATCH_SIZE", 20, "NUM_GPUS", 8],
            r"TRAIN\.BATCH_SIZE=20 is not divisible by NUM_GPUS=8.*Set TRAIN\.BATCH_SIZE to 16 or 24",
        ),
        (["TRAIN.BATCH_SIZE", 4, "NUM_GPUS", 8], r"Set TRAIN\.BATCH_SIZE to 8, or NUM_GPUS to a divisor of 4"),
        (["TEST.BATCH_SIZE", 9, "NUM_GPUS", 8], r"TEST\.BATCH_SIZE=9 is not divisible by NUM_GPUS=8"),
        (["TRAIN.CHECKPOINT_TYPE", "caffe"], r"TRAIN\.CHECKPOINT_TYPE='caffe'.*Did you mean caffe2\?"),
        (["TEST.CHECKPOINT_TYPE", "zip"], r"TEST\.CHECKPOINT_TYPE='zip' is not one of pytorch, caffe2"),
        (["TRAIN.EVAL_PERIOD", -1], r"TRAIN\.EVAL_PERIOD=-1"),
        (["TRAIN.CHECKPOINT_PERIOD", 0], r"TRAIN\.CHECKPOINT_PERIOD=0"),
        # networks
        (
            ["DATA.NUM_FRAMES", 30, "SLOWFAST.ALPHA", 4],
            r"SLOWFAST\.ALPHA=4 does not divide the clip length 30: Slow holds 1 in 4 Fast frames\. "
            r"Set DATA\.NUM_FRAMES to 28 or 32, or SLOWFAST\.ALPHA to 1, 2, 3, 5 or 6\.",
        ),
        (["SLOWFAST.ALPHA", 0], r"SLOWFAST\.ALPHA=0: must be at least 1"),
        (["SLOWFAST.BETA_INV", 0], r"SLOWFAST\.BETA_INV=0: must be at least 1"),
        (["SLOWFAST.FUSION_KERNEL_SZ", 6], r"SLOWFAST\.FUSION_KERNEL_SZ=6: must be odd"),
        (["MODEL.NUM_CLASSES", 0], r"MODEL\.NUM_CLASSES=0"),
        (["MODEL.NUM_CLASSES", 1], r"MODEL\.NUM_CLASSES=1 with MODEL\.HEAD_ACT='softmax': the score is always 1"),
        (["MODEL.DROPOUT_RATE", 1.5], r"MODEL\.DROPOUT_RATE=1\.5: must lie between 0 and 1"),
        (
            ["DATA.MULTI_LABEL", True],
            r"DATA\.MULTI_LABEL with MODEL\.HEAD_ACT='softmax'.*Set MODEL\.HEAD_ACT to sigmoid",
        ),
        (["RESNET.NUM_GROUPS", 0], r"RESNET\.NUM_GROUPS=0"),
        (["RESNET.SPATIAL_STRIDES", [[1], [2]]], r"RESNET\.SPATIAL_STRIDES=\[\[1\], \[2\]\]: expected 4 entries"),
        (["RESNET.SPATIAL_STRIDES", [1, 2, 2, 2]], r"RESNET\.SPATIAL_STRIDES=\[1, 2, 2, 2\]: expected 4 entries"),
        (["DATA.INPUT_CHANNEL_NUM", [3]], r"DATA\.INPUT_CHANNEL_NUM=\[3\] has 1 entries; SlowFast has 2"),
        (["BN.USE_PRECISE_STATS", True, "BN.NUM_BATCHES_PRECISE", 0], r"BN\.NUM_BATCHES_PRECISE=0"),
        (
            ["BN.NORM_TYPE", "sub_batchnorm", "BN.NUM_SPLITS", 3],
            r"BN\.NUM_SPLITS=3 does not divide the 64 clips of a GPU",
        ),
        # data
        (["DATA.NUM_FRAMES", 0], r"DATA\.NUM_FRAMES=0"),
        (["DATA.SAMPLING_RATE", 0], r"DATA\.SAMPLING_RATE=0"),
        (["DATA.TRAIN_CROP_SIZE", 0], r"DATA\.TRAIN_CROP_SIZE=0"),
        (["DATA.TEST_CROP_SIZE", -1], r"DATA\.TEST_CROP_SIZE=-1"),
        (["DATA.TARGET_FPS", 0], r"DATA\.TARGET_FPS=0: must be above 0"),
        (["DATA.MEAN", [0.45]], r"DATA\.MEAN=\[0\.45\] has 1 entries; expected 3"),
        (["DATA.STD", [0.2, 0.2, 0]], r"DATA\.STD=\[0\.2, 0\.2, 0\]: every entry must be above 0"),
        (["DATA.TRAIN_JITTER_SCALES", [320, 256]], r"DATA\.TRAIN_JITTER_SCALES=\[320, 256\]: expected \[smallest"),
        (["DATA.TRAIN_JITTER_SCALES", [256]], r"DATA\.TRAIN_JITTER_SCALES=\[256\]: expected"),
        (["DATA.TRAIN_JITTER_SCALES_RELATIVE", [0, 1]], r"DATA\.TRAIN_JITTER_SCALES_RELATIVE=\[0, 1\]: expected"),
        (
            ["DATA.TRAIN_CROP_SIZE", 288],
            r"DATA\.TRAIN_JITTER_SCALES=\[256, 320\]: a frame with a shorter side of 256 is smaller than .*SIZE=288",
        ),
        (["DATA.CHECK_FILES", "some"], r"DATA\.CHECK_FILES='some' is not one of sample, all, none"),
        (["DATA.PATH_LABEL_SEPARATOR", ""], r"DATA\.PATH_LABEL_SEPARATOR is empty"),
        (["DATA.MAX_BAD_VIDEOS", -1], r"DATA\.MAX_BAD_VIDEOS=-1"),
        (["DATA_LOADER.NUM_WORKERS", -1], r"DATA_LOADER\.NUM_WORKERS=-1"),
        (["DATA_LOADER.PREFETCH_FACTOR", 0], r"DATA_LOADER\.PREFETCH_FACTOR=0"),
        (["TEST.NUM_ENSEMBLE_VIEWS", 0], r"TEST\.NUM_ENSEMBLE_VIEWS=0: must be at least 1"),
        (["TEST.NUM_SPATIAL_CROPS", 2], r"TEST\.NUM_SPATIAL_CROPS=2: use 3 .*or 1"),
        (["TEST.NUM_TEMPORAL_CLIPS", [5, 0]], r"TEST\.NUM_TEMPORAL_CLIPS=\[5, 0\]"),
        (["AUG.ENABLE", True, "AUG.RE_PROB", 2], r"AUG\.RE_PROB=2"),
        (["AUG.ENABLE", True, "AUG.COLOR_JITTER", 1.0], r"AUG\.COLOR_JITTER=1\.0: must be at least 0 and below 1"),
        (["AUG.NUM_SAMPLE", 0], r"AUG\.NUM_SAMPLE=0: must be at least 1"),
        (["DATA.TRAIN_JITTER_MOTION_SHIFT", True], r"set DATA\.TRAIN_JITTER_SCALES_RELATIVE, e\.g\."),
        (["AUG.ENABLE", True, "SLOWFAST.FAST_INPUT", "flow"], r"FAST_INPUT=flow: they change colors, not optical flow"),
        (["MIXUP.ENABLE", True, "MIXUP.PROB", 2], r"MIXUP\.PROB=2"),
        (["MIXUP.ENABLE", True, "MIXUP.ALPHA", 0, "MIXUP.CUTMIX_ALPHA", 0], r"mixes nothing"),
        # optimization
        (["SOLVER.BASE_LR", 0], r"SOLVER\.BASE_LR=0\.0: must be above 0"),
        (["SOLVER.BASE_LR", float("nan")], r"SOLVER\.BASE_LR=nan"),
        (["SOLVER.BASE_LR", float("inf")], r"SOLVER\.BASE_LR=inf: must be finite"),
        (["SOLVER.MAX_EPOCH", 0], r"SOLVER\.MAX_EPOCH=0"),
        (["SOLVER.WEIGHT_DECAY", -1e-4], r"SOLVER\.WEIGHT_DECAY=-0\.0001"),
        (["SOLVER.MOMENTUM", 1.0], r"SOLVER\.MOMENTUM=1\.0"),
        (["SOLVER.BETAS", [0.9]], r"SOLVER\.BETAS=\[0\.9\]: expected two numbers"),
        (["SOLVER.CLIP_GRAD_VAL", 0], r"SOLVER\.CLIP_GRAD_VAL=0: must be above 0; write null"),
        (["SOLVER.CLIP_GRAD_VAL", 1, "SOLVER.CLIP_GRAD_L2NORM", 1], r"CLIP_GRAD_L2NORM are both set"),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, list) else "",
)
def test_rule(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["NUM_GPUS", 0],
        ["NUM_GPUS", 0, "TRAIN.BATCH_SIZE", 7],
        ["TRAIN.ENABLE", False, "TRAIN.BATCH_SIZE", 7, "NUM_GPUS", 8],  # its batch is not used
        ["DATA.NUM_FRAMES", 7, *SLOW],  # one pathway: nothing to divide
        ["RESNET.DEPTH", 18, "RESNET.TRANS_FUNC", "basic_transform"],
        ["RESNET.NUM_GROUPS", 32, "RESNET.WIDTH_PER_GROUP", 4],
        [*STEPS, "SOLVER.STEPS", [0, 41, 49], "SOLVER.LRS", [1, 0.1, 0.01, 0.001, 1e-4, 1e-5]],  # Charades
        [
            "DATA.MULTI_LABEL",
            True,
            "MODEL.HEAD_ACT",
            "sigmoid",
            "MODEL.LOSS_FUNC",
            "bce",
            "DATA.ENSEMBLE_METHOD",
            "max",
        ],
        ["SOLVER.NESTEROV", False, "SOLVER.MOMENTUM", 0.0],
        ["SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.MOMENTUM", 0.0],
        ["DATA.TRAIN_JITTER_SCALES_RELATIVE", [0.08, 1.0], "DATA.TRAIN_CROP_SIZE", 288],
        ["MODEL.MODEL_NAME", "TheirNet", "MODEL.ARCH", "theirs", "DATA.NUM_FRAMES", 7, "RESNET.DEPTH", 34],
        ["IMPORTS", ["their_losses"], "MODEL.LOSS_FUNC", "focal"],
    ],
    ids=lambda value: " ".join(map(str, value))[:60],
)
def test_what_is_fine_passes_silently(overrides, caplog):
    check(*overrides)
    assert not caplog.records


@pytest.mark.parametrize(
    "alpha, num_frames, remedy",
    [
        (8, 4, "to 8, or SLOWFAST.ALPHA to 1, 2 or 4."),
        (2, 1, "to 2, or SLOWFAST.ALPHA to 1."),
        (3, 7, "to 6 or 9, or SLOWFAST.ALPHA to 1 or 7."),
        (5, 32, "to 30 or 35, or SLOWFAST.ALPHA to 1, 2, 4 or 8."),
    ],
)
def test_the_remedy_for_alpha_works(alpha, num_frames, remedy):
    assert alpha_problem(alpha, num_frames).endswith(remedy)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ConfigError) as info:
        check("DATA.NUM_FRAMES", 30, "SOLVER.MAX_EPOCH", 0, "TEST.NUM_ENSEMBLE_VIEWS", 0, "NUM_GPUS", 3)
    lines = str(info.value).splitlines()
    for part in ("TRAIN.BATCH_SIZE=64", "TEST.BATCH_SIZE=8", "ALPHA=8", "NUM_ENSEMBLE_VIEWS=0", "MAX_EPOCH=0"):
        assert sum(part in line for line in lines) == 1
    assert len(lines) == 5


def test_problems_of_a_file_are_found_when_it_is_loaded(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("_BASE_: [base.yaml]\nDATA: {NUM_FRAMES: 30}\n")
    (tmp_path / "base.yaml").write_text("SLOWFAST: {ALPHA: 4}\n")
    with pytest.raises(ConfigError, match=r"SLOWFAST\.ALPHA=4 does not divide the clip length 30"):
        load_cfg(path)
    assert load_cfg(path, ["DATA.NUM_FRAMES", 32]).DATA.NUM_FRAMES == 32


# ---- parts that do not exist here ----


@pytest.mark.parametrize(
    "name, value",
    [
        ("TASK", "ssl"),
        ("MODEL.ARCH", "mvit"),
        ("MODEL.ARCH", "maskmvit"),
        ("MODEL.MODEL_NAME", "MViT"),
        ("MODEL.MODEL_NAME", "ContrastiveModel"),
        ("MODEL.LOSS_FUNC", "contrastive_loss"),
        ("AUG.GEN_MASK_LOADER", True),
        ("AUG.MASK_RATIO", 0.4),
        ("DATA.SSL_COLOR_JITTER", True),
        ("DATA.TIME_DIFF_PROB", 0.5),
        ("TRAIN.DATASET", "imagenet"),
    ],
)
def test_refused_settings_say_so_in_one_sentence(name, value):
    with pytest.raises(ConfigError, match=rf"{name}={value!r}: .* is not part of slowfast") as info:
        check(name, value)
    assert len(str(info.value).splitlines()) == 1


# ---- configs made in a notebook ----


def test_a_wrong_type_assigned_by_hand_is_found():
    cfg = get_cfg()
    cfg.SLOWFAST.ALPHA = "eight"
    with pytest.raises(ConfigError, match=r"SLOWFAST\.ALPHA is 'eight' \(str\); expected a number"):
        assert_and_infer_cfg(cfg)
    cfg.SLOWFAST.ALPHA = "8"
    with pytest.raises(ConfigError, match=r"SLOWFAST\.ALPHA is the text '8'; assign 8, or use"):
        assert_and_infer_cfg(cfg)


def test_a_new_key_assigned_by_hand_is_found():
    cfg = get_cfg()
    cfg.SOLVER.BASE_LRR = 0.2
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LRR is not a config key\. Did you mean SOLVER\.BASE_LR\?"):
        assert_and_infer_cfg(cfg)


def test_a_group_of_ones_own_is_welcome():
    cfg = get_cfg()
    cfg.MINE = CfgNode({"WIDTH": 3})
    assert assert_and_infer_cfg(cfg).MINE.WIDTH == 3


def test_a_key_that_is_gone_is_found():
    cfg = get_cfg()
    del cfg.SOLVER["BASE_LR"]
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LR is missing"):
        assert_and_infer_cfg(cfg)


# ---- inference ----


def test_learning_rates_grow_with_the_machines_once():
    cfg = check(
        *("NUM_SHARDS", 4, "SOLVER.BASE_LR_SCALE_NUM_SHARDS", True, "SOLVER.BASE_LR", 0.1),
        *("SOLVER.WARMUP_START_LR", 0.01, "SOLVER.COSINE_END_LR", 0.001),
    )
    for _ in range(2):
        assert cfg.SOLVER.BASE_LR == pytest.approx(0.4)
        assert cfg.SOLVER.WARMUP_START_LR == pytest.approx(0.04)
        assert cfg.SOLVER.COSINE_END_LR == pytest.approx(0.004)
        assert_and_infer_cfg(cfg)


@pytest.mark.parametrize("overrides", [["NUM_SHARDS", 4], ["SOLVER.BASE_LR_SCALE_NUM_SHARDS", True]])
def test_learning_rates_stay_otherwise(overrides):
    cfg = check(*overrides)
    assert cfg.SOLVER.BASE_LR == 0.1


def test_a_frozen_config_is_checked_and_not_written_to():
    cfg = load_cfg("Kinetics/SLOWFAST_8x8_R50", ["NUM_SHARDS", 2, "SOLVER.BASE_LR_SCALE_NUM_SHARDS", True])
    assert cfg.SOLVER.BASE_LR == pytest.approx(0.2)
    before = cfg.dump()
    assert assert_and_infer_cfg(cfg) is cfg
    assert cfg.dump() == before
    assert cfg.is_frozen()


# ---- warnings ----


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            ["DATA.MULTI_LABEL", True, "MODEL.HEAD_ACT", "sigmoid", "MODEL.LOSS_FUNC", "bce_logit"],
            "DATA.ENSEMBLE_METHOD='sum'",
        ),
        (["SOLVER.WARMUP_EPOCHS", 34, "SOLVER.MAX_EPOCH", 1], "SOLVER.WARMUP_EPOCHS=34.0 exceeds SOLVER.MAX_EPOCH=1"),
    ],
)
def test_odd_settings_warn(overrides, message, caplog):
    check(*overrides)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert message in caplog.text
