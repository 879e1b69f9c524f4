"""tools/ensemble.py: the table and the files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slowfast.cli.ensemble import main
from tests.cli.runs import results_of

PATHS = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


def write_test(folder, scores, labels, *, order=(0, 1, 2, 3), **told) -> str:
    """What engine.results leaves of a test, as far as it is read."""
    folder.mkdir()
    order = list(order)
    scores, labels, paths = np.asarray(scores, np.float32), np.asarray(labels), np.asarray(PATHS)
    np.savez(folder / "predictions.npz", scores=scores[order], labels=labels[order], paths=paths[order])
    content = {"figures": {}, "protocol": "10 clips x 3 crops, sum of the scores", "weights": f"{folder.name}.pyth"}
    (folder / "results.json").write_text(json.dumps({**content, **told}))
    return str(folder)


@pytest.fixture
def two_streams(tmp_path):
    """Each is right where the other is nearly sure of the wrong, so that the mean is right four times."""
    rgb = write_test(tmp_path / "rgb", [[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.6, 0.4]], [0, 1, 1, 1])
    flow_scores = [[0.4, 0.6], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9]]
    flow = write_test(tmp_path / "flow", flow_scores, [0, 1, 1, 1], order=(2, 0, 3, 1))
    return rgb, flow


def test_two_streams_are_better_than_each(two_streams, tmp_path, capsys):
    assert main([*two_streams, "--output", str(tmp_path / "fused")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["test", "weight", "top1", "videos", "without", "scores"]
    assert [line.split()[-3] for line in lines[1:4]] == ["50.00", "50.00", "100.00"]
    content = results_of(tmp_path / "fused")
    assert content["figures"] == {"top1": 100.0}
    assert content["protocol"] == "late fusion of 2 tests, mean of the scores, topk"
    assert content["evaluator"] == "topk"
    first = content["inputs"][0]
    assert (first["weight"], first["figures"], first["weights"]) == (1.0, {"top1": 50.0}, "rgb.pyth")
    assert first["protocol"].startswith("10 clips x 3 crops")
    saved = np.load(tmp_path / "fused/predictions.npz")
    np.testing.assert_allclose(saved["scores"][0], [0.65, 0.35], rtol=1e-6)
    assert saved["paths"].tolist() == PATHS


def test_weights_decide(two_streams, capsys):
    assert main([*two_streams, "--weights", "1", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[1] == "50.00"


def test_what_no_member_could_decode_counts_as_wrong(tmp_path, capsys):
    nan = [np.nan, np.nan]
    first = write_test(tmp_path / "x", [[0.9, 0.1], nan, nan, [0.1, 0.9]], [0, 1, 1, 1])
    second = write_test(tmp_path / "y", [[0.9, 0.1], [0.2, 0.8], nan, [0.1, 0.9]], [0, 1, 1, 1])
    assert main([first, second, "--output", str(tmp_path / "fused")]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split() == ["fusion", "75.00", "4", "1"]
    content = results_of(tmp_path / "fused")
    assert content["failures"] == [{"video": "c.mp4", "reason": "no test has scores for it"}]


def test_multi_label_tests_give_mean_average_precision(tmp_path, capsys):
    labels = [[1, 0], [0, 1], [1, 1], [0, 0]]
    first = write_test(tmp_path / "x", [[0.9, 0.1], [0.2, 0.3], [0.8, 0.2], [0.1, 0.4]], labels)
    second = write_test(tmp_path / "y", [[0.7, 0.1], [0.2, 0.9], [0.6, 0.8], [0.3, 0.1]], labels)
    assert main([first, second]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[2:4] == ["mAP", "num_classes_scored"]
    assert lines[2].split()[-4:-2] == ["100.00", "2"]


TIED = [[0.5, 0.1], [0.5, 0.9], [0.5, 0.8], [0.1, 0.2]]  # AP of class 0: 2/3, with its tie of three as one step
TIED_LABELS = [[1, 0], [0, 1], [1, 1], [0, 0]]


def fusion_row(capsys) -> dict[str, float]:
    """Figures of the fusion in the table, by name."""
    lines = capsys.readouterr().out.splitlines()
    header, row = (next(line.split() for line in lines if line.startswith(start)) for start in ("test ", "fusion "))
    return dict(zip(header[2:-3], map(float, row[1:-2]), strict=True))


def test_members_are_evaluated_as_they_were_tested(tmp_path, capsys):
    tests = [write_test(tmp_path / name, TIED, TIED_LABELS, evaluator="charades_map") for name in "xy"]
    assert main([*tests, "--output", str(tmp_path / "fused")]) == 0
    assert set(fusion_row(capsys)) == {"mAP", "wAP", "num_classes_scored"}
    content = results_of(tmp_path / "fused")
    assert content["protocol"] == "late fusion of 2 tests, mean of the scores, charades_map"
    assert content["evaluator"] == content["inputs"][0]["evaluator"] == "charades_map"
    # a fusion is told like a test, and a test that names none follows
    silent = write_test(tmp_path / "z", TIED, TIED_LABELS)
    assert main([str(tmp_path / "fused"), silent, "--weights", "2", "1", "--method", "geometric"]) == 0
    assert "wAP" in fusion_row(capsys)


def test_the_evaluator_can_be_chosen(tmp_path, capsys, refused):
    tests = [write_test(tmp_path / name, TIED, TIED_LABELS, evaluator="charades_map") for name in "xy"]
    assert main([*tests, "--evaluator", "multilabel_map"]) == 0
    figures = fusion_row(capsys)
    assert "wAP" not in figures and figures["mAP"] == pytest.approx(100 * (2 / 3 + 1) / 2, abs=0.01)
    assert "there is no evaluator 'map'" in refused(main, [*tests, "--evaluator", "map"])


def test_an_evaluator_of_other_labels_is_one_message(two_streams, tmp_path, refused):
    assert "has one label per video, which multilabel_map cannot evaluate" in refused(
        main, [*two_streams, "--evaluator", "multilabel_map"]
    )
    tests = [write_test(tmp_path / name, TIED, TIED_LABELS) for name in "xy"]
    assert "has several labels per video, which topk cannot evaluate" in refused(main, [*tests, "--evaluator", "topk"])


def test_members_of_two_evaluators_are_refused(tmp_path, capsys):
    first = write_test(tmp_path / "x", TIED, TIED_LABELS, evaluator="charades_map")
    second = write_test(tmp_path / "y", TIED, TIED_LABELS, evaluator="multilabel_map")
    assert main([first, second]) == 2
    error = capsys.readouterr().err
    assert "x/predictions.npz used charades_map" in error
    assert "y/predictions.npz used multilabel_map" in error and "--evaluator" in error
    assert main([first, second, "--evaluator", "charades_map"]) == 0


def test_misuse_is_one_message(two_streams, tmp_path, refused):
    assert "there are no predictions" in refused(main, [two_streams[0], str(tmp_path / "nothing")])
    assert "weights=[1.0]: give one for each of the 2 tests" in refused(main, [*two_streams, "--weights", "1"])
