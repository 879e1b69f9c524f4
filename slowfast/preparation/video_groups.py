"""Videos that were cut from one recording, by their names, and a split that keeps them together.

Clips of one recording show the same people in the same place. With some in training and others in the test, a network
is rewarded for recognizing the place, so accuracy is too high.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

LEAST_MATCHES = 0.9  # share of all names that a rule has to fit
LEAST_GROUPS = 3  # of each class with as many videos: one for every split


@dataclass(frozen=True)
class GroupRule:
    """How names identify the recording.

    Attributes:
        name: in a sentence.
        pattern: of a file's name without its extension; the first group is the recording.
        within_class: whether g01 of one class is unrelated to g01 of another.
    """

    name: str
    pattern: re.Pattern[str]
    within_class: bool


RULES = (
    GroupRule("UCF's group", re.compile(r"^(?:.*_)?(g\d+)_c\d+$"), within_class=True),
    GroupRule("Kinetics' video id", re.compile(r"^(.{11})_\d{6}_\d{6}$"), within_class=False),
    GroupRule("the name before its last number", re.compile(r"^(.*[^\W\d_].*?)[\s_.(-]*\d+\)?$"), within_class=False),
)


@dataclass(frozen=True)
class VideoGroups:
    """Which videos belong together.

    Attributes:
        rule: the one that found it; None: every video is a group of its own.
        group_of: path of a video -> name of its group.
    """

    rule: GroupRule | None
    group_of: Mapping[str, str]

    @property
    def num_groups(self) -> int:
        """Different recordings."""
        return len(set(self.group_of.values()))

    def __str__(self) -> str:
        if self.rule is None:
            return "names reveal no common recordings: every video counts as its own"
        example = next(path for path, group in self.group_of.items())
        text = f"{self.num_groups:,} recordings by {self.rule.name}"
        return f"{text} ({PurePath(example).name}: {self.group_of[example]!r}); each is in one split"


def find_groups(videos: Mapping[str, Sequence[str]]) -> VideoGroups:
    """The groups of ``videos`` by the first of ``RULES`` that fits them.

    A rule fits if it matches ``LEAST_MATCHES`` of the names, finds fewer groups than videos, and leaves every class
    with enough videos ``LEAST_GROUPS`` groups: `video_001` to `video_100` say nothing about recordings.

    Args:
        videos: class name -> paths.
    """
    for rule in RULES:
        found = {path: _group(rule, name, path) for name, paths in videos.items() for path in paths}
        if _fits(found, videos):
            return VideoGroups(rule, {path: group or path for path, group in found.items()})
    return VideoGroups(None, {path: path for paths in videos.values() for path in paths})


def _group(rule: GroupRule, class_name: str, path: str) -> str:
    """Name of the recording; empty if the rule does not match the name."""
    match = rule.pattern.match(PurePath(path).stem)
    if match is None:
        return ""
    return f"{class_name}/{match[1]}" if rule.within_class else match[1]


def _fits(group_of: Mapping[str, str], videos: Mapping[str, Sequence[str]]) -> bool:
    groups = [group for group in group_of.values() if group]
    if len(groups) < LEAST_MATCHES * len(group_of) or len(set(groups)) == len(groups):
        return False
    counts = [(len(paths), len({group_of[path] or path for path in paths})) for paths in videos.values()]
    return all(num_groups >= min(LEAST_GROUPS, num_videos) for num_videos, num_groups in counts)


def split_by_group(
    videos: Mapping[str, Sequence[str]], groups: VideoGroups, fractions: Sequence[float], *, seed: int = 0
) -> list[dict[str, list[str]]]:
    """For every split, the videos of each class: no group is in two splits, and every class comes near ``fractions``.

    Which group goes where depends only on ``seed`` and the names. Every class has a training video, unless all of its
    groups went elsewhere with another class.

    Args:
        videos: class name -> paths.
        fractions: of the splits, the first of them for training.
    """
    splits: list[dict[str, list[str]]] = [{} for _ in fractions]
    placed: dict[str, int] = {}  # a group of several classes goes where the first of them put it
    owed = np.zeros(len(fractions))  # what one class gets too few of, the next gets more of
    wanted = {split for split, share in enumerate(fractions) if share > 0}
    for name in sorted(videos, key=os.fsencode):
        members: dict[str, list[str]] = defaultdict(list)
        for path in videos[name]:
            members[groups.group_of[path]].append(path)
        owed += len(videos[name]) * np.asarray(fractions)
        _place(members, placed, owed, wanted, seed)
        for group, paths in members.items():
            splits[placed[group]].setdefault(name, []).extend(paths)
    return [{name: sorted(paths, key=os.fsencode) for name, paths in split.items()} for split in splits]


def _place(
    members: Mapping[str, Sequence[str]], placed: dict[str, int], owed: np.ndarray, wanted: set[int], seed: int
) -> None:
    """Choose a split for each group of one class that has none in ``placed``, and subtract its videos from ``owed``.

    The first goes into training, the last ones into the splits that would stay empty, others where most videos are
    still owed.
    """
    empty = set(wanted)
    # those that are placed already come first: the others make up for them
    order = sorted(members, key=lambda group: (group not in placed, draw(seed, group)))
    for index, group in enumerate(order):
        if group not in placed:
            allowed = {0} if 0 in empty else empty if len(order) - index <= len(empty) else wanted
            placed[group] = max(sorted(allowed), key=lambda split: owed[split])
        owed[placed[group]] -= len(members[group])
        empty.discard(placed[group])


def draw(seed: int, name: str) -> bytes:
    """By what names are shuffled: a function of the seed and the name alone."""
    return hashlib.blake2b(f"{seed}\n".encode() + os.fsencode(name)).digest()
