"""One holder of a folder at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time

import pytest

from slowfast.utils import locks
from slowfast.utils.locks import FolderInUseError, FolderLock
from tests.groups import server


def hold(folder: str, ready, end) -> None:
    with FolderLock(folder):
        ready.set()
        end.wait(60)


@pytest.fixture
def other_holder(tmp_path):
    """Another process that holds ``tmp_path``."""
    ready, end = server().Event(), server().Event()
    process = server().Process(target=hold, args=(str(tmp_path), ready, end))
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()
    process.join()


def test_a_second_holder_is_refused_and_the_first_named(tmp_path, other_holder):
    message = rf"is in use by process {other_holder.pid} on {socket.gethostname()}, started \d{{4}}-\d\d-\d\d \d\d:"
    with pytest.raises(FolderInUseError, match=message):
        FolderLock(tmp_path)


def test_a_killed_holder_frees_the_folder(tmp_path, other_holder):
    other_holder.kill()
    other_holder.join()
    assert (tmp_path / ".lock").exists()
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".lock").exists()


def test_a_process_excludes_itself(tmp_path):
    with FolderLock(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()} "):
        FolderLock(tmp_path / "." / "x" / "..")
    lock = FolderLock(tmp_path)
    lock.release()
    lock.release()


def note(tmp_path, **changes) -> None:
    """A lock's file as another machine may have left it."""
    content = {"host": "elsewhere", "pid": 7, "started": "2026-01-01 00:00:00", "slurm_job": "", "slurm_restart": "0"}
    (tmp_path / ".lock").write_text(json.dumps({**content, **changes}))


def age(tmp_path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(tmp_path / ".lock", (then, then))


def test_another_machine_holds_while_it_shows_signs_of_life(tmp_path):
    """Where the file system keeps system locks to one machine, the file alone tells."""
    note(tmp_path)
    with pytest.raises(FolderInUseError, match="process 7 on elsewhere, started 2026"):
        FolderLock(tmp_path)
    age(tmp_path, locks._STALE_SECONDS + 5)
    FolderLock(tmp_path).release()


def test_a_holder_shows_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_BEAT_SECONDS", 0.02)
    with FolderLock(tmp_path):
        age(tmp_path, 1000)
        end = time.monotonic() + 10
        while time.time() - (tmp_path / ".lock").stat().st_mtime > 500:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("restart, is_free", [("1", True), ("0", False)])
def test_a_job_that_slurm_restarts_takes_its_own_folder_at_once(tmp_path, monkeypatch, restart, is_free):
    note(tmp_path, slurm_job="42")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("SLURM_RESTART_COUNT", restart)
    if is_free:
        FolderLock(tmp_path).release()
    else:
        with pytest.raises(FolderInUseError):
            FolderLock(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_what_a_holder_that_died_while_writing_left_is_no_lock(tmp_path, text):
    (tmp_path / ".lock").write_text(text)
    FolderLock(tmp_path).release()


def test_without_system_locks_the_process_is_looked_for(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "lockf", unsupported)
    note(tmp_path, host=socket.gethostname(), pid=os.getpid(), started=locks._self_description()["started"])
    with pytest.raises(FolderInUseError):
        FolderLock(tmp_path)
    note(tmp_path, host=socket.gethostname(), pid=os.getpid())  # a later process got the number
    FolderLock(tmp_path).release()
    note(tmp_path, host=socket.gethostname(), pid=2**22 + 1)  # larger than any
    FolderLock(tmp_path).release()
