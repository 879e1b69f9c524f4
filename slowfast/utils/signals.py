"""SIGTERM and SIGUSR1 as requests to stop: recorded here, and obeyed where nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))

_stop_requested = ""


def stop_requested() -> str:
    """Name of the signal that asked this process to stop; "" for none."""
    return _stop_requested


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """While inside, the first of STOP_SIGNALS is only noted (``stop_requested``); a second one ends the process.

    Outside of the main thread, where no handler can be set, nothing changes.
    """
    global _stop_requested
    _stop_requested = ""

    def note(number: int, _frame) -> None:
        global _stop_requested
        name = signal.Signals(number).name
        if _stop_requested:
            end_by(number)
        _stop_requested = name
        # Not through logging: the signal may have interrupted it in the middle of a line.
        os.write(2, f"{name}: stopping after this step; send it again to exit at once\n".encode())

    with _handlers(note):
        try:
            yield
        finally:
            _stop_requested = ""


@contextmanager
def forward_signals(send: Callable[[int], None]) -> Iterator[None]:
    """While inside, STOP_SIGNALS are handed to ``send(number)`` instead of ending this process."""
    with _handlers(lambda number, _frame: send(number)):
        yield


@contextmanager
def _handlers(handler: Callable) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


def end_by(number: int) -> None:
    """End this process as the signal does by default."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
