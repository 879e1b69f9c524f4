"""``slowfast submit``: a run as a Slurm job, which is requeued when it is preempted or out of time."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slowfast.cli.arguments import Parser, command, command_parser, whole
from slowfast.cli.run import add_run_arguments, check_config_names, load_job
from slowfast.cli.run import main as run
from slowfast.config import CfgNode
from slowfast.utils.errors import EXIT_STOPPED, RunError

EXAMPLE = """
slowfast submit --cfg Kinetics/SLOWFAST_8x8_R50 --gpus 8 --hours 24 --slurm partition=gpu \\
    DATA.PATH_TO_DATA_DIR /data/k400
slowfast submit --cfg a.yaml --gpus 8 --num-shards 4 --hours 48 --slurm account=vision constraint=h100
slowfast submit --cfg Motion/SLOWFAST_4x4_R18 --gpus 0 --cluster local --wait
"""
SIGNAL = "USR1"  # a run that gets it saves, and ends with EXIT_STOPPED
_WARNING_SECONDS = 120  # before the end of its time that a job gets the signal
_WAIT_FOR_REQUEUE = 300.0  # seconds that other processes than the first have, until Slurm ends them


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "submit",
        description="Submit a run to Slurm, one process per GPU (pip install 'slowfast[slurm]'). When the job is "
        "preempted or out of time, it saves, is requeued, and resumes at the same step. All arguments of "
        "`slowfast run` work, too.",
        example=EXAMPLE,
        takes_overrides=True,
    )
    add_run_arguments(parser)
    parser.option("--num-shards N", "machines (NUM_SHARDS; default 1)", type=whole(1))
    parser.option("--hours H", "hours that one stay may take", type=float, default=24.0)
    parser.option("--cpus N", "cores per process (default: its workers plus 2)", type=whole(1))
    parser.option("--memory GB", "memory per machine (default: the cluster's)", type=whole(1))
    parser.option("--requeues N", "how often a job that runs out of time is requeued", type=whole(0), default=20)
    parser.option(
        "--slurm KEY=VALUE",
        "any other options of sbatch: partition, account, qos, constraint, ... (write a dash as _)",
        default=[],
        nargs="+",
    )
    parser.option(
        "--cluster", "local: run as a process on this machine, to try it", default="slurm", choices=("slurm", "local")
    )
    parser.option("--wait", "wait until the job ends")
    return parser


class Job:
    """``slowfast run`` with ``argv`` in ``folder``; what submitit calls in every process, and again after a requeue."""

    def __init__(self, argv: Sequence[str], folder: str):
        self.argv = list(argv)
        self.folder = folder

    def __call__(self) -> int:
        os.chdir(self.folder)
        code = run(self.argv)
        if code == EXIT_STOPPED:
            # Everything is saved; submitit, whose handler this is again by now, queues the job and ends the process.
            signal.raise_signal(getattr(signal, f"SIG{SIGNAL}"))
            time.sleep(_WAIT_FOR_REQUEUE)
        if code:
            raise RunError(f"slowfast run ended with exit code {code}; its log says why.")
        return code

    def checkpoint(self) -> Any:
        """What the job does after a requeue: the same, which resumes from the last checkpoint."""
        return _submitit().helpers.DelayedSubmission(self)


def _submitit() -> Any:
    # Which signal announces the end is read when the module is imported, here and in the job.
    os.environ["SUBMITIT_PREEMPT_SIGNAL"] = SIGNAL
    try:
        import submitit
    except ImportError:
        raise ValueError("slowfast submit needs submitit: pip install 'slowfast[slurm]'.") from None
    return submitit


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Submit, and print where the job writes; 1 if it is waited for and fails."""
    check_config_names(args.cfg)
    if len(args.cfg) > 1:
        raise ValueError(f"--cfg {' '.join(args.cfg)}: a job has one config. Submit each one separately.")
    args.shard_id = None
    cfg = load_job(args.cfg[0], args)
    executor = make_executor(cfg, args)
    job = executor.submit(Job(job_arguments(args), os.getcwd()))
    print(f"job {job.job_id}: output in {Path(cfg.OUTPUT_DIR)}, its streams in {job.paths.folder}", flush=True)
    if not args.wait:
        return 0
    error = job.exception()
    if error is not None:
        print(f"error: job {job.job_id} failed: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
    return int(error is not None)


def make_executor(cfg: CfgNode, args: argparse.Namespace) -> Any:
    """submitit's executor for a cluster, with the requirements of the job.

    Raises:
        ValueError: submitit is not installed, or the cluster does not accept an option.
    """
    submitit = _submitit()
    folder = Path(cfg.OUTPUT_DIR).resolve() / "jobs"
    executor = submitit.AutoExecutor(
        folder=folder / "%j", cluster=args.cluster, **{f"{args.cluster}_max_num_timeout": args.requeues}
    )
    needs = {
        "name": f"slowfast_{Path(args.cfg[0]).stem}",
        "timeout_min": max(1, round(60 * args.hours)),
        "nodes": cfg.NUM_SHARDS,
        "tasks_per_node": max(1, cfg.NUM_GPUS),
        "cpus_per_task": args.cpus or cfg.DATA_LOADER.NUM_WORKERS + 2,
    }
    if cfg.NUM_GPUS:
        needs["gpus_per_node"] = cfg.NUM_GPUS
    if args.memory:
        needs["mem_gb"] = args.memory
    try:
        executor.update_parameters(**needs, **(slurm_parameters(args.slurm) if args.cluster == "slurm" else {}))
    except (NameError, TypeError) as error:
        raise ValueError(f"--slurm {' '.join(args.slurm)}: {error}") from error
    return executor


def slurm_parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """submitit's parameters of ``KEY=VALUE`` pairs; those that it does not know go to sbatch unchanged.

    Raises:
        ValueError: a pair without "=".
    """
    known = {"partition", "account", "qos", "constraint", "exclude", "nodelist", "comment", "gres"}
    parameters: dict[str, Any] = {"slurm_signal_delay_s": _WARNING_SECONDS}
    parameters["slurm_setup"] = [f"export SUBMITIT_PREEMPT_SIGNAL={SIGNAL}"]
    more = {}
    for pair in pairs:
        key, has_value, value = pair.partition("=")
        if not has_value or not key:
            raise ValueError(f"--slurm {pair!r}: expected KEY=VALUE, such as partition=gpu.")
        if key in known:
            parameters[f"slurm_{key}"] = value
        else:
            more[key] = value
    return {**parameters, "slurm_additional_parameters": more} if more else parameters


def job_arguments(args: argparse.Namespace) -> list[str]:
    """The command line of ``slowfast run`` in the job."""
    flags = {"--output": args.output, "--checkpoint": args.checkpoint, "--gpus": args.gpus, "--workers": args.workers}
    flags["--num-shards"] = args.num_shards
    given = [str(word) for flag, value in flags.items() if value is not None for word in (flag, value)]
    return ["--cfg", *args.cfg, *given, *map(str, args.opts)]
