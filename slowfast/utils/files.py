"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike, *, concurrently: bool = False) -> Iterator[Path]:
    """A name beside ``path`` to write a file or a folder at: renamed when the block ends, deleted when it raises.

    The name depends on that of ``path`` alone, so what a killed process left is overwritten by the next run.

    Args:
        concurrently: several processes may write the same ``path``: each under a name of its own, and the last wins.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()  # never too long for a file name
    draft = path.with_name(f".part-{digest}" + (f"-{os.getpid()}" if concurrently else ""))
    _remove(draft)
    try:
        yield draft
        os.replace(draft, path)
    except BaseException:
        _remove(draft)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
