"""A DataLoader that outlives its workers: a video on which one of them crashes or hangs becomes an unreadable video."""

from __future__ import annotations

import copy
import logging
import multiprocessing
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from slowfast.utils.errors import RunError
from slowfast.utils.processes import end_with_parent, exit_text
from slowfast.video.watch import DEFAULT_TIMEOUT_SECONDS, GRACE_SECONDS, Read, ReadBoard, set_read_timeout, watch_worker

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # between looks at the workers
MAX_RESTARTS = 10  # of the workers, without a batch in between
_ORDER_OPTIONS = ("batch_size", "shuffle", "sampler", "batch_sampler", "drop_last", "persistent_workers", "generator")


class WorkerError(RunError):
    """A data worker ended, but not because of a video; the message says what it read last."""


class VideoLoader(DataLoader):
    """A ``torch.utils.data.DataLoader`` over videos.

    Worker processes record every read on a board (``video.watch``). A worker that reads one file for longer than
    ``read_timeout`` + GRACE_SECONDS is killed. When a worker ends, in this way or by a crash of a decoder, all are
    restarted at the first batch that was not delivered, and the file counts as unreadable from then on: training
    replaces it, validation and test count it as missing. Workers end with this process, however it ends.

    Args:
        read_timeout: seconds that one read may take, 0 for no limit.
        options: of DataLoader, except ``worker_init_fn`` and ``timeout``.

    Raises:
        WorkerError: (while iterating) a worker ended between two files, as when memory is full; or a batch fails after
            MAX_RESTARTS restarts.
    """

    dataset: Any  # a VideoDataset
    batch_sampler: Any  # a TrainSampler, for training

    def __init__(self, dataset: Any, *, num_workers: int = 0, read_timeout: float = DEFAULT_TIMEOUT_SECONDS, **options):
        # torch then comes back, to look whether a worker has ended, and is asked again.
        options["timeout"] = POLL_SECONDS if num_workers else 0
        # The run says it once, in its log, with the key (engine/loading.py).
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        super().__init__(dataset, num_workers=num_workers, **options)
        self.read_timeout = read_timeout
        self.unreadable: dict[str, str] = {}  # path -> how it ended a worker
        self._options = {name: value for name, value in options.items() if name not in _ORDER_OPTIONS}
        self._workers: _Workers | None = None

    def __iter__(self) -> Any:
        if self.num_workers:
            return _Batches(self)
        set_read_timeout(self.read_timeout)
        return super().__iter__()

    def begin(self) -> tuple[Iterator, _Workers]:
        """DataLoader's own iterator over all batches, and the workers: new ones, unless they persist."""
        if self._workers is None or not self.persistent_workers:
            self._workers = _Workers(self)
            self.worker_init_fn = self._workers.initializer
            self._iterator = None
            return self._workers.start(super().__iter__), self._workers
        return super().__iter__(), self._workers

    def begin_rest(self, order, num_given: int) -> tuple[Iterator, _Workers]:
        """The same of the batches (or samples) of ``order`` from number ``num_given`` on, in new workers."""
        self._workers, workers = None, _Workers(self)
        self._iterator = None  # of workers that were to persist, and of which one has ended
        kind = "sampler" if self.batch_sampler is None else "batch_sampler"
        rest = {kind: list(islice(order, num_given, None)), "generator": torch.Generator()}
        rest |= {"batch_size": None} if self.batch_sampler is None else {}
        loader = DataLoader(
            self.dataset,
            num_workers=self.num_workers,
            worker_init_fn=workers.initializer,
            **{**self._options, **rest},
        )
        return workers.start(loader.__iter__), workers


class _Batches:
    """One iteration over a ``VideoLoader`` that has workers."""

    def __init__(self, loader: VideoLoader):
        self._loader = loader
        # Of this iteration, whatever epoch is chosen for the next one meanwhile.
        self._order = copy.copy(loader.sampler if loader.batch_sampler is None else loader.batch_sampler)
        self._num_given = self._num_restarts = 0
        self._begin(loader.begin)

    def __iter__(self) -> _Batches:
        return self

    def __next__(self):
        while True:
            try:
                batch = next(self._batches)
            except StopIteration:
                self._watch.stop()
                raise
            except (RuntimeError, OSError, EOFError) as error:  # torch's, or of a pipe to a worker that has ended
                has_timed_out = str(error).startswith("DataLoader timed out")
                death = self._watch.death() if has_timed_out else self._watch.wait_for_death()
                if death is None and has_timed_out:
                    continue
                if death is None:  # the data set's own
                    self._watch.stop()
                    raise
                cause = error.with_traceback(None)  # which would keep the old workers
            else:
                self._num_given += 1
                self._num_restarts = 0
                return batch
            self._restart(death, cause)

    def __del__(self):
        if hasattr(self, "_watch"):
            self._watch.stop()

    def _begin(self, begin: Callable[[], tuple[Iterator, _Workers]]) -> None:
        self._batches, workers = begin()
        self._watch = _Watch(workers, self._loader.read_timeout)
        self._watch.start()

    def _restart(self, death: _Death, cause: Exception) -> None:
        """Continue without the file that ended a worker.

        Raises:
            WorkerError: no file did, or too many in a row.
        """
        self._watch.stop()
        self._batches = iter(())  # ends the workers that are left
        self._num_restarts += 1
        if not death.path or self._num_restarts > MAX_RESTARTS:
            raise WorkerError(death.how) from cause
        logger.error("%s: %s. It counts as unreadable from now on; the workers are restarted.", death.path, death.how)
        self._loader.unreadable[death.path] = death.how
        self._begin(partial(self._loader.begin_rest, self._order, self._num_given))


