"""Tables with unusual file names, records of settings, and the videos below a folder.

Names are those of the operating system: bytes that are not UTF-8 are kept as surrogates and written back unchanged.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from slowfast.utils.files import atomic_write
from slowfast.utils.untrusted import csv_rows, cut, open_text, read_json
from slowfast.video.files import VIDEO_ENDINGS

OWN_FILES = ("resize.json", "failed.csv")
TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # of every table here


def find_files(root: str | os.PathLike) -> tuple[list[str], list[str]]:
    """(videos, other files) below ``root``, as paths relative to it in byte-wise order.

    Hidden files and folders (including macOS's ``._a.mp4``) and the records that `resize` keeps next to its copies are
    skipped. Links are followed once.

    Raises:
        ValueError: ``root`` is not a folder.
    """
    if not os.path.isdir(root):
        raise ValueError(f"{os.fspath(root)} is not a folder. Name the folder that holds the videos.")
    videos: list[str] = []
    others: list[str] = []
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(os.fspath(root), followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and name not in OWN_FILES:
                is_video = os.path.splitext(name)[1].lower() in VIDEO_ENDINGS
                (videos if is_video else others).append(os.path.relpath(os.path.join(folder, name), root))
    return sorted(videos, key=os.fsencode), sorted(others, key=os.fsencode)


def write_table(path: str | os.PathLike, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically."""
    with atomic_write(path) as draft, open(draft, "w", **TEXT) as file:
        plain = csv.writer(file, lineterminator="\n")
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(header)
        for row in rows:
            # Python before 3.13 leaves a carriage return without quotes, and then cannot read it.
            (quoted if any("\r" in str(field) for field in row) else plain).writerow(row)


def read_table(path: str | os.PathLike) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its header; none if there is no such file.

    Raises:
        ValueError: not a CSV file, or a row whose number of fields differs from the header's; names the line.
    """
    try:
        with open_text(path) as file:
            rows = csv_rows(file, source=path, error=ValueError)
            _, header = next(rows, (1, []))
            table = []
            for line, row in rows:
                if len(row) != len(header):
                    raise ValueError(f"{os.fspath(path)}:{line}: {len(row)} fields, but the header has {len(header)}.")
                table.append(dict(zip(header, row, strict=True)))
            return table
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ValueError(f"cannot read {os.fspath(path)}: {error.strerror}.") from error


def check_or_write_settings(path: str | os.PathLike, settings: dict) -> None:
    """Record in the JSON file ``path`` how the files next to it are made, so that no later run mixes two ways.

    Raises:
        ValueError: they were made with different settings; says which.
    """
    path = Path(path)
    wanted = json.loads(json.dumps(settings))  # tuples become lists, as they are read back
    if not path.exists():
        with atomic_write(path, concurrently=True) as draft:  # machines that share the folder begin together
            draft.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        return
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path} should say how its folder was made, but holds no settings by name.")
    if found != wanted:
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        changes = cut(", ".join(f"{name} {found.get(name)!r}, now {wanted.get(name)!r}" for name in names))
        raise ValueError(
            f"{path.parent} was started with different settings ({changes}). Name another folder, or delete its "
            f"{path.name} and its contents."
        )
