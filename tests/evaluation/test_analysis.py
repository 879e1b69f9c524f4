"""Figures of where a model is right and wrong, by hand and against slow counting."""

import json

import numpy as np
import pytest

from slowfast.evaluation.analysis import (
    analyze,
    calibration,
    confused_pairs,
    confusion_matrix,
    per_class,
    predicted_classes,
)
from slowfast.evaluation.metrics import topk_accuracy
from slowfast.evaluation.view_counts import AccuracyByViews

NAN = float("nan")
SCORES = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [NAN] * 3, [0.3, 0.3, 0.4], [0.6, 0.2, 0.2]])
LABELS = np.array([0, 0, 1, 1, 2, -1])


def test_a_matrix_by_hand_leaves_out_what_is_not_known():
    predicted = predicted_classes(SCORES)
    assert predicted.tolist() == [0, 1, 1, -1, 2, 0]
    assert confusion_matrix(LABELS, predicted, 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match="class 3 is not one of 3"):
        confusion_matrix([3], [0], 3)


def test_figures_of_classes_count_a_video_without_scores_as_wrong():
    rows = per_class(SCORES, LABELS)
    assert [row["videos"] for row in rows] == [2, 2, 1]
    assert [row["accuracy"] for row in rows] == [50, 50, 100]
    assert [row["predicted"] for row in rows] == [1, 2, 1]  # the video without label was taken for class 0
    assert [row["precision"] for row in rows] == [100, 50, 100]
    assert "top5" not in rows[0]
    assert per_class(np.eye(7)[:1], [0])[6] == {
        "class": 6, "videos": 0, "accuracy": None, "top5": None, "predicted": 0, "precision": None
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_matrix_and_its_pairs_hold_every_video_once(seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((200, 7)), rng.integers(0, 7, 200)
    matrix = confusion_matrix(labels, predicted_classes(scores), 7)
    assert 100 * np.trace(matrix) / 200 == topk_accuracy(scores, labels, 1)
    pairs = confused_pairs(matrix)
    assert sum(pair["videos"] for pair in pairs) == 200 - np.trace(matrix)
    assert [p["videos"] for p in pairs] == sorted((p["videos"] for p in pairs), reverse=True)
    for pair in pairs:
        own = labels == pair["label"]
        assert pair["videos"] == (scores[own].argmax(1) == pair["predicted"]).sum()
        assert pair["percent"] == pytest.approx(100 * pair["videos"] / own.sum())


def test_calibration_by_hand():
    found = calibration([0.0, 0.95, 0.85, 1.0, 0.4], [False, True, False, True, False], num_bins=5)
    assert [row["videos"] for row in found["bins"]] == [1, 1, 0, 0, 3]
    assert found["bins"][1]["confidence"] == pytest.approx(40) and found["bins"][1]["accuracy"] == 0
    top = abs(100 * (0.95 + 0.85 + 1.0) / 3 - 100 * 2 / 3)
    assert found["ece"] == pytest.approx((0 + 40 + 3 * top) / 5)
    assert found["mce"] == pytest.approx(40)
    assert found["bins"][2]["accuracy"] is None
    for bad in ([], [1.2], [NAN]):
        with pytest.raises(ValueError, match="confidence"):
            calibration(bad, [True] * len(bad))


def test_an_analysis_is_plain_data_and_says_why_something_is_missing():
    found = json.loads(json.dumps(analyze(SCORES, LABELS)))
    assert found["confusion"] == [[0, 0, 1], [0, 1, 1], [1, 1, 1], [2, 2, 1]]
    assert found["calibration"]["bins"][-1]["high"] == 1
    assert analyze(10 * SCORES, LABELS)["calibration_reason"] == "the scores are not probabilities"
    assert "do not sum to 1" in analyze(SCORES / 2, LABELS)["calibration_reason"]
    assert analyze(SCORES, np.full(6, -1)) == {}
    several = analyze(SCORES, np.eye(3, dtype=int)[[0, 0, 1, 1, 1, 0]])
    assert [row["videos"] for row in several["per_class"]] == [3, 3, 0] and several["per_class"][2]["ap"] is None
    assert "confusion" not in several and several["calibration"]["ece"] > 0


@pytest.mark.parametrize("method", ["mean", "sum", "max"])
def test_accuracy_by_views_is_that_of_a_test_with_these_views(method):
    rng = np.random.default_rng(0)
    scores = rng.random((40, 4 * 3, 6), np.float32)
    labels = rng.integers(-1, 6, 40)
    collected = AccuracyByViews(labels, num_clips=4, num_crops=3, method=method)
    for video in range(39):  # the last one cannot be read
        collected.update(video, scores[video])
    collected.gather()
    rows = collected.table()
    assert [(row["clips"], row["crops"]) for row in rows] == [(n, s) for s in (1, 3) for n in (1, 2, 3, 4)]
    fuse = {"mean": np.mean, "sum": np.sum, "max": np.max}[method]
    known = labels >= 0
    for row, views in ((rows[0], [7]), (rows[1], [4, 10]), (rows[5], [3, 4, 5, 9, 10, 11]), (rows[7], range(12))):
        fused = fuse(scores[:, list(views)].astype(np.float64), axis=1).astype(np.float32)
        fused[39] = np.nan
        for k in (1, 5):
            assert row[f"top{k}"] == topk_accuracy(fused[known], labels[known], k)


def test_many_clips_give_ten_rows_and_the_whole_test():
    collected = AccuracyByViews(np.zeros(1, int), num_clips=30, num_crops=1, method="mean")
    collected.update(0, np.eye(2, dtype=np.float32)[[0] * 30])
    rows = collected.table()
    assert len(rows) == 10 and rows[0]["clips"] == 1 and rows[-1]["clips"] == 30
    assert AccuracyByViews(np.full(1, -1), num_clips=2, num_crops=1, method="mean").table() == []
