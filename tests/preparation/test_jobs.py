"""Jobs run side by side; a process that dies takes one job with it, and an end of the iteration cleans up."""

import ctypes
import os
import re
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from slowfast.preparation import jobs as jobs_module
from slowfast.preparation.jobs import Crash, run_jobs
from slowfast.utils.files import atomic_write
from slowfast.video.watch import reading


def work(job, *, offset=0):
    """A number plus ``offset``; a word does something else."""
    if job == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if job == "hang":
        with reading("/videos/hangs.mp4"):
            ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter's lock, as a decoder in a loop may
    if job == "raise":
        raise KeyError("a defect")
    return job + offset


def write_or_wait(job):
    """Begins a file and never ends it; or returns when that has begun."""
    what, path = job
    began = Path(f"{path}.began")
    if what == "write":
        with atomic_write(path) as draft:
            draft.write_text("half")
            began.write_text("")
            time.sleep(600)
    while not began.exists():
        time.sleep(0.01)


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_every_job_is_done_once(num_workers):
    results = dict(run_jobs(partial(work, offset=10), range(7), num_workers=num_workers))
    assert results == {i: i + 10 for i in range(7)}


def test_a_crash_costs_one_job():
    results = dict(run_jobs(work, [1, "die", 3, 4, "die", 6], num_workers=2))
    assert {i: results[i] for i in (0, 2, 3, 5)} == {0: 1, 2: 3, 3: 4, 5: 6}
    assert isinstance(results[1], Crash) and "SIGSEGV" in results[1].reason
    assert isinstance(results[4], Crash)


def test_a_process_that_hangs_on_a_file_costs_one_job(monkeypatch):
    monkeypatch.setattr(jobs_module, "DEFAULT_TIMEOUT_SECONDS", 0.4)
    monkeypatch.setattr(jobs_module, "GRACE_SECONDS", 0.1)
    results = dict(run_jobs(work, [1, "hang", 3, 4], num_workers=2))
    assert {i: results[i] for i in (0, 2, 3)} == {0: 1, 2: 3, 3: 4}
    assert re.fullmatch(r"no packet or frame of /videos/hangs\.mp4 came for \d+ seconds", results[1].reason)


def test_a_defect_ends_the_run():
    with pytest.raises(RuntimeError, match="KeyError: 'a defect'"):
        list(run_jobs(work, ["raise"], num_workers=1))
    with pytest.raises(KeyError):
        list(run_jobs(work, ["raise"], num_workers=0))


def test_ending_early_leaves_no_half_file(tmp_path):
    path = str(tmp_path / "a.mp4")
    results = run_jobs(write_or_wait, [("write", path), ("wait", path)], num_workers=2)
    assert next(results) == (1, None)  # the other job is under way
    results.close()  # as an exception in the loop over the results does, such as that of Ctrl-C
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4.began"]
