"""Progress on a pipe, and how a run ends."""

import re

from slowfast.cli.prepare.common import WorkProgress, finish
from slowfast.preparation.files import read_table


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


def test_failures_are_listed_until_a_run_has_none(tmp_path, capsys):
    table = tmp_path / "failed.csv"
    assert finish("done", [("a.mp4", "torn")], table) == 1
    assert capsys.readouterr().out == f"done\n1 failed: {table} says which and why\n"
    assert read_table(table) == [{"path": "a.mp4", "reason": "torn"}]
    assert finish("done", [], table) == 0
    assert not table.exists()
