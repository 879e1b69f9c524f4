"""Lists of a data set whose folders are its classes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from slowfast.datasets.contract import SPLITS
from slowfast.preparation.files import find_files
from slowfast.preparation.list_files import DatasetLists, split_of
from slowfast.preparation.video_groups import VideoGroups, draw, find_groups, split_by_group


def folder_lists(
    root: str | os.PathLike,
    *,
    fractions: Sequence[float] | None = None,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    by_group: bool = False,
) -> DatasetLists:
    """The lists of ``root/{train,val,test}/<class>/<video>``, or of ``root/<class>/<video>`` split by ``fractions``.

    Videos may lie deeper below the folder of their class. Labels are ranks of the class names in byte-wise order.

    Args:
        fractions: of train, val and test, for a root without split folders; they sum to 1. Every class is split in this
            way. Which video goes where depends only on ``seed`` and the names.
        class_names: in the order of the labels; default all folders there are.
        by_group: keep videos of one recording in one split, if names reveal it; see ``video_groups.find_groups``.

    Raises:
        ValueError: the folders have a different layout, hold no video, or hold a class that is not in ``class_names``.
    """
    root = os.fspath(root)
    paths, others = find_files(root)
    splits = {name: split_of(name) for name in {_first(path) for path in paths}}
    split_folders = {name: split for name, split in splits.items() if split and os.path.isdir(f"{root}/{name}")}
    _check_layout(root, paths, split_folders, fractions)
    videos, unlisted = _by_split_and_class(paths, split_folders)
    found = {name for _, name in videos}
    names = list(class_names or sorted(found, key=os.fsencode))
    if not found <= set(names):
        strange = sorted(found - set(names))
        raise ValueError(
            f"{root} has {len(strange)} folders that are not among the given classes, such as {strange[0]!r}."
        )
    notes = []
    if fractions is not None:
        by_class = {name: paths for (_, name), paths in videos.items()}
        groups = find_groups(by_class) if by_group else None
        notes += [str(groups)] if groups else []
        videos = _split(by_class, groups, fractions, seed)
    label_of = {name: label for label, name in enumerate(names)}
    rows: dict[str, list[tuple[str, int | None]]] = {
        split: [(os.path.join(root, path), label_of[name]) for name in names for path in videos.get((split, name), ())]
        for split in SPLITS
    }
    unlisted += [(path, "not a video file, by its extension") for path in others]
    unlisted = [(os.path.join(root, path), why) for path, why in unlisted]
    return DatasetLists(rows, names, unlisted=unlisted, notes=notes + _notes(rows, names))


def has_split_folders(root: str | os.PathLike) -> bool:
    """Whether ``root`` has a folder train, val or test, so that its videos are already split."""
    with os.scandir(os.fspath(root)) as entries:
        return any(entry.is_dir() and split_of(entry.name) for entry in entries)


def _first(path: str) -> str:
    return path.split(os.sep, 1)[0]


def _check_layout(
    root: str, paths: Sequence[str], split_folders: dict[str, str], fractions: Sequence[float] | None
) -> None:
    if not paths:
        raise ValueError(f"{root} holds no video file. Expected {root}/<class>/<video>, or train/, val/, test/ above.")
    beside = sorted({_first(path) for path in paths if os.sep in path} - set(split_folders))
    if split_folders and beside:
        raise ValueError(
            f"{root} holds {', '.join(sorted(split_folders))} and also {beside[0]!r}: are its folders splits or "
            f"classes? Move one or the other."
        )
    if len(set(split_folders.values())) < len(split_folders):
        raise ValueError(f"{root} holds two folders for one split: {', '.join(sorted(split_folders))}.")
    if split_folders and fractions is not None:
        raise ValueError(f"{root} is already split ({', '.join(sorted(split_folders))}): omit --split.")
    if not split_folders and fractions is None:
        raise ValueError(
            f"{root} holds no folder train, val or test. Specify how to split its videos, e.g. --split 0.8 0.1 0.1."
        )
    if fractions is not None and (len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6):
        raise ValueError(f"split {tuple(fractions)}: give the fractions of train, val and test, which sum to 1.")


def _by_split_and_class(
    paths: Sequence[str], split_folders: dict[str, str]
) -> tuple[dict[tuple[str, str], list[str]], list[tuple[str, str]]]:
    """Videos by (split, class), with an empty split if there are no split folders; and those outside any class."""
    videos: dict[tuple[str, str], list[str]] = defaultdict(list)
    unlisted = []
    for path in paths:
        folders = path.split(os.sep)[:-1]
        split = split_folders[folders.pop(0)] if split_folders and folders else ""
        if folders:
            videos[split, folders[0]].append(path)
        else:
            unlisted.append((path, "not in the folder of a class"))
    return videos, unlisted


def _split(
    videos: dict[str, list[str]], groups: VideoGroups | None, fractions: Sequence[float], seed: int
) -> dict[tuple[str, str], list[str]]:
    """The videos of each class divided among the splits by the same fractions; those of a group are in one split.

    If rounding gives a split too much in one class, it gets less in the next, so that small classes do not all leave
    the same split empty. Every class keeps a training video.
    """
    if groups and groups.rule:
        of_splits = zip(SPLITS, split_by_group(videos, groups, fractions, seed=seed), strict=True)
        return {(split, name): paths for split, of_split in of_splits for name, paths in of_split.items()}
    divided = {}
    owed = np.zeros(3)
    for name, paths in sorted(videos.items(), key=lambda item: os.fsencode(item[0])):
        owed += len(paths) * np.asarray(fractions)
        counts = _round_to_sum(owed, len(paths))
        if counts[0] == 0 and fractions[0] > 0:
            counts[np.argmax(counts)] -= 1
            counts[0] = 1
        owed -= counts
        drawn = sorted(paths, key=lambda path: draw(seed, path))
        for split, end, count in zip(SPLITS, np.cumsum(counts), counts, strict=True):
            divided[split, name] = sorted(drawn[end - count : end], key=os.fsencode)
    return divided


def _round_to_sum(targets: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers from 0 that sum to ``total`` and are as near to ``targets`` as possible."""
    counts = np.zeros(len(targets), dtype=np.int64)
    for _ in range(total):
        counts[np.argmax(targets - counts)] += 1
    return counts


def _notes(rows: dict[str, list], names: Sequence[str]) -> list[str]:
    notes = []
    trained = {label for _, label in rows["train"]}
    for split in ("val", "test"):
        untrained = sorted({label for _, label in rows[split]} - trained)
        if untrained:
            shown = ", ".join(repr(names[label]) for label in untrained[:5])
            notes.append(f"{split} holds {len(untrained)} classes without a training video, such as {shown}.")
    return notes
