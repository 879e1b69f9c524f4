"""Files of AVA's evaluation: boxes of ground truth and detections, excluded timestamps, label maps.

A row of a box file is ``video,second,x1,y1,x2,y2,action_id`` and an eighth column: a person's number in ground truth
(ignored), a score in detections. ``video,second`` alone names an image without boxes. No header. ``902``, ``0902``
and ``902.000000`` are the same second; boxes are fractions of the frame.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from slowfast.evaluation.ava.csv_blocks import BadRowsError, Block, read_blocks
from slowfast.evaluation.ava.label_map import read_label_map
from slowfast.evaluation.ava.table import BoxTable, ImageKey

__all__ = ["read_detections", "read_excluded_timestamps", "read_groundtruth", "read_label_map"]

logger = logging.getLogger(__name__)

_EXPECTED = {
    "detections": "video,second,x1,y1,x2,y2,action_id,score",
    "ground truth": "video,second,x1,y1,x2,y2,action_id and maybe person_id (or video,second for an image without box)",
    "timestamps": "video,second",
}
_HEAD = 6  # columns that the rows of one box have in common


def read_groundtruth(path: str | os.PathLike) -> BoxTable:
    """The boxes of a ground truth file, one row per (box, class), with 7 or 8 columns, and the images of 2-column rows.

    Raises:
        BadRowsError: (a ValueError) rows that cannot be read, with their lines, or a file without a row.
    """
    table = _read_table(path, "ground truth", accepted=(2, 7, 8))
    if not table.images:
        raise BadRowsError(f"{path}: no row. Expected one `{_EXPECTED['ground truth']}` per line.")
    return table


def read_detections(path: str | os.PathLike) -> BoxTable:
    """The boxes and scores of a detection file with 8 columns, and the images of 2-column rows. The file may be empty.

    Raises:
        BadRowsError: (a ValueError) rows that cannot be read, with their lines.
    """
    table = _read_table(path, "detections", accepted=(2, 8))
    if not len(table):
        logger.warning("%s holds no detection.", path)
    return table


def read_excluded_timestamps(path: str | os.PathLike) -> set[ImageKey]:
    """(video, second) of the images to exclude from evaluation.

    Raises:
        BadRowsError: (a ValueError) rows that cannot be read, with their lines.
    """
    return set(_read_table(path, "timestamps", accepted=(2,)).images)


def _read_table(path: str | os.PathLike, kind: str, accepted: tuple[int, ...]) -> BoxTable:
    """All rows of a file. A block is about 200,000 lines, so only columns of numbers are held for the whole file."""
    images = _Images()
    columns: list[tuple[np.ndarray, ...]] = []
    for block in read_blocks(path, accepted=accepted, expected=_EXPECTED[kind]):
        images.add(block)
        columns += [
            images.rows(block, num_columns, has_scores=kind == "detections")
            for num_columns in accepted
            if num_columns > 2
        ]
    image_index, boxes, classes, scores, lines = (
        np.concatenate(parts) if parts else np.empty(0, np.int32)
        for parts in (zip(*columns, strict=True) if columns else [()] * 5)
    )
    del columns
    try:
        table = BoxTable(
            images=images.keys(),
            image_index=image_index,
            boxes=boxes,
            classes=classes,
            scores=scores,
            line_numbers=lines,
            source=Path(path).name,
        )
    except ValueError as error:  # of boxes that are none; names the line
        raise BadRowsError(str(error)) from error
    is_mixed = len(lines) and (np.diff(lines) < 0).any()  # rows of 7 and of 8 columns were read one after the other
    return table.take(np.argsort(lines, kind="stable")) if is_mixed else table


class _Images:
    """Numbers the images of a file."""

    def __init__(self):
        self._numbers: dict[ImageKey, int] = {}

    def keys(self) -> list[ImageKey]:
        return list(self._numbers)

    def add(self, block: Block) -> None:
        """The images of the block's lines with two columns."""
        lines = block.lines_with(2)
        self._number(block, lines, block.numbers(lines, 1, 2)[:, 0])

    def rows(self, block: Block, num_columns: int, *, has_scores: bool) -> tuple[np.ndarray, ...]:
        """image_index, boxes, classes, scores and line numbers of the block's lines with 7 or 8 columns."""
        lines = block.lines_with(num_columns)
        # the rows of one box repeat the text of its coordinates: that is read once
        run, of_run = block.runs(lines, _HEAD)
        heads = block.numbers(run, 1, _HEAD)
        tails = block.numbers(lines, _HEAD, 8 if has_scores else 7)  # no score: the eighth column is skipped
        classes = tails[:, 0]
        is_id = (classes == np.rint(classes)) & (np.abs(classes) < 2**31)
        block.check(lines, is_id, "action_id, column 7, is not an integer")
        scores = tails[:, 1] if has_scores else np.ones(len(lines))
        index = self._number(block, run, heads[:, 0])
        return index[of_run], heads[of_run, 1:], classes.astype(np.int32), scores, block.line_numbers(lines)

    def _number(self, block: Block, lines: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Number of each line's image; the loop is over the images of the block."""
        if not len(lines):
            return np.empty(0, np.int32)
        block.check(lines, np.isfinite(seconds), "the second, column 2, is not a time")
        names, of_name = np.unique(block.first_fields(lines), return_inverse=True)
        whens, of_when = np.unique(np.round(seconds, 6), return_inverse=True)
        _, first, of_pair = np.unique(of_name * len(whens) + of_when, return_index=True, return_inverse=True)
        texts = [name.decode("utf-8", "surrogateescape").strip().strip('"') for name in names.tolist()]
        numbers = np.empty(len(first), np.int32)
        for pair in np.argsort(first):
            when = float(whens[of_when[first[pair]]])
            key = (texts[of_name[first[pair]]], int(when) if when.is_integer() else when)
            numbers[pair] = self._numbers.setdefault(key, len(self._numbers))
        return numbers[of_pair]
