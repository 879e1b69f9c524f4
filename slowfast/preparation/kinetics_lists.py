"""Lists of Kinetics from its annotation files and whatever part of the videos is on disk.

A video is known by its YouTube id and the times of its segment: ``<id>_000017_000027.mp4``. The id alone is not unique
(some have several segments), and it may contain underscores, so names are read from the right.
"""

from __future__ import annotations

import io
import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from slowfast.datasets.contract import SPLITS
from slowfast.datasets.lists.row_problems import named_rows
from slowfast.preparation.files import find_files
from slowfast.preparation.list_files import DatasetLists, split_of
from slowfast.utils.untrusted import csv_rows, cut, read_bytes, read_json

REQUIRED_COLUMNS = ("youtube_id", "time_start", "time_end")

_TIMED_NAME = re.compile(r"(.+)_(\d{1,6})_(\d{1,6})", re.DOTALL)
_BARE_ID = re.compile(r"[A-Za-z0-9_-]{11}")  # also "abc_123_456" is one


class SegmentKey(NamedTuple):
    """Names a piece of a YouTube video; times in seconds."""

    youtube_id: str
    start: int
    end: int


class Segment(NamedTuple):
    """A row of an annotation file. ``label`` is None if labels are withheld."""

    key: SegmentKey
    split: str
    label: str | None


def kinetics_lists(
    annotations: Sequence[str | os.PathLike], videos: str | os.PathLike, *, class_names: Sequence[str] | None = None
) -> DatasetLists:
    """The lists of Kinetics: every annotated video that is found below ``videos``, in any of the usual layouts.

    Class folders (with spaces or underscores), split folders and flat folders are all searched; names may contain the
    times or not. Of several files for one video, the one in a ``replacement`` folder is used, else the one in the
    folder of its split, else that of its class.

    Args:
        annotations: CSV files, or their JSON twins.
        class_names: in the order of the labels. Default: all names in the annotations, in byte-wise order, which gives
            the official labels if one of the files names every class.

    Raises:
        ValueError: a file cannot be used, or holds a class that ``class_names`` does not.
    """
    segments = list(dict.fromkeys(row for path in annotations for row in read_annotations(path)))
    labels = {segment.label for segment in segments if segment.label is not None}
    names = list(class_names or sorted(labels, key=os.fsencode))
    unknown = sorted(labels - set(names))
    if unknown:
        raise ValueError(
            f"the annotations hold {len(unknown)} classes that are not among the {len(names)} given, "
            f"such as {unknown[0]!r}."
        )
    paths, others = find_files(videos)
    lists = _match(segments, paths, {name: label for label, name in enumerate(names)}, os.fspath(videos))
    lists.class_names = names
    lists.unlisted += [(os.path.join(videos, path), "not a video file, by its extension") for path in others]
    lists.notes += _notes(segments)
    if lists.missing:
        share = len(lists.missing) / len(segments)
        lists.notes.append(f"{len(lists.missing):,} of {len(segments):,} annotated videos are missing ({share:.1%}).")
    return lists


def read_annotations(path: str | os.PathLike) -> list[Segment]:
    """The rows of an annotation file; columns are found by name, because test files lack the first one.

    Raises:
        ValueError: no such file, no such columns, or bad rows (the message names the first ten).
    """
    path = Path(path)
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    segments, problems = [], []
    for line, row in rows:
        try:
            segments.append(_segment(row, path))
        except ValueError as error:
            problems.append((line, error))
    if problems:
        raise ValueError(f"{path}: {len(problems):,} rows cannot be used:\n{named_rows(path, problems)}")
    if not segments:
        raise ValueError(f"{path} holds no rows.")
    return segments


