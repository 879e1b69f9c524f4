"""A plot of a model's predictions along a video."""

from __future__ import annotations

from collections.abc import Sequence

from slowfast.engine.prediction import class_name
from slowfast.engine.sliding import ScoresOverTime


def plot_top_k_over_time(
    axes, result: ScoresOverTime, class_names: Sequence[str] | None = None, *, k: int = 5, title: str = ""
) -> list[int]:
    """Draw the scores of the best classes over time into matplotlib's ``axes``; returns the classes drawn, best first.

    Args:
        class_names: in label order; None shows numbers.
        k: number of classes.
    """
    classes = result.top_classes(k)
    for class_id in classes:
        marker = "o" if len(result.seconds) < 40 else None
        axes.plot(
            result.seconds,
            result.scores[:, class_id],
            marker=marker,
            markersize=3,
            label=class_name(class_id, class_names),
        )
    axes.set(title=title, xlabel=f"seconds (the middle of a clip of {result.span_seconds:.2f} s)", ylabel="score")
    axes.set_ylim(0, max(1.0, float(result.scores.max())) * 1.03)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return classes
