"""Jobs wait their turn, report, end, and leave nothing."""

import threading

import pytest

from slowfast.serving.jobs import JobError, JobQueue, QueueFullError


@pytest.fixture
def queue(tmp_path):
    made = JobQueue(tmp_path / "jobs", num_workers=1, max_waiting=1, keep_seconds=600, max_kept=2)
    yield made
    made.close()
    assert not (tmp_path / "jobs").exists()


def test_jobs_take_turns_and_too_many_are_refused(queue):
    go, started, folders = threading.Event(), threading.Event(), [queue.new_folder() for _ in range(3)]

    def wait(job):
        started.set()
        assert go.wait(30)
        return job.id

    first, second = queue.add(folders[0], wait), queue.add(folders[1], wait)
    assert started.wait(30) and (first.state, second.state) == ("running", "queued")
    assert queue.is_full and queue.num_before(second) == 1
    with pytest.raises(QueueFullError):
        queue.add(folders[2], wait)
    assert not folders[2].exists()
    go.set()
    second.future.result(30)
    assert first.result == first.id and second.state == "done" and not queue.is_full


def test_what_fails_says_so_without_telling_of_the_machine(queue, caplog):
    def refuse(job):
        raise JobError(415, "no video")

    def break_down(job):
        raise RuntimeError("/secret/path")

    for work, error in ((refuse, (415, "no video")), (break_down, (500, "the server failed on this video; its log"))):
        folder = queue.new_folder()
        (folder / "upload").write_bytes(b"x")
        job = queue.add(folder, work)
        job.future.result(30)
        assert job.state == "failed" and job.error[0] == error[0] and job.error[1].startswith(error[1])
        assert not (folder / "upload").exists()
    assert "/secret/path" in caplog.text


def test_a_removed_job_ends_at_its_next_report(queue):
    go, started = threading.Event(), threading.Event()

    def work(job):
        started.set()
        go.wait(30)
        job.report("further", 0.5)
        raise AssertionError("it went on")

    job = queue.add(queue.new_folder(), work)
    waiting = queue.add(queue.new_folder(), work)
    assert started.wait(30)
    queue.remove(waiting)
    queue.remove(job)
    go.set()
    job.future.result(30)
    assert job.error == (410, "this job was canceled") == waiting.error
    assert queue.get(job.id) is None and not job.folder.exists() and not waiting.folder.exists()


def test_old_and_surplus_results_are_forgotten(queue):
    jobs = []
    for _ in range(4):
        jobs.append(queue.add(queue.new_folder(), lambda job: 1))
        jobs[-1].future.result(30)
    queue.forget_old()
    assert [queue.get(job.id) is not None for job in jobs] == [False, False, True, True]
    queue.keep_seconds = 0
    queue.forget_old()
    assert all(queue.get(job.id) is None and not job.folder.exists() for job in jobs)
