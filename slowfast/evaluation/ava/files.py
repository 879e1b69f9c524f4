"""Files of AVA's evaluation: boxes of ground truth and detections, excluded timestamps, label maps.

A row of a box file is ``video,second,x1,y1,x2,y2,action_id`` and an eighth column: a person's number in ground truth
(ignored), a score in detections. ``video,second`` alone names an image without boxes. No header. ``902``, ``0902``
and ``902.000000`` are the same second; boxes are fractions of the frame. A byte-order mark, CRLF, blank lines and a
missing last newline are fine.

Large files are read in blocks of lines. ``numpy.loadtxt`` would silently cut long names, and needs the same number of
columns in every line.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from slowfast.evaluation.ava.label_map import read_label_map
from slowfast.evaluation.ava.table import BoxTable, ImageKey
from slowfast.utils.progress import Progress
from slowfast.utils.untrusted import MAX_REPORTED, file_status, quoted

__all__ = ["BadRowsError", "read_detections", "read_excluded_timestamps", "read_groundtruth", "read_label_map"]

logger = logging.getLogger(__name__)

BLOCK_BYTES = 4 * 2**20
_LONGEST_NAME = 1000  # characters; longer text without a comma is no name
_EXPECTED = {
    "detections": "video,second,x1,y1,x2,y2,action_id,score",
    "ground truth": "video,second,x1,y1,x2,y2,action_id and maybe person_id (or video,second for an image without box)",
    "timestamps": "video,second",
}


class BadRowsError(ValueError):
    """A file has rows that cannot be used; the message names the file, the lines and the remedy."""


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


def _read_table(path: str | os.PathLike, kind: str, accepted: Sequence[int]) -> BoxTable:
    """All rows of a file, in their order."""
    path = Path(path)
    numbers: dict[ImageKey, int] = {}  # of the images
    parts: list[tuple[np.ndarray, ...]] = []
    for first_line, lines in _blocks(path, _EXPECTED[kind]):
        try:
            *columns, positions = _columns(lines, accepted, numbers, has_scores=kind == "detections")
        except ValueError:
            raise _bad_rows(path, lines, first_line, accepted, kind) from None
        parts.append((*columns, positions + first_line))
    index, boxes, classes, scores, line_numbers = (
        (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else [np.empty(0, np.int32)] * 5
    )
    images = [(video, int(second) if second.is_integer() else second) for video, second in numbers]
    try:
        return BoxTable(images, index, boxes, classes, scores, line_numbers, path.name)
    except ValueError as error:  # of boxes that are none; names the line
        raise BadRowsError(str(error)) from error


def _blocks(path: Path, expected: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, lines) of consecutive parts of a file.

    Raises:
        BadRowsError: no such file, or one without lines.
    """
    first_line, rest = 1, b""
    try:
        num_blocks = math.ceil(file_status(path).st_size / BLOCK_BYTES)
        with open(path, "rb") as file:
            rest = file.read(3).removeprefix(b"\xef\xbb\xbf")
            chunks = iter(partial(file.read, BLOCK_BYTES), b"")
            with Progress(chunks, total=num_blocks, name=path.name, unit="block") as progress:
                for chunk in progress:
                    whole, newline, rest = (rest + chunk).rpartition(b"\n")
                    if newline:
                        lines = whole.decode("utf-8", "surrogateescape").split("\n")
                        yield first_line, lines
                        first_line += len(lines)
                    elif len(rest) > BLOCK_BYTES:
                        raise BadRowsError(
                            f"{path}:{first_line}: a line of over {BLOCK_BYTES:,} bytes. Is this a CSV file?"
                        )
    except OSError as error:
        raise BadRowsError(f"cannot read {path}: {error.strerror}. Expected a file of `{expected}` lines.") from error
    if rest:
        yield first_line, [rest.decode("utf-8", "surrogateescape")]


