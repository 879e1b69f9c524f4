"""Pictures of several training runs: how they learned, what they reached, and the spread over their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slowfast.utils.untrusted import parse_json, read_text


def read_metrics(path: str | Path) -> list[dict]:
    """The records of a metrics.jsonl file, in order; those written before a restart are replaced by the later ones.

    Raises:
        OSError: no such file.
        ValueError: a line that is not a record; the message names file and line.
    """
    records: dict[tuple, dict] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        record = parse_json(line, source=f"{path}:{number}")
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            raise ValueError(f"{path}:{number}: not a record of a training step.")
        key = (record["step"], *sorted(record))
        records[key] = record
    return [records[key] for key in sorted(records)]


def series(records: Sequence[Mapping], name: str) -> tuple[list[float], list[float]]:
    """Epochs and values of the records that hold ``name``."""
    pairs = [(r["epoch"], r[name]) for r in records if r.get(name) is not None]
    return [epoch for epoch, _ in pairs], [value for _, value in pairs]


def plot_comparison(
    path: str | Path, runs: Mapping[str, Path], bars: Mapping[str, Mapping[str, float]], *, title: str
) -> None:
    """Write a PNG: training loss and validation accuracy over epochs, and bars of the final figures.

    Args:
        runs: name -> metrics.jsonl.
        bars: name -> {figure: percent}; the same figures for each.

    Raises:
        ImportError: matplotlib is not installed.
    """
    plt = pyplot()
    figure, (loss_axes, accuracy_axes, bar_axes) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    figure.suptitle(title)
    for name, metrics in runs.items():
        records = read_metrics(metrics)
        loss_axes.plot(*series(records, "train/loss"), label=name)
        accuracy_axes.plot(*series(records, "val/clip_top1"), marker="o", markersize=3, label=name)
    loss_axes.set(title="training loss", xlabel="epoch", ylim=(0, None))
    accuracy_axes.set(title="validation, one clip: top-1 (%)", xlabel="epoch", ylim=(0, 102))
    _draw_bars(bar_axes, bars)
    for axes in (loss_axes, accuracy_axes, bar_axes):
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    loss_axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_bars(axes, bars: Mapping[str, Mapping[str, float]]) -> None:
    figures = list(next(iter(bars.values())))
    width = 0.8 / len(bars)
    for i, (name, values) in enumerate(bars.items()):
        places = [j + (i - (len(bars) - 1) / 2) * width for j in range(len(figures))]
        drawn = axes.bar(places, [values[figure] for figure in figures], width * 0.92, label=name)
        axes.bar_label(drawn, fmt="%.0f", fontsize=8)
    axes.set(title="test, several views (%)", ylim=(0, 108))
    axes.set_xticks(range(len(figures)), figures)


def plot_ablation(path: str | Path, rows: Sequence[tuple[str, str, Sequence[float]]]) -> None:
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
    axes.set(xlabel="test, several views (%); bar: mean over seeds, dot: one seed", xlim=(0, 102))
    handles = [plt.Rectangle((0, 0), 1, 1, color=f"C{i % 10}", alpha=0.45) for i in range(len(groups))]
    axes.legend(handles, groups, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, dpi=110)
    plt.close(picture)


def pyplot():
    """matplotlib.pyplot, drawing into files only."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'slowfast[plot]'") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
