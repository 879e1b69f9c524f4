"""Pictures of a test, drawn with matplotlib: uint8 (H, W, 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slowfast.visualization.comparison import pyplot

_DPI = 100
_MOST_NAMED = 60  # classes whose names fit beside a matrix
_MOST_COUNTED = 20  # classes whose counts fit into its cells


def confusion_figure(matrix: np.ndarray, names: Sequence[str], *, size: Sequence[float], title: str = "") -> np.ndarray:
    """A confusion matrix, int (K, K), shaded by the share of each row.

    Args:
        names: K.
        size: width and height, inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    plt = pyplot()
    figure, axes = plt.subplots(figsize=tuple(size), dpi=_DPI, layout="constrained")
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= _MOST_NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    if len(names) <= _MOST_COUNTED:
        for i, j in np.argwhere(matrix):
            color = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=color)
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_title(title, parse_math=False)
    return _pixels(plt, figure)


def prediction_figure(
    counts: np.ndarray, names: Sequence[str], *, label: int, top: int, size: Sequence[float]
) -> np.ndarray:
    """The predictions for the videos of one class: the ``top`` most frequent classes as bars.

    Args:
        counts: of each predicted class, int (K,): a row of a confusion matrix.
        names: K.
        label: the class.
        size: width and height, inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    plt = pyplot()
    order = [k for k in np.argsort(-counts, kind="stable")[:top].tolist() if counts[k]]
    figure, axes = plt.subplots(figsize=tuple(size), dpi=_DPI, layout="constrained")
    shares = 100 * counts[order] / max(1, counts.sum())
    axes.barh(range(len(order)), shares, color=["C0" if k == label else "C3" for k in order])
    axes.set_yticks(range(len(order)), [names[k] for k in order], parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel=f"% of {counts.sum()} videos", xlim=(0, 100))
    axes.set_title(f"{names[label]} is taken for", parse_math=False)
    return _pixels(plt, figure)


def colormap(name: str):
    """matplotlib's colormap: values in [0, 1] of any shape -> colors float (..., 4).

    Raises:
        ValueError: there is none of that name.
        ImportError: matplotlib is not installed.
    """
    return pyplot().get_cmap(name)


def _pixels(plt, figure) -> np.ndarray:
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return pixels
