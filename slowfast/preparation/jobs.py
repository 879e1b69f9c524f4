"""Runs jobs in parallel processes, each of which may fail, crash or hang without affecting the others."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from slowfast.utils.processes import end_with_parent, exit_text
from slowfast.video.watch import DEFAULT_TIMEOUT_SECONDS, GRACE_SECONDS, ReadBoard, Slot, watch_worker

POLL_SECONDS = 0.5  # between looks at what the processes read
STOP_SECONDS = 10.0  # a process gets to clean up after itself before it is killed


@dataclass(frozen=True)
class Crash:
    """Replaces the result of a job whose process ended: a decoder crashed or hung, or memory ran out."""

    reason: str


def run_jobs(work: Callable[[Any], Any], jobs: Sequence[Any], *, num_workers: int) -> Iterator[tuple[int, Any]]:
    """(index of the job, its result or a Crash), in the order in which they finish.

    Ending the iteration early, even by Ctrl-C, raises SystemExit in the running jobs: their context managers
    clean up. A process that reads a video (``video.watch``) and gets no packet of it for longer than the time limit
    of reads is ended. When this process is killed, so are they.

    Args:
        work: called with one job; it must be picklable, as must its argument and result. An exception that it raises is
            a defect, not a failed job, and ends the iteration.
        num_workers: processes; 0 works in this process, one job after the other.

    Raises:
        RuntimeError: ``work`` raised in its process; holds the traceback.
    """
    if num_workers == 0:
        for index, job in enumerate(jobs):
            yield index, work(job)
        return
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        context.set_forkserver_preload([__name__, getattr(getattr(work, "func", work), "__module__", __name__)])
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    try:
        for job in enumerate(jobs):
            worker = idle.pop() if idle else _Worker(context, work)
            busy[worker.connection] = worker
            worker.give(*job)
            if len(busy) == num_workers:
                yield from _take(busy, idle)
        while busy:
            yield from _take(busy, idle)
    finally:
        for worker in [*idle, *busy.values()]:
            worker.stop()


def _take(busy: dict[Connection, _Worker], idle: list[_Worker]) -> Iterator[tuple[int, Any]]:
    """The results that are ready, at least one; their workers become idle."""
    results = []
    while not (ready := wait(list(busy), timeout=POLL_SECONDS)):
        for worker in busy.values():
            worker.end_if_stuck()
    for connection in [connection for connection in busy if connection in ready]:
        worker = busy.pop(connection)
        result = worker.take()
        results.append((worker.index, result))
        if not isinstance(result, Crash):
            idle.append(worker)
    return iter(results)


class _Worker:
    """A worker process, as seen by its parent."""

    def __init__(self, context, work: Callable[[Any], Any]):
        self.connection, theirs = context.Pipe()
        self.board = ReadBoard(1, context)
        self.stuck = ""
        self.process = context.Process(target=_serve, args=(theirs, work, self.board.slot(0)), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the stream here

    def give(self, index: int, job: Any) -> None:
        self.index = index
        self.connection.send(job)

    def end_if_stuck(self) -> None:
        """Kill the process if the file that it reads has given no data for too long; ``take`` then returns a Crash."""
        for read in self.board.reads():
            if read.seconds > DEFAULT_TIMEOUT_SECONDS + GRACE_SECONDS:
                self.stuck = f"no packet or frame of {read.path} came for {read.seconds:.0f} seconds"
                self.process.kill()

    def take(self) -> Any:
        try:
            failed, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.stop()
            return Crash(self.stuck or f"the process that worked on it ended ({exit_text(self.process.exitcode)})")
        if failed:
            raise RuntimeError(f"a job failed in its process:\n{result}")
        return result

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(connection: Connection, work: Callable[[Any], Any], slot: Slot) -> None:
    """Do jobs until the other side closes the connection."""
    end_with_parent()
    watch_worker(slot, timeout_seconds=DEFAULT_TIMEOUT_SECONDS, unreadable={})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one sees to us
    signal.signal(signal.SIGTERM, _raise_exit)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            answer = False, work(job)
        except Exception:
            answer = True, traceback.format_exc()
        connection.send(answer)


def _raise_exit(*_) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing disturbs the cleaning up
    raise SystemExit(1)
