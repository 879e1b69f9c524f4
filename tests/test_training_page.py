"""The example of docs/TRAINING.md, run as its reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from slowfast.cli.run import main
from slowfast.engine import TRAINER_REGISTRY

PAGE = Path(__file__).parents[1] / "docs" / "TRAINING.md"


@pytest.fixture(autouse=True)
def forget():
    """The registered trainer ends with the test."""
    before = dict(TRAINER_REGISTRY._entries)
    yield
    TRAINER_REGISTRY._entries = before


def test_self_distillation_runs_and_goes_on(tiny_opts, tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "self_distilling.py").write_text(block)
    opts = [*tiny_opts, "IMPORTS", str([str(tmp_path / "self_distilling.py")]), "TRAIN.TRAINER", "SelfDistilling"]
    opts += ["TRAIN.EMA_DECAY", "0.9", "TEST.ENABLE", "False", "NUM_GPUS", "0", "SOLVER.LR_POLICY"]
    opts += ["steps_with_relative_lrs", "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]"]

    def train(name, epochs, weight=1.0):
        more = ["OUTPUT_DIR", str(tmp_path / name), "SOLVER.MAX_EPOCH", str(epochs)]
        argv = ["--cfg", "Motion/SLOWFAST_4x4_R18", *opts, *more, "TRAIN.TRAINER_ARGS.weight", str(weight)]
        assert main(argv) == 0
        path = tmp_path / name / f"checkpoints/checkpoint_epoch_{epochs:05d}.pyth"
        return torch.load(path, weights_only=True)["model_state"]["head.classifier.weight"]

    straight, half = train("straight", 2), train("resumed", 1)
    assert torch.equal(train("resumed", 2), straight)
    assert not torch.equal(train("labels", 1, weight=0.0), half)
