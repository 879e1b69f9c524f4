"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slowfast.utils.errors import StorageError


@contextmanager
def atomic_write(path: str | os.PathLike, *, concurrently: bool = False) -> Iterator[Path]:
    """A name beside ``path`` to write a file or a folder at: renamed when the block ends, deleted when it raises.

    The name depends on that of ``path`` alone, so what a killed process left is overwritten by the next run.

    Args:
        concurrently: several processes or threads, of any machine, may write the same ``path``: each under a name of
            its own, and the last wins. What a killed one left stays until ``remove_drafts``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".part-{_digest(path.name)}" + (f"-{_writer()}" if concurrently else ""))
    _remove(draft)
    try:
        yield draft
        os.replace(draft, path)
    except BaseException:
        _remove(draft)
        raise


def remove_drafts(folder: str | os.PathLike) -> None:
    """Delete what killed processes left of ``atomic_write`` in a folder that nobody else writes to."""
    for draft in Path(folder).glob(".part-*"):
        _remove(draft)


def check_writable(folder: str | os.PathLike, *, key: str) -> None:
    """Return when ``folder`` exists, made if need be, and takes files.

    Args:
        key: config key that names it, for the message.

    Raises:
        StorageError: it does not.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".part-{_writer()}"
        probe.write_text("x")  # an empty file fits on a full disk
        probe.unlink()
    except OSError as error:
        raise StorageError(f"{key}={str(folder)!r} cannot be written to: {cause_of(error)}.") from error


def cause_of(error: OSError) -> str:
    """Why a file could not be written, in words: "the disk is full", "the file system is read-only", ..."""
    causes = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.ENOTDIR: "a file stands where a folder should be",
        errno.EEXIST: "a file stands where a folder should be",
    }
    return causes.get(error.errno or 0, error.strerror or str(error))


def storage_error(path: str | os.PathLike, error: Exception) -> Exception:
    """``StorageError`` in place of what writing ``path`` raised, or ``error`` itself where no file was the cause.

    Torch turns an OSError of a write into a RuntimeError.
    """
    cause = error if isinstance(error, OSError) else error.__context__
    if not isinstance(cause, OSError):
        return error
    return StorageError(f"{path} cannot be written: {cause_of(cause)}.")


def _digest(text: str) -> str:
    """Never too long for a file name, whatever the text."""
    return hashlib.blake2b(os.fsencode(text), digest_size=8).hexdigest()


def _writer() -> str:
    """Tells this thread from all others, on this machine and on those that share its file system."""
    return _digest(f"{socket.gethostname()} {os.getpid()} {threading.get_ident()}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
