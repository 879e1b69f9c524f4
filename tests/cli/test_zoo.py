"""``slowfast zoo``: the list."""

import json

from slowfast.cli.zoo import main
from slowfast.models.weights.zoo_table import find_entry, zoo_entries
from slowfast.utils.download import cache_path


def test_the_list_has_every_name_and_marks_what_is_there(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    here = cache_path(find_entry("X3D_S").url)
    here.parent.mkdir(parents=True)
    here.write_text("weights")
    assert main([]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert "the figures its authors published (we have not measured them)" in title
    assert [line[2:].split()[0] for line in lines] == [entry.name for entry in zoo_entries()]
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["Kinetics/X3D_S"]
    assert any(line.endswith("77.0 top-1, 92.6 top-5 (3 x 10 views)") for line in lines)
    assert main(["--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [entry.name for entry in zoo_entries()]
    assert rows[0]["url"].startswith("https://") and rows[0]["published"]
