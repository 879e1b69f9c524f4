"""The rules between keys: every one fires, says the values and the remedy, and all are reported at once."""

import shlex

import pytest

from slowfast.config import CfgNode, ConfigError, assert_and_infer_cfg, get_cfg, load_cfg
from slowfast.config.rules.model import alpha_problem

SLOW = "MODEL.MODEL_NAME ResNet MODEL.ARCH slow"
SHORT = "MULTIGRID.SHORT_CYCLE True"
LONG = "MULTIGRID.LONG_CYCLE True DATA.NUM_FRAMES 32 SLOWFAST.ALPHA 4 "
LONG += "SOLVER.LR_POLICY steps_with_relative_lrs SOLVER.STEPS [0,20] SOLVER.LRS [1,0.1]"
SEVERAL = "DATA.MULTI_LABEL True MODEL.HEAD_ACT sigmoid MODEL.LOSS_FUNC bce"
BOXES = "DETECTION.ENABLE True TRAIN.DATASET ava TEST.DATASET ava MODEL.HEAD_ACT sigmoid MODEL.LOSS_FUNC bce"
LIGHTING = f"{BOXES} AVA.TRAIN_USE_COLOR_AUGMENTATION True"

BEYOND_THEIR_BOUNDS = """
NUM_GPUS=-1 NUM_SHARDS=0 RNG_SEED=-3 LOG_PERIOD=0 DIST_TIMEOUT=0.0 TRAIN.BATCH_SIZE=0 TRAIN.EVAL_PERIOD=-1
TRAIN.CHECKPOINT_PERIOD=0 TRAIN.CHECKPOINT_MINUTES=-1.0 TRAIN.KEEP_CHECKPOINTS=-1 TRAIN.ACCUMULATE=0
TRAIN.EMA_DECAY=1.0 SLOWFAST.ALPHA=0 SLOWFAST.BETA_INV=0 SLOWFAST.FUSION_KERNEL_SZ=6 MODEL.NUM_CLASSES=0
MODEL.DROPOUT_RATE=1.5 RESNET.NUM_GROUPS=0 DATA.NUM_FRAMES=0 DATA.SAMPLING_RATE=0 DATA.TRAIN_CROP_SIZE=0
DATA.TEST_CROP_SIZE=-1 DATA.TARGET_FPS=0 DATA.MAX_BAD_VIDEOS=-1 DATA_LOADER.NUM_WORKERS=-1
DATA_LOADER.PREFETCH_FACTOR=0 TEST.NUM_ENSEMBLE_VIEWS=0 AUG.NUM_SAMPLE=0 SOLVER.BASE_LR=0.0 SOLVER.MAX_EPOCH=0
SOLVER.WEIGHT_DECAY=-0.0001 SOLVER.MOMENTUM=1.0
"""
# Overrides, and what is said of them; "..." stands for any text.
PROBLEMS = f"""
NUM_SHARDS 2 SHARD_ID 2 | SHARD_ID=2: machines are numbered 0 to NUM_SHARDS - 1 = 1
{SLOW} SLOWFAST.FAST_INPUT flow | FAST_INPUT='flow' with ...=ResNet
DIST_BACKEND ncl | DIST_BACKEND='ncl' is not one of nccl, gloo, mpi. Did you mean nccl?
TASK segmentation | TASK='segmentation': leave it empty
TRAIN.BATCH_SIZE 20 NUM_GPUS 8 | TRAIN.BATCH_SIZE=20 is not divisible by NUM_GPUS=8...Set TRAIN.BATCH_SIZE to 16 or 24
TRAIN.BATCH_SIZE 4 NUM_GPUS 8 | Set TRAIN.BATCH_SIZE to 8, or NUM_GPUS to a divisor of 4
TEST.BATCH_SIZE 9 NUM_GPUS 8 | TEST.BATCH_SIZE=9 is not divisible by NUM_GPUS=8
TRAIN.CHECKPOINT_TYPE caffe | TRAIN.CHECKPOINT_TYPE='caffe'...Did you mean caffe2?
TEST.CHECKPOINT_TYPE zip | TEST.CHECKPOINT_TYPE='zip' is not one of pytorch, caffe2
DATA.NUM_FRAMES 30 SLOWFAST.ALPHA 4 | SLOWFAST.ALPHA=4 does not divide the clip length 30: Slow holds 1 in 4 Fast
MODEL.NUM_CLASSES 1 | MODEL.NUM_CLASSES=1 with MODEL.HEAD_ACT='softmax': the score is always 1
DATA.MULTI_LABEL True | DATA.MULTI_LABEL with MODEL.HEAD_ACT='softmax'...Set MODEL.HEAD_ACT to sigmoid
RESNET.SPATIAL_STRIDES [[1],[2]] | RESNET.SPATIAL_STRIDES=[[1], [2]]: expected 4 entries
RESNET.SPATIAL_STRIDES [1,2,2,2] | RESNET.SPATIAL_STRIDES=[1, 2, 2, 2]: expected 4 entries
DATA.INPUT_CHANNEL_NUM [3] | DATA.INPUT_CHANNEL_NUM=[3] has 1 entries; SlowFast has 2
BN.USE_PRECISE_STATS True BN.NUM_BATCHES_PRECISE 0 | BN.NUM_BATCHES_PRECISE=0
BN.NORM_TYPE sub_batchnorm BN.NUM_SPLITS 3 | BN.NUM_SPLITS=3 does not divide the 64 clips of a GPU
DATA.MEAN [0.45] | DATA.MEAN=[0.45] has 1 entries; expected 3
DATA.STD [0.2,0.2,0] | DATA.STD=[0.2, 0.2, 0]: every entry must be above 0
DATA.TRAIN_JITTER_SCALES [320,256] | DATA.TRAIN_JITTER_SCALES=[320, 256]: expected [smallest
DATA.TRAIN_JITTER_SCALES [256] | DATA.TRAIN_JITTER_SCALES=[256]: expected
DATA.TRAIN_JITTER_SCALES_RELATIVE [0,1] | DATA.TRAIN_JITTER_SCALES_RELATIVE=[0, 1]: expected
DATA.TRAIN_CROP_SIZE 288 | =[256, 320]: a frame with a shorter side of 256 is smaller than ...SIZE=288
DATA.CHECK_FILES some | DATA.CHECK_FILES='some' is not one of sample, all, none
DATA.PATH_LABEL_SEPARATOR '' | DATA.PATH_LABEL_SEPARATOR is empty
TEST.NUM_SPATIAL_CROPS 2 | TEST.NUM_SPATIAL_CROPS=2: use 3 ...or 1
TEST.NUM_TEMPORAL_CLIPS [5,0] | TEST.NUM_TEMPORAL_CLIPS=[5, 0]
AUG.ENABLE True AUG.RE_PROB 2 | AUG.RE_PROB=2
AUG.ENABLE True AUG.COLOR_JITTER 1.0 | AUG.COLOR_JITTER=1.0: must be at least 0 and below 1
AUG.ENABLE True SLOWFAST.FAST_INPUT flow | FAST_INPUT=flow: they change colors, not optical flow
DATA.TRAIN_JITTER_MOTION_SHIFT True | set DATA.TRAIN_JITTER_SCALES_RELATIVE, e.g.
MIXUP.ENABLE True MIXUP.PROB 2 | MIXUP.PROB=2
MIXUP.ENABLE True MIXUP.ALPHA 0 MIXUP.CUTMIX_ALPHA 0 | mixes nothing
SOLVER.BASE_LR 1e999 | SOLVER.BASE_LR=inf: must be finite
SOLVER.BETAS [0.9] | SOLVER.BETAS=[0.9]: expected two numbers
SOLVER.CLIP_GRAD_VAL 0 | SOLVER.CLIP_GRAD_VAL=0: must be above 0; write null
SOLVER.CLIP_GRAD_VAL 1 SOLVER.CLIP_GRAD_L2NORM 1 | CLIP_GRAD_L2NORM are both set
TRAIN.EARLY_STOPPING 3 | TRAIN.EARLY_STOPPING=3 needs the figure ...TRAIN.BEST_FIGURE
TRAIN.BEST_FIGURE top1 TRAIN.EVAL_PERIOD 0 | TRAIN.BEST_FIGURE='top1' needs validations
TEST.EMA True | TEST.EMA without TRAIN.EMA_DECAY
TRAIN.ACCUMULATE 3 NUM_GPUS 8 | =3 does not divide the 8 clips ... may be 1, 2, 4, 8.
TRAIN.DDP.COMPRESSION bfloat16 MODEL.FP16_ALLREDUCE True | contradict each other
TRAIN.BALANCE_CLASSES True {SEVERAL} | TRAIN.BALANCE_CLASSES goes by the one label of a video
TRAIN.DATASET ava | TRAIN.DATASET=ava without DETECTION.ENABLE
{BOXES} AVA.DETECTION_SCORE_THRESH 1.5 | AVA.DETECTION_SCORE_THRESH=1.5: must lie between 0 and 1
{BOXES} AVA.MOVIE_START_SECONDS -1 | AVA.MOVIE_START_SECONDS=-1.0: must be at least 0
{BOXES} AVA.TEST_SCALES [224,0] | AVA.TEST_SCALES=[224, 0]: expected short sides
{BOXES} AVA.TEST_SCALES [224.5] | AVA.TEST_SCALES=[224.5]: expected
{BOXES} {SLOW} DATA.SAMPLING_RATE 1 DATA.NUM_FRAMES 1 | DATA.NUM_FRAMES=1 times DATA.SAMPLING_RATE=1 is odd
{BOXES} SLOWFAST.FAST_INPUT flow | SLOWFAST.FAST_INPUT=flow: the data set ava provides only colors
{LIGHTING} DATA.TRAIN_PCA_EIGVAL [0.2] | DATA.TRAIN_PCA_EIGVAL=[0.2] has 1 entries; expected 3
{LIGHTING} DATA.TRAIN_PCA_EIGVEC [[1,0],[0,1]] | =[[1, 0], [0, 1]]: expected three rows of three numbers
{LONG} SOLVER.LR_POLICY cosine | MULTIGRID.LONG_CYCLE with SOLVER.LR_POLICY='cosine'...SHORT_CYCLE alone
{LONG} SOLVER.STEPS [0] | SOLVER.STEPS=[0]: MULTIGRID.LONG_CYCLE needs at least two
{LONG} SOLVER.MAX_EPOCH 20 | SOLVER.STEPS=[0, 20] leaves no epoch of SOLVER.MAX_EPOCH=20
{LONG} SOLVER.GAMMA 0 | SOLVER.GAMMA=0.0: must be above 0
{LONG} SLOWFAST.ALPHA 16 | (0.25 x 0.707107) has clips of 8 of DATA.NUM_FRAMES=32 frames, which SLOWFAST.ALPHA=16 does
{LONG} MULTIGRID.LONG_CYCLE_FACTORS [] | LONG_CYCLE_FACTORS=[]: expected pairs
{LONG} MULTIGRID.LONG_CYCLE_FACTORS [[0.5,2]] | LONG_CYCLE_FACTORS=[[0.5, 2]]: expected pairs
{LONG} MULTIGRID.LONG_CYCLE_FACTORS [0.5] | LONG_CYCLE_FACTORS=[0.5]: expected pairs
{LONG} MULTIGRID.LONG_CYCLE_FACTORS [[1,1],[0.01,1]] | stage 2 ... (0.01 x 1) has clips of 0 frames and 224 pixels
{LONG} MULTIGRID.EPOCH_FACTOR 0 | MULTIGRID.EPOCH_FACTOR=0.0: must be above 0
{LONG} MULTIGRID.EVAL_FREQ 0 | MULTIGRID.EVAL_FREQ=0: must be at least 1
{SHORT} MULTIGRID.EPOCH_FACTOR 0.1 SOLVER.MAX_EPOCH 5 | EPOCH_FACTOR=0.1 of SOLVER.MAX_EPOCH=5 leaves no epoch
{SHORT} MULTIGRID.BN_BASE_SIZE 0 | MULTIGRID.BN_BASE_SIZE=0: must be at least 1
{SHORT} MULTIGRID.SHORT_CYCLE_FACTORS [] | SHORT_CYCLE_FACTORS=[]: expected shares
{SHORT} MULTIGRID.SHORT_CYCLE_FACTORS [0.5,1.5] | SHORT_CYCLE_FACTORS=[0.5, 1.5]: expected shares
{SHORT} MULTIGRID.SHORT_CYCLE_FACTORS [0.001] | of DATA.TRAIN_CROP_SIZE=224 is less than one pixel
{SHORT} DETECTION.ENABLE True | DETECTION.ENABLE with MULTIGRID...Turn one off
"""
FINE = f"""
NUM_GPUS 0 TRAIN.BATCH_SIZE 7
TRAIN.ENABLE False TRAIN.BATCH_SIZE 7 NUM_GPUS 8
{SLOW} DATA.NUM_FRAMES 7
RESNET.DEPTH 18 RESNET.TRANS_FUNC basic_transform
RESNET.NUM_GROUPS 32 RESNET.WIDTH_PER_GROUP 4
SOLVER.LR_POLICY steps_with_relative_lrs SOLVER.STEPS [0,41,49] SOLVER.LRS [1,0.1,0.01,0.001,0.0001,1e-05]
{SEVERAL} DATA.ENSEMBLE_METHOD max
SOLVER.NESTEROV False SOLVER.MOMENTUM 0.0
SOLVER.OPTIMIZING_METHOD adamw SOLVER.MOMENTUM 0.0
DATA.TRAIN_JITTER_SCALES_RELATIVE [0.08,1.0] DATA.TRAIN_CROP_SIZE 288
MODEL.MODEL_NAME TheirNet MODEL.ARCH theirs DATA.NUM_FRAMES 7 RESNET.DEPTH 34
IMPORTS "['their_losses']" MODEL.LOSS_FUNC focal
TRAIN.BEST_FIGURE top1 TRAIN.EARLY_STOPPING 3 TRAIN.ACCUMULATE 4 NUM_GPUS 8
{LONG} {SHORT}
{LONG} {SLOW} DATA.NUM_FRAMES 30
MULTIGRID.EPOCH_FACTOR 0.0
{BOXES} AVA.TEST_SCALES [224,256]
{SLOW} DATA.SAMPLING_RATE 1 DATA.NUM_FRAMES 1 AVA.DETECTION_SCORE_THRESH 1.5 AVA.TEST_SCALES [224.5]
"""


