"""What all processes agree on before a step, so that none leaves, saves or fails alone while others wait for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any

from slowfast.engine.bad_videos import BadVideos
from slowfast.utils import distributed
from slowfast.utils.errors import LostProcessError, StoppedError
from slowfast.utils.signals import stop_requested


class Wish(IntEnum):
    """What one process wants to do before a step; all do the largest wish of any."""

    GO_ON = 0
    SAVE = 1
    STOP = 2
    FAIL = 3


def in_agreement(batches: Iterable, *, bad_videos: BadVideos, wish: Callable[[], Wish]) -> Iterator[tuple[Any, Wish]]:
    """Every batch of this process's loader, with what all processes agreed to do before its step.

    The batch is None if it could no longer be loaded and all stop.

    Args:
        batches: the same number on every process.
        bad_videos: counts the unreadable videos of all processes.
        wish: what this process wants now, ``GO_ON`` to ``STOP``.

    Raises:
        TooManyBadVideosError: on all processes.
        Exception: the loader's error, on its process; ``LostProcessError`` with its message on the others.
    """
    iterator = iter(batches)
    while True:
        batch, error = _next(iterator)
        if batch is None and error is None:
            return
        own = wish()
        if error is not None:  # the signal that asks for the end may have reached the loader's processes too
            own = Wish.STOP if own is Wish.STOP else Wish.FAIL
        new = {} if batch is None else bad_videos.new_among(batch.failures)
        agreed, any_new = distributed.largest(own, bool(new))
        if agreed == Wish.FAIL:
            _raise_everywhere(error)
        if any_new:
            bad_videos.add(new)
        yield batch, Wish(agreed)


def until_stopped(batches: Iterable, *, bad_videos: BadVideos, wish: Callable[[], Wish]) -> Iterator[Any]:
    """Every batch of ``in_agreement``, for loops that are begun again.

    Raises:
        StoppedError: a process wants to stop.
    """
    for batch, agreed in in_agreement(batches, bad_videos=bad_videos, wish=wish):
        if agreed is Wish.STOP:
            raise StoppedError
        yield batch


def _next(iterator: Iterator) -> tuple[Any, Exception | None]:
    try:
        return next(iterator, None), None
    except Exception as error:  # any: the others have to hear of it
        return None, error


def _raise_everywhere(error: Exception | None) -> None:
    own = "" if error is None else f"process {distributed.rank()} on {socket.gethostname()} failed: {error}"
    messages = distributed.all_gather_objects(own)
    if error is not None:
        raise error
    raise LostProcessError(next(message for message in messages if message))


def stop_is_agreed() -> bool:
    """Whether a signal asked any process to stop; every process must call it."""
    return bool(distributed.largest(bool(stop_requested()))[0])
