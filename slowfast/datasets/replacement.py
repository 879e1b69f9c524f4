"""Replaces a training sample that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from slowfast.video.reader import VideoReadError

T = TypeVar("T")


class ReadFailure(str):
    """Why a sample could not be read; ``row`` is its index in the list, by which failures are counted."""

    row: int

    def __new__(cls, reason: str, row: int):
        failure = super().__new__(cls, reason)
        failure.row = row
        return failure

    def __getnewargs__(self):
        return str(self), self.row


def first_readable(
    read: Callable[[int], T],
    index: int,
    *,
    rng: np.random.Generator,
    num_samples: int,
    max_tries: int,
    reason: Callable[[int, VideoReadError], str],
    unit: str = "video",
    source: str = "list",
) -> tuple[T, int, tuple[ReadFailure, ...]]:
    """``read(index)``, or of the first other sample, drawn by ``rng`` without repetition, that can be read.

    Args:
        reason: the message for a sample that failed.
        unit, source: what samples and their list are called in the message.

    Returns:
        what was read, its index, and the reasons of those that failed on the way.

    Raises:
        VideoReadError: ``max_tries`` samples failed in a row, or all there are.
    """
    tried: list[int] = []
    failures: list[ReadFailure] = []
    while True:
        try:
            return read(index), index, tuple(failures)
        except VideoReadError as error:
            tried.append(index)
            failures.append(ReadFailure(reason(index, error), index))
            if len(tried) >= min(max_tries, num_samples):
                verdict = f"{len(tried)} {unit}s in a row could not be read"
                if len(tried) == num_samples:
                    verdict = f"no {unit} of the {source} could be read"
                raise VideoReadError(f"{verdict}; the first: {failures[0]}") from error
        index = int(rng.choice(np.setdiff1d(np.arange(num_samples), tried)))
