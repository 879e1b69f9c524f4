"""Each choice as a function of videos and machine, against values worked out by hand."""

import pytest
import torch

from slowfast.cli.finetune.plan import (
    Machine,
    Setting,
    batch_settings,
    clip_settings,
    counts_table,
    freezing_settings,
    imbalance_advice,
    recipe_text,
    schedule_settings,
    task_settings,
)
from slowfast.config import load_cfg, load_cfg_text
from slowfast.engine.training_memory import TrainingMemory
from slowfast.models import build_model
from slowfast.models.freezing import freeze

GIB = 2**30
KINETICS = load_cfg("Kinetics/SLOWFAST_8x8_R50", warn=False)  # 32 frames of stride 2 at 30 a second, alpha 4


def values(settings):
    return {setting.key: setting.value for setting in settings}


@pytest.mark.parametrize(
    ("seconds", "frames", "rate"),
    [
        ([10.0] * 20, 32, 2),
        ([10.0] * 19 + [0.5], 32, 2),  # one of 20 may be short
        ([2.2] * 10, 32, 2),  # 66 frames hold 64
        ([2.0] * 10, 32, 1),  # 60 do not
        ([0.9] * 10, 24, 1),  # 27 frames: a multiple of alpha
        ([0.05] * 10, 4, 1),  # one Slow frame at least
    ],
)
def test_clips_fit_into_nine_of_ten_videos(seconds, frames, rate):
    found = clip_settings(KINETICS, seconds)
    assert values(found) == {"DATA.NUM_FRAMES": frames, "DATA.SAMPLING_RATE": rate}
    told = " ".join(setting.why for setting in found)
    assert ("not 32 x 2" in told) == ((frames, rate) != (32, 2))
    assert ("repeat their last frame" in told) == (seconds[0] == 0.05)
    assert found[0].value % KINETICS.SLOWFAST.ALPHA == 0


def test_other_networks_keep_their_number_of_frames():
    x3d = load_cfg("Kinetics/X3D_M", warn=False)  # 16 frames of stride 5
    assert values(clip_settings(x3d, [0.3] * 5)) == {"DATA.NUM_FRAMES": 16, "DATA.SAMPLING_RATE": 1}


