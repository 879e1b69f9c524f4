"""Starts one process, or one per GPU, or joins those that torchrun or srun started."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.multiprocessing import ProcessExitedException

from slowfast.engine.backends import Backends
from slowfast.engine.rendezvous import LaunchError, Machine, Membership, from_slurm, from_torchrun, meet
from slowfast.engine.watch import Watch
from slowfast.utils import distributed, liveness
from slowfast.utils.errors import (
    USER_ERRORS,
    LostProcessError,
    ReportedError,
    StoppedError,
    exit_code_of,
    wants_traceback,
)
from slowfast.utils.files import check_writable
from slowfast.utils.locks import FolderLock
from slowfast.utils.logging import SHOWN_ELSEWHERE, setup_logging
from slowfast.utils.processes import end_with_parent
from slowfast.utils.seeding import seed_all
from slowfast.utils.signals import forward_signals, stop_on_signals

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

__all__ = ["LaunchError", "check_gpus", "launch"]

logger = logging.getLogger(__name__)

# Exchanges wait so long before they fail by themselves; ``Watch`` ends them long before.
_GROUP_TIMEOUT = timedelta(minutes=60)
_GRACE_SECONDS = 30.0  # for the processes of a machine to end when one of them has


def launch(job: Callable[[CfgNode], object], cfg: CfgNode, *, init_method: str = "") -> None:
    """Run ``job(cfg)`` in as many processes as the config says, each with its log, seed and device.

    Under torchrun, this process is already one of them, on GPUs or, with NUM_GPUS 0, on CPUs (gloo); under srun too, or
    it stands for one of several machines. Otherwise NUM_GPUS > 1 or NUM_SHARDS > 1 starts max(1, NUM_GPUS) processes
    here.

    Args:
        init_method: where the processes meet (``tcp://host:port``), the same on every machine; default a free port.

    Raises:
        LaunchError: more GPUs requested than present, or processes that do not match.
        RunError: an error that ends the run with one line; ``ReportedError`` if that line was already printed.
    """
    check_writable(cfg.OUTPUT_DIR, key="OUTPUT_DIR")
    member = from_torchrun(os.environ) or from_slurm(os.environ, num_gpus=cfg.NUM_GPUS)
    if isinstance(member, Membership):
        os.environ |= {"LOCAL_RANK": str(member.local_rank), "LOCAL_WORLD_SIZE": str(member.local_world_size)}
        _check_gpus_of(member, cfg.NUM_GPUS)
        _run_member(job, cfg, member)
        return
    check_gpus(cfg.NUM_GPUS)
    machine = member or Machine(cfg.SHARD_ID, cfg.NUM_SHARDS, init_method)
    num_local = max(1, cfg.NUM_GPUS)
    if num_local * machine.num_shards == 1:
        _run(job, cfg)
        return
    if machine.num_shards > 1 and not machine.address:
        raise LaunchError(
            f"NUM_SHARDS={machine.num_shards} machines need an address to meet at: give all of them the same "
            f"--init_method tcp://HOST:PORT (HOST is the machine with --shard_id 0), or start them by torchrun or srun."
        )
    address = machine.address or f"tcp://127.0.0.1:{_free_port()}"
    _spawn(job, cfg, replace(machine, address=address), num_local)


def check_gpus(num_gpus: int) -> None:
    """Check that there are ``num_gpus`` GPUs.

    Raises:
        LaunchError: there are fewer; the message says what to type instead.
    """
    present = torch.cuda.device_count()
    if num_gpus > present:
        what = f"NUM_GPUS {present} to use those present" if present else "NUM_GPUS 0 to run on the CPU"
        raise LaunchError(
            f"NUM_GPUS={num_gpus}, but torch sees {present} GPU{'s' * (present != 1)} here. "
            f"Add {what} to the end of the command line."
        )


def _check_gpus_of(member: Membership, num_gpus: int) -> None:
    """Check that every process of this machine has a GPU. Slurm may show each process only its own."""
    if num_gpus == 0:
        return
    if num_gpus != member.local_world_size:
        raise LaunchError(
            f"NUM_GPUS={num_gpus}, but {member.local_world_size} processes were started on this machine: there must "
            f"be one per GPU. Set NUM_GPUS to {member.local_world_size}, or start {num_gpus} processes per machine."
        )
    if torch.cuda.device_count() != 1:
        check_gpus(num_gpus)


def _spawn(job, cfg: CfgNode, machine: Machine, num_local: int) -> None:
    """Start the processes of this machine and wait for all of them; they end with this one."""
    # Torch's own warnings of a lost connection come with a page of stack frames; ours name the process.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    context = torch.multiprocessing.start_processes(
        _spawned, args=(job, cfg, machine, num_local), nprocs=num_local, join=False, start_method="spawn"
    )

    def send(number: int) -> None:
        for process in context.processes:
            if process.is_alive():
                os.kill(process.pid, number)

    with forward_signals(send):
        try:
            while not context.join(grace_period=_GRACE_SECONDS):
                pass
        except ProcessExitedException as error:
            if error.exit_code > 0:
                raise ReportedError(error.exit_code) from None
            hint = " (the system may be out of memory)" if error.exit_code == -signal.SIGKILL else ""
            raise LostProcessError(
                f"process {machine.shard_id * num_local + error.error_index} on {socket.gethostname()} (pid "
                f"{error.error_pid}) was ended by {error.signal_name}{hint}. The last lines of its log are in "
                f"{cfg.OUTPUT_DIR}. The same command resumes from the last checkpoint."
            ) from None


def _spawned(local_rank: int, job, cfg: CfgNode, machine: Machine, num_local: int) -> None:
    end_with_parent()
    os.environ |= {"LOCAL_RANK": str(local_rank), "LOCAL_WORLD_SIZE": str(num_local)}
    rank, world_size = machine.shard_id * num_local + local_rank, machine.num_shards * num_local
    try:
        _run_member(job, cfg, Membership(rank, world_size, local_rank, num_local, machine.address))
    except ReportedError as error:
        sys.exit(error.exit_code)


def _run_member(job, cfg: CfgNode, member: Membership) -> None:
    """Run ``job`` as one process of several."""
    setup_logging(cfg.OUTPUT_DIR, rank=member.rank)
    liveness.mark("starting")
    store = None
    try:
        store, names = meet(member, timeout=cfg.DIST_TIMEOUT)
        _run_in_group(job, cfg, member, store, names)
    except USER_ERRORS as error:
        if wants_traceback():
            raise
        if _speaks_for_machine(store, member):
            print(error if isinstance(error, StoppedError) else f"error: {error}", file=sys.stderr, flush=True)
        raise ReportedError(exit_code_of(error)) from None


def _speaks_for_machine(store: dist.Store | None, member: Membership) -> bool:
    """Whether this process is the first of its machine with a message."""
    if store is not None:
        with suppress(dist.DistError):  # it is gone
            return store.add(f"spoke/{member.machine}", 1) == 1
    return member.local_rank == 0


def _run_in_group(job, cfg: CfgNode, member: Membership, store: dist.Store, names: list[str]) -> None:
    if cfg.NUM_GPUS > 0:
        torch.cuda.set_device(distributed.device_index())
        _record_nccl(cfg.OUTPUT_DIR)
    watch = Watch(dist.PrefixStore("watch", store), rank=member.rank, names=names, timeout=cfg.DIST_TIMEOUT)
    watch.start()
    try:
        _init_group(cfg, member, store)
        stopped: StoppedError | None = None  # by a signal, at the same place in all processes
        try:
            _run(job, cfg)
        except StoppedError as error:
            stopped = error
        distributed.barrier()
        if stopped is not None:
            raise stopped
    except StoppedError:
        raise
    except BaseException as error:
        other = watch.explain(error)
        if other is not None:
            raise other from None
        raise
    finally:
        watch.stop()
        distributed.set_control_group(None)
        if dist.is_initialized():
            dist.destroy_process_group()


def _init_group(cfg: CfgNode, member: Membership, store: dist.Store) -> None:
    """Create the group of all processes, and wait until all have joined."""
    backend = "gloo" if cfg.NUM_GPUS == 0 else cfg.DIST_BACKEND
    dist.init_process_group(
        backend,
        store=dist.PrefixStore("group", store),
        rank=member.rank,
        world_size=member.world_size,
        timeout=_GROUP_TIMEOUT,
    )
    # The type of what torch returns includes a number, for processes that are not in the group; all are in this one.
    control: Any = dist.group.WORLD if backend == "gloo" else dist.new_group(backend="gloo", timeout=_GROUP_TIMEOUT)
    distributed.set_control_group(control)
    with liveness.waiting():
        dist.monitored_barrier(control, timeout=timedelta(seconds=10 * cfg.DIST_TIMEOUT), wait_all_ranks=True)


def _record_nccl(output_dir: str) -> None:
    """Make NCCL record its last collectives, and write them to the output folder when one times out.

    ``torchfrtrace`` reads the files. Torch renamed two of the variables in 2.9.
    """
    is_new = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 9)
    for name, value in {
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        "TORCH_FR_BUFFER_SIZE" if is_new else "TORCH_NCCL_TRACE_BUFFER_SIZE": "2000",
        "TORCH_FR_DUMP_TEMP_FILE" if is_new else "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": str(
            Path(output_dir).resolve() / "nccl_trace_rank_"
        ),
    }.items():
        os.environ.setdefault(name, value)


def _run(job, cfg: CfgNode) -> None:
    with ExitStack() as stack:
        if cfg.TRAIN.ENABLE:

            def lock() -> None:
                stack.enter_context(FolderLock(cfg.OUTPUT_DIR))

            distributed.on_main(lock)
        setup_logging(cfg.OUTPUT_DIR)
        # Dropout differs between processes; the initial weights are broadcast, and data has generators of its own.
        seed_all(cfg.RNG_SEED + distributed.rank())
        Backends.from_config(cfg).apply()
        with stop_on_signals(), _end_in_log():
            job(cfg)


@contextmanager
def _end_in_log() -> Iterator[None]:
    """Also log what ends the run: standard error may be gone when somebody asks why."""
    try:
        yield
    except StoppedError as error:
        logger.info("%s", error, extra=SHOWN_ELSEWHERE)
        raise
    except USER_ERRORS as error:
        logger.error("%s", error, extra=SHOWN_ELSEWHERE)
        raise
    except Exception:
        logger.exception("a fault of the program", extra=SHOWN_ELSEWHERE)
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
