"""docs/MODEL_ZOO.md holds the table of published weights as tools/write_model_zoo.py writes it."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "tools" / "write_model_zoo.py"))
write_weights_table, weights_table = SCRIPT["write_weights_table"], SCRIPT["weights_table"]


def test_the_page_holds_the_table_as_generated(tmp_path):
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs/MODEL_ZOO.md").read_text())
    assert not write_weights_table(page), "run: python tools/write_model_zoo.py"
    assert weights_table() in page.read_text()


def test_writing_replaces_the_table_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{SCRIPT['BEGIN']}\nold\n{SCRIPT['END']}\nafter\n")
    assert write_weights_table(page)
    assert page.read_text() == f"before\n{SCRIPT['BEGIN']}\n{weights_table()}{SCRIPT['END']}\nafter\n"
    assert not write_weights_table(page)


def test_a_page_without_a_place_for_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match=r"page\.md has no place for the table: expected the lines"):
        write_weights_table(page)