def check(text: str) -> CfgNode:
    """The defaults with ``KEY value KEY value ...``, checked."""
    cfg = get_cfg()
    cfg.merge_from_list(shlex.split(text))
    return assert_and_infer_cfg(cfg)


@pytest.mark.parametrize("setting", BEYOND_THEIR_BOUNDS.split())
def test_a_bound(setting):
    with pytest.raises(ConfigError) as error:
        check(setting)
    assert any(line.startswith(f"{setting}: must ") for line in str(error.value).splitlines())


@pytest.mark.parametrize("case", PROBLEMS.strip().splitlines(), ids=lambda case: case[-50:])
def test_a_rule(case):
    overrides, _, message = case.partition(" | ")
    with pytest.raises(ConfigError) as error:
        check(overrides)
    text = str(error.value)
    for part in message.split("..."):
        _, found, text = text.partition(part)
        assert found == part


@pytest.mark.parametrize("overrides", FINE.strip().splitlines(), ids=lambda overrides: overrides[-50:])
def test_what_is_fine_passes_silently(overrides, caplog):
    check(overrides)
    assert not caplog.records


def test_no_number_is_within_any_bound():
    cfg = get_cfg()
    cfg.SOLVER.BASE_LR = float("nan")
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LR=nan: must be above 0"):
        assert_and_infer_cfg(cfg)


