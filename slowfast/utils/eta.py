"""Estimates of the remaining time, and log lines with them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from slowfast.utils.logging import format_seconds
from slowfast.utils.progress import Progress

logger = logging.getLogger(__name__)

_LINE_SECONDS = 10.0  # between two lines in the log


def time_left(start: float, done: int, total: int) -> str:
    """Remaining time at the speed so far, such as ``1:02:03``.

    Args:
        start: ``time.perf_counter()`` before the first.
        done: how many are done, at least 1.
    """
    return format_seconds((time.perf_counter() - start) / done * (total - done))


def with_log_lines(progress: Progress, *, total: int, name: str, unit: str = "batches") -> Iterator:
    """The items of ``progress``, with a log line from time to time and one at the end."""
    start = last_line = time.perf_counter()
    for done, item in enumerate(progress, 1):
        yield item
        if time.perf_counter() - last_line > _LINE_SECONDS or done == total:
            last_line = time.perf_counter()
            left = time_left(start, done, total)
            shown = {"is_shown_elsewhere": progress.is_shown}
            logger.info("%s: %d of %d %s, eta %s", name, done, total, unit, left, extra=shown)
