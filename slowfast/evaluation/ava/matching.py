"""Which boxes overlap most, and average precision over ranks. R detections, G ground-truth boxes."""

from __future__ import annotations

import numpy as np


def best_overlaps(
    boxes: np.ndarray, truth_boxes: np.ndarray, first: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The candidate with the largest IoU, the first of equals, and that IoU: int64 (R,), float64 (R,).

    The loop runs over the candidates of the box that has the most; a box takes part as long as it has any.

    Args:
        boxes: float64 (R, 4), x1 < x2 and y1 < y2.
        truth_boxes: float64 (G, 4).
        first, count: (R,), the candidates of box r are ``truth_boxes[first[r] : first[r] + count[r]]``, at least one.
    """
    best = np.array(first, np.int64)
    overlap = np.full(len(boxes), -1.0)
    rows = np.arange(len(boxes))
    for candidate in range(count.max(initial=0)):
        rows = rows[count[rows] > candidate]
        iou = paired_iou(boxes[rows], truth_boxes[first[rows] + candidate])
        is_better = iou > overlap[rows]
        better = rows[is_better]
        best[better] = first[better] + candidate
        overlap[better] = iou[is_better]
    return best, overlap


def paired_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with its partner, (R, 4) and (R, 4) -> float64 (R,).

    Coordinates are continuous (no +1). A partner may have no area; ``boxes`` must have one.
    """
    low, high = np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])
    intersection = np.maximum(high - low, 0.0).prod(1)
    return intersection / (_areas(boxes) + _areas(others) - intersection)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def average_precision(scores: np.ndarray, is_right: np.ndarray, num_groundtruth: int) -> float:
    """Area under the precision envelope of one class, a fraction; equal scores keep their order.

    PASCAL VOC's over all points: recall rises by 1 / num_groundtruth at each right detection, where the envelope is the
    largest precision at or after it. That maximum occurs at a right detection, so only their ranks matter.

    Returns:
        NaN without ground truth, 0 without a right detection.
    """
    if not num_groundtruth:
        return float("nan")
    ranks = np.flatnonzero(is_right[np.argsort(-scores, kind="stable")])
    precision = np.arange(1, len(ranks) + 1) / (ranks + 1)
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / num_groundtruth)
