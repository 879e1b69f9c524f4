"""Weights of the classes in a loss, for sets in which some classes have far more videos than others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slowfast.utils.untrusted import read_text

POWERS = {"inverse": 1.0, "inverse_sqrt": 0.5}  # of 1 / (videos of a class)


def class_weights(kind: str, *, labels: np.ndarray | None, num_classes: int) -> list[float]:
    """The weight of every class, (K,).

    Args:
        kind: "inverse" or "inverse_sqrt" of the number of a class's videos, or a file of K numbers, one per line. The
            first two are scaled so that the mean over the videos is 1: so the scale of the loss and the learning rate
            can stay the same.
        labels: of the training videos, int64 (N,), below 0 if there is none, or 0 and 1 (N, K); a file needs none.

    Raises:
        ValueError: a file that does not hold K finite numbers of at least 0.
    """
    if kind not in POWERS:
        return _from_file(kind, num_classes)
    assert labels is not None
    labels = np.asarray(labels)
    counts = labels.sum(0) if labels.ndim == 2 else np.bincount(labels[labels >= 0], minlength=num_classes)
    weights = np.maximum(counts, 1).astype(np.float64) ** -POWERS[kind]  # a class without videos never comes
    return (weights * counts.sum() / (weights * counts).sum()).tolist()


def _from_file(path: str, num_classes: int) -> list[float]:
    if not Path(path).is_file():
        choices = ", ".join(map(repr, POWERS))
        raise ValueError(f"LOSS.CLASS_WEIGHTS={path!r} is neither {choices} nor a file of numbers, one per line.")
    weights = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            weights.append(float(line))
        except ValueError:
            raise ValueError(f"{path}:{number}: expected one number, got {line!r}.") from None
        if not 0 <= weights[-1] < float("inf"):
            raise ValueError(f"{path}:{number}: the weight of a class must be finite and at least 0, got {line}.")
    if len(weights) != num_classes:
        raise ValueError(f"{path} holds {len(weights)} numbers, but MODEL.NUM_CLASSES is {num_classes}.")
    return weights
