"""Progress: a bar on a terminal, lines on a pipe."""

import re

from slowfast.utils.progress import WorkProgress


def test_a_pipe_gets_lines_with_the_time_left(capsys):
    with WorkProgress(20) as progress:
        for i in range(20):
            progress.step(failed=i == 3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10  # one a tenth
    assert re.fullmatch(r"2 of 20 videos, \S+/s, \d+:\d\d left", lines[0])
    assert re.fullmatch(r"20 of 20 videos, \S+/s, 0:00 left, 1 failed", lines[-1])
    assert progress.num_failed == 1


def test_nothing_to_do_is_no_error(capsys):
    with WorkProgress(0) as progress:
        pass
    assert progress.num_done == 0 and capsys.readouterr().err == ""


def test_bytes_are_counted_from_where_an_earlier_attempt_ended():
    lines = []
    with WorkProgress(4 * 2**20, unit="B", name="weights.pyth", done=2**21, say=lines.append) as progress:
        progress.step(2**20)
        progress.step(2**20)
    assert re.fullmatch(r"weights\.pyth: 3\.0 of 4\.0 MiB, \S+ MiB/s, \d+:\d\d left", lines[0])
    assert re.fullmatch(r"weights\.pyth: 4\.0 of 4\.0 MiB, \S+ MiB/s, 0:00 left", lines[1])


def test_quiet_work_and_work_without_an_end_say_nothing(capsys):
    for options in ({"total": 2, "is_quiet": True}, {"total": None}):
        with WorkProgress(**options) as progress:
            progress.step()
            progress.step()
    assert capsys.readouterr() == ("", "")