class _Workers:
    """The worker processes of one start, and the board on which they record what they read."""

    def __init__(self, loader: VideoLoader):
        context = loader.multiprocessing_context or multiprocessing.get_context()
        self.board = ReadBoard(loader.num_workers, context)
        self.processes: dict[int | None, BaseProcess] = {}
        self.initializer = partial(
            _init_worker,
            board=self.board,
            read_timeout=loader.read_timeout,
            unreadable=loader.unreadable,
            started_by_main_thread=threading.current_thread() is threading.main_thread(),
        )

    def start(self, begin: Callable[[], Iterator]) -> Iterator:
        """The result of ``begin``, which starts the processes."""
        before = {process.pid for process in multiprocessing.active_children()}
        handler = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
        iterator = begin()
        if handler is not None and signal.getsignal(signal.SIGCHLD) is not handler:
            # torch's handler raises in the main thread, wherever that is (in a training step, too), when a worker
            # ends. Without it torch sees that when the next batch does not come.
            signal.signal(signal.SIGCHLD, handler)
        self.processes = {
            process.pid: process for process in multiprocessing.active_children() if process.pid not in before
        }
        return iterator


def _init_worker(
    worker_id: int, *, board: ReadBoard, read_timeout: float, unreadable: dict[str, str], started_by_main_thread: bool
) -> None:
    torch.set_num_threads(1)  # more would only take each other's cores
    end_with_parent(started_by_main_thread=started_by_main_thread)
    watch_worker(board.slot(worker_id), timeout_seconds=read_timeout, unreadable=unreadable)


class _Death(NamedTuple):
    """How a worker ended: the file that it was reading, or "", and a clause to put after its name."""

    path: str
    how: str


class _Watch(threading.Thread):
    """Kills workers that read one file for too long, and knows how workers ended.

    It holds no reference to the iteration that it watches for, so that this ends when it is no longer needed.
    """

    def __init__(self, workers: _Workers, read_timeout: float):
        super().__init__(name="watch-workers", daemon=True)
        self._workers, self._read_timeout = workers, read_timeout
        self._overdue: dict[int, Read] = {}
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        limit = self._read_timeout + GRACE_SECONDS
        while self._read_timeout and not self._stopped.wait(POLL_SECONDS):
            for read in self._workers.board.reads():
                process = self._workers.processes.get(read.pid)
                if read.seconds > limit and read.pid not in self._overdue and process and process.is_alive():
                    self._overdue[read.pid] = read
                    process.kill()

    def wait_for_death(self) -> _Death | None:
        """The same, looked for during a second: a pipe breaks a moment before its process has ended."""
        end = time.monotonic() + 1.0
        while (death := self.death()) is None and time.monotonic() < end:
            time.sleep(0.05)
        return death

    def death(self) -> _Death | None:
        """How a worker ended; None if all are alive."""
        for read in self._workers.board.reads():
            process = self._workers.processes.get(read.pid)
            if process is None or process.is_alive():
                continue
            if read.pid in self._overdue:
                path, seconds = self._overdue[read.pid].path, self._overdue[read.pid].seconds
                return _Death(path, f"a data worker spent {seconds:.0f} seconds on it (DATA.DECODE_TIMEOUT)")
            how = exit_text(process.exitcode)
            if read.seconds:
                return _Death(read.path, f"a data worker ended while reading it ({how})")
            advice = " SIGKILL often means that the machine ran out of memory." if how == "SIGKILL" else ""
            last = f"the last file that it read is {read.path}" if read.path else "it had read no file"
            return _Death("", f"a data worker (process {read.pid}) ended between two files ({how}); {last}.{advice}")
        return None
