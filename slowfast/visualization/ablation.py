"""A picture of an ablation: every config's figure with the spread over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slowfast.visualization.comparison import pyplot


def plot_ablation(path: str | Path, rows: Sequence[tuple[str, str, Sequence[float]]], *, figure: str = "%") -> None:
    """Write a PNG: one bar per config at its mean, one dot per seed, configs of a group in one color.

    Args:
        rows: (name, group, figures of its seeds in percent).

    Raises:
        ImportError: matplotlib is not installed.
    """
    plt = pyplot()
    groups = list(dict.fromkeys(group for _, group, _ in rows))
    picture, axes = plt.subplots(figsize=(8, 1 + 0.32 * len(rows)), layout="constrained")
    for place, (_, group, figures) in enumerate(rows):
        color = f"C{groups.index(group) % 10}"
        axes.barh(place, sum(figures) / len(figures), color=color, alpha=0.45, height=0.7)
        axes.plot(figures, [place] * len(figures), "o", color=color, markersize=4)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.invert_yaxis()
    axes.set(xlabel=f"test, several views ({figure}); bar: mean over seeds, dot: one seed", xlim=(0, 102))
    handles = [plt.Rectangle((0, 0), 1, 1, color=f"C{i % 10}", alpha=0.45) for i in range(len(groups))]
    axes.legend(handles, groups, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, dpi=110)
    plt.close(picture)
