"""Multigrid training from the command line, on real video files, and the test of its weights."""

from __future__ import annotations

from tests.cli.runs import RECIPE, keys, output_of, records_of, results_of
from tests.faults import run_job


def test_two_stages_and_a_test(tiny_opts, tmp_path):
    opts = keys(
        "TRAIN.BATCH_SIZE=1 SOLVER.MAX_EPOCH=2 SOLVER.WARMUP_EPOCHS=0 SOLVER.LR_POLICY=steps_with_relative_lrs "
        "SOLVER.STEPS=[0,1] SOLVER.LRS=[1,0.1] MULTIGRID.LONG_CYCLE=True MULTIGRID.SHORT_CYCLE=True "
        "MULTIGRID.EPOCH_FACTOR=1 MULTIGRID.LONG_CYCLE_FACTORS=[[0.5,1],[1,1]] MULTIGRID.BN_BASE_SIZE=2 "
        "DATA_LOADER.NUM_WORKERS=1"
    )
    log = tmp_path / "log"
    assert run_job(["--cfg", RECIPE, *tiny_opts, *opts], log=log) == 0, log.read_text()
    said = log.read_text()
    plan = "multigrid training: 2 epochs in 2 stages, frames x pixels: 4 x 32 to epoch 1, 8 x 32 to epoch 2"
    small = "stage 1 of 2 (epochs 1 to 1): clips of 4 frames, crops of 16, 23, 32 pixels in batches of 8, 4, 2 in turn"
    whole = "stage 2 of 2 (epochs 2 to 2): clips of 8 frames, crops of 16, 23, 32 pixels in batches of 4, 2, 1 in turn"
    for line in (plan, small, whole):
        assert line in said, said
    out = output_of(tiny_opts)
    records = records_of(out)
    assert [record["step"] for record in records if "train/loss" in record] == [1, 2, 3, 4]  # 8 clips; 4, 2 and 1
    # In BASE_LR: twice the batch in the first stage; GAMMA in the second, whose first half is no epoch here.
    base = 0.004
    rates = [record["lr"] / base for record in records if "lr" in record]
    assert [round(rate, 6) for rate in rates] == [2.0, 0.1, 0.1, 0.1]
    assert results_of(out)["num_videos"] == 6
