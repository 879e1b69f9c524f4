"""Whether the batches of loading processes fit into the memory that they are handed over in."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")
_ADVICE = "In a container: docker run --shm-size or --ipc=host; or set DATA_LOADER.NUM_WORKERS {workers} or less."


def check_shared_memory(
    *, batch_bytes: int, num_workers: int, prefetch_factor: int, num_processes: int, folder: Path = SHARED_MEMORY
) -> None:
    """Return when the batches that lie ready fit into /dev/shm; warn when only some do.

    Args:
        batch_bytes: of one batch of one process.
        num_workers: loading processes of each of ``num_processes`` training processes of this machine.
        prefetch_factor: batches that each of them holds ready.

    Raises:
        ValueError: not even one batch for every loading process fits.
    """
    if num_workers == 0 or not folder.is_dir():
        return
    free, each = shutil.disk_usage(folder).free, num_processes * batch_bytes
    needed = num_workers * prefetch_factor * each
    if needed <= free:
        return
    workers = int(free // (prefetch_factor * each))
    processes = f"{num_processes} processes x " if num_processes > 1 else ""
    sentence = (
        f"{folder} has {_mib(free)} free, but batches take up to {_mib(needed)} in it: {processes}{num_workers} "
        f"workers x {prefetch_factor} batches (DATA_LOADER.PREFETCH_FACTOR) x {_mib(batch_bytes)}. "
        f"{_ADVICE.format(workers=workers)}"
    )
    if num_workers * each > free:
        raise ValueError(f"{sentence} Without it, workers die of a bus error.")
    logger.warning(sentence)


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.0f} MiB"
