"""Training on a GPU: every precision learns, going on equals not stopping, and short memory halves batches."""

from __future__ import annotations

import logging

import pytest
import torch

from slowfast.engine.checkpoint import CheckpointFolder, checkpoint_path
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.step import StepOptions
from slowfast.models.weights.load import load_weights, read_checkpoint
from tests.engine.toys import random_clips
from tests.gpu.nets import NUM_CLASSES, slowfast, trainer_on, weights_of
from tests.gpu.test_1_numbers import PROTOCOL


def check_training(device, dtype):
    """Losses fall to below half, weights are finite, and float16 alone is scaled."""
    trainer = trainer_on(device, slowfast(), num_epochs=12, step_options=StepOptions(amp_dtype=dtype))
    losses = []
    compute = trainer.loss_fn

    def loss_fn(logits, labels):
        loss = compute(logits.float(), labels)
        losses.append(loss.item())
        return loss

    trainer.loss_fn = loss_fn
    trainer.train()
    assert sum(losses[-2:]) < sum(losses[:2]) / 2
    assert all(torch.isfinite(p).all() and p.dtype is torch.float32 for p in trainer.model.parameters())
    assert trainer.scaler.is_enabled() is (dtype is torch.float16)
    assert dtype is not torch.float16 or trainer.scaler.get_scale() > 1


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_network_learns(device, dtype):
    check_training(device, dtype)


def test_a_network_learns_in_float16_with_a_scaler(gpu):
    check_training(gpu, torch.float16)


def test_steps_are_one_kernel_on_a_gpu(device):
    group = trainer_on(device, slowfast()).optimizer.param_groups[0]
    assert bool(group["fused"]) is (device.type == "cuda")


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_going_on_equals_not_stopping(device, deterministic, dtype, tmp_path):
    """Bit for bit, with batch norm, dropout, momentum and deterministic algorithms."""

    def run(num_epochs, resume_from=None):
        torch.manual_seed(3)
        model = slowfast(dropout=0.5)
        trainer = trainer_on(
            device,
            model,
            num_epochs=num_epochs,
            checkpoints=CheckpointFolder(tmp_path),
            step_options=StepOptions(amp_dtype=dtype),
        )
        if resume_from is not None:
            torch.manual_seed(99)  # another process would not be where this one is
            load_weights(model, resume_from["model_state"])
            trainer.resume(resume_from)
        trainer.train()
        return weights_of(trainer.model)

    straight = run(3)
    run(1)
    resumed = run(3, read_checkpoint(checkpoint_path(tmp_path, 1)))
    assert all(torch.equal(straight[name], value) for name, value in resumed.items())


def test_going_on_equals_not_stopping_with_the_scaler_of_float16(gpu, tmp_path):
    torch.use_deterministic_algorithms(True)
    states = []
    for epochs, resume in ((2, False), (1, False), (2, True)):
        model = slowfast()
        trainer = trainer_on(
            gpu,
            model,
            num_epochs=epochs,
            checkpoints=CheckpointFolder(tmp_path),
            step_options=StepOptions(amp_dtype=torch.float16),
        )
        if resume:
            state = read_checkpoint(checkpoint_path(tmp_path, 1))
            load_weights(model, state["model_state"])
            trainer.resume(state)
        trainer.train()
        states.append((weights_of(model), trainer.scaler.state_dict()))
    assert states[0][1] == states[2][1]
    assert all(torch.equal(states[0][0][name], value) for name, value in states[2][0].items())


def test_short_memory_halves_the_batches_and_gives_the_same_scores(gpu, caplog):
    """A real shortage: the process may use so much as three quarters of what all clips at once need."""
    frames, _ = random_clips(16, num_frames=16, size=128)
    model = slowfast()
    expected = Pipeline(model, PROTOCOL, device=gpu, views_per_forward=1)
    one_by_one = torch.cat([expected.scores(clip[None]) for clip in frames])
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(gpu)
    Pipeline(model, PROTOCOL, device=gpu).scores(frames)
    needed, total = torch.cuda.max_memory_reserved(gpu), torch.cuda.get_device_properties(gpu).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.75 * needed / total, gpu)
    try:
        pipeline = Pipeline(model, PROTOCOL, device=gpu)
        with caplog.at_level(logging.WARNING, logger="slowfast"):
            scores = pipeline.scores(frames)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu)
    assert "GPU memory is short: now 8 views at a time." in caplog.text
    assert scores.shape == (16, NUM_CLASSES)
    torch.testing.assert_close(scores, one_by_one, atol=1e-4, rtol=1e-4)
