"""What all processes agree on before a step, so that none leaves, saves or fails alone while others wait for it.

Among it is how many training videos cannot be read, each counted once, over all processes and restarts.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any

from slowfast.utils import distributed
from slowfast.utils.errors import LostProcessError, RunError, StoppedError
from slowfast.utils.signals import stop_requested

logger = logging.getLogger(__name__)


class TooManyBadVideosError(RunError):
    """More videos than allowed could not be decoded."""


class BadVideos:
    """The rows of the training list that could not be read so far, the same on every process.

    Args:
        limit: DATA.MAX_BAD_VIDEOS.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._reasons: dict[str, str] = {}  # by row of the list, or, of data sets that name none, by the reason itself

    def __len__(self) -> int:
        return len(self._reasons)

    def new_among(self, failures: Iterable[str]) -> dict[str, str]:
        """The ``failures`` (reasons; see ``ReadFailure``) that are not counted yet."""
        found = {str(getattr(failure, "row", failure)): str(failure) for failure in failures}
        return {row: reason for row, reason in found.items() if row not in self._reasons}

    def add(self, new: dict[str, str]) -> None:
        """Count and log the videos that any process has just found; every process must call it.

        Raises:
            TooManyBadVideosError: there are more than the limit, on every process.
        """
        for found in distributed.all_gather_objects(new):
            for row, reason in found.items():
                if row not in self._reasons:
                    self._reasons[row] = reason
                    self._log(reason)
        if len(self) > self.limit:
            last = next(reversed(self._reasons.values()))
            raise TooManyBadVideosError(
                f"{len(self)} videos could not be decoded, more than DATA.MAX_BAD_VIDEOS={self.limit}; the last: "
                f"{last} Check the data, or raise the limit."
            )

    def _log(self, reason: str) -> None:
        logger.warning(
            "%s Another video took its place. %d so far, limit DATA.MAX_BAD_VIDEOS=%d.", reason, len(self), self.limit
        )

    def state_dict(self) -> dict[str, Any]:
        return {"reasons": dict(self._reasons)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._reasons = dict(state["reasons"])


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
    """Every batch of ``in_agreement``, for loops that start over after a stop.

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
