"""Which process this is, and exchanges between processes; every function also works in a single process.

If gradients use NCCL, decisions and objects use a separate CPU group (gloo), which does not wait for a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from slowfast.utils import liveness

T = TypeVar("T")
_control_group: dist.ProcessGroup | None = None


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


def device_index() -> int:
    """Number of this process's GPU among those that it sees: 0 if each process sees only its own."""
    return local_rank() if torch.cuda.device_count() > 1 else 0


def processes_per_machine(num_gpus: int) -> int:
    """How many processes share a machine: one per GPU, or on CPUs as many as torchrun started (1 when alone)."""
    return num_gpus if num_gpus > 0 else int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if is_initialized() else 1


def is_main() -> bool:
    """Whether this process writes the files and the log lines."""
    return rank() == 0


def set_control_group(group: dist.ProcessGroup | None) -> None:
    """Set the group for decisions and objects; None: the one that gradients use."""
    global _control_group
    _control_group = group


def barrier() -> None:
    """Return when all processes have reached this point."""
    if is_initialized():
        with liveness.waiting():
            dist.barrier(group=_control_group)


def consecutive_group(size: int) -> dist.ProcessGroup:
    """The group of ``size`` consecutive processes that this one belongs to; every process must call it.

    Args:
        size: divides the number of processes.
    """
    # Every process has to create every group, its own and the others'.
    groups: list[Any] = [dist.new_group(range(start, start + size)) for start in range(0, world_size(), size)]
    return groups[rank() // size]


def all_gather_objects(value: Any) -> list[Any]:
    """``value`` of every process, in rank order; picklable objects of any size."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] = [None] * world_size()
    with liveness.waiting():
        dist.all_gather_object(gathered, value, group=_control_group)
    return gathered


def all_reduce_sum(tensor: torch.Tensor) -> torch.Tensor:
    """Sum of ``tensor`` over all processes; the tensor itself in a single process."""
    if world_size() > 1:
        tensor = tensor.clone()
        with liveness.waiting():
            dist.all_reduce(tensor)
    return tensor


def largest(*numbers: int) -> list[int]:
    """The maximum over all processes of each of ``numbers``."""
    if world_size() == 1:
        return list(numbers)
    tensor = torch.tensor(numbers)
    with liveness.waiting():
        dist.all_reduce(tensor, dist.ReduceOp.MAX, group=_control_group)
    return tensor.tolist()


def mean(number: float) -> float:
    """The mean of ``number`` over all processes."""
    if world_size() == 1:
        return number
    tensor = torch.tensor(number, dtype=torch.float64)
    with liveness.waiting():
        dist.all_reduce(tensor, group=_control_group)
    return float(tensor) / world_size()


def share_buffers(model: nn.Module) -> None:
    """Give every process the main one's buffers (batch norm's running statistics)."""
    if world_size() > 1:
        with liveness.waiting():
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)


def on_main(act: Callable[[], T]) -> T:
    """The result of ``act`` on the main process, returned on all of them; every process must call it.

    Raises:
        Exception: what ``act`` raised, on all of them.
    """
    if world_size() == 1:
        return act()
    outcome: list[Any] = [None]
    if is_main():
        try:
            outcome = [(act(), None)]
        except Exception as error:
            outcome = [(None, error)]
    with liveness.waiting():
        dist.broadcast_object_list(outcome, src=0, group=_control_group)
    value, problem = outcome[0]
    if problem is not None:
        raise problem
    return value
