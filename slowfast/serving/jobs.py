"""A queue of jobs in threads, with limits on running and waiting jobs and with their progress; old ones are deleted."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class QueueFullError(Exception):
    """The maximum number of jobs is already waiting."""


class JobError(Exception):
    """What is wrong with a request: an HTTP status and a sentence without paths of this machine."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass
class Job:
    """One thing to do.

    Attributes:
        folder: its own, removed with the job; "upload" in it is removed as soon as the work is done.
        work: called with the job in a thread; what it returns is the result.
        state: "queued", "running", "done" or "failed".
        step: what it is doing, in words.
        progress: share that is done, 0 to 1.
        error: of a failed job: (HTTP status, message).
    """

    folder: Path
    work: Callable[[Job], Any]
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = "queued"
    step: str = ""
    progress: float = 0.0
    result: Any = None
    error: tuple[int, str] | None = None
    ended: float = 0.0
    future: Future | None = field(default=None, repr=False)
    is_canceled: bool = False

    def report(self, step: str, progress: float) -> None:
        """Record the progress of the work.

        Raises:
            JobError: the job was canceled: the work ends here.
        """
        if self.is_canceled:
            raise JobError(410, "this job was canceled")
        self.step, self.progress = step, min(1.0, max(0.0, progress))

    @property
    def is_finished(self) -> bool:
        return self.state in ("done", "failed")


class JobQueue:
    """Runs jobs in the order in which they arrive.

    Args:
        folder: for the jobs' folders; removed with ``close``.
        num_workers: jobs at a time.
        max_waiting: jobs that may wait in the queue.
        keep_seconds: how long results are kept after the job's end.
        max_kept: maximum number of results kept.
    """

    def __init__(
        self, folder: Path, *, num_workers: int = 1, max_waiting: int = 8, keep_seconds: float = 600, max_kept: int = 16
    ):
        self.folder, self.num_workers, self.max_waiting = folder, num_workers, max_waiting
        self.keep_seconds, self.max_kept = keep_seconds, max_kept
        self._jobs: dict[str, Job] = {}  # in order of arrival
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(num_workers, thread_name_prefix="slowfast-job")

    @property
    def is_full(self) -> bool:
        """Whether ``add`` would refuse a job."""
        with self._lock:
            return self._num_unfinished() >= self.num_workers + self.max_waiting

    def new_folder(self) -> Path:
        """An empty folder for one job; ``drop_folder`` removes it, as the job's end does."""
        path = self.folder / secrets.token_hex(8)
        path.mkdir(parents=True)
        return path

    def add(self, folder: Path, work: Callable[[Job], Any]) -> Job:
        """Add a job, which runs when its turn comes.

        Raises:
            QueueFullError: too many wait; ``folder`` is removed.
        """
        self.forget_old()
        with self._lock:
            if self._num_unfinished() >= self.num_workers + self.max_waiting:
                shutil.rmtree(folder, ignore_errors=True)
                raise QueueFullError
            job = Job(folder, work)
            self._jobs[job.id] = job
            job.future = self._pool.submit(self._run, job)
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of that id, or None."""
        with self._lock:
            return self._jobs.get(job_id)

    def num_before(self, job: Job) -> int:
        """Number of unfinished jobs before ``job``."""
        with self._lock:
            ids = [other.id for other in self._jobs.values() if not other.is_finished]
        return ids.index(job.id) if job.id in ids else 0

    def remove(self, job: Job) -> None:
        """End the job as soon as possible, and remove its files."""
        job.is_canceled = True
        if job.future is not None and job.future.cancel():
            job.state, job.error = "failed", (410, "this job was canceled")
        with self._lock:
            self._jobs.pop(job.id, None)
        if job.is_finished:  # else the thread does it
            shutil.rmtree(job.folder, ignore_errors=True)

    def forget_old(self) -> None:
        """Remove results that are too old, or too many."""
        with self._lock:
            finished = sorted((job for job in self._jobs.values() if job.is_finished), key=lambda job: job.ended)
            old = [job for job in finished if time.monotonic() - job.ended > self.keep_seconds]
            old += [job for job in finished[: max(0, len(finished) - self.max_kept)] if job not in old]
        for job in old:
            self.remove(job)

    def close(self) -> None:
        """End all jobs and remove all files."""
        for job in list(self._jobs.values()):
            self.remove(job)
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _num_unfinished(self) -> int:
        return sum(not job.is_finished for job in self._jobs.values())

    def _run(self, job: Job) -> None:
        job.state = "running"
        try:
            job.report("starting", 0.0)
            job.result = job.work(job)
        except JobError as error:
            job.error = error.status, str(error)
        except Exception:
            logger.exception("job %s failed", job.id)
            job.error = 500, "the server failed on this video; its log says why"
        finally:
            (job.folder / "upload").unlink(missing_ok=True)
            job.ended = time.monotonic()
            job.progress, job.step = 1.0, ""
            job.state = "done" if job.error is None else "failed"
            if job.is_canceled:
                shutil.rmtree(job.folder, ignore_errors=True)
