from __future__ import annotations

import json
import math

import numpy as np
import pytest

from slowfast.evaluation.metrics import average_precision, in_top_k, mean_average_precision, topk_accuracy
from tests import reference
from tests.models.golden import GOLDEN

GOLDEN_MAP = json.loads((GOLDEN / "multilabel_map.json").read_text())
# Measured with PySlowFast 287ec00: 5 videos x 4 classes
SCORES = [[0.9, 0.2, 0.5, 0.1], [0.8, 0.7, 0.5, 0.9], [0.4, 0.7, 0.1, 0.3], [0.6, 0.1, 0.5, 0.2], [0.7, 0.6, 0.3, 0.8]]
LABELS = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_top_k_by_hand():
    scores = [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4]]
    labels = [1, 2, 0]
    assert in_top_k(scores, labels, 1).tolist() == [True, False, False]
    assert in_top_k(scores, labels, 2).tolist() == [True, True, True]
    assert topk_accuracy(scores, labels, 1) == pytest.approx(100 / 3)
    assert topk_accuracy(scores, labels, 2) == 100.0
    assert topk_accuracy([[0.25] * 4] * 4, [0, 1, 2, 3], 3) == 75.0  # equal scores do not make everything right
    assert math.isnan(topk_accuracy(np.zeros((0, 3)), np.zeros(0, int), 1))


@pytest.mark.parametrize("missing", [np.nan, -np.inf])
def test_a_video_without_scores_is_wrong_for_every_k(missing):
    scores = [[missing, missing, missing], [0.0, 1.0, 0.0]]
    assert in_top_k(scores, [0, 1], 3).tolist() == [False, True]
    assert topk_accuracy(scores, [0, 1], 3) == 50.0


@pytest.mark.parametrize("seed", range(20))
def test_top_k_against_sorting(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (30, 6)) / 4.0  # many ties
    scores[rng.random((30, 6)) < 0.05] = np.nan
    labels = rng.integers(0, 6, 30)
    for k in range(1, 7):
        expected = [reference.in_top_k(row, label, k) for row, label in zip(scores.tolist(), labels, strict=True)]
        assert in_top_k(scores, labels, k).tolist() == expected


def test_mean_average_precision_leaves_out_classes_without_a_positive():
    mean, per_class = mean_average_precision(SCORES, LABELS)
    assert mean == pytest.approx(0.6055556, abs=1e-7)
    assert per_class[:3] == pytest.approx([0.7, 0.45, 2 / 3])
    assert math.isnan(per_class[3])
    assert math.isnan(mean_average_precision([[0.5], [0.2]], [[0], [0]])[0])


@pytest.mark.parametrize("name", GOLDEN_MAP)
def test_mean_average_precision_is_scikit_learns(name):
    case = GOLDEN_MAP[name]
    mean, per_class = mean_average_precision(case["preds"], case["labels"])
    assert mean == pytest.approx(case["map"], abs=1e-9)
    assert per_class[~np.isnan(per_class)] == pytest.approx(case["ap_of_classes_with_positives"], abs=1e-9)
    assert (~np.isnan(per_class)).tolist() == [any(column) for column in zip(*case["labels"], strict=True)]


@pytest.mark.parametrize("seed", range(30))
def test_average_precision_against_the_slow_version(seed):
    rng = np.random.default_rng(seed)
    num = int(rng.integers(1, 40))
    scores = rng.integers(0, 8, num) / 8.0 if seed % 2 else rng.random(num)
    labels = (rng.random(num) < 0.3).astype(int)
    if seed % 3 == 0:
        scores[rng.random(num) < 0.3] = -np.inf
    expected = reference.average_precision(scores.tolist(), labels.tolist())
    assert average_precision(scores, labels) == pytest.approx(expected, nan_ok=True)
