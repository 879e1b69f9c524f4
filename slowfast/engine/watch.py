"""Detects processes that died or hang: every process sends signs of life to the others, and all end when one stops.

Signs of life go through torch's store, at which the processes met, from a separate thread. ``utils/liveness.py`` keeps
their content. A process whose sign does not change is dead or frozen; one that is alive but makes no progress, and does
not wait for others, hangs. The first to notice writes a verdict, with which every process ends in one line.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import torch.distributed as dist

from slowfast.utils import liveness
from slowfast.utils.errors import EXIT_LOST_PROCESS, LostProcessError

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 1.0  # from one sign to the next while nothing happens; changes are shown earlier
_POLL_SECONDS = 0.25
_SILENT_SECONDS = 20.0  # without a sign of life
_SILENT_SECONDS_AFTER_AN_ERROR = 6.0  # when an exchange failed, somebody is gone
_SUSPICIOUS_SECONDS = 5.0  # without a sign of life: nobody else is blamed for waiting then
_UNWIND_SECONDS = 10.0  # for the main thread to end by itself
_VERDICT = "verdict"

_COMMUNICATION = re.compile(
    r"gloo|nccl|connection (was )?(closed|reset)|broken pipe|timed out waiting|monitoredbarrier|socket", re.IGNORECASE
)


@dataclass(frozen=True)
class _Sign:
    """A sign of life as others read it.

    Attributes:
        beat: counts the signs.
        count, doing, is_waiting: see ``liveness.Status``.
        overdue: how long it has been doing this, as a fraction of the allowed time.
    """

    beat: int
    count: int
    doing: str
    is_waiting: bool
    overdue: float


class Watch:
    """Watches all processes from ``start`` to ``stop``.

    Args:
        store: that all processes share.
        names: of all processes, "host, process id".
        timeout: seconds in which a step, a batch or the like must be done (``liveness.mark`` says what takes longer).
    """

    def __init__(self, store: dist.Store, *, rank: int, names: Sequence[str], timeout: float):
        # A connection of its own (torch 2.7 and later): the main thread may wait in the other.
        self.store = store.clone() if hasattr(store, "clone") else store
        self.rank = rank
        self.names = names
        self.timeout = timeout
        self.verdict = ""
        self._silent_seconds = _SILENT_SECONDS
        self._beat, self._shown = 0, -1  # signs so far, and what the last one showed
        self._stopped = threading.Event()
        self._has_verdict = threading.Event()
        self._seen: dict[int, tuple[_Sign, float]] = {}  # last sign of each process, and when it was new
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; every process must have finished the job."""
        self._stopped.set()
        self._thread.join(timeout=5)

    # --- in the main thread ---

    def explain(self, error: BaseException) -> LostProcessError | None:
        """Tell the others about ``error``, which ends the job here; returns what to raise instead if they caused it."""
        if not self.verdict and _is_of_communication(error):
            self._silent_seconds = _SILENT_SECONDS_AFTER_AN_ERROR
            self._has_verdict.wait(_SILENT_SECONDS + 5)
            self._judge(f"the exchange with the other processes failed: {str(error).splitlines()[0]}")
            return LostProcessError(self.verdict)
        if self.verdict and _is_of_communication(error):
            return LostProcessError(self.verdict)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        self._judge(f"process {self.rank} ({self.names[self.rank]}, {liveness.status().doing}) failed: {reason}")
        self._wait_until_read()
        return None

    def _wait_until_read(self) -> None:
        """This process may host the store: the others must read the verdict in it first."""
        end = time.monotonic() + 10
        with suppress(dist.DistError):
            while self.store.add("read", 0) < len(self.names) and time.monotonic() < end:
                time.sleep(0.1)

    # --- in the watching thread ---

    def _run(self) -> None:
        try:
            # With very many processes, reading all signs every second would be the store's main work.
            look_seconds = max(_BEAT_SECONDS, len(self.names) / 32)
            last_show = last_look = time.monotonic()
            self._show()
            while not self._stopped.wait(_POLL_SECONDS):
                now = time.monotonic()
                if now - last_show >= _BEAT_SECONDS or liveness.status().count != self._shown:
                    self._show()
                    last_show = now
                if now - last_look >= look_seconds:
                    last_look = now
                    if self.store.check([_VERDICT]):
                        self._take_verdict(self.store.get(_VERDICT).decode())
                        break
                    self._look()
        except dist.DistError:
            if self._stopped.is_set():
                return
            self._take_verdict(f"{self._describe([0])}, where all processes meet, no longer responds")
        if self.verdict:
            self._end_if_stuck()

    def _show(self) -> None:
        status = liveness.status()
        self._beat, self._shown = self._beat + 1, status.count
        overdue = (time.monotonic() - status.since) / (status.patience * self.timeout)
        sign = _Sign(self._beat, status.count, status.doing, status.is_waiting, round(overdue, 3))
        self.store.set(f"sign/{self.rank}", json.dumps(asdict(sign)))

    def _look(self) -> None:
        """Read the signs of all, and judge."""
        now = time.monotonic()
        keys = [f"sign/{rank}" for rank in range(len(self.names))]
        if not self.store.check(keys):
            return
        for rank, text in enumerate(self.store.multi_get(keys)):
            sign = _Sign(**json.loads(text))
            if rank not in self._seen or self._seen[rank][0].beat != sign.beat:
                self._seen[rank] = (sign, now)
        silent = {rank: now - since for rank, (_, since) in self._seen.items() if now - since > _SUSPICIOUS_SECONDS}
        if silent:
            if max(silent.values()) > self._silent_seconds:
                self._judge(f"{self._describe(silent)} did not respond for {max(silent.values()):.0f} seconds")
            return
        # An overdue process may wait, inside a step, for one that came later: the furthest behind answers for all.
        working = {rank: sign for rank, (sign, _) in self._seen.items() if not sign.is_waiting}
        furthest_behind = min((sign.count for sign in working.values()), default=0)
        culprits = [rank for rank, sign in working.items() if sign.count == furthest_behind]
        if culprits and all(working[rank].overdue > 1 for rank in culprits):
            self._judge(
                f"{self._describe(culprits)} made no progress for more than {self.timeout:.0f} seconds "
                "(DIST_TIMEOUT; raise it for slow storage)"
            )

    def _describe(self, ranks: Iterable[int]) -> str:
        doing = {rank: self._seen[rank][0].doing if rank in self._seen else "starting" for rank in ranks}
        return "; ".join(f"process {rank} ({self.names[rank]}, {text})" for rank, text in doing.items())

    def _judge(self, text: str) -> None:
        """Write the verdict unless there is one; either way, take it."""
        with suppress(dist.DistError):
            text = self.store.compare_set(_VERDICT, "", text).decode()
        if not self.verdict:
            self._take_verdict(text)

    def _take_verdict(self, text: str) -> None:
        self.verdict = text
        self._has_verdict.set()
        with suppress(dist.DistError):
            self.store.add("read", 1)

    def _end_if_stuck(self) -> None:
        """End the process if its main thread is stuck in a collective that nobody answers."""
        if not self._stopped.wait(_UNWIND_SECONDS):
            print(f"error: {self.verdict}", file=sys.stderr, flush=True)
            logger.error("%s", self.verdict)
            os._exit(EXIT_LOST_PROCESS)


def _is_of_communication(error: BaseException) -> bool:
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and bool(_COMMUNICATION.search(str(error)))