@pytest.mark.parametrize(
    "alpha, num_frames, remedy",
    [
        (4, 30, "Set DATA.NUM_FRAMES to 28 or 32, or SLOWFAST.ALPHA to 1, 2, 3, 5 or 6."),
        (8, 4, "to 8, or SLOWFAST.ALPHA to 1, 2 or 4."),
        (2, 1, "to 2, or SLOWFAST.ALPHA to 1."),
        (3, 7, "to 6 or 9, or SLOWFAST.ALPHA to 1 or 7."),
        (5, 32, "to 30 or 35, or SLOWFAST.ALPHA to 1, 2, 4 or 8."),
    ],
)
def test_the_remedy_for_alpha_works(alpha, num_frames, remedy):
    assert alpha_problem(alpha, num_frames).endswith(remedy)


def test_all_problems_of_a_file_are_reported_when_it_is_loaded(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("_BASE_: [base.yaml]\nDATA: {NUM_FRAMES: 30}\nSOLVER: {MAX_EPOCH: 0}\nTEST: {BATCH_SIZE: 0}\n")
    (tmp_path / "base.yaml").write_text("SLOWFAST: {ALPHA: 4}\n")
    with pytest.raises(ConfigError) as error:
        load_cfg(path, ["NUM_GPUS", 3])
    lines = str(error.value).splitlines()
    for part in ("TRAIN.BATCH_SIZE=64", "TEST.BATCH_SIZE=0", "SLOWFAST.ALPHA=4 does not divide", "MAX_EPOCH=0"):
        assert sum(part in line for line in lines) == 1
    assert len(lines) == 4


# ---- parts that do not exist here ----


@pytest.mark.parametrize(
    "setting",
    [
        *("TASK=ssl", "MODEL.ARCH=mvit", "MODEL.ARCH=maskmvit", "MODEL.MODEL_NAME=MViT"),
        *("MODEL.MODEL_NAME=ContrastiveModel", "MODEL.LOSS_FUNC=contrastive_loss", "TRAIN.DATASET=imagenet"),
    ],
)
def test_refused_values_say_so_in_one_sentence(setting):
    name, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=rf"^{name}={value!r}: .* is not part of slowfast.*$"):
        check(setting)


