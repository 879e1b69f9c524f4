"""Atomic writing of files and folders."""

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
    """A name next to ``path`` under which to write a file or folder: renamed when the block ends, deleted if it raises.

    The name depends only on that of ``path``, so the next run overwrites what a killed process left.

    Args:
        concurrently: several processes or threads, of any machine, may write the same ``path``: each under its own
            name, and the last wins. The file of a killed one stays until ``remove_drafts``.
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
    """Delete the files that killed processes left in ``atomic_write``, in a folder that nobody else writes to."""
    for draft in Path(folder).glob(".part-*"):
        _remove(draft)


def check_writable(folder: str | os.PathLike, *, key: str) -> None:
    """Check that ``folder`` exists, or can be created, and is writable.

    Args:
        key: config key that names it, for the message.

    Raises:
        StorageError: it is not.
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
    """``StorageError`` in place of the error from writing ``path``, or ``error`` itself if no file was the cause.

    Torch raises a RuntimeError when a write fails with an OSError.
    """
    cause = error if isinstance(error, OSError) else error.__context__
    if not isinstance(cause, OSError):
        return error
    return StorageError(f"{path} cannot be written: {cause_of(cause)}.")


def _digest(text: str) -> str:
    """Never too long for a file name, whatever the text."""
    return hashlib.blake2b(os.fsencode(text), digest_size=8).hexdigest()


def _writer() -> str:
    """Identifies this thread among all others, on this machine and on those that share its file system."""
    return _digest(f"{socket.gethostname()} {os.getpid()} {threading.get_ident()}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
