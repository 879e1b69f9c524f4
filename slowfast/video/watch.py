"""Time limits of reads, and a record of what every worker process is reading.

A read checks its ``Deadline`` between packets and frames. A decoder that hangs or crashes cannot do this, so worker
processes record on a ``ReadBoard``, in shared memory, what they are reading and since when. The process that started
them watches the board, ends those that are overdue, and knows the file of those that died (datasets/loader.py,
preparation/jobs.py).
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

DEFAULT_TIMEOUT_SECONDS = 60.0  # of one read: the index of a file, or the frames of a clip or of a video's views
GRACE_SECONDS = 10.0  # that a worker process gets beyond a read's time limit before it is ended


class VideoReadError(ValueError):
    """A video cannot be opened, or frames of it cannot be decoded; the message names the file and the cause."""


class Read(NamedTuple):
    """A line of a board: a file, the process that read it last, and for how long it has been reading it (0: done)."""

    pid: int
    path: str
    seconds: float


class Slot:
    """The line of one process on a board."""

    _HEADER = struct.Struct("<qdI")  # process id, time at which the read began (0: it is done), bytes of the path
    SIZE = 4096  # of a page: the header and a path

    def __init__(self, memory, offset: int):
        self._memory, self._offset = memory, offset

    def write(self, path: str, began: float) -> None:
        name = os.fsencode(path)[: self.SIZE - self._HEADER.size]
        start = self._offset + self._HEADER.size
        self._memory[start : start + len(name)] = name
        self._header(os.getpid(), began, len(name))

    def mark(self, began: float) -> None:
        """Set the time, and keep the path."""
        self._header(os.getpid(), began, self._fields()[2])

    @property
    def is_reading(self) -> bool:
        return self._fields()[1] > 0

    def read(self) -> Read:
        pid, began, length = self._fields()
        start = self._offset + self._HEADER.size
        path = os.fsdecode(bytes(self._memory[start : start + length]))
        return Read(pid, path, time.monotonic() - began if began else 0.0)

    def _header(self, *fields) -> None:
        self._memory[self._offset : self._offset + self._HEADER.size] = self._HEADER.pack(*fields)

    def _fields(self) -> tuple[int, float, int]:
        return self._HEADER.unpack(bytes(self._memory[self._offset : self._offset + self._HEADER.size]))


class ReadBoard:
    """What every worker process of a pool is reading, in memory shared with the process that started them.

    Args:
        num_workers: lines of the board.
        context: of ``multiprocessing``, the one that starts the workers.
    """

    def __init__(self, num_workers: int, context):
        self._memory = context.RawArray(ctypes.c_char, num_workers * Slot.SIZE)
        self.num_workers = num_workers

    def slot(self, worker: int) -> Slot:
        """The line of a worker, for ``watch_worker``."""
        return Slot(self._memory, worker * Slot.SIZE)

    def reads(self) -> list[Read]:
        """The lines of all workers that have started, in order."""
        reads = [self.slot(worker).read() for worker in range(self.num_workers)]
        return [read for read in reads if read.pid]


_timeout_seconds = DEFAULT_TIMEOUT_SECONDS
_slot: Slot | None = None  # where this process notes what it reads
_unreadable: Mapping[str, str] = {}  # files that ended a worker process, and how


def set_read_timeout(seconds: float) -> None:
    """Set the time limit of every read of this process (DATA.DECODE_TIMEOUT); 0 sets none."""
    global _timeout_seconds
    _timeout_seconds = seconds


def watch_worker(slot: Slot, *, timeout_seconds: float, unreadable: Mapping[str, str]) -> None:
    """Record every read of this process on a board, and refuse files that ended other workers.

    Args:
        slot: the process's line on the board.
        timeout_seconds: of a read.
        unreadable: for each of those files, how it did so.
    """
    global _slot, _unreadable
    set_read_timeout(timeout_seconds)
    slot.write("", 0.0)
    _slot, _unreadable = slot, unreadable


class Deadline:
    """The time by which a read must be done."""

    def __init__(self, path: str, seconds: float):
        self.path, self.seconds = path, seconds
        self._end = time.monotonic() + seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """At least a millisecond; None without a limit."""
        return None if self._end is None else max(1e-3, self._end - time.monotonic())

    def check(self) -> None:
        """Return while there is time left.

        Raises:
            VideoReadError: there is none.
        """
        if self._end is not None and time.monotonic() > self._end:
            raise self.error()

    def error(self) -> VideoReadError:
        return VideoReadError(
            f"cannot decode {self.path}: reading it took longer than {self.seconds:g} seconds (DATA.DECODE_TIMEOUT)."
        )

    def extend(self) -> None:
        """Restart the clock: work on a whole file may take hours, as long as packets keep coming."""
        if self._end is not None:
            self._end = time.monotonic() + self.seconds
        if _slot is not None and _slot.is_reading:
            _slot.mark(time.monotonic())


@contextmanager
def reading(path: str) -> Iterator[Deadline]:
    """The deadline for reading ``path``; in a worker process the read is recorded meanwhile.

    Raises:
        VideoReadError: the file ended a worker process before.
    """
    if path in _unreadable:
        raise VideoReadError(f"cannot decode {path}: {_unreadable[path]}.")
    slot = None if _slot is None or _slot.is_reading else _slot  # a read within a read is part of it
    if slot is not None:
        slot.write(path, time.monotonic())
    try:
        yield Deadline(path, _timeout_seconds)
    finally:
        if slot is not None:
            slot.mark(0.0)
