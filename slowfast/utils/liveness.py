"""What this process is doing, for the processes that watch it: a count of signs of life, with words for a message.

Loops and exchanges between processes report here; ``engine/watch.py`` reads it from another thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Status:
    """One sign of life.

    Attributes:
        count: signs so far. Processes that go through the same steps have equal counts.
        doing: in words.
        patience: how long the next sign may take, as a multiple of the usual limit.
        is_waiting: for other processes.
        since: of the monotonic clock, seconds.
    """

    count: int = 0
    doing: str = "starting"
    patience: float = 10.0
    is_waiting: bool = False
    since: float = 0.0


_status = Status(since=time.monotonic())


def status() -> Status:
    """The last sign of life of this process."""
    return _status


def mark(doing: str, *, patience: float = 10.0) -> None:
    """Begin something new; a ``patience`` of 1 is for quick, repeated work."""
    global _status
    _status = Status(_status.count + 1, doing, patience, False, time.monotonic())


@contextmanager
def waiting() -> Iterator[None]:
    """While inside, this process waits for others, so a delay is not its fault."""
    global _status
    _status = replace(_status, is_waiting=True)
    try:
        yield
    finally:
        _status = replace(_status, is_waiting=False, since=time.monotonic())
