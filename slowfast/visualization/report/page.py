"""From the content of some runs to one self-contained HTML file: data, style and script."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import simplejson

import slowfast
from slowfast.utils.files import atomic_write
from slowfast.visualization.report.contents import ReportError, find_runs, read_run


def write_report(folders: Sequence[str | Path], path: str | Path) -> list[str]:
    """Write the report of some runs, side by side, to ``path``; returns the names of the runs in it.

    Args:
        folders: OUTPUT_DIRs; one with several tests (TEST.NUM_TEMPORAL_CLIPS) gives one run per test.

    Raises:
        ReportError: a folder holds no run, or the runs have different classes.
    """
    found = [run for folder in folders for run in find_runs(folder)]
    names = run_names(found)
    runs = [read_run(folder, name=name) for folder, name in zip(found, names, strict=True)]
    content = {
        "class_names": _common_class_names(runs),
        "runs": runs,
        "version": slowfast.__version__,
        "written": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        draft.write_text(page(content), encoding="utf-8")
    return names


def run_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that distinguish the folders; numbered if a folder is given twice."""
    parts = [folder.resolve().parts for folder in folders]
    length = 1
    while length < max(map(len, parts)) and len({p[-length:] for p in parts}) < len(set(parts)):
        length += 1
    names: list[str] = []
    for part in parts:
        name = "/".join(part[-length:]) or "/"
        twins = sum(known == name or known.startswith(f"{name} (") for known in names)
        names.append(f"{name} ({twins + 1})" if twins else name)
    return names


def _common_class_names(runs: Sequence[dict[str, Any]]) -> list[str] | None:
    """Taken out of the runs, which must agree."""
    named = [(run["name"], names) for run in runs if (names := run.pop("class_names"))]
    for name, names in named[1:]:
        if names != named[0][1]:
            raise ReportError(
                f"{named[0][0]} has {len(named[0][1])} classes, but {name} has {len(names)} different ones: a "
                f"comparison needs the same classes. Write a report for each."
            )
    return named[0][1] if named else None


def page(content: Mapping[str, Any]) -> str:
    """The HTML text. Nothing in ``content`` can close the element that contains it."""
    data = simplejson.dumps(content, ignore_nan=True, separators=(",", ":"), for_json=False)
    for letter in "<>&\u2028\u2029":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    # Surrogates of file names that are no UTF-8 are escapes here, as is all that is not ASCII.
    head, style, middle, data_mark, rest = re.split("@@(STYLE|DATA)@@", _file("page.html"))
    assert (style, data_mark) == ("STYLE", "DATA")
    between, _, end = rest.partition("@@SCRIPT@@")
    return "".join([head, _file("page.css"), middle, data, between, _file("page.js"), end])


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
