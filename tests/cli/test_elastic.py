"""torchrun that starts its processes again when one dies: the training goes on from the last save, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

DIES = """
import os, pathlib, signal
from slowfast.engine import TRAINER_REGISTRY, Trainer
from slowfast.utils import distributed

@TRAINER_REGISTRY.register()
class Dies(Trainer):
    def __init__(self, *, marker, at_step, **options):
        super().__init__(**options)
        self.marker, self.at_step = pathlib.Path(marker), at_step

    def train_step(self, batch):
        if self.step == self.at_step and distributed.rank() == 1 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train_step(batch)
"""


@pytest.mark.slow
def test_a_process_that_dies_is_started_again_with_the_others(tiny_opts, tmp_path):
    (tmp_path / "dies.py").write_text(DIES)
    opts = [*tiny_opts, "IMPORTS", str([str(tmp_path / "dies.py")]), "TRAIN.TRAINER", "Dies", "NUM_GPUS", "0"]
    opts += ["TRAIN.CHECKPOINT_MINUTES", "1e-9", "SOLVER.MAX_EPOCH", "2", "TEST.ENABLE", "False"]
    states = []
    for name, step in (("straight", 10**6), ("killed", 3)):
        out = tmp_path / name
        more = ["TRAIN.TRAINER_ARGS.marker", str(tmp_path / f"{name}.marker"), "TRAIN.TRAINER_ARGS.at_step", str(step)]
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command += ["--max-restarts", "2", "-m", "slowfast", "run", "--cfg", "Motion/SLOWFAST_4x4_R18", *opts, *more]
        done = subprocess.run([*command, "OUTPUT_DIR", str(out)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        log = "".join(path.read_text() for path in Path(out).glob("log*.txt"))
        assert ("resuming from" in log) == (name == "killed")
        states.append(torch.load(out / "checkpoints/checkpoint_epoch_00002.pyth", weights_only=True))
    assert states[0]["step"] == states[1]["step"] == 4
    for name, value in states[0]["model_state"].items():
        assert torch.equal(value, states[1]["model_state"][name]), name
