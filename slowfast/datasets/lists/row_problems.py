"""Bad rows of annotation files, collected and reported at once."""

from __future__ import annotations

from pathlib import Path

from slowfast.datasets.lists.path_labels import AnnotationError, named_rows
from slowfast.utils import untrusted


class RowProblems:
    """What is wrong with the rows of one file.

    Args:
        path: the file.
        hint: last line of the message: what is expected, or what to do.
    """

    def __init__(self, path: Path, hint: str):
        self.path = path
        self.hint = hint
        self._problems: list[tuple[int, object]] = []

    def add(self, line_number: int, problem: object) -> None:
        """Note a problem; lines count from 1."""
        self._problems.append((line_number, problem))

    def report(self, total: int, unit: str = "rows") -> None:
        """Return when there are none.

        Raises:
            AnnotationError: how many of ``total`` rows (or what ``unit`` says) are bad, the first ten with their lines.
        """
        if not self._problems:
            return
        named = named_rows(self.path, self._problems)
        raise AnnotationError(
            f"{self.path}: {len(self._problems):,} of {total:,} {unit} cannot be used:\n{named}\n{self.hint}"
        )


def read_text(path: Path, what: str) -> str:
    """The text of an annotation file: UTF-8, with or without a byte-order mark; other bytes are kept as they are.

    Args:
        what: the file's name in the message, such as "the list of videos".

    Raises:
        AnnotationError: it cannot be read.
    """
    try:
        return untrusted.read_text(path)
    except OSError as error:
        raise AnnotationError(f"cannot read {what} {path}: {error.strerror}.") from error
