"""``slowfast submit``: what Slurm is told, and jobs of submitit's local executor that end, stop and go on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from slowfast.cli import submit
from slowfast.cli.run import build_parser
from slowfast.cli.run import main as run
from slowfast.utils.errors import RunError
from tests.cli.runs import results_of

os.environ["SUBMITIT_PREEMPT_SIGNAL"] = submit.SIGNAL  # read when submitit is imported
submitit = pytest.importorskip("submitit")
RECIPE = "Motion/SLOWFAST_4x4_R18"


@pytest.fixture
def sbatch(monkeypatch):
    """What would be written for sbatch; Slurm need not be there."""
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 2))

    def text(*argv: str) -> str:
        args = submit.build_parser().parse_args(["--cfg", RECIPE, *argv])
        args.shard_id = None
        executor = submit.make_executor(submit.load_job(RECIPE, args), args)
        return executor._executor._make_submission_file_text("COMMAND", "ID")

    return text


def test_one_process_a_gpu_and_a_warning_before_the_end(sbatch, tmp_path):
    text = sbatch("--gpus", "4", "--num-shards", "2", "--hours", "1.5", "--workers", "6", "TRAIN.BATCH_SIZE", "32",
                  "OUTPUT_DIR", str(tmp_path), "--slurm", "partition=gpu", "reservation=mine")  # fmt: skip
    for line in ("--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--cpus-per-task=8", "--time=90",
                 "--signal=USR1@120", "--partition=gpu", "--reservation=mine",
                 "--job-name=slowfast_SLOWFAST_4x4_R18"):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    assert "export SUBMITIT_PREEMPT_SIGNAL=USR1" in text and "srun" in text


def test_the_job_runs_what_was_typed():
    argv = ["--cfg", RECIPE, "--gpus", "8", "--num-shards", "2", "--hours", "3", "SOLVER.MAX_EPOCH", "4", "A=b"]
    args = submit.build_parser().parse_args([*argv[:-1], "NUM_SHARDS=2"])
    again = build_parser().parse_args(submit.job_arguments(args))
    assert (again.cfg, again.gpus, again.num_shards) == ([RECIPE], args.gpus, 2)
    assert again.opts == ["SOLVER.MAX_EPOCH", "4", "NUM_SHARDS=2"]


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--cfg", RECIPE, RECIPE], "a job has one config"),
        (["--cfg", RECIPE, "--gpus", "0", "--slurm", "gpu"], "--slurm 'gpu': expected KEY=VALUE"),
    ],
)
def test_what_cannot_be_submitted(monkeypatch, argv, message, refused, tmp_path):
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    assert message in refused(submit.main, [*argv, "OUTPUT_DIR", str(tmp_path)])


def test_a_job_that_was_stopped_hands_the_signal_on_and_a_failed_one_says_so(monkeypatch, tmp_path):
    job, seen = submit.Job(["--cfg", "x"], os.getcwd()), []
    monkeypatch.setattr(submit, "_WAIT_FOR_REQUEUE", 0.0)
    monkeypatch.setattr(submit, "run", lambda argv: 75)
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append("requeued"))
    try:
        with pytest.raises(RunError, match="exit code 75"):
            job()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == ["requeued"]
    monkeypatch.setattr(submit, "run", lambda argv: 2)
    with pytest.raises(RunError, match="slowfast run ended with exit code 2"):
        job()


def test_without_submitit_the_extra_is_named(monkeypatch, refused, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    assert "pip install 'slowfast[slurm]'" in refused(
        submit.main, ["--cfg", RECIPE, "--gpus", "0", "OUTPUT_DIR", str(tmp_path)]
    )


def local_job(opts):
    args = submit.build_parser().parse_args(["--cfg", RECIPE, "--gpus", "0", "--cluster", "local", *opts])
    args.shard_id = None
    executor = submit.make_executor(submit.load_job(RECIPE, args), args)
    return executor.submit(submit.Job(submit.job_arguments(args), os.getcwd()))


@pytest.mark.slow
def test_a_local_job_trains_and_tests(tiny_opts, tmp_path, capfd):
    assert submit.main(["--cfg", RECIPE, "--gpus", "0", "--cluster", "local", "--wait", *tiny_opts]) == 0
    assert f"output in {tmp_path / 'out'}" in capfd.readouterr().out
    assert (tmp_path / "out/results.json").is_file()


def last_descendant(pid: int) -> int:
    """The process at the end of a chain: submitit's local controller starts the task, maybe through a shell."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


@pytest.mark.slow
def test_a_job_that_is_preempted_is_queued_again_and_goes_on(tiny_opts, tmp_path):
    """Its signal comes while it trains; it ends with the figures of a run that nobody disturbed."""
    opts = [*tiny_opts, "SOLVER.MAX_EPOCH", "20", "TRAIN.CHECKPOINT_PERIOD", "20", "TRAIN.EVAL_PERIOD", "20"]
    job = local_job(opts)
    metrics, deadline = tmp_path / "out/metrics.jsonl", time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text().count("\n") >= 3):
        assert time.monotonic() < deadline and not job.done()
        time.sleep(0.05)
    os.kill(last_descendant(job._process.pid), signal.SIGUSR1)
    assert job.result() == 0
    assert "this job is preempted" in job.stderr() + job.stdout() and "resuming from" in job.stderr() + job.stdout()
    straight = [*opts, "OUTPUT_DIR", str(tmp_path / "straight"), "NUM_GPUS", "0"]
    assert run(["--cfg", RECIPE, *straight]) == 0
    figures = [results_of(tmp_path / name)["figures"] for name in ("out", "straight")]
    assert figures[0] == figures[1]
