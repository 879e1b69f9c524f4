"""Paths that differ only in one number, kept as a pattern and numbers: a frame list has millions of them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slowfast.datasets.lists.path_labels import PackedStrings

_NUMBERED = re.compile(rb"(.*?)([0-9]{1,18})(\.\w+)?", re.DOTALL)  # a path, the number at its end, the file ending


class NumberedPaths(Sequence):
    """A read-only list of paths that differ only in one number: 27,030 frames of a movie take a few bytes.

    Args:
        head, tail: text before and after the number.
        width: digits of the number, padded with zeros.
        numbers: one per path; a range or an array.
    """

    def __init__(self, head: str, width: int, tail: str, numbers: range | np.ndarray):
        self.head, self.width, self.tail, self.numbers = head, width, tail, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return f"{self.head}{int(self.numbers[index]):0{self.width}d}{self.tail}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


@dataclass
class Run:
    """Some paths: numbers in a pattern (head, width, tail), or the paths themselves where ``numbers`` is None."""

    pattern: tuple[bytes, int, bytes]
    numbers: range | np.ndarray | None
    paths: Sequence[bytes]


def run_of(paths: Sequence[bytes]) -> Run:
    """``paths`` as a pattern with numbers, if they have this form."""
    match = _NUMBERED.fullmatch(paths[0])
    plain = Run((b"", 0, b""), None, paths)
    if match is None:
        return plain
    start, end = match.span(2)
    # A line end after each path: if all paths are equally long, it fills one column, and no path is cut in two.
    lines = np.frombuffer(b"\n".join(paths) + b"\n", dtype=np.uint8)
    if len(lines) != len(paths) * (len(paths[0]) + 1):
        return plain
    lines = lines.reshape(len(paths), -1)
    digits = lines[:, start:end] - ord("0")  # other characters wrap around to 10 and above
    fits = (lines[:, :start] == lines[0, :start]).all() and (lines[:, end:] == lines[0, end:]).all()
    if not fits or (digits > 9).any():
        return plain
    numbers = digits @ 10 ** np.arange(end - start - 1, -1, -1, dtype=np.int64)
    first, count = int(numbers[0]), len(numbers)
    consecutive = bool((numbers == np.arange(first, first + count)).all())
    pattern = (match[1], end - start, match[3] or b"")
    return Run(pattern, range(first, first + count) if consecutive else numbers, [])


def join_runs(runs: list[Run], prefix: str) -> Sequence[str]:
    """The paths of all runs, prefix included."""
    parts = [run.numbers for run in runs if run.numbers is not None and run.pattern == runs[0].pattern]
    if len(parts) < len(runs):
        paths = itertools.chain.from_iterable(map(_paths_of, runs))
        return PackedStrings(os.path.join(prefix, path) for path in paths)
    numbers = parts[0]
    for part in parts[1:]:
        if isinstance(numbers, range) and isinstance(part, range) and numbers.stop == part.start:
            numbers = range(numbers.start, part.stop)
        else:
            numbers = np.concatenate([numbers, part])
    head, width, tail = runs[0].pattern
    return NumberedPaths(os.path.join(prefix, os.fsdecode(head)), width, os.fsdecode(tail), numbers)


def _paths_of(run: Run) -> Iterable[str]:
    if run.numbers is None:
        return map(os.fsdecode, run.paths)
    head, width, tail = run.pattern
    return NumberedPaths(os.fsdecode(head), width, os.fsdecode(tail), run.numbers)