def _columns(
    lines: Sequence[str], accepted: Sequence[int], numbers: dict[ImageKey, int], *, has_scores: bool
) -> tuple[np.ndarray, ...]:
    """image_index, boxes, classes, scores and positions in ``lines`` of the lines with a box.

    The rows of one box repeat the text of its six first columns, the head: that is read once.

    Args:
        numbers: of the images so far; takes new ones.

    Raises:
        ValueError: a line is bad; ``_problem_of`` tells which, and why.
    """
    heads, of_head, positions, class_texts, score_texts = [""], [], [], [], []
    for position, line in enumerate(lines):
        num_columns = line.count(",") + 1
        if num_columns not in accepted:
            if line.strip():
                raise ValueError
            continue
        head, *tail = line.rsplit(",", max(0, num_columns - 6))
        if head != heads[-1]:
            heads.append(head)
        if tail:
            of_head.append(len(heads) - 2)
            positions.append(position)
            class_texts.append(tail[0])
            score_texts.append(tail[-1])
    fields = [head.split(",") for head in heads[1:]]
    names = [video.strip().strip('"') for video, *_ in fields]
    seconds = _floats([second for _, second, *_ in fields]).round(6)
    corners = _floats([text for _, _, *box in fields for text in box or ["0"] * 4]).reshape(-1, 4)
    classes = _floats(class_texts)
    scores = _floats(score_texts) if has_scores else np.ones(len(classes))
    is_id = (classes == np.rint(classes)) & (np.abs(classes) < 2**31)
    if not (np.isfinite(seconds).all() and is_id.all() and all(0 < len(name) <= _LONGEST_NAME for name in names)):
        raise ValueError
    keys = zip(names, seconds.tolist(), strict=True)
    index = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int32)
    of_row = np.array(of_head, np.int32)
    return index[of_row], corners[of_row], classes.astype(np.int32), scores, np.array(positions, np.int32)


def _floats(texts: Sequence[str]) -> np.ndarray:
    """The numbers that texts spell, float64; ``float`` also takes 1_000 and other scripts' digits, this does not."""
    joined = "".join(texts)
    if "_" in joined or not joined.isascii():
        raise ValueError
    return np.fromiter(map(float, texts), np.float64)


def _bad_rows(path: Path, lines: Sequence[str], first_line: int, accepted: Sequence[int], kind: str) -> BadRowsError:
    """The error for a block in which a line is bad; looks for the first of them."""
    has_scores = kind == "detections"
    found = ((number, _problem_of(line, accepted, has_scores)) for number, line in enumerate(lines, first_line))
    problems = [(number, f"{problem}: {quoted(lines[number - first_line])}") for number, problem in found if problem]
    named = "\n".join(f"  {path.name}:{line}: {problem}" for line, problem in problems[:MAX_REPORTED])
    more = "\n  ... and more" if len(problems) > MAX_REPORTED else ""
    hint = f"Expected `{_EXPECTED[kind]}`, separated by commas."
    if [line for line, _ in problems] == [1]:
        hint += " If the first line is a header, delete it."
    return BadRowsError(f"{path}: rows cannot be used:\n{named}{more}\n{hint}")


def _problem_of(line: str, accepted: Sequence[int], has_scores: bool) -> str:
    """What is wrong with a line; empty if nothing."""
    fields = [field.strip() for field in line.split(",")]
    if fields == [""]:
        return ""
    if len(fields) not in accepted:
        return f"{len(fields)} columns"
    if not fields[0].strip('"'):
        return "no name in column 1"
    if len(fields[0].strip('"')) > _LONGEST_NAME:
        return f"a name of {len(fields[0]):,} characters"
    values = []
    for column, field in enumerate(fields[1 : 8 if has_scores else 7], 2):
        try:
            values += _floats([field]).tolist()
        except ValueError:
            return f"column {column}, {quoted(field)}, is not a number"
    if not math.isfinite(values[0]):
        return "the second, column 2, is not a time"
    is_id = len(values) == 1 or (values[5].is_integer() and abs(values[5]) < 2**31)
    return "" if is_id else "action_id, column 7, is not an integer"
