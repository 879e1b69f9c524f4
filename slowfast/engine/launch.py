"""Starting one process, or one for each GPU, or joining those that torchrun started."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from slowfast.utils import distributed
from slowfast.utils.logging import setup_logging
from slowfast.utils.seeding import seed_all

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

_RENDEZVOUS_TIMEOUT = timedelta(minutes=10)


class LaunchError(ValueError):
    """The machine does not have what the config asks for."""


def launch(job: Callable[[CfgNode], object], cfg: CfgNode, *, init_method: str = "") -> None:
    """Run ``job(cfg)`` in as many processes as the config says, each with its log, seed and device.

    Under torchrun (RANK in the environment) this process is one of them already, on GPUs or, with NUM_GPUS 0, on
    CPUs (gloo). Otherwise NUM_GPUS > 1 or NUM_SHARDS > 1 starts max(1, NUM_GPUS) processes here.

    Args:
        init_method: where the processes meet (``tcp://host:port``), the same on every machine; default a free port.

    Raises:
        LaunchError: more GPUs asked for than there are.
    """
    check_gpus(cfg.NUM_GPUS)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        _run_in_group(job, cfg, "env://", int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        return
    num_local = max(1, cfg.NUM_GPUS)
    if num_local * cfg.NUM_SHARDS == 1:
        _run(job, cfg)
        return
    if cfg.NUM_SHARDS > 1 and not init_method:
        raise LaunchError(
            f"NUM_SHARDS={cfg.NUM_SHARDS} machines need a place to meet: give every one of them the same "
            "--init_method tcp://HOST:PORT (HOST is the machine with --shard_id 0), or start them with torchrun."
        )
    init_method = init_method or f"tcp://127.0.0.1:{_free_port()}"
    torch.multiprocessing.spawn(_spawned, args=(job, cfg, init_method, num_local), nprocs=num_local)


def check_gpus(num_gpus: int) -> None:
    """Return when there are ``num_gpus`` GPUs.

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


def _spawned(local_rank: int, job, cfg: CfgNode, init_method: str, num_local: int) -> None:
    os.environ["LOCAL_RANK"] = str(local_rank)
    os.environ["LOCAL_WORLD_SIZE"] = str(num_local)
    _run_in_group(job, cfg, init_method, cfg.SHARD_ID * num_local + local_rank, cfg.NUM_SHARDS * num_local)


def _run_in_group(job, cfg: CfgNode, init_method: str, rank: int, world_size: int) -> None:
    if cfg.NUM_GPUS > 0:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    dist.init_process_group(
        "gloo" if cfg.NUM_GPUS == 0 else cfg.DIST_BACKEND,
        init_method=init_method,
        rank=rank,
        world_size=world_size,
        timeout=_RENDEZVOUS_TIMEOUT,
    )
    try:
        _run(job, cfg)
    finally:
        dist.destroy_process_group()


def _run(job, cfg: CfgNode) -> None:
    setup_logging(cfg.OUTPUT_DIR)
    # Dropout differs between processes; the initial weights are broadcast, and data has generators of its own.
    seed_all(cfg.RNG_SEED + distributed.rank())
    job(cfg)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
