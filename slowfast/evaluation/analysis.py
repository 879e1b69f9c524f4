"""Where a model is right and wrong: figures of each class, confusions, calibration. N videos, K classes.

A video without scores (NaN) counts as wrong and is predicted as no class, -1. Labels below 0 are unknown, and their
videos are skipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from slowfast.evaluation.metrics import average_precision, in_top_k, is_labeled

NUM_BINS = 15  # of calibration, as in Guo et al. 2017


def predicted_classes(scores: ArrayLike) -> np.ndarray:
    """The class with the largest score, int64 (N,); the first of equal ones, -1 for a video without scores."""
    scores = np.asarray(scores)
    failed = np.isnan(scores).any(1)
    return np.where(failed, -1, np.where(failed[:, None], 0, scores).argmax(1))


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, num_classes: int) -> np.ndarray:
    """Videos of each class (row) that were predicted as each class (column): int64 (K, K).

    Videos without a label or a prediction (below 0) are in no cell.

    Raises:
        ValueError: a class at or above ``num_classes``.
    """
    labels, predicted = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    kept = (labels >= 0) & (predicted >= 0)
    pairs = np.stack([labels[kept], predicted[kept]])
    if pairs.size and pairs.max() >= num_classes:
        raise ValueError(f"class {pairs.max()} is not one of {num_classes}: classes are numbered from 0.")
    cells = np.bincount(pairs[0] * num_classes + pairs[1], minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def per_class(scores: ArrayLike, labels: ArrayLike) -> list[dict[str, Any]]:
    """One row per class: ``class``, ``videos`` (with its label), and its figures in percent.

    For labels (N,): ``accuracy`` (None without a video), ``top5`` if there are more than five classes, ``predicted``
    (videos predicted as this class), ``precision`` (None if there are none). For labels (N, K): ``ap``, average
    precision as ``metrics.average_precision`` has it (None without a positive).
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if labels.ndim == 2:
        ranked = np.nan_to_num(scores, nan=-np.inf)
        precisions = [average_precision(*column) for column in zip(ranked.T, labels.T, strict=True)]
        counts = labels.sum(0).tolist()
        return [
            {"class": k, "videos": counts[k], "ap": None if np.isnan(ap) else 100 * ap}
            for k, ap in enumerate(precisions)
        ]
    predicted, known = predicted_classes(scores), labels >= 0
    in_five = in_top_k(scores[known], labels[known], 5) if scores.shape[1] > 5 else None
    rows = []
    for k in range(scores.shape[1]):
        own, taken = labels == k, known & (predicted == k)
        hits = int((own & taken).sum())
        row = {"class": k, "videos": int(own.sum()), "accuracy": _share(hits, own.sum())}
        if in_five is not None:
            row["top5"] = _share(in_five[own[known]].sum(), own.sum())
        rows.append({**row, "predicted": int(taken.sum()), "precision": _share(hits, taken.sum())})
    return rows


def confused_pairs(matrix: ArrayLike, limit: int | None = None) -> list[dict[str, Any]]:
    """The confusions of a matrix (K, K), the most frequent first: ``label``, ``predicted``, ``videos``, ``percent``.

    Percent is the share of the label's videos; among equal counts the larger share comes first.
    """
    matrix = np.asarray(matrix)
    totals = matrix.sum(1)
    wrong = np.argwhere(matrix * (1 - np.eye(len(matrix), dtype=np.int64)))
    rows: list[dict[str, Any]] = [
        {"label": int(i), "predicted": int(j), "videos": int(matrix[i, j]), "percent": _share(matrix[i, j], totals[i])}
        for i, j in wrong
    ]
    rows.sort(key=lambda row: (-row["videos"], -row["percent"]))
    return rows[:limit]


