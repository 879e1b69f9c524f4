"""Out of memory: one message with the arithmetic of this model, and what to change."""

from __future__ import annotations

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.engine.batch_sizes import BatchSizes
from slowfast.engine.step import StepOptions, TrainingMemoryError
from slowfast.engine.training_memory import GIB, StepMemory
from slowfast.models import build_model
from slowfast.models.complexity import measure
from tests.engine.toys import MemoryLoader, TinyNet, make_trainer, random_clips

STEP = StepMemory(
    clips=8, parts=1, batch_size=64, clip_shape=(32, 224, 224), clip_bytes=4 * GIB, recomputed_bytes=GIB,
    half_precision=False, state_bytes=GIB // 2,
)  # fmt: skip


def test_the_arithmetic_and_what_helps():
    lines = STEP.advice().splitlines()
    assert lines[0].startswith(
        "8 clips of 32x224x224 at once keep about 32.0 GiB of activations (4.0 GiB each), in addition"
    )
    assert "0.5 GiB of weights" in lines[0]
    assert lines[1].strip() == "TRAIN.MIXED_PRECISION True: about 19.2 GiB"
    assert lines[2].strip().startswith("MODEL.ACT_CHECKPOINT True: about 8.0 GiB")
    assert lines[3].strip().startswith("TRAIN.ACCUMULATE 2: 4 clips at once, 16.0 GiB")
    assert lines[4].strip().startswith("a smaller TRAIN.BATCH_SIZE (now 64)")


def test_nothing_is_said_of_what_is_on_already():
    step = StepMemory(**{**vars(STEP), "half_precision": True, "recomputed_bytes": None, "clips": 1, "batch_size": 1})
    assert step.advice().splitlines() == [step.advice()]


def test_the_figures_are_those_of_the_configs_model():
    cfg = load_cfg("Motion/SLOWFAST_4x4_R18", ["NUM_GPUS", 0, "TRAIN.EMA_DECAY", 0.9, "TRAIN.ACCUMULATE", 2])
    step = StepMemory.from_config(cfg, BatchSizes.from_config(cfg))
    cost = measure(build_model(cfg), (16, *[cfg.DATA.TRAIN_CROP_SIZE] * 2))
    moments = 1 if cfg.SOLVER.OPTIMIZING_METHOD == "sgd" else 2
    assert step.state_bytes == 4 * cost.num_parameters * (3 + moments)
    assert step.clip_bytes == cost.activation_bytes and step.recomputed_bytes < 0.6 * step.clip_bytes
    assert (step.clips, step.clips_at_once) == (cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.BATCH_SIZE // 2)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. See documentation of ..."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_a_step_that_does_not_fit_ends_the_training_with_it(error):
    class Large(TinyNet):
        def forward(self, clip):
            raise error

    options = StepOptions(memory_advice=STEP.advice)
    trainer = make_trainer(Large(), MemoryLoader(*random_clips(4), batch_size=2), step_options=options)
    with pytest.raises(
        TrainingMemoryError, match=r"out of memory at epoch 1, batch 1 of 2: .*(?s:.)*TRAIN\.ACCUMULATE 2"
    ):
        trainer.train()


def test_other_errors_pass():
    class Broken(TinyNet):
        def forward(self, clip):
            raise RuntimeError("another")

    options = StepOptions(memory_advice=STEP.advice)
    trainer = make_trainer(Broken(), MemoryLoader(*random_clips(4), batch_size=2), step_options=options)
    with pytest.raises(RuntimeError, match=r"^another$"):
        trainer.train()
