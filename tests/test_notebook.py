"""docs/notebook.ipynb: its cells run in order, offline, from the folder it lies in, and show what the text says."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from slowfast.cli.main import COMMANDS
from slowfast.config import find
from slowfast.models.weights.load import read_checkpoint

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"


def cells(kind: str) -> list[str]:
    """Sources of all cells of one kind, "code" or "markdown"."""
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def stored_text() -> str:
    """What the code cells printed when the notebook was stored."""
    outputs = [output for cell in json.loads(NOTEBOOK.read_text())["cells"] for output in cell.get("outputs", [])]
    return "".join("".join(output.get("text", [])) for output in outputs)


@pytest.fixture(scope="module")
def executed():
    """(names that the cells leave, what they printed, figures that they drew)."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    names: dict = {}
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(DOCS)
        for number, source in enumerate(cells("code"), 1):
            with contextlib.redirect_stdout(printed):
                exec(compile(source, f"notebook.ipynb, code cell {number}", "exec"), names)
    figures = [plt.figure(number) for number in plt.get_fignums()]
    yield names, printed.getvalue(), figures
    plt.close("all")


def test_every_cell_runs_and_prints_what_is_stored(executed):
    """Scores may differ in the last digit from machine to machine; what is counted or named may not."""
    _, printed, _ = executed
    exact = [line for line in stored_text().splitlines() if line and "0." not in line and "%" not in line]
    assert len(exact) > 12
    assert [line for line in exact if line not in printed.splitlines()] == []


def test_the_best_class_changes_at_the_cut_and_turns_with_time(executed):
    names, _, _ = executed
    for result, before, after in (
        (names["result"], "arrow-orbit-cw", "key-spin-ccw"),
        (names["backwards"], "key-spin-cw", "arrow-orbit-ccw"),
    ):
        best = [names["class_names"][i] for i in result.scores.argmax(1)]
        half_span = result.span_seconds / 2
        sides = [(b, t) for b, t in zip(best, result.seconds, strict=True) if abs(t - 1.5) > half_span]
        assert {b for b, t in sides if t < 1.5} == {before}
        assert {b for b, t in sides if t > 1.5} == {after}


def test_fast_alone_decides_on_the_direction(executed):
    """The last table, which the text sums up."""
    names, printed, _ = executed
    rows = {line[:16].strip(): line[16:].split() for line in printed.splitlines()[-4:]}
    percent = {name: [int(cell.rstrip("%")) for cell in cells] for name, cells in rows.items()}
    assert percent["as they are"][0] >= 95 and percent["both backwards"][1] >= 95
    assert percent["Slow backwards"][0] > 80 and percent["Fast backwards"][1] > 80
    assert len(names["labels"]) == 64


def test_the_figures_are_drawn(executed):
    _, _, figures = executed
    assert len(figures) == 3
    lines = [len(axes.lines) for figure in figures[1:] for axes in figure.axes]
    assert lines == [6, 6]  # five classes and the cut


def test_the_stored_notebook_is_small_and_whole():
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert NOTEBOOK.stat().st_size < 300_000
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    pictures = [output for cell in code for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]


def test_the_weights_beside_it_hold_tensors_and_names_alone():
    path = DOCS / "data/motion_slowfast.pth"
    assert path.stat().st_size < 1_500_000
    content = read_checkpoint(path)
    assert set(content) == {"model_state", "class_names"} and len(content["class_names"]) == 8


def test_files_that_the_text_names_are_there():
    text = "\n".join(cells("markdown"))
    for name in ("data/README.md", "data/motion_slowfast.pth", "DATASETS.md", "EXTENDING.md"):
        assert name in text and (DOCS / name).is_file(), name
    for command in ("run", "export"):
        assert f"`slowfast {command} " in text and command in COMMANDS
    assert "slowfast run --cfg Kinetics/SLOWFAST_8x8_R50 " in text and find("Kinetics/SLOWFAST_8x8_R50").is_file()
