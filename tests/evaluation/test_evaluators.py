from __future__ import annotations

import numpy as np
import pytest

from slowfast.config import load_cfg
from slowfast.evaluation import EVALUATOR_REGISTRY, build_ensemble, build_evaluator
from slowfast.evaluation.build import MultiLabelMeanAveragePrecision, TopK


def test_top_1_and_top_5_in_percent():
    scores = np.eye(8)[[0, 1, 2, 3]] + np.linspace(0, 0.1, 8)
    assert TopK()(scores, np.array([0, 1, 2, 7])) == {"top1": 75.0, "top5": 100.0}


def test_top_5_of_4_classes_is_left_out():
    assert TopK()(np.eye(4), np.arange(4)) == {"top1": 100.0}
    assert TopK()(np.eye(5), np.arange(5)) == {"top1": 100.0, "top5": 100.0}
    assert TopK()(np.ones((2, 1)), np.zeros(2, int)) == {"top1": 100.0}


def test_a_failed_video_counts_as_wrong():
    scores = np.array([[0.9, 0.1], [np.nan, np.nan]])
    assert TopK(ks=(1, 2))(scores, np.array([0, 1])) == {"top1": 50.0, "top2": 50.0}


def test_map_in_percent_with_the_number_of_classes_behind_it():
    scores = np.array([[0.9, 0.2, 0.5], [0.1, 0.8, 0.4]])
    figures = MultiLabelMeanAveragePrecision()(scores, np.array([[1, 1, 0], [0, 0, 0]]))
    assert figures == {"mAP": pytest.approx(100 * (1 + 0.5) / 2), "num_classes_scored": 2}


def test_a_failed_video_ranks_last_in_every_class():
    labels = np.array([[1.0], [0.0], [1.0]])
    scores = np.array([[0.5], [0.9], [np.nan]])
    figures = MultiLabelMeanAveragePrecision()(scores, labels)
    assert figures["mAP"] == pytest.approx(100 * (0.5 * 1 / 2 + 0.5 * 2 / 3))


@pytest.mark.parametrize("name", ["topk", "multilabel_map"])
def test_the_primary_figure_is_among_the_figures(name):
    evaluator = EVALUATOR_REGISTRY.get(name)()
    labels = np.array([0, 1]) if name == "topk" else np.eye(2)
    assert evaluator.primary in evaluator(np.eye(2), labels)


def test_the_config_chooses():
    recipe = "Kinetics/SLOWFAST_4x16_R50"
    assert isinstance(build_evaluator(load_cfg(recipe)), TopK)
    several = ["DATA.MULTI_LABEL", True, "MODEL.HEAD_ACT", "sigmoid", "MODEL.LOSS_FUNC", "bce_logit"]
    assert isinstance(build_evaluator(load_cfg(recipe, several)), MultiLabelMeanAveragePrecision)
    ensemble = build_ensemble(load_cfg(recipe, ["DATA.ENSEMBLE_METHOD", "max"]), num_videos=3, num_views=30)
    assert (ensemble.method, ensemble.num_views) == ("max", 30)
    assert ensemble._scores.shape == (3, 400)