def test_memory_of_training_is_that_measured():
    """Peaks of the resident memory in a step of 1 and of 4 clips on a CPU: 2,368 and 5,597 MiB."""
    memory = TrainingMemory.from_config(KINETICS)
    assert memory.per_clip / 2**20 == pytest.approx((5597 - 2368) / 3, rel=0.01)
    assert memory.fixed / 2**20 == pytest.approx(4 * 131.9, rel=0.01)
    assert memory.clips_in(12 * GIB) == 8 and memory.clips_in(GIB // 2) == 0


@pytest.mark.parametrize(
    ("num_gpus", "free", "num_train", "batch", "accumulate", "frozen_bn"),
    [
        (1, 96 * GIB, 10_000, 64, None, None),  # the recipe's batch fits
        (1, 24 * GIB, 10_000, 64, 4, None),  # 17 fit: 16 at once
        (1, 7 * GIB, 10_000, 64, 16, True),  # 4 at once, too few for statistics
        (4, 24 * GIB, 10_000, 64, None, None),  # 16 each
        (0, 12 * GIB, 100, 8, None, None),  # 10 clips would be 10 steps per epoch
        (0, None, 100, 8, None, None),
        (8, 80 * GIB, 100, 8, None, True),  # one clip each
    ],
)
def test_batch_fits_set_and_machine(num_gpus, free, num_train, batch, accumulate, frozen_bn):
    memory = TrainingMemory(fixed=int(0.5 * GIB), per_clip=int(1.08 * GIB))
    machine = Machine(num_gpus, 16, free)
    found = values(batch_settings(KINETICS, machine, num_train=num_train, memory=memory, from_weights=True))
    assert found["TRAIN.BATCH_SIZE"] == batch and found["NUM_GPUS"] == num_gpus
    assert found.get("TRAIN.ACCUMULATE") == accumulate and found.get("MODEL.FROZEN_BN") == frozen_bn
    flat = [entry for pair in found.items() for entry in pair]
    load_cfg("Kinetics/SLOWFAST_8x8_R50", flat)  # no two of them contradict each other


def test_a_clip_that_does_not_fit_is_said():
    memory = TrainingMemory(fixed=GIB, per_clip=4 * GIB)
    with pytest.raises(ValueError, match=r"4.00 GiB on top of 1.00 GiB .* 1 GPU with 3.0 GiB free.*TRAIN_CROP_SIZE"):
        batch_settings(KINETICS, Machine(1, 4, 3 * GIB), num_train=500, memory=memory, from_weights=True)


@pytest.mark.parametrize(
    ("options", "rate", "epochs"),
    [
        ({"from_weights": True}, 0.0025, 30),  # 0.1 for 64 clips, a tenth, a quarter of the batch
        ({"from_weights": True, "keeps_rate": True}, 0.025, 30),
        ({"from_weights": False}, 0.025, 196),
    ],
)
def test_learning_rate_by_the_linear_rule(options, rate, epochs):
    found = values(schedule_settings(KINETICS, batch=16, num_train=640, **options))
    assert found["SOLVER.BASE_LR"] == pytest.approx(rate)
    assert found["SOLVER.WARMUP_START_LR"] == pytest.approx(rate / 10)
    assert found["SOLVER.MAX_EPOCH"] == epochs and found["SOLVER.LR_POLICY"] == "cosine"
    assert found["TRAIN.EARLY_STOPPING"] == (6 if options["from_weights"] else 39)
    assert found["BN.NUM_BATCHES_PRECISE"] == 20  # half of 40 steps


def test_a_small_set_from_zero_takes_more_epochs():
    motion = load_cfg("Motion/SLOWFAST_4x4_R18", warn=False)  # 8 epochs, of 80 steps on the whole set
    found = values(schedule_settings(motion, batch=16, num_train=224, from_weights=False))
    assert found["SOLVER.MAX_EPOCH"] == 43 and found["TRAIN.EARLY_STOPPING"] == 8  # of 14 steps
    assert values(schedule_settings(motion, batch=16, num_train=1280, from_weights=False))["SOLVER.MAX_EPOCH"] == 8


def test_few_videos_change_little_of_trained_weights():
    def of(num_train, name="Kinetics/SLOWFAST_8x8_R50"):
        return values(freezing_settings(load_cfg(name, warn=False), num_train=num_train, num_classes=10))

    assert of(190) == {"MODEL.DETACH_FINAL_FC": True, "MODEL.FROZEN_BN": True}
    assert of(2000) == {"SOLVER.LAYER_DECAY": 0.9} and of(3000) == {} == of(500, "comparators/r3d_18")
    for name, learns in (
        ("SLOWFAST_8x8_R50", "slow.res4"),
        ("SLOW_8x8_R50", "pathway.res4"),
        ("X3D_S", "pathway.res4"),
    ):
        cfg = load_cfg(f"Kinetics/{name}", warn=False)
        with torch.device("meta"):
            model = build_model(cfg)
        freeze(model, of(500, f"Kinetics/{name}")["MODEL.FREEZE"])
        frozen = {key for key, parameter in model.named_parameters() if not parameter.requires_grad}
        assert all(".res3." not in key or key in frozen for key, _ in model.named_parameters())
        assert not any(key.startswith((learns, "head")) for key in frozen)


@pytest.mark.parametrize(
    ("names", "flips"),
    [
        (["arrow-spin-ccw", "arrow-spin-cw"], False),
        (["turn_left", "walk"], False),
        (["Slide Right", "x"], False),
        (["bright", "leftovers", "cwm"], None),
    ],
)
def test_classes_with_sides_are_not_mirrored(names, flips):
    found = values(task_settings(KINETICS, names))
    assert found["MODEL.NUM_CLASSES"] == len(names) and found.get("DATA.RANDOM_FLIP") == flips


def test_a_network_of_several_labels_learns_one():
    cfg = load_cfg("Charades/SLOWFAST_16x8_R50", warn=False)
    flat = [entry for setting in task_settings(cfg, ["a", "b"]) for entry in (setting.key, setting.value)]
    found = load_cfg("Charades/SLOWFAST_16x8_R50", flat, warn=False)
    assert (found.DATA.MULTI_LABEL, found.MODEL.HEAD_ACT, found.MODEL.LOSS_FUNC) == (False, "softmax", "cross_entropy")
    assert found.TRAIN.DATASET == found.TEST.DATASET == "kinetics"


def test_counts_and_what_helps_small_classes():
    assert counts_table(["b", "aa"], [3, 1200]) == ["  aa  1,200", "  b       3"]
    many = counts_table([f"c{i:03}" for i in range(100)], list(range(100)))
    assert len(many) == 13 and "88 classes between" in many[6]
    assert imbalance_advice([30, 11]) == []
    lines = imbalance_advice([60, 12, 5])
    assert "12.0 times" in lines[0]
    for line in lines[1:]:
        key, value = line.split()[:2]
        load_cfg("Kinetics/SLOWFAST_8x8_R50", [key, value], warn=False)


def test_the_recipe_is_plain_yaml_whatever_stands_in_it():
    odd = Setting("DATA.PATH_TO_DATA_DIR", "/data/a: b #c\n/é", "line\nTRAIN: {ENABLE: False}")
    text = recipe_text(
        [Setting("DATA.NUM_FRAMES", 16, "short"), odd, Setting("MODEL.FREEZE", ("*.stem", "a,b"), "few")],
        base="Motion/SLOWFAST_4x4_R18",
        others={"MODEL.DROPOUT_RATE": 0.25, "MODEL.NUM_CLASSES": 3},
        header=["finetune 'a\nb'"],
    )
    cfg = load_cfg_text(text.replace("_BASE_: Motion/SLOWFAST_4x4_R18\n", ""), source="t")
    assert "_BASE_: Motion/SLOWFAST_4x4_R18\n" in text and "NUM_FRAMES: 16  # short" in text
    assert cfg.DATA.PATH_TO_DATA_DIR == "/data/a: b #c\n/é" and cfg.TRAIN.ENABLE
    assert list(cfg.MODEL.FREEZE) == ["*.stem", "a,b"] and cfg.MODEL.DROPOUT_RATE == 0.25