# ---- configs made in a notebook ----


def test_what_is_assigned_by_hand_is_checked():
    cfg = get_cfg()
    cfg.SLOWFAST.ALPHA = "eight"
    cfg.SOLVER.BASE_LRR = 0.2
    cfg.MINE = CfgNode({"WIDTH": 3})  # a group of one's own is welcome
    cfg.DATA.NUM_FRAMES = "8"
    del cfg.SOLVER["BASE_LR"]
    with pytest.raises(ConfigError) as error:
        assert_and_infer_cfg(cfg)
    assert sorted(str(error.value).splitlines()) == [
        "DATA.NUM_FRAMES is the text '8'; assign 8, or use cfg.merge_from_list.",
        "SLOWFAST.ALPHA is 'eight' (str); expected a number.",
        "SOLVER.BASE_LR is missing; start from slowfast.config.get_cfg().",
        "SOLVER.BASE_LRR is not a config key. Did you mean SOLVER.BASE_LR?",
    ]


# ---- inference ----


def test_learning_rates_grow_with_the_machines_once():
    cfg = check(
        "NUM_SHARDS 4 SOLVER.BASE_LR_SCALE_NUM_SHARDS True SOLVER.BASE_LR 0.1 SOLVER.WARMUP_START_LR 0.01 "
        "SOLVER.COSINE_END_LR 0.001"
    )
    for _ in range(2):
        assert cfg.SOLVER.BASE_LR == pytest.approx(0.4)
        assert cfg.SOLVER.WARMUP_START_LR == pytest.approx(0.04)
        assert cfg.SOLVER.COSINE_END_LR == pytest.approx(0.004)
        assert_and_infer_cfg(cfg)


