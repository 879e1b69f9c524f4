"""Progress of work: one kind of bar on a terminal, lines elsewhere, and the remaining time."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm import tqdm

from slowfast.utils import distributed, liveness
from slowfast.utils.logging import format_seconds

logger = logging.getLogger(__name__)

_LOG_SECONDS = 10.0  # between two lines in the log
LINE_SECONDS = 60.0  # a line of progress at least so often where no bar is shown
_MEBIBYTE = 2**20


def print_above(line: str) -> None:
    """Print a line to standard output without tearing a bar apart."""
    tqdm.write(line, file=sys.stdout)


def _bar(
    items: Iterable | None = None, *, total: int | None, name: str, unit: str, is_quiet: bool = False, done: int = 0
) -> tqdm:
    """A bar with the remaining time; hidden without a terminal, and in processes other than the main one."""
    return tqdm(
        items,
        total=total,
        initial=done,
        desc=name or None,
        unit=unit,
        unit_scale=unit == "B",
        unit_divisor=1024 if unit == "B" else 1000,
        leave=False,
        dynamic_ncols=True,
        disable=is_quiet or not (distributed.is_main() and sys.stderr.isatty()),
    )


class Progress:
    """Iterates with a bar (ETA, throughput) on a terminal, and silently elsewhere, where logs show the progress.

    Use as a context manager or to its end, so that the bar is closed. Every item is a sign of life (liveness.py).
    """

    def __init__(self, items: Iterable, *, total: int, name: str, unit: str = "batch"):
        self._name = f"{name}, {unit}"
        self._bar = _bar(items, total=total, name=name, unit=unit)

    @property
    def is_shown(self) -> bool:
        return not self._bar.disable

    def __iter__(self) -> Iterator:
        liveness.mark(f"{self._name} 1")
        for number, item in enumerate(self._bar, 2):
            yield item
            liveness.mark(f"{self._name} {number}", patience=1.0)

    def note(self, **values: Any) -> None:
        """Show ``values`` after the bar."""
        if self.is_shown:
            short = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in values.items()}
            self._bar.set_postfix(short, refresh=False)

    def close(self) -> None:
        self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, error: type[BaseException] | None, *_) -> None:
        self.close()
        if error is None:
            liveness.mark(f"after {self._name}")


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
        if time.perf_counter() - last_line > _LOG_SECONDS or done == total:
            last_line = time.perf_counter()
            left = time_left(start, done, total)
            shown = {"is_shown_elsewhere": progress.is_shown}
            logger.info("%s: %d of %d %s, eta %s", name, done, total, unit, left, extra=shown)


class WorkProgress:
    """Progress of work in single steps; without a terminal, a line for every tenth and at least every minute.

    Args:
        total: steps or bytes; None if unknown, in which case there are no lines.
        unit: what a step is; "B" counts bytes.
        done: of an earlier attempt.
        say: takes the lines; default standard error.
    """

    def __init__(
        self,
        total: int | None,
        *,
        unit: str = "video",
        name: str = "",
        done: int = 0,
        is_quiet: bool = False,
        say: Callable[[str], None] | None = None,
    ):
        self.total = total
        self.unit = unit
        self.num_done = self._num_before = done
        self.num_failed = 0
        self._name = name
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._is_quiet = is_quiet
        self._start = self._last_line = time.monotonic()
        self._bar = _bar(total=total, name=name, unit=unit, is_quiet=is_quiet, done=done)

    def step(self, amount: int = 1, *, failed: bool = False) -> None:
        """Add finished steps."""
        before, self.num_done = self.num_done, self.num_done + amount
        self.num_failed += failed
        if not self._bar.disable:
            self._bar.set_postfix({"failed": self.num_failed} if self.num_failed else {}, refresh=False)
            self._bar.update(amount)
        elif self.total and not self._is_quiet:
            tenth = self.num_done * 10 // self.total > before * 10 // self.total
            if tenth or time.monotonic() - self._last_line > LINE_SECONDS:
                self._last_line = time.monotonic()
                self._say(self._line(self.total))

    def _line(self, total: int) -> str:
        rate = (self.num_done - self._num_before) / max(1e-9, self._last_line - self._start)
        left = format_seconds((total - self.num_done) / rate)
        name = f"{self._name}: " if self._name else ""
        failed = f", {self.num_failed:,} failed" if self.num_failed else ""
        if self.unit == "B":
            done = f"{self.num_done / _MEBIBYTE:.1f} of {total / _MEBIBYTE:.1f} MiB, {rate / _MEBIBYTE:.3g} MiB/s"
        else:
            done = f"{self.num_done:,} of {total:,} {self.unit}s, {rate:.3g}/s"
        return f"{name}{done}, {left} left{failed}"

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def __enter__(self) -> WorkProgress:
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()
