"""Steps of training and inference where there is no GPU: every tensor is on the right device, and the CPU waits once.

See ``fake_cuda`` for what this shows and what it cannot.
"""

from __future__ import annotations

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.datasets import build_loader
from slowfast.engine.build_trainer import build_trainer
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.precise_bn import update_precise_statistics
from slowfast.motion.detection import MotionAvaSpec
from slowfast.motion.files import write_set
from tests.engine.toys import random_clips
from tests.gpu.fake_cuda import fake_gpu, needs_driver
from tests.gpu.nets import slowfast, trainer_on
from tests.gpu.test_1_numbers import PROTOCOL


@pytest.fixture(scope="module", autouse=True)
def without_driver():
    """Asked when a test runs, not when all are collected: the question costs a second."""
    if needs_driver():
        pytest.skip("this torch's fake tensors need a driver")


SMALL = [
    "RESNET.WIDTH_PER_GROUP", "8", "DATA.TRAIN_JITTER_SCALES", "[32, 36]", "DATA.TRAIN_CROP_SIZE", "32",
    "DATA.TEST_CROP_SIZE", "32", "TRAIN.BATCH_SIZE", "4", "DATA_LOADER.NUM_WORKERS", "0", "LOG_MODEL_INFO", "False",
    "TRAIN.EVAL_PERIOD", "0", "TRAIN.AUTO_RESUME", "False", "TRAIN.MIXED_PRECISION", "False",
]  # fmt: skip

# What a step can do more than forward, backward and update, in few cases: faking a step takes seconds.
CLIP_OPTIONS = {
    "bfloat16, mixup, erasing, average": [
        "TRAIN.MIXED_PRECISION=True", "MIXUP.ENABLE=True", "MODEL.LOSS_FUNC=soft_cross_entropy", "AUG.ENABLE=True",
        "AUG.RE_PROB=1.0", "TRAIN.EMA_DECAY=0.9",
    ],
    "float16, clipped, layer decay, parts": [
        "TRAIN.MIXED_PRECISION=True", "TRAIN.MIXED_PRECISION_DTYPE=float16", "SOLVER.CLIP_GRAD_L2NORM=1.0",
        "SOLVER.LAYER_DECAY=0.8", "TRAIN.ACCUMULATE=2", "SLOWFAST.FAST_INPUT=time_difference",
    ],
    "LARS, class weights, dropped blocks, non-local": [
        "SOLVER.LARS_ON=True", "SOLVER.OPTIMIZING_METHOD=sgd", "LOSS.CLASS_WEIGHTS=inverse",
        "MODEL.DROPCONNECT_RATE=0.2", "NONLOCAL.LOCATION=[[[],[]],[[1],[]],[[],[]],[[],[]]]",
    ],
    "focal, frozen, sub-batch norm": [
        "MODEL.LOSS_FUNC=softmax_focal", "MODEL.FREEZE=['slow.stem*']", "BN.NORM_TYPE=sub_batchnorm",
        "BN.NUM_SPLITS=2", "SLOWFAST.FAST_INPUT=gray",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def boxes_opts(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "ava"
    write_set(root, MotionAvaSpec(num_train=2, num_val=1, num_seconds=3, height=32, width=56))
    return [
        "AVA.FRAME_DIR", str(root / "frames"), "AVA.FRAME_LIST_DIR", str(root / "frame_lists"),
        "AVA.ANNOTATION_DIR", str(root / "annotations"), "TRAIN.BATCH_SIZE", "2",
    ]  # fmt: skip


def check_training_step(recipe: str, opts: list[str]) -> None:
    """A step of the training that ``slowfast run`` builds, and the average of the weights after it."""
    cfg = load_cfg(recipe, [*SMALL, *opts])
    loader = build_loader(cfg, "train")
    loader.batch_sampler.set_epoch(0, start_batch=0)
    batch = next(iter(loader))
    cfg.defrost()
    cfg.NUM_GPUS = 1
    with fake_gpu() as gpu:
        trainer = build_trainer(cfg)
        trainer.set_train_mode()
        assert {parameter.device for parameter in trainer.model.parameters()} == {gpu.device}
        gpu.waits.clear()
        assert trainer.train_step(gpu.fake(batch)) == 0.0
        if trainer.ema is not None:
            trainer.ema.update(trainer.model)
        assert len(gpu.waits) == 1, gpu.waits


@pytest.mark.parametrize("options", CLIP_OPTIONS.values(), ids=list(CLIP_OPTIONS))
def test_a_training_step_has_everything_on_the_gpu(options, tiny_opts):
    check_training_step("Motion/SLOWFAST_4x4_R18", [*tiny_opts, *options])


def test_a_training_step_on_boxes_has_everything_on_the_gpu(boxes_opts, tmp_path):
    check_training_step("Motion/DETECTION_SLOWFAST_4x4_R18", [*boxes_opts, "OUTPUT_DIR", str(tmp_path)])


def test_a_tensor_left_on_the_cpu_is_found(tiny_opts, monkeypatch):
    monkeypatch.setattr("slowfast.engine.inputs.ClipPreprocessor.__call__", lambda self, frames: frames.float())
    with pytest.raises(RuntimeError, match=r"cuda.*cpu|cpu.*cuda"):
        check_training_step("Motion/SLOWFAST_4x4_R18", tiny_opts)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_inference_waits_for_the_scores_alone(dtype):
    frames, _ = random_clips(3, num_frames=8)
    with fake_gpu() as gpu:
        pipeline = Pipeline(slowfast(), PROTOCOL, device=gpu.device, dtype=dtype)
        gpu.waits.clear()
        assert pipeline.scores(gpu.fake(frames)).device.type == "cpu"
        assert len(gpu.waits) == 1, gpu.waits


def test_precise_statistics_wait_after_the_last_batch_alone():
    frames, _ = random_clips(4)
    with fake_gpu() as gpu:
        trainer = trainer_on(gpu.device, slowfast())
        gpu.waits.clear()

        def batches():
            yield from gpu.fake([frames, frames])
            assert not gpu.waits, gpu.waits

        update_precise_statistics(trainer.model, batches(), lambda batch: trainer.model(trainer.preprocess(batch)))
