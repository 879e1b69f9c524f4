"""Accuracy and average precision, and figures over the videos with known labels. N videos, K classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from slowfast.utils.logging import format_figures


def in_top_k(scores: ArrayLike, labels: ArrayLike, k: int) -> np.ndarray:
    """Whether the label is among the k largest scores: bool (N,).

    A class with the same score as the label's counts as larger when its number is smaller. A label below 0 (unknown) is
    never among them.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    before = np.arange(scores.shape[1])[None] < labels[:, None]
    rank = (scores > own).sum(1) + ((scores == own) & before).sum(1)
    return (rank < k) & np.isfinite(own[:, 0]) & (labels >= 0)


def topk_accuracy(scores: ArrayLike, labels: ArrayLike, k: int) -> float:
    """Percent of the videos whose label is among the k largest scores; NaN without a video."""
    hits = in_top_k(scores, labels, k)
    return 100.0 * float(hits.mean()) if len(hits) else float("nan")


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the precision-recall steps of one class, a fraction: sum of (R_n - R_{n-1}) * P_n.

    n runs over the distinct scores in descending order, so equal scores form one step (scikit-learn's definition).

    Args:
        scores: (N,).
        labels: (N,) of 0 and 1; NaN is returned when none is 1.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels).astype(bool)
    if not labels.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    scores, labels = scores[order], labels[order]
    # != and not np.diff: the difference of two -inf (videos without scores) is no zero
    last_of_step = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    true_positives = np.cumsum(labels)[last_of_step]
    precision = true_positives / (last_of_step + 1)
    recall = true_positives / labels.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def ungrouped_average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the precision at the rank of every positive of one class, a fraction: the official Charades rule.

    Equal scores are not grouped: they rank in the order in which they come.

    Args:
        scores: (N,).
        labels: (N,) of 0 and 1; NaN is returned when none is 1.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranks = np.flatnonzero(np.asarray(labels).astype(bool)[order]) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else float("nan")


def mean_average_precision(scores: ArrayLike, labels: ArrayLike) -> tuple[float, np.ndarray]:
    """Mean over the classes that have a positive, and the average precision of each class (NaN without), fractions.

    Args:
        scores: (N, K).
        labels: (N, K) of 0 and 1; a video without any label stays in, as a negative of every class.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    per_class = np.array([average_precision(scores[:, k], labels[:, k]) for k in range(scores.shape[1])])
    kept = per_class[~np.isnan(per_class)]
    return (float(kept.mean()) if len(kept) else float("nan")), per_class


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