def _csv_rows(path: Path) -> list[tuple[object, dict]]:
    """(line, fields by column) of every row; a field that the row lacks is None."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read the annotations {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}).") from error
    rows = csv_rows(io.StringIO(text, newline=""), source=path, error=ValueError)
    columns = [name.strip().lower() for name in next(rows, (1, []))[1]]
    lacking = [name for name in REQUIRED_COLUMNS if name not in columns]
    if lacking:
        raise ValueError(
            f"{path} has no column {', '.join(lacking)} (its first line is {','.join(columns)[:120]!r}). "
            "Kinetics' files have label,youtube_id,time_start,time_end,split; test files may lack label."
        )
    return [(line, dict(itertools.zip_longest(columns, row[: len(columns)]))) for line, row in rows]


def _json_rows(path: Path) -> list[tuple[object, dict]]:
    """Rows of ``{id: {"annotations": {"label": ..., "segment": [start, end]}, "subset": ...}}``."""
    content = read_json(path)
    try:
        rows: list[tuple[object, dict]] = []
        for youtube_id, entry in content.items():
            what = entry["annotations"]
            times = {"time_start": what["segment"][0], "time_end": what["segment"][1]}
            row = {"youtube_id": youtube_id, **times, "label": what.get("label"), "split": entry.get("subset")}
            rows.append((repr(youtube_id), row))
        return rows
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a Kinetics annotation file ({type(error).__name__}: {cut(str(error))}): expected "
            '{"youtube id": {"annotations": {"label": ..., "segment": [start, end]}, "subset": ...}, ...}.'
        ) from error


def _segment(row: dict, path: Path) -> Segment:
    youtube_id = str(row["youtube_id"] or "").strip()
    if not youtube_id:
        raise ValueError("no youtube_id")
    times = []
    for column in ("time_start", "time_end"):
        try:
            times.append(round(float(row[column])))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{column} is {cut(repr(row[column]))}, not a number of seconds") from None
    words = [str(row["split"])] if row.get("split") else re.split(r"[^A-Za-z]+", path.stem)
    split = next(filter(None, map(split_of, words)), None)
    if split is None:
        raise ValueError(f"split is {row.get('split')!r} and the file is not named after one: train, val or test")
    label = str(row.get("label") or "").strip().strip('"').strip()
    return Segment(SegmentKey(youtube_id, *times), split, label or None)


def parse_video_name(stem: str) -> SegmentKey | str:
    """The segment that a file name without its extension identifies, or only the YouTube id."""
    timed = _TIMED_NAME.fullmatch(stem)
    if timed is None or _BARE_ID.fullmatch(stem):
        return stem
    return SegmentKey(timed[1], int(timed[2]), int(timed[3]))


def _match(segments: Sequence[Segment], paths: Sequence[str], label_of: dict[str, int], root: str) -> DatasetLists:
    """Lists of the segments that have one of ``paths``, and the leftovers of both."""
    files, unlisted = _files_by_key(segments, paths)
    rows: dict[str, list[tuple[str, int | None]]] = {split: [] for split in SPLITS}
    missing: list[tuple] = []
    taken: set[str] = set()
    classes = {_as_class(name) for name in label_of}
    num_elsewhere = 0
    for segment in segments:
        candidates = files.get(segment.key)
        if not candidates:
            missing.append((segment.split, *segment.key, segment.label or "", "no such file"))
            continue
        path = max(candidates, key=lambda path: _preference(path, segment))  # the first of equals
        taken.add(path)
        if segment.label is None:
            rows[segment.split].append((os.path.join(root, path), None))
            continue
        rows[segment.split].append((os.path.join(root, path), label_of[segment.label]))
        num_elsewhere += _class_folder(path) in classes - {_as_class(segment.label)}
    for candidates in files.values():
        unlisted += [(path, "another file was chosen for this video") for path in candidates if path not in taken]
    notes = []
    if num_elsewhere:
        notes.append(f"{num_elsewhere:,} videos are in the folder of another class; the annotation's label was used.")
    return DatasetLists(rows, [], missing, [(os.path.join(root, path), why) for path, why in unlisted], notes)


def _files_by_key(
    segments: Sequence[Segment], paths: Sequence[str]
) -> tuple[dict[SegmentKey, list[str]], list[tuple[str, str]]]:
    """The files for each segment, and (path, reason) of files that belong to none."""
    segments_of: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        segments_of[segment.key.youtube_id].append(segment)
    files: dict[SegmentKey, list[str]] = defaultdict(list)
    unlisted: list[tuple[str, str]] = []
    for path in paths:
        name = parse_video_name(os.path.splitext(os.path.basename(path))[0])
        of_this_id = segments_of.get(name.youtube_id if isinstance(name, SegmentKey) else name, [])
        keys = {segment.key for segment in of_this_id}
        if isinstance(name, SegmentKey):
            keys &= {name}
        elif len(keys) > 1:  # no times in the name: the folder may tell which segment it is
            best = max(_preference(path, segment) for segment in of_this_id)
            keys = {segment.key for segment in of_this_id if _preference(path, segment) == best}
        if len(keys) == 1:
            files[keys.pop()].append(path)
        elif not of_this_id:
            unlisted.append((path, "no annotation names it"))
        elif isinstance(name, SegmentKey):
            unlisted.append((path, "annotated with other times"))
        else:
            unlisted.append((path, "the id has several segments, but the file name has no times"))
    return files, unlisted


def _preference(path: str, segment: Segment) -> tuple[bool, bool, bool]:
    """How well a file suits a segment, by its folders; greater is better."""
    folders = Path(path).parent.parts
    return (
        "replacement" in folders,  # of the CVDF copy: whole files for broken ones
        segment.split in map(split_of, folders),
        segment.label is not None and _class_folder(path) == _as_class(segment.label),
    )


def _class_folder(path: str) -> str:
    return _as_class(os.path.basename(os.path.dirname(path)))


def _as_class(name: str) -> str:
    """A name that is the same with spaces and with underscores; case matters (Kinetics-600)."""
    return name.replace("_", " ").strip()


def _notes(segments: Sequence[Segment]) -> list[str]:
    splits_of: dict[str, set[str]] = defaultdict(set)
    for segment in segments:
        splits_of[segment.key.youtube_id].add(segment.split)
    num_shared = sum(len(splits) > 1 for splits in splits_of.values())
    counts = Counter(segment.split for segment in segments)
    notes = ["annotated: " + ", ".join(f"{counts[split]:,} {split}" for split in SPLITS if counts[split]) + "."]
    if num_shared:
        notes.append(f"{num_shared:,} YouTube ids are in more than one split: some test videos are also trained on.")
    return notes
