"""Who am I among the processes; every function also answers when there is only one."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist


def is_initialized() -> bool:
    """Whether a process group exists."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Index of this process among all, 0 when alone."""
    return dist.get_rank() if is_initialized() else 0


def world_size() -> int:
    """Number of processes, 1 when alone."""
    return dist.get_world_size() if is_initialized() else 1


def local_rank() -> int:
    """Index of this process on its machine, i.e. its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0))


def processes_per_machine(num_gpus: int) -> int:
    """How many processes share a machine: one a GPU, or on CPUs as many as torchrun started (1 when alone)."""
    return num_gpus if num_gpus > 0 else int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if is_initialized() else 1


def is_main() -> bool:
    """Whether this process writes the files and the log lines."""
    return rank() == 0


def barrier() -> None:
    """Return when all processes have come here."""
    if is_initialized():
        dist.barrier()


def consecutive_group(size: int) -> dist.ProcessGroup:
    """The group of ``size`` consecutive processes that this one belongs to; every process has to call it.

    Args:
        size: divides the number of processes.
    """
    # Every process has to create every group, its own and the others'.
    groups = [dist.new_group(range(start, start + size)) for start in range(0, world_size(), size)]
    return groups[rank() // size]


def all_gather_objects(value: Any) -> list[Any]:
    """``value`` of every process, in rank order; picklable objects of any size."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def all_reduce_sum(tensor: torch.Tensor) -> torch.Tensor:
    """Sum of ``tensor`` over all processes; the tensor itself when alone."""
    if world_size() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor
