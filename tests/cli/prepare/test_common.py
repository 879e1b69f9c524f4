"""How a run ends."""

from slowfast.cli.prepare.common import finish
from slowfast.preparation.files import read_table


def test_failures_are_listed_until_a_run_has_none(tmp_path, capsys):
    table = tmp_path / "failed.csv"
    assert finish("done", [("a.mp4", "torn")], table) == 1
    assert capsys.readouterr().out == f"done\n1 failed: {table} says which and why\n"
    assert read_table(table) == [{"path": "a.mp4", "reason": "torn"}]
    assert finish("done", [], table) == 0
    assert not table.exists()
