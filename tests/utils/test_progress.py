"""Progress: a bar on a terminal, lines on a pipe."""

import re

from slowfast.utils.progress import Progress, WorkProgress


def test_progress_passes_everything_on_and_is_silent_without_a_terminal(capsys):
    with Progress(iter("abc"), total=3, name="letters") as progress:
        assert not progress.is_shown
        progress.note(loss=1.0)
        assert list(progress) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress([1, 2], total=2, name="epoch 1/9") as progress:
        assert progress.is_shown
        for _ in progress:
            progress.note(loss=0.123456)
    assert "epoch 1/9" in capsys.readouterr().err


def test_a_pipe_gets_lines_with_the_time_left(capsys):
    with WorkProgress(20) as progress:
        for i in range(20):
            progress.step(failed=i == 3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10  # one a tenth
    assert re.fullmatch(r"2 of 20 videos, \S+/s, \d+:\d\d left", lines[0])
    assert re.fullmatch(r"20 of 20 videos, \S+/s, 0:00 left, 1 failed", lines[-1])
    assert progress.num_failed == 1


def test_bytes_are_counted_from_where_an_earlier_attempt_ended():
    lines = []
    with WorkProgress(4 * 2**20, unit="B", name="weights.pyth", done=2**21, say=lines.append) as progress:
        progress.step(2**20)
        progress.step(2**20)
    assert re.fullmatch(r"weights\.pyth: 3\.0 of 4\.0 MiB, \S+ MiB/s, \d+:\d\d left", lines[0])
    assert re.fullmatch(r"weights\.pyth: 4\.0 of 4\.0 MiB, \S+ MiB/s, 0:00 left", lines[1])


def test_quiet_work_and_work_without_an_end_say_nothing(capsys):
    with WorkProgress(0):
        pass
    for options in ({"total": 2, "is_quiet": True}, {"total": None}):
        with WorkProgress(**options) as progress:
            progress.step()
            progress.step()
    assert capsys.readouterr() == ("", "")
