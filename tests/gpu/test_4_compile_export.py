"""Compiled and exported networks on a GPU give the scores of the plain one."""

from __future__ import annotations

import pytest
import torch
from torch.export.passes import move_to_device_pass

from slowfast.engine.export import export_program, write_program
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.step import StepOptions
from tests.engine.toys import random_clips
from tests.gpu.nets import slowfast, trainer_on, with_statistics
from tests.gpu.test_1_numbers import PROTOCOL


def test_an_exported_program_moves_to_the_gpu(gpu, tmp_path):
    frames, _ = random_clips(3, num_frames=8)
    model = with_statistics(slowfast()).eval()
    expected = Pipeline(model, PROTOCOL).scores(frames)
    write_program(export_program(model, (3, 8, 32, 32)), tmp_path / "net.pt2")
    program = move_to_device_pass(torch.export.load(tmp_path / "net.pt2"), gpu)
    clip = Pipeline(model, PROTOCOL, device=gpu).prepare(frames)
    with torch.no_grad():
        scores = program.module()(clip)
    torch.testing.assert_close(scores.cpu(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype, tolerance", [(None, 1e-3), (torch.bfloat16, 0.05)], ids=["fp32", "bf16"])
def test_a_compiled_network_scores_as_the_plain_one(gpu, dtype, tolerance):
    frames, _ = random_clips(2, num_frames=8)
    expected = Pipeline(with_statistics(slowfast()), PROTOCOL, device=gpu).scores(frames)
    compiled = Pipeline(with_statistics(slowfast()), PROTOCOL, device=gpu, dtype=dtype, compiled=True)
    torch.testing.assert_close(compiled.scores(frames), expected, atol=tolerance, rtol=0)


def test_a_compiled_network_learns(gpu):
    model = slowfast()
    trainer = trainer_on(gpu, model, num_epochs=2, step_options=StepOptions(amp_dtype=torch.bfloat16))
    trainer.model.compile()
    before = [p.detach().clone() for p in model.parameters()]
    trainer.train()
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
