"""The lists that training reads (train.csv, val.csv, test.csv, classids.json), and tables of files that are not in
them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slowfast.datasets.lists.path_labels import read_path_label_list
from slowfast.preparation.files import TEXT, write_table
from slowfast.utils.files import atomic_write
from slowfast.utils.untrusted import read_bytes

_SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validate", "validation"),
    "test": ("test", "testing"),
}
MISSING_COLUMNS = ("split", "youtube_id", "time_start", "time_end", "label", "reason")
UNLISTED_COLUMNS = ("path", "reason")


def split_of(name: str) -> str | None:
    """ "train", "val" or "test" for one of their names ("validate", "Test"); None for another word."""
    word = name.strip().lower()
    return next((split for split, names in _SPLIT_NAMES.items() if word in names), None)


@dataclass
class DatasetLists:
    """The contents of a data set's lists.

    Attributes:
        rows: for each split there is, (path of the video, its label, or None if labels are withheld).
        class_names: in the order of the labels.
        missing: rows of missing.csv: annotated videos that do not exist.
        unlisted: (path, reason) of files that are in no list.
        notes: sentences for the user.
    """

    rows: dict[str, list[tuple[str, int | None]]]
    class_names: list[str]
    missing: list[tuple] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_lists(
    lists: DatasetLists,
    folder: str | os.PathLike,
    *,
    separator: str = " ",
    relative_to: str | os.PathLike | None = None,
    overwrite: bool = False,
) -> None:
    """Write train.csv, val.csv and test.csv, as far as there are rows, classids.json, missing.csv and unlisted.csv.

    Every list is read back before it is renamed into place, so training will read what was meant.

    Args:
        relative_to: folder that paths are relative to (DATA.PATH_PREFIX). Without it, paths of videos below ``folder``
            are relative to that, and others absolute.
        overwrite: replace lists with different content.

    Raises:
        ValueError: a list with different content exists, or a row cannot be written so that it reads back unchanged.
    """
    folder = Path(folder)
    texts = {
        f"{split}.csv": _list_text(rows, separator, os.fspath(relative_to or ""), folder, lists)
        for split, rows in lists.rows.items()
        if rows
    }
    class_ids = {name: label for label, name in enumerate(lists.class_names)}
    texts["classids.json"] = json.dumps(class_ids, indent=1, ensure_ascii=False) + "\n"
    changed = [name for name, text in texts.items() if _differs(folder / name, text)]
    if changed and not overwrite:
        raise ValueError(
            f"{folder} holds {', '.join(changed)} with different content: nothing was written. "
            "Name another folder, or replace them with --overwrite."
        )
    for name, text in texts.items():
        with atomic_write(folder / name) as draft:
            with open(draft, "w", **TEXT) as file:
                file.write(text)
            if name != "classids.json":
                _check_list(draft, name, text, separator)
    write_table(folder / "missing.csv", MISSING_COLUMNS, lists.missing)
    own = {os.path.abspath(folder / name) for name in (*texts, "missing.csv", "unlisted.csv")}
    lists.unlisted = [row for row in lists.unlisted if os.path.abspath(row[0]) not in own]
    write_table(folder / "unlisted.csv", UNLISTED_COLUMNS, lists.unlisted)


def _list_text(
    rows: Sequence[tuple[str, int | None]], separator: str, relative_to: str, folder: Path, lists: DatasetLists
) -> str:
    lines = []
    for path, label in rows:
        if "\n" in path:
            lists.unlisted.append((path, "a list cannot hold a line break in a name"))
            continue
        written = _quoted(_shown_path(path, relative_to, folder))
        lines.append(f"{written}\n" if label is None else f"{written}{separator}{label}\n")
    return "".join(lines)


def _shown_path(path: str, relative_to: str, folder: Path) -> str:
    path = os.path.abspath(path)
    if relative_to:
        return os.path.relpath(path, relative_to)
    relative = os.path.relpath(path, folder)
    return path if relative.startswith(os.pardir + os.sep) else relative


def _quoted(path: str) -> str:
    """``path`` as a field of a list, in quotes only if it would otherwise be misread."""
    odd = path != path.strip() or path.startswith(("#", '"', "\ufeff"))
    return '"' + path.replace('"', '""') + '"' if odd else path


def _differs(path: Path, text: str) -> bool:
    try:
        return read_bytes(path) != text.encode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return False


def _check_list(draft: Path, name: str, text: str, separator: str) -> None:
    """Check that the list is read as it was meant."""
    found = read_path_label_list(draft, separator=separator, labels_optional=True)
    assert len(found) == text.count("\n")
    for line, path, label in zip(text.split("\n"), found.paths, found.labels, strict=False):
        shown = _quoted(path)
        if line != (f"{shown}{separator}{label}" if label >= 0 else shown):
            raise ValueError(
                f"{name}: {line!r} would be read as the path {path!r} with label {label}. "
                "Rename that file or folder, or choose another --separator."
            )
