"""Jobs run side by side in processes, each of which may fail, or crash, without taking the others with it."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

STOP_SECONDS = 10.0  # a process gets to clean up after itself before it is killed


@dataclass(frozen=True)
class Crash:
    """Stands for the result of a job whose process ended: a decoder crashed, or the memory was full."""

    reason: str


def run_jobs(work: Callable[[Any], Any], jobs: Sequence[Any], *, num_workers: int) -> Iterator[tuple[int, Any]]:
    """(index of the job, its result or a Crash), in the order in which they finish.

    Ending the iteration early, also by Ctrl-C, raises SystemExit within the jobs under way: their context managers
    clean up.

    Args:
        work: called with one job; can be pickled, as its argument and its result. An exception it raises is a defect,
            not a failed job, and ends the iteration.
        num_workers: processes; 0 works here, one job after the other.

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
    waiting = iter(enumerate(jobs))
    try:
        for job in waiting:
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
    for connection in wait(list(busy)):
        worker = busy.pop(connection)
        result = worker.take()
        results.append((worker.index, result))
        if not isinstance(result, Crash):
            idle.append(worker)
    return iter(results)


class _Worker:
    """A process, seen from the one that gives it jobs."""

    def __init__(self, context, work: Callable[[Any], Any]):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the stream here

    def give(self, index: int, job: Any) -> None:
        self.index = index
        self.connection.send(job)

    def take(self) -> Any:
        try:
            failed, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.stop()
            return Crash(f"the process that worked on it ended ({_exit(self.process.exitcode)})")
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


def _exit(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Do jobs until the other side closes the connection."""
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
