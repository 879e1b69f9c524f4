"""Figures over the videos with known labels: test lists may withhold some."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slowfast.utils.logging import format_figures


def is_labeled(labels: np.ndarray) -> np.ndarray:
    """bool (N,): which videos have a label.

    For labels (N,), those that are not negative. For labels (N, K) of 0 and 1, all, because a video may have none of
    the classes; but if no video has any, the list has no labels.
    """
    if labels.ndim == 1:
        return labels >= 0
    return np.full(len(labels), bool(labels.any()))


def labeled_figures(
    evaluator: Callable[[np.ndarray, np.ndarray], dict[str, float]], scores: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """The result of ``evaluator`` for the scores (N, K) and labels of the videos with a label; empty if there are
    none."""
    known = is_labeled(labels)
    return evaluator(scores[known], labels[known]) if known.any() else {}


def describe_figures(figures: dict[str, float], labels: np.ndarray) -> str:
    """The figures in words, with the number of videos if some have no label."""
    num_known = int(is_labeled(labels).sum())
    if not num_known:
        return "no figures, because the list has no labels"
    of = "" if num_known == len(labels) else f" over the {num_known:,} of {len(labels):,} videos with a label"
    return f"{format_figures(figures)}{of}"
