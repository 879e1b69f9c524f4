"""Large CSV files of one name and many numbers per line, parsed by NumPy block by block. L lines of a block.

``numpy.loadtxt`` reads numbers as fast, but silently truncates long names and needs the same number of columns in every
line; here, text that consecutive lines share is also read only once.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from slowfast.utils.progress import Progress
from slowfast.utils.untrusted import MAX_REPORTED, file_status, quoted

BLOCK_BYTES = 8 * 2**20

_COMMA, _NEWLINE = b",\n"
_LONGEST_NAME = 1000  # bytes; longer text without a comma is no name
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


class BadRowsError(ValueError):
    """A file has rows that cannot be used; the message names the file, the lines and the remedy."""


def read_blocks(path: str | os.PathLike, *, accepted: Sequence[int], expected: str) -> Iterator[Block]:
    """The file in blocks of whole lines. A byte-order mark, CRLF, blank lines and a missing last newline are fine.

    Args:
        accepted: numbers of columns that a line may have.
        expected: a correct line, for messages.

    Raises:
        BadRowsError: no such file, or a line with a wrong number of columns.
    """
    path = Path(path)
    first_line, rest = 1, b""
    try:
        num_blocks = math.ceil(file_status(path).st_size / BLOCK_BYTES)
        with (
            open(path, "rb") as file,
            Progress(_chunks(file), total=num_blocks, name=path.name, unit="block") as chunks,
        ):
            rest = file.read(3).removeprefix(b"\xef\xbb\xbf")
            for chunk in chunks:
                whole, newline, rest = (rest + chunk).rpartition(b"\n")
                if newline:
                    block = Block(path, whole + newline, first_line, accepted, expected)
                    yield block
                    first_line += block.num_lines
                elif len(rest) > BLOCK_BYTES:
                    raise BadRowsError(
                        f"{path}:{first_line}: a line of over {BLOCK_BYTES:,} bytes. Is this a CSV file?"
                    )
    except OSError as error:
        raise BadRowsError(f"cannot read {path}: {error.strerror}. Expected a file of `{expected}` lines.") from error
    if rest:
        yield Block(path, rest + b"\n", first_line, accepted, expected)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(BLOCK_BYTES):
        yield chunk


class Block:
    """Consecutive lines of a file, with the positions of their commas."""

    def __init__(self, path: Path, text: bytes, first_line: int, accepted: Sequence[int], expected: str):
        self._path, self._first_line, self._expected = path, first_line, expected
        self._accepted = tuple(accepted)
        self._bytes = np.frombuffer(text, np.uint8)
        self._ends = np.flatnonzero(self._bytes == _NEWLINE)
        self._starts = np.concatenate([[0], self._ends[:-1] + 1])
        self._commas = np.flatnonzero(self._bytes == _COMMA)
        self._first_comma = np.searchsorted(self._commas, self._starts)
        num_commas = np.searchsorted(self._commas, self._ends) - self._first_comma
        self._num_columns = np.where(num_commas > 0, num_commas + 1, 0)
        has_no_name = np.isin(self._starts, self._commas, assume_unique=True).any()
        if has_no_name or not np.isin(self._num_columns, (0, *accepted)).all():
            raise self._bad_rows()
        if any(self._text(line).strip() for line in np.flatnonzero(self._num_columns == 0).tolist()):
            raise self._bad_rows()

    @property
    def num_lines(self) -> int:
        return len(self._starts)

    def lines_with(self, num_columns: int) -> np.ndarray:
        """Positions of the lines with this number of columns."""
        return np.flatnonzero(self._num_columns == num_columns)

    def line_numbers(self, lines: np.ndarray) -> np.ndarray:
        """Line numbers in the file, int32, from 1."""
        return (self._first_line + lines).astype(np.int32)

    def first_fields(self, lines: np.ndarray) -> np.ndarray:
        """The first column as bytes, dtype S."""
        return self._texts(lines, 1)

    def runs(self, lines: np.ndarray, num_columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Lines whose first columns differ as text from the line before; and for each line the number of its run."""
        if not len(lines):
            return lines, lines
        texts = self._texts(lines, num_columns)
        is_new = np.concatenate([[True], texts[1:] != texts[:-1]])
        return lines[is_new], np.cumsum(is_new) - 1

    def numbers(self, lines: np.ndarray, first: int, last: int) -> np.ndarray:
        """Columns ``first`` to ``last`` - 1, float64 (L, last - first), each the double nearest to the text.

        Raises:
            BadRowsError: a field is not a number.
        """
        if not len(lines):
            return np.empty((0, last - first))
        text = self._bytes[self._is_between(self._field_start(lines, first), self._field_end(lines, last - 1))]
        text[text == _NEWLINE] = _COMMA
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # what NumPy below 2.3 says of text that is no number
            try:
                values = np.fromstring(text[:-1].tobytes(), sep=",")
            except (ValueError, DeprecationWarning):
                raise self._bad_rows() from None
        if values.size != len(lines) * (last - first):
            raise self._bad_rows()
        return values.reshape(len(lines), last - first)

    def check(self, lines: np.ndarray, is_right: np.ndarray, problem: str) -> None:
        """Return if all lines are right.

        Raises:
            BadRowsError: some are not; the first ten are shown, each with ``problem``.
        """
        if not is_right.all():
            wrong = lines[~is_right][: MAX_REPORTED + 1]
            raise self._error(
                [(self._first_line + int(line), f"{problem}: {quoted(self._text(line))}") for line in wrong]
            )

    def _field_start(self, lines: np.ndarray, column: int) -> np.ndarray:
        return self._commas[self._first_comma[lines] + column - 1] + 1 if column else self._starts[lines]

    def _field_end(self, lines: np.ndarray, column: int) -> np.ndarray:
        """Position of the comma or newline after the column."""
        is_last = column == self._num_columns[lines] - 1
        comma = np.minimum(self._first_comma[lines] + column, len(self._commas) - 1)
        return np.where(is_last, self._ends[lines], self._commas[comma])

    def _is_between(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Mask of the bytes from each start to its end, both included."""
        steps = np.zeros(len(self._bytes) + 1, np.int8)
        steps[starts] += 1
        steps[ends + 1] -= 1  # two statements: a field may start where another stops
        return np.cumsum(steps[:-1], dtype=np.int8).view(bool)

    def _texts(self, lines: np.ndarray, num_columns: int) -> np.ndarray:
        """The first columns as bytes, dtype S, padded with zeros."""
        starts = self._starts[lines]
        lengths = self._field_end(lines, num_columns - 1) - starts
        width = int(lengths.max(initial=1))
        if width > _LONGEST_NAME:
            raise self._bad_rows()
        padded = np.concatenate([self._bytes, np.zeros(width, np.uint8)])
        texts = np.lib.stride_tricks.sliding_window_view(padded, width)[starts]
        texts[np.arange(width) >= lengths[:, None]] = 0
        return texts.view(f"S{width}")[:, 0]

    def _text(self, line: int) -> str:
        return self._bytes[self._starts[line] : self._ends[line]].tobytes().decode(errors="replace")

    def _bad_rows(self) -> BadRowsError:
        """The error for lines that do not parse; looks for them one by one."""
        problems = []
        for line in range(self.num_lines):
            problem = self._problem_of(self._text(line))
            if problem:
                problems.append((self._first_line + line, problem))
            if len(problems) > MAX_REPORTED:
                break
        return self._error(problems or [(self._first_line, f"unreadable within {self.num_lines:,} lines from here")])

    def _problem_of(self, text: str) -> str:
        """What is wrong with a line; empty if nothing."""
        shown = quoted(text)
        fields = [field.strip() for field in text.split(",")]
        if fields == [""]:
            return ""
        if len(fields) not in self._accepted:
            return f"{len(fields)} columns: {shown}"
        if not fields[0]:
            return f"no name in column 1: {shown}"
        if len(fields[0]) > _LONGEST_NAME:
            return f"a name of {len(fields[0]):,} characters: {shown}"
        wrong = [number for number, field in enumerate(fields) if number and not _NUMBER.fullmatch(field)]
        return f"column {wrong[0] + 1}, {quoted(fields[wrong[0]])}, is not a number: {shown}" if wrong else ""

    def _error(self, problems: list[tuple[int, str]]) -> BadRowsError:
        named = "\n".join(f"  {self._path.name}:{line}: {problem}" for line, problem in problems[:MAX_REPORTED])
        more = "\n  ... and more" if len(problems) > MAX_REPORTED else ""
        hint = f"Expected `{self._expected}`, separated by commas."
        if [line for line, _ in problems] == [1]:
            hint += " If the first line is a header, delete it."
        return BadRowsError(f"{self._path}: rows cannot be used:\n{named}{more}\n{hint}")