def calibration(confidences: ArrayLike, is_correct: ArrayLike, *, num_bins: int = NUM_BINS) -> dict[str, Any]:
    """How far confidence and accuracy differ, over bins of equal width (Guo et al., ICML 2017, section 3).

    Args:
        confidences: (N,) in [0, 1]; a bin holds low < confidence <= high, and the first one 0, too.
        is_correct: bool (N,).

    Returns:
        ``ece``, the expected calibration error: the mean over videos of |accuracy - confidence| of their bin, in
        percentage points; ``mce``, the largest gap; ``confidence`` and ``accuracy`` over all, percent; ``bins``, one
        per row with ``low``, ``high``, ``videos``, ``confidence``, ``accuracy`` (percent; None in an empty bin).

    Raises:
        ValueError: no video, or a confidence outside [0, 1].
    """
    confidences, is_correct = np.asarray(confidences, np.float64), np.asarray(is_correct, bool)
    if not len(confidences) or not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("calibration takes at least one confidence, and each in [0, 1].")
    places = np.clip(np.ceil(confidences * num_bins).astype(int) - 1, 0, num_bins - 1)
    rows, gaps, counts = [], [], []
    for i in range(num_bins):
        inside = places == i
        row = {"low": i / num_bins, "high": (i + 1) / num_bins, "videos": int(inside.sum())}
        if not inside.any():
            rows.append({**row, "confidence": None, "accuracy": None})
            continue
        confidence, accuracy = (100 * float(values[inside].mean()) for values in (confidences, is_correct))
        rows.append({**row, "confidence": confidence, "accuracy": accuracy})
        gaps.append(abs(confidence - accuracy))
        counts.append(row["videos"])
    return {
        "ece": float(np.average(gaps, weights=counts)),
        "mce": max(gaps),
        "confidence": 100 * float(confidences.mean()),
        "accuracy": 100 * float(is_correct.mean()),
        "bins": rows,
    }


def analyze(scores: ArrayLike, labels: ArrayLike) -> dict[str, Any]:
    """All of the above for one test, as plain data; empty if no video has a label.

    Args:
        scores: (N, K) on the scale of a single view; NaN for a video without scores.
        labels: (N,), or (N, K) of 0 and 1.

    Returns:
        ``per_class``; ``calibration``, or None and ``calibration_reason`` if scores are not probabilities; for one
        label per video also ``confusion``, the cells of the matrix that are not zero as [label, predicted, videos], and
        ``confused_pairs``, at most 100.
    """
    all_scores, all_labels = np.asarray(scores, np.float64), np.asarray(labels)
    known = is_labeled(all_labels)
    own, truth = all_scores[known], all_labels[known]
    if not len(own):
        return {}
    found: dict[str, Any] = {"per_class": per_class(own, truth), **_calibration(own, truth)}
    if truth.ndim == 1:
        matrix = confusion_matrix(truth, predicted_classes(own), own.shape[1])
        found["confusion"] = [[int(i), int(j), int(matrix[i, j])] for i, j in np.argwhere(matrix)]
        found["confused_pairs"] = confused_pairs(matrix, 100)
    return found


def _calibration(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Of the predicted class for one label per video; of every pair of video and class for several."""
    has_scores = ~np.isnan(scores).any(1)
    scores, labels = scores[has_scores], labels[has_scores]
    if not len(scores):
        return {"calibration": None, "calibration_reason": "no video has scores"}
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        return {"calibration": None, "calibration_reason": "the scores are not probabilities"}
    scores = scores.clip(0, 1)
    if labels.ndim == 2:
        return {"calibration": calibration(scores.ravel(), labels.ravel())}
    if np.abs(scores.sum(1) - 1).max() > 1e-2:  # sums of 16-bit softmaxes stay within it
        return {"calibration": None, "calibration_reason": "the scores of a video do not sum to 1"}
    return {"calibration": calibration(scores.max(1), predicted_classes(scores) == labels)}


def _share(part: int, whole: int) -> float | None:
    return 100 * float(part) / float(whole) if whole else None
