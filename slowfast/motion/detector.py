"""Simulates a person detector on known boxes: near misses, false alarms, and missed boxes.

Boxes are float64 (4,): x1, y1, x2, y2 in fractions of the frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MISSED = 0.03  # probability that a box is not found
FALSE_ALARM = 0.06  # expected number per key frame, of scores as if they were right
DOUBTFUL = 0.3  # expected number per key frame, of scores below any threshold
JITTER = 0.02  # standard deviation of every edge, in sides of the box
LEAST_OVERLAP = 0.9  # of a found box with the true one
MOST_OVERLAP = 0.3  # of a false alarm with any true one


@dataclass(frozen=True)
class Detection:
    """A found box; ``actor`` is the number of the true box behind it, None for a false alarm or a doubtful box."""

    second: int
    box: np.ndarray
    score: float
    actor: int | None


def detect(rng: np.random.Generator, second: int, boxes: Sequence[np.ndarray]) -> Iterator[Detection]:
    """Detections in one key frame: first those of the true boxes, then false alarms, then doubtful ones."""
    for actor, box in enumerate(boxes):
        if rng.random() >= MISSED:
            yield Detection(second, _jittered(rng, box), rng.uniform(0.9, 1.0), actor)
    for expected, low, high in ((FALSE_ALARM, 0.8, 0.95), (DOUBTFUL, 0.05, 0.75)):
        for _ in range(rng.poisson(expected)):
            false_box = _elsewhere(rng, boxes)
            if false_box is not None:
                yield Detection(second, false_box, rng.uniform(low, high), None)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = np.prod(np.maximum(sides, 0.0))
    return float(common / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common))


def _jittered(rng: np.random.Generator, box: np.ndarray) -> np.ndarray:
    """``box`` with its edges moved a little, at most as far as LEAST_OVERLAP allows."""
    sides = np.tile(box[2:] - box[:2], 2)
    while True:
        moved = np.clip(box + JITTER * sides * rng.standard_normal(4), 0.0, 1.0)
        if overlap(moved, box) >= LEAST_OVERLAP:
            return moved


def _elsewhere(rng: np.random.Generator, boxes: Sequence[np.ndarray]) -> np.ndarray | None:
    """A box of the size of one of ``boxes`` that overlaps none of them; None if no such place is found."""
    model = boxes[int(rng.integers(len(boxes)))]
    sides = model[2:] - model[:2]
    for _ in range(20):
        corner = rng.uniform(0.0, 1.0 - sides)
        box = np.concatenate([corner, corner + sides])
        if max(overlap(box, other) for other in boxes) <= MOST_OVERLAP:
            return box
    return None
