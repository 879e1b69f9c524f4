from __future__ import annotations

import numpy as np
import pytest

from slowfast.config import load_cfg
from slowfast.evaluation import EVALUATOR_REGISTRY, build_ensemble, build_evaluator
from slowfast.evaluation.build import CharadesMeanAveragePrecision, MultiLabelMeanAveragePrecision, TopK


def test_top_k_in_percent_counts_failed_and_unlabeled_videos_as_wrong():
    assert TopK()(np.eye(8)[:4] + np.linspace(0, 0.1, 8), np.array([0, 1, 2, 7])) == {"top1": 75.0, "top5": 100.0}
    assert TopK()(np.eye(4), np.arange(4)) == {"top1": 100.0}  # no top 5 of 4
    assert TopK()(np.ones((2, 1)), np.zeros(2, int)) == {"top1": 100.0}
    assert TopK()(np.array([[0.9, 0.1], [np.nan] * 2]), np.array([0, 1])) == {"top1": 50.0}
    assert TopK()(np.eye(3), np.array([0, 1, -1]))["top1"] == pytest.approx(200 / 3)


def test_a_failed_video_ranks_last_in_every_class():
    labels = np.array([[1.0], [0.0], [1.0]])
    scores = np.array([[0.5], [0.9], [np.nan]])
    figures = MultiLabelMeanAveragePrecision()(scores, labels)
    assert figures["mAP"] == pytest.approx(100 * (0.5 * 1 / 2 + 0.5 * 2 / 3))


# 5 videos, 4 classes, of which the last has no positive; the last video has no label.
SCORES = np.array(
    [[0.9, 0.2, 0.5, 0.1], [0.8, 0.7, 0.5, 0.9], [0.4, 0.7, 0.1, 0.3], [0.6, 0.1, 0.5, 0.2], [0.7, 0.6, 0.3, 0.8]]
)
LABELS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])


def test_the_default_groups_ties_and_keeps_videos_without_labels():
    figures = MultiLabelMeanAveragePrecision()(SCORES, LABELS)
    assert figures == {"mAP": pytest.approx(100 * (0.7 + 0.45 + 2 / 3) / 3), "num_classes_scored": 3}


def test_the_official_charades_rule():
    """AP 0.75, 0.75 and 0.8333333 there; every class has two positives, so both means are equal."""
    figures = CharadesMeanAveragePrecision()(SCORES, LABELS)
    assert figures == {
        "mAP": pytest.approx(77.77778),
        "wAP": pytest.approx(77.77778),
        "num_classes_scored": 3,
    }


@pytest.mark.parametrize("seed", range(10))
def test_the_official_charades_rule_against_a_slow_version(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (20, 4)) / 5  # many ties
    labels = rng.random((20, 4)) < [0.1, 0.3, 0.6, 0.2]
    labels[rng.choice(20, 3, replace=False)] = False
    aps, counts = [], []
    for k in range(4):
        # Python's sort is stable: equal scores keep the order of the list.
        order = sorted(range(20), key=lambda i: -scores[i, k] if labels[i].any() else np.inf)
        hits, precisions = 0, []
        for rank, i in enumerate(order, 1):
            if labels[i, k]:
                hits += 1
                precisions.append(hits / rank)
        if hits:
            aps.append(sum(precisions) / hits)
            counts.append(hits)
    figures = CharadesMeanAveragePrecision()(scores, labels)
    assert figures["mAP"] == pytest.approx(100 * np.mean(aps))
    assert figures["wAP"] == pytest.approx(100 * np.dot(aps, counts) / np.sum(counts))
    assert figures["num_classes_scored"] == len(aps)


def test_a_failed_video_ranks_last_by_the_official_rule():
    figures = CharadesMeanAveragePrecision()(np.array([[0.5], [0.9], [np.nan]]), np.array([[1], [0], [1]]))
    assert figures["mAP"] == pytest.approx(100 * (1 + 2 / 3) / 2)  # behind the second, which has no label
    assert np.isnan(CharadesMeanAveragePrecision()(np.ones((2, 1)), np.zeros((2, 1)))["mAP"])


@pytest.mark.parametrize("name", ["topk", "multilabel_map", "charades_map"])
def test_the_primary_figure_is_among_the_figures(name):
    evaluator = EVALUATOR_REGISTRY.get(name)()
    labels = np.array([0, 1]) if name == "topk" else np.eye(2)
    assert evaluator.primary in evaluator(np.eye(2), labels)


def test_the_config_chooses():
    recipe = "Kinetics/SLOWFAST_4x16_R50"
    assert isinstance(build_evaluator(load_cfg(recipe)), TopK)
    several = ["DATA.MULTI_LABEL", True, "MODEL.HEAD_ACT", "sigmoid", "MODEL.LOSS_FUNC", "bce_logit"]
    assert isinstance(build_evaluator(load_cfg(recipe, several)), MultiLabelMeanAveragePrecision)
    official = [*several, "TEST.EVALUATOR", "charades_map"]
    assert isinstance(build_evaluator(load_cfg(recipe, official)), CharadesMeanAveragePrecision)
    ensemble = build_ensemble(load_cfg(recipe, ["DATA.ENSEMBLE_METHOD", "max"]), num_videos=3, num_views=30)
    assert (ensemble.method, ensemble.num_views) == ("max", 30)
    assert ensemble._scores.shape == (3, 400)
