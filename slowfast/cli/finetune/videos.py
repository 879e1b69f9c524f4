"""The videos for fine-tuning: which exist, which can be read, how they are split, and how long they are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slowfast.datasets.contract import SPLITS
from slowfast.preparation.durations import VideoLength, video_lengths
from slowfast.preparation.folder_lists import folder_lists, has_split_folders
from slowfast.preparation.list_files import DatasetLists
from slowfast.preparation.video_groups import find_groups, split_by_group
from slowfast.utils.progress import WorkProgress

DIVISION = (0.7, 0.15, 0.15)
VAL_SHARE = 0.15  # of the training videos, where a folder has no val


@dataclass
class Videos:
    """Videos after splitting and measuring.

    Attributes:
        lists: rows of the videos that can be read.
        lengths: by path.
    """

    lists: DatasetLists
    lengths: dict[str, VideoLength]

    @property
    def class_names(self) -> list[str]:
        return self.lists.class_names

    def counts(self) -> list[int]:
        """Training videos of each class."""
        counted = Counter(label for _, label in self.lists.rows["train"])
        return [counted[label] for label in range(len(self.class_names))]

    def seconds(self) -> list[float]:
        """How long each training video is."""
        return [self.lengths[path].seconds for path, _ in self.lists.rows["train"]]


def find_videos(root: Path, *, split: Sequence[float] | None, seed: int, num_workers: int) -> Videos:
    """The videos below ``root``, split and measured.

    Args:
        split: shares of train, val and test; None: the split of the folders, or ``DIVISION``.

    Raises:
        ValueError: no folders of classes, fewer than two classes, or a class without a training video.
    """
    is_split = os.path.isdir(root) and has_split_folders(root)
    fractions = split if is_split else split or DIVISION
    lists = folder_lists(root, fractions=fractions, seed=seed, by_group=True)
    videos = Videos(lists, {})
    _measure(videos, num_workers)
    if len(lists.class_names) < 2:
        raise ValueError(f"{root} has one class, {lists.class_names[0]!r}: there is nothing to tell apart.")
    _fill_splits(videos, seed)
    missing = [name for name, count in zip(lists.class_names, videos.counts(), strict=True) if not count]
    if missing:
        raise ValueError(
            f"{len(missing)} classes have no training video that can be read, such as {missing[0]!r}. Add some, or "
            "remove their folders."
        )
    return videos


def _measure(videos: Videos, num_workers: int) -> None:
    """Read every length, and drop unreadable videos."""
    rows = videos.lists.rows
    paths = list(dict.fromkeys(path for split in SPLITS for path, _ in rows[split]))
    with WorkProgress(len(paths)) as progress:
        for length in video_lengths(paths, num_workers=num_workers):
            videos.lengths[length.path] = length
            progress.step(failed=bool(length.error))
    bad = [length for length in videos.lengths.values() if length.error]
    if bad:
        videos.lists.unlisted += [(length.path, length.error) for length in bad]
        reason = bad[0].error if bad[0].path in bad[0].error else f"{bad[0].path}: {bad[0].error}"
        videos.lists.notes.append(f"{len(bad)} of {len(paths)} videos cannot be read and are in no list ({reason})")
        for split in SPLITS:
            rows[split] = [row for row in rows[split] if not videos.lengths[row[0]].error]


def _fill_splits(videos: Videos, seed: int) -> None:
    """Take val from train, and test from val, if the folders have none."""
    rows, names = videos.lists.rows, videos.class_names
    if not rows["val"]:
        by_class = {name: [p for p, label in rows["train"] if label == number] for number, name in enumerate(names)}
        by_class = {name: paths for name, paths in by_class.items() if paths}
        groups = find_groups(by_class)
        parts = split_by_group(by_class, groups, (1 - VAL_SHARE, VAL_SHARE), seed=seed)
        for split, part in zip(("train", "val"), parts, strict=True):
            rows[split] = [(path, names.index(name)) for name in names for path in part.get(name, ())]
        videos.lists.notes.append(f"there is no val: {len(rows['val'])} training videos become it ({groups})")
    if not rows["test"]:
        rows["test"] = list(rows["val"])
        videos.lists.notes.append("there is no test: val is tested, although it also chooses the best weights")
