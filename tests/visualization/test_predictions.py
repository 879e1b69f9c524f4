"""The picture of scores along a video."""

from __future__ import annotations

import numpy as np
import pytest

from slowfast.engine.sliding import ScoresOverTime
from slowfast.visualization.predictions import plot_top_k_over_time


def result_of(scores) -> ScoresOverTime:
    scores = np.asarray(scores, np.float32)
    return ScoresOverTime(np.arange(len(scores)) / 2, scores, span_seconds=0.5)


def test_the_plot_draws_them_under_their_names():
    figures = pytest.importorskip("matplotlib.figure")
    axes = figures.Figure().subplots()
    result = result_of([[0.1, 0.6, 0.3], [0.1, 0.2, 0.7]])
    assert result.top_classes(9) == [2, 1, 0]
    assert plot_top_k_over_time(axes, result, ["a", "b", "c"], k=2, title="video") == [2, 1]
    assert [line.get_label() for line in axes.lines] == ["c", "b"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.3, 0.7])
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0.0, 0.5])
    assert "0.50 s" in axes.get_xlabel() and axes.get_title() == "video"
    axes = figures.Figure().subplots()
    plot_top_k_over_time(axes, result)
    assert [line.get_label() for line in axes.lines] == ["2", "1", "0"]
