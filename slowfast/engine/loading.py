"""Whether this machine is large enough for the loader processes of a run."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from slowfast.utils.environment import num_cores
from slowfast.utils.logging import count

logger = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")
_ADVICE = "In a container: docker run --shm-size or --ipc=host; or set DATA_LOADER.NUM_WORKERS {workers} or less."


def check_shared_memory(
    *,
    least_bytes: int,
    most_bytes: int,
    num_workers: int,
    prefetch_factor: int,
    num_processes: int,
    folder: Path | None = None,
) -> None:
    """Check that the prefetched batches fit into /dev/shm; warn if only some do.

    Args:
        least_bytes, most_bytes: of one batch of one process.
        num_workers: loader processes for each of ``num_processes`` training or testing processes of this machine.
        prefetch_factor: batches that each of them prepares in advance.

    Raises:
        ValueError: not even one small batch per loader process fits.
    """
    folder = folder or SHARED_MEMORY
    if num_workers == 0 or not folder.is_dir():
        return
    free, needed = shutil.disk_usage(folder).free, num_workers * prefetch_factor * num_processes * most_bytes
    if needed <= free:
        return
    workers = int(free // (prefetch_factor * num_processes * most_bytes))
    processes = f"{num_processes} processes x " if num_processes > 1 else ""
    sentence = (
        f"{folder} has {_mib(free)} free, but batches take up to {_mib(needed)} in it: {processes}{num_workers} "
        f"workers x {prefetch_factor} batches (DATA_LOADER.PREFETCH_FACTOR) x {_mib(most_bytes)}. "
        f"{_ADVICE.format(workers=workers)}"
    )
    if num_workers * num_processes * least_bytes > free:
        raise ValueError(f"{sentence} Without it, workers die of a bus error.")
    logger.warning(sentence)


def check_cores(num_workers: int) -> None:
    """Warn if this machine has fewer CPU cores than a run has loader processes."""
    cores = num_cores()
    if num_workers > cores:
        logger.warning(
            "%d loading processes on %s: with more than one per core, they compete for memory and time. Lower "
            "DATA_LOADER.NUM_WORKERS.",
            num_workers,
            count(cores, "CPU core"),
        )


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.0f} MiB"
