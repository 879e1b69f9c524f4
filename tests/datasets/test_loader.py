"""A worker that crashes or hangs on a video costs that video, not the run; and no worker outlives its process."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from slowfast.datasets import loader as loader_module
from slowfast.datasets.loader import VideoLoader, WorkerError
from slowfast.datasets.samplers import TrainSampler
from slowfast.video.watch import VideoReadError, reading
from tests.groups import server


class Files(Dataset):
    """Sample i is the number i, "read" from the file whose name says what happens; -1 if that cannot be read.

    Of the file "threads" it is the number of torch's threads.
    """

    def __init__(self, names):
        self.names = names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, key):
        index = key[1] if isinstance(key, tuple) else key
        name = self.names[index]
        try:
            with reading(name) as deadline:
                if name.startswith("crash"):
                    os.kill(os.getpid(), signal.SIGSEGV)
                if name.startswith("stuck"):
                    ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter's lock, as a decoder in a loop may
                if name.startswith("slow"):
                    while True:
                        time.sleep(0.05)
                        deadline.check()
        except VideoReadError as error:
            assert name in str(error)
            return -1
        if name.startswith("die"):  # between two reads, as when memory is full
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("raise"):
            raise VideoReadError("of the data set")
        return torch.get_num_threads() if name == "threads" else index


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(loader_module, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(loader_module, "POLL_SECONDS", 0.1)


def load(names, **options):
    return VideoLoader(Files(names), **{"num_workers": 2, "read_timeout": 1.0, "batch_size": None, **options})


@pytest.mark.parametrize("kind, how", [("crash", r"ended while reading it \(SIGSEGV\)"), ("stuck", "spent ")])
def test_a_file_that_ends_a_worker_becomes_unreadable(kind, how, caplog):
    names = ["a", "b", "c", f"{kind}.mp4", "d", "e", "f"]
    loader = load(names)
    for _ in range(2):  # in the second epoch the file is known
        assert [int(batch) for batch in loader] == [0, 1, 2, -1, 4, 5, 6]
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.startswith(f"{kind}.mp4: a data worker ") and how.split(r" \(")[0] in message


def test_workers_have_one_thread():
    assert list(load(["threads"] * 3)) == [1] * 3


def test_a_slow_file_is_unreadable_without_an_end_of_its_worker(caplog):
    assert [int(batch) for batch in load(["a", "slow.mp4", "b"], read_timeout=0.3)] == [0, -1, 2]
    assert not caplog.records


@pytest.mark.parametrize("persistent", [False, True])
def test_batches_of_training_go_on_where_they_were(persistent):
    names = [f"{i}" for i in range(12)]
    names[5] = "crash.mp4"
    sampler = TrainSampler(12, batch_size=2, seed=0)
    loader = VideoLoader(
        Files(names), batch_sampler=sampler, num_workers=2, read_timeout=5.0, persistent_workers=persistent
    )
    for epoch in range(2):
        sampler.set_epoch(epoch, start_batch=1)
        expected = [[index if index != 5 else -1 for _, index in batch] for batch in sampler]
        assert [batch.tolist() for batch in loader] == expected and len(expected) == 5


def test_a_worker_that_is_killed_between_files_ends_the_run_with_what_it_had_read():
    with pytest.raises(WorkerError, match=r"ended between two files \(SIGKILL\); the last .* is die"):
        list(load(["a", "die.mp4", "b"], num_workers=1))


def test_an_error_of_the_data_set_is_its_own():
    with pytest.raises(VideoReadError, match="of the data set"):
        list(load(["a", "raise.mp4"], num_workers=1))


def test_many_files_in_a_row_that_end_workers_end_the_run(monkeypatch):
    monkeypatch.setattr(loader_module, "MAX_RESTARTS", 2)
    with pytest.raises(WorkerError, match="while reading it"):
        list(load([f"crash{i}" for i in range(5)], num_workers=1, batch_size=5))


def test_without_workers_the_time_limit_holds_too():
    assert [int(batch) for batch in load(["a", "slow.mp4"], num_workers=0, read_timeout=0.2)] == [0, -1]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def load_for_ever(pipe: Connection, thread: bool) -> None:
    """Load in the main thread, or in another; ``pipe`` gets the numbers of the loading processes."""
    multiprocessing.set_start_method("fork", force=True)  # as in a program; here it would be the server's

    def load():
        files = Files(["a", "slow.mp4" if thread else "stuck.mp4"] * 4)
        for _ in VideoLoader(files, num_workers=2, read_timeout=100.0, batch_size=None):
            pipe.send([process.pid for process in multiprocessing.active_children()])

    if thread:
        threading.Thread(target=load, daemon=True).start()
    else:
        load()
    time.sleep(100)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("thread", [False, True])
def test_no_worker_outlives_a_process_that_is_killed(thread):
    receiver, sender = server().Pipe(duplex=False)
    process = server().Process(target=load_for_ever, args=(sender, thread))
    process.start()
    try:
        assert receiver.poll(60)
        workers = receiver.recv()
        assert len(workers) == 2 and all(map(is_running, workers))
    finally:
        process.kill()
        process.join()
    end = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < end, "a worker outlived its process"
        time.sleep(0.1)
