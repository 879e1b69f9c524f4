"""``slowfast zoo``: the list, and the table of the page."""

from pathlib import Path

from slowfast.cli.zoo import main
from slowfast.models.weights.zoo import find_entry, zoo_entries
from slowfast.utils.download import cache_path

PAGE = Path(__file__).parents[2] / "docs/MODEL_ZOO.md"


def test_the_list_has_every_name_and_marks_what_is_there(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    here = cache_path(find_entry("X3D_S").url)
    here.parent.mkdir(parents=True)
    here.write_text("weights")
    assert main([]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert "what its authors published (not measured by this project)" in title
    assert [line[2:].split()[0] for line in lines] == [entry.name for entry in zoo_entries()]
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["Kinetics/X3D_S"]
    assert any(line.endswith("77.0 top-1, 92.6 top-5 (3 x 10 views)") for line in lines)


def test_writing_the_page(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text().replace("77.0 top-1", "99.9 top-1"))
    assert main(["--write", str(page)]) == 0
    assert "wrote the table" in capsys.readouterr().out
    assert page.read_text() == PAGE.read_text()
    assert main(["--write", str(page)]) == 0
    assert "the table is up to date" in capsys.readouterr().out


def test_a_page_without_marks_is_an_error(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("text")
    assert main(["--write", str(page)]) == 2
    assert "has no place for the table" in capsys.readouterr().err
