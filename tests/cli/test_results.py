"""What a test leaves: of lists without labels, of names that attack spreadsheets and terminals, of other data."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from slowfast.cli.ensemble import main as ensemble
from slowfast.cli.run import main
from slowfast.config import load_cfg, load_cfg_text
from tests.cli.runs import RECIPE, SEVERAL_LABELS, results_of, table, untrained

HOSTILE = ['=HYPERLINK("http://x")', "@SUM(1)", "\x1b]0;owned\x07", "plain", "+1", "-1", "tab\there", "eight"]


@pytest.fixture
def data(tiny_motion, tmp_path):
    """A copy of the tiny set's lists whose class names are hostile."""
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "classids.json").write_text(json.dumps({name: i for i, name in enumerate(HOSTILE)}))
    for split in ("train", "val", "test"):
        shutil.copy(tiny_motion / f"{split}.csv", folder)
    return folder


@pytest.fixture
def run(tiny_opts, tiny_motion, data, tmp_path):
    """``run(KEY, value, ...)``: test random weights on ``data``; what results.json says."""
    opts = [*tiny_opts, f"DATA.PATH_TO_DATA_DIR={data}", f"DATA.PATH_PREFIX={tiny_motion}", "NUM_GPUS=0"]
    opts += ["TRAIN.ENABLE=False"]
    facts = {"val": {"file": "val.csv", "rows": 4, "classes": 4, "missing": 0, "sha256": "0" * 64}}
    weights = untrained(load_cfg(RECIPE, opts), tmp_path / "weights.pyth", HOSTILE, lists=facts)

    def test(*more):
        assert main(["--cfg", RECIPE, *opts, "--checkpoint", str(weights), *more]) == 0
        return results_of(tmp_path / "out")

    return test


def unlabel(data, rows: int) -> None:
    """Take the labels of the first rows of the test list away."""
    lines = (data / "test.csv").read_text().splitlines()
    lines = [line.rpartition(" ")[0] if i < rows else line for i, line in enumerate(lines)]
    (data / "test.csv").write_text("\n".join(lines) + "\n")


def test_figures_are_of_the_videos_with_a_label(run, data, tmp_path, capsys):
    whole = run()
    before = dict(np.load(tmp_path / "out/predictions.npz"))
    unlabel(data, 2)
    results = run()
    assert (whole["num_labelled"], results["num_labelled"], results["num_videos"]) == (6, 4, 6)
    hits = before["scores"].argmax(1) == before["labels"]
    assert results["figures"]["top1"] == pytest.approx(100 * hits[2:].mean())
    assert "over the 4 of 6 videos with a label" in capsys.readouterr().out
    rows = table(tmp_path / "out/predictions.csv")
    assert [(row["label"], row["label_name"]) for row in rows[:2]] == [("", "")] * 2 and rows[2]["label"]


@pytest.mark.parametrize("several", [False, True], ids=["one label", "several labels"])
def test_without_labels_there_are_scores_and_no_figures(run, data, tmp_path, capsys, several):
    unlabel(data, 6)
    results = run(*(SEVERAL_LABELS if several else []), "DATA.ENSEMBLE_METHOD", "mean")
    shown = capsys.readouterr().out
    assert results["figures"] == {} and results["num_labelled"] == 0
    assert "no figures, because the list has no labels" in shown and "nan" not in shown
    assert not np.isnan(np.load(tmp_path / "out/predictions.npz")["scores"]).any()
    rows = table(tmp_path / "out/predictions.csv")
    assert all(row["label_name"] == "" and row["top1"] for row in rows)
    shutil.copytree(tmp_path / "out", tmp_path / "again")
    assert ensemble([str(tmp_path / "out"), str(tmp_path / "again"), "--output", str(tmp_path / "both")]) == 0
    assert results_of(tmp_path / "both")["figures"] == {}


def test_predictions_are_probabilities_and_no_formulas(run, tmp_path):
    results = run("DATA.ENSEMBLE_METHOD", "sum")
    text = (tmp_path / "out/predictions.csv").read_text()
    rows = table(tmp_path / "out/predictions.csv")
    scores = np.load(tmp_path / "out/predictions.npz")["scores"]
    np.testing.assert_allclose(scores.sum(1), 6, rtol=1e-5)  # sums over 2 x 3 views, as they were
    tops = np.array([[float(row[f"score{k}"]) for k in range(1, 6)] for row in rows])
    np.testing.assert_allclose(tops, -np.sort(-scores / 6, axis=1)[:, :5], rtol=1e-4)
    names = {row[f"top{k}"] for row in rows for k in range(1, 6)} | {row["label_name"] for row in rows}
    expected = {f"'{name}" if name[0] in "=@+-" else name for name in HOSTILE[:2] + HOSTILE[3:6] + HOSTILE[7:]}
    assert names <= expected | {r"\x1b]0;owned\x07", r"tab\there"} and len(names) > 4
    assert "\x1b" not in text and "\t" not in text
    assert results["protocol"]["fusion"] == "sum"


def test_results_hold_the_config_as_data(run):
    results = run()
    assert results["config"]["DATA"]["NUM_FRAMES"] == 8 and "CONTRASTIVE" not in results["config"]
    cfg = load_cfg_text(json.dumps(results["config"]), source="results.json")
    assert cfg.MODEL.NUM_CLASSES == 8
    assert results["lists"]["test"]["rows"] == 6 and len(results["lists"]["test"]["sha256"]) == 64


def test_other_lists_than_those_trained_with_are_told(run, data, capsys):
    run()
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if "was validated on val.csv" in line]
    assert "this test reads test.csv: rows 4 -> 6, classes 4 -> 6, sha256 00000000 -> " in line
    (data / "classids.json").write_text(json.dumps({name: i for i, name in enumerate([*HOSTILE[:6], "b", "c"])}))
    run()
    assert "trained with different class names (8, here 8; the first" in capsys.readouterr().out
