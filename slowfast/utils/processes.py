"""Makes worker processes end with the process that started them, however that ends; and names exit codes."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import wait

POLL_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(*, started_by_main_thread: bool = True) -> None:
    """From now on, kill this process when its parent ends (the process that requested it, not a fork server).

    On Linux the kernel does this, even while a decoder holds the interpreter's lock; elsewhere a thread does it.

    Args:
        started_by_main_thread: what the kernel watches is the thread that forked: if another one did, which may end
            long before its process, the kernel is not asked.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    is_child = os.getppid() == parent.pid
    if sys.platform == "linux" and started_by_main_thread:
        # Of a fork server's child: when the server ends, which it does when the process that uses it has ended.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if is_child and os.getppid() == parent.pid:  # else it ended before we asked
            return
    threading.Thread(target=_watch, args=(parent, is_child), name="watch-parent", daemon=True).start()


def _watch(parent, is_child: bool) -> None:
    while True:
        if is_child:
            # Not the sentinel: processes forked after this one hold its other end, too.
            time.sleep(POLL_SECONDS)
            has_ended = os.getppid() != parent.pid
        else:
            has_ended = bool(wait([parent.sentinel], timeout=POLL_SECONDS))
        if has_ended:
            os._exit(1)


def exit_text(code: int | None) -> str:
    """ "SIGKILL" or "exit code 1", for an exit code of ``multiprocessing``."""
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
