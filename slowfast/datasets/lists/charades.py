"""Charades' own annotation files: which actions occur in a video, and when.

A row of Charades_v1_train.csv or Charades_v1_test.csv has quoted fields; ``actions`` is ``class start end`` in seconds,
any number of them (or none), separated by semicolons. An action may end after the video::

    id,subject,scene,...,actions,length
    Q7ZZ1,AB12,Kitchen,...,c015 0.00 7.30;c061 5.10 12.90,13.50
"""

from __future__ import annotations

import csv
import io
import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowfast.datasets.lists.row_problems import AnnotationError, RowProblems, read_text
from slowfast.utils.logging import count

logger = logging.getLogger(__name__)

_ACTION = re.compile(r"c([0-9]+)\s+(\S+)\s+(\S+)")
_HINT = 'Expected actions such as "c015 0.00 7.30;c061 5.10 12.90" (class, start and end in seconds), or none.'


class TimedActions:
    """The actions of videos, in seconds.

    Args:
        actions: of every video (class, start, end); both ends belong to the action.
        fps: frames per second; frame n, from 0, has time n / fps.
    """

    def __init__(self, actions: Sequence[Sequence[tuple[int, float, float]]], fps: float):
        self._actions = list(actions)
        self._fps = fps

    def between(self, index: int, first: int, last: int) -> set[int]:
        """Classes of any of the frames ``first`` to ``last`` (both included, counted from 0) of a video."""
        return {
            label
            for label, start, end in self._actions[index]
            # An action between two frames touches none of them.
            if max(first, math.ceil(start * self._fps)) <= min(last, math.floor(end * self._fps))
        }


@dataclass(frozen=True, repr=False)
class CharadesAnnotations:
    """The rows of an annotation file.

    Attributes:
        video_ids: one per row, all different.
        actions: of every row (class, start, end), classes from 0 and times in seconds.
        line_numbers: int32 (N,), from 1, of the first line of each row.
    """

    video_ids: list[str]
    actions: list[list[tuple[int, float, float]]]
    line_numbers: np.ndarray

    def __repr__(self) -> str:
        return f"CharadesAnnotations({count(len(self.video_ids), 'video')})"

    def labels(self, num_classes: int) -> np.ndarray:
        """All classes that a row names: uint8 (N, K) of 0 and 1."""
        labels = np.zeros((len(self.video_ids), num_classes), dtype=np.uint8)
        for row, actions in zip(labels, self.actions, strict=True):
            row[[label for label, _, _ in actions]] = 1
        return labels


def read_charades_csv(path: Path, num_classes: int) -> CharadesAnnotations:
    """The videos of Charades_v1_train.csv or Charades_v1_test.csv with their actions.

    Actions that end before they begin are counted in a warning: they apply to no frame, but the video has their class.

    Args:
        num_classes: classes must be below it.
    """
    problems = RowProblems(path, _HINT)
    lines: dict[str, int] = {}
    actions, reversed_ones = [], []
    for line, row in _rows(path):
        video_id = (row["id"] or "").strip()
        try:
            if not video_id:
                raise ValueError("no id")
            if video_id in lines:
                raise ValueError(f"video {video_id} is already listed on line {lines[video_id]}")
            found = _actions(row["actions"], num_classes)
        except ValueError as error:
            problems.add(line, error)
            found = []
        lines[video_id] = line
        actions.append(found)
        reversed_ones += [f"{path.name}:{line}" for _, start, end in found if end < start]
    problems.report(len(actions))
    if not actions:
        raise AnnotationError(f"{path} names no video: it has only a header.")
    if reversed_ones:
        logger.warning("%s: %d actions end before they begin (first: %s).", path, len(reversed_ones), reversed_ones[0])
    return CharadesAnnotations(list(lines), actions, np.array(list(lines.values()), dtype=np.int32))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """(first line, fields by column) of every row."""
    reader = csv.DictReader(io.StringIO(read_text(path, "the annotations"), newline=""))
    try:
        missing = [column for column in ("id", "actions") if column not in (reader.fieldnames or [])]
        if missing:
            found = ",".join(reader.fieldnames or [])[:120]
            raise AnnotationError(
                f"{path}:1: expected a header with the columns id and actions, found `{found}`. "
                "Charades_v1_train.csv and Charades_v1_test.csv come with Charades.zip."
            )
        for row in reader:
            broken_lines = sum(field.count("\n") for field in row.values() if isinstance(field, str))
            yield reader.line_num - broken_lines, row
    except csv.Error as error:
        raise AnnotationError(f"{path}:{reader.line_num}: not a CSV file: {error}.") from error


def _actions(field: str | None, num_classes: int) -> list[tuple[int, float, float]]:
    if field is None:
        raise ValueError("the row ends before the column actions")
    return [_action(action, num_classes) for action in field.split(";") if action.strip()]


def _action(text: str, num_classes: int) -> tuple[int, float, float]:
    match = _ACTION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"no action: {text!r}")
    label = int(match[1])
    if label >= num_classes:
        raise ValueError(f"class c{match[1]} is not in c000-c{num_classes - 1:03d} (MODEL.NUM_CLASSES {num_classes})")
    try:
        start, end = float(match[2]), float(match[3])
    except ValueError:
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(f"start and end of {text!r} are not both numbers")
    return label, start, end
