"""Lists of videos with labels, and class names: read, checked, and kept in little memory.

A list is a text file without a header, one video per line, ``path<separator>label`` or, with a middle field that is
ignored, ``path<separator>anything<separator>label``. The line is split from its end, so a path may hold the separator;
PySlowFast splits from the start and silently reads ``washing lizard/x.mp4 7`` as another path.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from slowfast.datasets.lists.row_problems import AnnotationError, RowProblems
from slowfast.utils.logging import count
from slowfast.utils.untrusted import MAX_REPORTED, quoted, read_bytes, read_json, read_text

SAMPLED_FILES = 1000  # looked for in a "sample"

_INTEGER = re.compile(r"[+-]?\d{1,18}(\.0*)?")  # what int64 holds, whatever the digits
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")  # a frame count or a start time
_FILE_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


class PackedStrings(Sequence):
    """A read-only list of strings in one block of bytes.

    A Python list of a million paths takes 150 MB, and again in every worker that touches its reference counts.
    """

    def __init__(self, strings: Iterable[str]):
        encoded = [os.fsencode(string) for string in strings]
        self._bytes = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self._ends = np.cumsum([len(string) for string in encoded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]  # negative ones count from the end; raises IndexError
        start = self._ends[position - 1] if position else 0
        return os.fsdecode(self._bytes[start : self._ends[position]].tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


@dataclass(frozen=True, repr=False)
class VideoList:
    """The rows of a list file, column by column.

    Attributes:
        source: name of the file in messages.
        paths: of the videos, prefix included.
        labels: int64 (N,), or uint8 (N, K) of 0 and 1 when a video has several labels. -1: the list gives none.
        line_numbers: int32 (N,), from 1.
        num_missing: annotated videos that were skipped because they do not exist.
    """

    source: str
    paths: Sequence[str]
    labels: np.ndarray
    line_numbers: np.ndarray
    num_missing: int = field(default=0, kw_only=True)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({count(len(self), 'video')} of {self.source})"

    def location(self, index: int) -> str:
        """``train.csv:12``, where a row stands."""
        return f"{self.source}:{self.line_numbers[index]}"


def read_path_label_list(
    path: str | os.PathLike,
    *,
    prefix: str = "",
    separator: str = " ",
    num_classes: int | None = None,
    multi_label: bool = False,
    skip_rows: int = 0,
    labels_optional: bool = False,
) -> VideoList:
    """The videos of a list file.

    Blank lines and lines that begin with ``#`` are skipped (write ``./#1.mp4`` for such a name). A field may be in
    double quotes. Encoding is UTF-8, with or without a byte-order mark; other bytes in a path are kept as they are.

    Args:
        prefix: folder that relative paths start in.
        separator: between the fields; any text, usually one space, comma or tab.
        num_classes: labels must be below it.
        multi_label: the label field holds any number of labels, separated by commas.
        skip_rows: lines to skip at the start, such as a header.
        labels_optional: a row may be just a path (test sets with withheld labels); its label is -1.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except OSError as error:
        raise AnnotationError(
            f"cannot read the list of videos {path}: {error.strerror}. "
            "DATA.PATH_TO_DATA_DIR names the folder of train.csv, val.csv and test.csv."
        ) from error
    rows = _Rows(RowProblems(path, ""), separator, num_classes, multi_label, labels_optional)
    for line_number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line_number > skip_rows and line and not line.startswith("#"):
            rows.add(line_number, line)
    rows.report()
    if not rows.paths:
        raise AnnotationError(f"{path} names no video: expected one `path{separator}label` per line.")
    return VideoList(
        source=path.name,
        paths=PackedStrings(os.path.join(prefix, video) for video in rows.paths),
        labels=_multi_hot(rows.labels, num_classes or 0) if multi_label else np.array(rows.labels, dtype=np.int64),
        line_numbers=np.array(rows.line_numbers, dtype=np.int32),
    )