@pytest.mark.parametrize("setting", ["NUM_SHARDS=4", "SOLVER.BASE_LR_SCALE_NUM_SHARDS=True"])
def test_learning_rates_stay_otherwise(setting):
    assert check(setting).SOLVER.BASE_LR == 0.1


def test_a_frozen_config_is_checked_and_not_written_to():
    cfg = load_cfg("Kinetics/SLOWFAST_8x8_R50", ["NUM_SHARDS", 2, "SOLVER.BASE_LR_SCALE_NUM_SHARDS", True])
    assert cfg.SOLVER.BASE_LR == pytest.approx(0.2)
    before = cfg.dump()
    assert assert_and_infer_cfg(cfg) is cfg
    assert cfg.dump() == before and cfg.is_frozen()


# ---- warnings ----


@pytest.mark.parametrize(
    "overrides, message",
    [
        (SEVERAL, "DATA.ENSEMBLE_METHOD='sum'"),
        ("SOLVER.WARMUP_EPOCHS 34 SOLVER.MAX_EPOCH 1", "SOLVER.WARMUP_EPOCHS=34.0 exceeds SOLVER.MAX_EPOCH=1"),
        (f"{SHORT} BN.NORM_TYPE sub_batchnorm", "BN.NORM_TYPE='sub_batchnorm' has no effect in multigrid training"),
    ],
)
def test_odd_settings_warn(overrides, message, caplog):
    check(overrides)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert message in caplog.text


def test_the_clips_of_every_stage_of_our_recipes_can_be_divided():
    with pytest.raises(ConfigError, match=r"stage 1 .*SLOWFAST\.ALPHA=16"):
        load_cfg("Kinetics/SLOWFAST_8x8_R50_stepwise_multigrid", ["SLOWFAST.ALPHA", 16])
