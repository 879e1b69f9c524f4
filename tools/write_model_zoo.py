#!/usr/bin/env python3
"""Writes the table of published weights into docs/MODEL_ZOO.md: python tools/write_model_zoo.py"""

import sys
from pathlib import Path

from slowfast.models.weights.zoo_table import ZooEntry, published_figures, zoo_entries

PAGE = Path(__file__).resolve().parents[1] / "docs" / "MODEL_ZOO.md"
BEGIN, END = "<!-- weights: written by tools/write_model_zoo.py -->", "<!-- end of weights -->"
# Column of docs/MODEL_ZOO.md: what stands in it.
COLUMNS = {
    "name": lambda entry: f"`{entry.name}`",
    "model": lambda entry: " ".join(filter(None, (entry.model, _lower_case(entry.training)))),
    "trained on": lambda entry: entry.dataset + (f", from {entry.pretrained_on}" if entry.pretrained_on else ""),
    "frames": lambda entry: entry.frames,
    "published": lambda entry: published_figures(entry),
    "weights": lambda entry: _links(entry),
}


def _lower_case(training: str) -> str:
    return f"({training.lower()} training)" if training else ""


def _links(entry: ZooEntry) -> str:
    start = f", [its start]({entry.pretrain_url})" if entry.pretrain_url else ""
    return f"[file]({entry.url}){start}"


def weights_table() -> str:
    """All entries as a Markdown table."""
    rows = [[cell(entry) for cell in COLUMNS.values()] for entry in zoo_entries()]
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_weights_table(path: str | Path) -> bool:
    """Put the table between its two marks in the Markdown file ``path``; whether that changed it.

    Raises:
        ValueError: the marks are not there.
    """
    text = Path(path).read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the table: expected the lines {BEGIN!r} and {END!r}.")
    new = f"{before}{BEGIN}\n{weights_table()}{END}{after}"
    if new != text:
        Path(path).write_text(new, encoding="utf-8")
    return new != text


if __name__ == "__main__":
    changed = write_weights_table(PAGE)
    print(f"{PAGE}: {'wrote the table' if changed else 'the table is up to date'}")
    sys.exit(0)