@dataclass
class _Rows:
    """Parses lines into columns, and collects what is wrong with the others."""

    problems: RowProblems
    separator: str
    num_classes: int | None
    multi_label: bool
    labels_optional: bool
    paths: list[str] = field(default_factory=list)
    labels: list[int | tuple[int, ...]] = field(default_factory=list)
    line_numbers: list[int] = field(default_factory=list)
    out_of_range: set[int] = field(default_factory=set)

    def add(self, line_number: int, line: str) -> None:
        try:
            video, label = self._parse(line)
        except ValueError as error:
            self.problems.add(line_number, f"{error}: {quoted(line)}")
            return
        self.paths.append(video)
        self.labels.append(label)
        self.line_numbers.append(line_number)

    def report(self) -> None:
        """Return when all rows can be used; else an AnnotationError names the first bad ones and the likely cause."""
        hint = f"Expected one `path{self.separator}label` per line, fields separated by {self.separator!r}"
        hint += " (DATA.PATH_LABEL_SEPARATOR)."
        if self.num_classes and self.out_of_range == {self.num_classes} and 0 not in self.labels:
            hint = f"Labels seem to count from 1: they must count from 0, up to {self.num_classes - 1}."
        elif min(self.out_of_range, default=0) < 0:
            hint = "Labels count from 0."
            if self.labels_optional:
                hint += " If a video's label is unknown, omit it: write only the path on the line."
        elif self.out_of_range:
            hint = f"MODEL.NUM_CLASSES is {self.num_classes}: raise it, or correct the list."
        elif self.problems.count == 1 and self.problems.first[0][0] == 1 and self.paths:
            hint = "If the first line is a header, set DATA.SKIP_ROWS to 1."
        self.problems.hint = hint
        self.problems.report(self.problems.count + len(self.paths))

    def _parse(self, line: str) -> tuple[str, int | tuple[int, ...]]:
        head, separator, label = self._split_last(line)
        has_none = self.multi_label and separator and not label  # `a.mp4 ""`: known to have no label
        if self.labels_optional and not has_none and not _is_label(label, self.multi_label):
            head, separator, label = line, self.separator, ""
            if not _FILE_ENDING.search(_unquoted(line)):
                raise ValueError("neither a label nor a file name ends this line")
        if not separator:
            raise ValueError(f"no label (no {self.separator!r} in this line)")
        video = self._without_middle_field(head)
        if not video:
            raise ValueError("no path")
        if not label and not self.multi_label:
            if self.labels_optional:
                return video, -1
            raise ValueError("no label")
        return video, self._labels_of(label)

    def _split_last(self, line: str) -> tuple[str, str, str]:
        """(all before, the separator, the last field); the last two are empty without a separator."""
        if line.endswith('"') and self.separator + '"' in line:
            head, _, last = line[:-1].rpartition(self.separator + '"')
            return head.strip(), self.separator, last
        head, separator, last = line.rpartition(self.separator)
        return (head.strip(), separator, last.strip()) if separator else (line, "", "")

    def _without_middle_field(self, head: str) -> str:
        """The path of ``path`` or ``path<separator>middle``.

        A middle field is empty, or it follows a file name and is a number (anything, if the separator is no blank)
        that does not end like a file name itself.
        """
        if self.separator.strip():
            head = head.removesuffix(self.separator).strip()
        video, separator, middle = head.rpartition(self.separator)
        video, middle = _unquoted(video.strip()), _unquoted(middle.strip())
        if not separator or not _FILE_ENDING.search(video) or _FILE_ENDING.search(middle):
            return _unquoted(head)
        if not (self.separator.strip() or _NUMBER.fullmatch(middle)):
            return _unquoted(head)
        if self.multi_label and self.separator == ",":
            raise ValueError("several labels must be in double quotes if a comma separates the fields")
        return video

    def _labels_of(self, field: str) -> int | tuple[int, ...]:
        if not self.multi_label:
            return self._label(field)
        return tuple(self._label(label) for label in _unquoted(field).split(",") if label.strip())

    def _label(self, field: str) -> int:
        field = _unquoted(field.strip())
        if not _INTEGER.fullmatch(field):
            raise ValueError(f"label {quoted(field)} is not an integer")
        label = int(field.partition(".")[0])
        if label < 0 or (self.num_classes is not None and label >= self.num_classes):
            self.out_of_range.add(label)
            accepted = "0 or more" if self.num_classes is None else f"in 0-{self.num_classes - 1}"
            raise ValueError(f"label {label} is not {accepted}")
        return label


