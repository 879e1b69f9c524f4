"""Bad rows of annotation files, collected and reported at once."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from pathlib import Path

from slowfast.utils import untrusted
from slowfast.utils.untrusted import MAX_REPORTED, cut


class AnnotationError(ValueError):
    """A list or a class file cannot be used as it is; the message names file, lines and remedy."""


def named_rows(path: Path, problems: Sequence[tuple[object, object]], num_problems: int | None = None) -> str:
    """The first ten of ``problems``, (line number, what is wrong), and how many more of ``num_problems`` there are."""
    lines = [f"  {path.name}:{line}: {cut(str(problem))}" for line, problem in problems[:MAX_REPORTED]]
    more = (len(problems) if num_problems is None else num_problems) - len(lines)
    return "\n".join([*lines, f"  ... and {more:,} more"] if more > 0 else lines)


class RowProblems:
    """What is wrong with the rows of one file: how many are bad, and the first ten of them.

    Args:
        path: the file.
        hint: last line of the message: what is expected, or what to do.
    """

    def __init__(self, path: Path, hint: str):
        self.path = path
        self.hint = hint
        self.first: list[tuple[int, object]] = []
        self.count = 0

    def add(self, line_number: int, problem: object) -> None:
        """Note a problem; lines count from 1."""
        self.count += 1
        bisect.insort(self.first, (line_number, problem), key=lambda entry: entry[0])
        del self.first[MAX_REPORTED:]

    def report(self, total: int, unit: str = "rows") -> None:
        """Check that no problem was noted.

        Raises:
            AnnotationError: how many of ``total`` rows (or what ``unit`` says) are bad, the first ten with their lines.
        """
        if self.count:
            named = named_rows(self.path, self.first, self.count)
            raise AnnotationError(
                f"{self.path}: {self.count:,} of {total:,} {unit} cannot be used:\n{named}\n{self.hint}"
            )


def read_text(path: Path, what: str) -> str:
    """The text of an annotation file: UTF-8, with or without a byte-order mark; other bytes are kept as they are.

    Args:
        what: the file's name in the message, such as "the list of videos".
    """
    try:
        return untrusted.read_text(path)
    except OSError as error:
        raise AnnotationError(f"cannot read {what} {path}: {error.strerror}.") from error
