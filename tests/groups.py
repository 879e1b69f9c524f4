"""Groups of gloo processes for tests, forked from a server where everything is imported already: quick to start."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

SERVER = "forkserver"


def server():
    """The context whose processes begin with torch, the package and this module in memory."""
    context = multiprocessing.get_context(SERVER)
    context.set_forkserver_preload(["slowfast.cli.run", "tests.faults", "tests.groups", "torch._dynamo"])
    return context


def run_group(work: Callable[..., Any], size: int, folder: Path, *arguments: Any) -> list[Any]:
    """What ``work(rank, size, *arguments)`` gives on each of ``size`` processes of one group, in rank order."""
    folder.mkdir(parents=True, exist_ok=True)
    context = server()
    processes = [
        context.Process(target=_member, args=(work, rank, size, str(folder), arguments)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    results = [pickle.loads((folder / f"result{rank}").read_bytes()) for rank in range(size)]
    for rank, (_, error) in enumerate(results):
        assert error is None, f"process {rank} of {size}:\n{error}"
    return [value for value, _ in results]


def _member(work: Callable[..., Any], rank: int, size: int, folder: str, arguments: tuple) -> None:
    torch.set_num_threads(1)
    value, error = None, None
    try:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
        value = work(rank, size, *arguments)
    except BaseException:
        error = traceback.format_exc()
    Path(folder, f"result{rank}").write_bytes(pickle.dumps((value, error)))
    if error is None:
        dist.barrier()
        dist.destroy_process_group()