def _is_label(field: str, multi_label: bool) -> bool:
    labels = _unquoted(field).split(",") if multi_label else [_unquoted(field)]
    return all(_INTEGER.fullmatch(label.strip()) for label in labels)


def _unquoted(field: str) -> str:
    """``field`` without surrounding double quotes; a doubled quote within them is one (as in CSV)."""
    if len(field) >= 2 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field


def _multi_hot(labels: list[Any], num_classes: int) -> np.ndarray:
    """uint8 (N, K) of tuples of labels."""
    rows = np.zeros((len(labels), num_classes), dtype=np.uint8)
    for row, classes in zip(rows, labels, strict=True):
        row[list(classes)] = 1
    return rows


def looked_at(num_entries: int, which: str, *, most: int = SAMPLED_FILES) -> list[int]:
    """Indices of the entries of a list to look at: "all", a "sample" of up to ``most``, evenly spread, or "none".

    Raises:
        ValueError: another ``which``.
    """
    numbers = {"all": num_entries, "sample": min(most, num_entries), "none": 0}
    if which not in numbers:
        raise ValueError(f'which must be "all", "sample" or "none", got {which!r}.')
    return [i * num_entries // numbers[which] for i in range(numbers[which])]


def check_files(videos: VideoList, which: str = "sample") -> None:
    """Check that the files of a list exist; ``which`` of them: see ``looked_at``.

    Raises:
        AnnotationError: some are missing: how many, and the first ten with their lines.
    """
    indices = looked_at(len(videos), which)
    missing = [i for i in indices if not os.path.exists(videos.paths[i])]
    if missing:
        named = "\n".join(f"  {videos.location(i)}: {videos.paths[i]}" for i in missing[:MAX_REPORTED])
        looked = f"{len(indices):,} files" if len(indices) == len(videos) else f"{len(indices):,} files checked"
        of = "" if len(indices) == len(videos) else f" (of {len(videos):,})"
        raise AnnotationError(
            f"{videos.source}: {len(missing):,} of {looked}{of} are missing:\n{named}\n"
            "Paths in a list are relative to DATA.PATH_PREFIX, or else to the folder of the list. "
            "DATA.CHECK_FILES none starts without looking."
        )


def read_class_names(path: str | os.PathLike) -> list[str]:
    """Class names in the order of their labels.

    Args:
        path: a .json file, ``{"name": label, ...}`` with labels 0 to K - 1 or a list of names, or a text file with one
            name per line. Stray double quotes around a name, as in the widely copied Kinetics file, are removed.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        content = read_json(path, error=AnnotationError)
    else:
        content = _nonblank_lines(path)
    names = _names_in_order(path, content)
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise AnnotationError(
            f"{path}: class names must be unique; {', '.join(map(quoted, doubled[:5]))} appears more than once."
        )
    return names


def _nonblank_lines(path: Path) -> list[str]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"cannot read class names from {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path} holds no class names: it is not UTF-8 text ({error}).") from error
    return [line for line in text.splitlines() if line.strip()]


def _names_in_order(path: Path, content: Any) -> list[str]:
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return [_clean_name(name) for name in content]
    is_map = isinstance(content, dict) and all(type(label) is int for label in content.values())
    if not is_map or sorted(content.values()) != list(range(len(content))):
        raise AnnotationError(
            f"{path}: expected a list of names or an object of name: label with labels 0, 1, ... K - 1, each once."
        )
    return [_clean_name(name) for name, _ in sorted(content.items(), key=lambda item: item[1])]


def _clean_name(name: str) -> str:
    return name.strip().strip('"').strip()


def find_class_names(folder: str | os.PathLike) -> Path | None:
    """classids.json or class_names.txt in ``folder``, whichever exists."""
    candidates: Iterator[Path] = (Path(folder) / name for name in ("classids.json", "class_names.txt"))
    return next((path for path in candidates if path.is_file()), None)
