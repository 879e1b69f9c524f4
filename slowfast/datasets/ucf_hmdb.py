"""UCF101 and HMDB51: action videos with three official splits, by their own annotation files.

DATA.FOLD chooses the split. Its training videos are the train split here; its test videos are val and test. Clips are
cut as on Kinetics. The figure of these sets is the mean top-1 accuracy over the three splits (``slowfast folds``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fvcore.common.config import CfgNode

from slowfast.datasets.build import DATASET_REGISTRY
from slowfast.datasets.clips import ClipDataset, check_num_classes, class_names_from_config
from slowfast.datasets.lists.path_labels import PackedStrings, VideoList, check_files
from slowfast.datasets.lists.row_problems import AnnotationError, RowProblems, read_text
from slowfast.utils.untrusted import quoted

UCF_FOLDERS = ("", "ucfTrainTestlist")  # in which the annotation files are looked for
HMDB_FOLDERS = ("", "testTrainMulti_7030_splits", "test_train_splits/testTrainMulti_7030_splits")
HMDB_CODES = {"0": "unused", "1": "train", "2": "test"}

_UCF_ROW = re.compile(r"(?P<path>(?P<folder>[^/\\]+)[/\\].+?)(\s+(?P<label>[0-9]{1,18}))?")
_HMDB_ROW = re.compile(r"(?P<name>.+?)\s+(?P<code>\S+)")


class _FoldDataset(ClipDataset):
    """What both sets share; the arguments are those of ``ClipDataset``."""

    @classmethod
    def from_config(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that the config describes; reads and checks the files of ``split``.

        Annotation files are in DATA.PATH_TO_DATA_DIR or in their original folder inside it, videos in
        ``<DATA.PATH_PREFIX or else DATA.PATH_TO_DATA_DIR>/<class>/``.

        Raises:
            ValueError: DATA.MULTI_LABEL is on.
            AnnotationError: the annotations, or the videos, are not usable.
        """
        if cfg.DATA.MULTI_LABEL:
            raise ValueError(f"{cls.__name__} has one label per video: set DATA.MULTI_LABEL False.")
        folder = Path(cfg.DATA.PATH_TO_DATA_DIR)
        names, videos = cls._read(folder, cfg.DATA.FOLD, "train" if split == "train" else "test")
        check_num_classes(folder, names, cfg.MODEL.NUM_CLASSES)
        videos = videos.under(cfg.DATA.PATH_PREFIX or str(folder))
        check_files(videos, cfg.DATA.CHECK_FILES)
        return {
            "videos": videos,
            "class_names": class_names_from_config(cfg) if cfg.DATA.CLASS_NAMES else names,
            **cls.clip_options(cfg, split),
        }

    @classmethod
    def class_list(cls, cfg: CfgNode) -> tuple[Path, list[str]] | None:
        """As in ``ClipDataset``."""
        folder = Path(cfg.DATA.PATH_TO_DATA_DIR)
        return folder, cls._read(folder, cfg.DATA.FOLD, "train")[0]

    @classmethod
    def _read(cls, folder: Path, fold: int, part: str) -> tuple[list[str], FoldList]:
        """Class names, and the videos of the "train" or "test" part of a split."""
        raise NotImplementedError


@DATASET_REGISTRY.register("ucf101")
class UCF101(_FoldDataset):
    """13,320 videos of 101 actions: classInd.txt, trainlist01.txt to 03 and testlist01.txt to 03."""

    @classmethod
    def _read(cls, folder: Path, fold: int, part: str) -> tuple[list[str], FoldList]:
        folder = _folder_with("classInd.txt", folder, UCF_FOLDERS)
        names = read_ucf_classes(folder / "classInd.txt")
        return names, read_ucf_list(folder / f"{part}list{fold:02d}.txt", names)


@DATASET_REGISTRY.register("hmdb51")
class HMDB51(_FoldDataset):
    """6,766 videos of 51 actions, some in no part of a split: one file ``<class>_test_split<fold>.txt`` per class."""

    @classmethod
    def _read(cls, folder: Path, fold: int, part: str) -> tuple[list[str], FoldList]:
        folder = _folder_with(f"*_test_split{fold}.txt", folder, HMDB_FOLDERS)
        return read_hmdb_split(folder, fold, part)


@dataclass(frozen=True, repr=False)
class FoldList(VideoList):
    """Videos of one part of a split. A ``*`` in ``source`` stands for the class, of ``class_names`` by label."""

    class_names: tuple[str, ...] = ()

    def location(self, index: int) -> str:
        """``trainlist01.txt:12``, where a row stands."""
        return super().location(index).replace("*", self.class_names[self.labels[index]])

    def under(self, root: str) -> FoldList:
        """The same with the paths of the files that are in ``root``, whatever their case and extension.

        Folders and files of UCF101 differ in the case of "HandstandPushups", and copies differ by the program that
        unpacked or re-encoded them. A missing file keeps the path of the list.
        """
        folders = {name.lower(): name for name in _names_in(root)}
        files: dict[str, dict[str, str]] = {}
        paths = []
        for path in self.paths:
            folder, _, name = path.partition("/")
            folder = folders.get(folder.lower(), folder)
            if folder not in files:
                found = _names_in(os.path.join(root, folder))
                files[folder] = {_stem(name): name for name in found} | {name.lower(): name for name in found}
            name = files[folder].get(name.lower()) or files[folder].get(_stem(name), name)
            paths.append(os.path.join(root, folder, name))
        return FoldList(self.source, PackedStrings(paths), self.labels, self.line_numbers, self.class_names)


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:  # not there: check_files says which files are missing
        return []


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].lower()


def _folder_with(pattern: str, folder: Path, subfolders: Iterable[str]) -> Path:
    """The first of ``subfolders`` of ``folder`` that holds a file like ``pattern``."""
    candidates = [folder / name for name in subfolders]
    found = next((candidate for candidate in candidates if any(candidate.glob(pattern))), None)
    if found is None:
        looked = ", ".join(map(str, candidates))
        raise AnnotationError(
            f"no {pattern} in {looked}. DATA.PATH_TO_DATA_DIR names the folder of the annotation files."
        )
    return found


def _lines(path: Path) -> list[tuple[int, str]]:
    """(line number, text) of the lines that are not blank."""
    text = read_text(path, "the annotations")
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def read_ucf_classes(path: Path) -> list[str]:
    """Class names of classInd.txt, whose lines are ``1 ApplyEyeMakeup``, counted from 1."""
    names: list[str] = []
    for line_number, line in _lines(path):
        number, _, name = line.partition(" ")
        if number != str(len(names) + 1) or not name.strip():
            raise AnnotationError(
                f"{path}:{line_number}: expected `{len(names) + 1} ClassName`, classes count from 1, "
                f"found {quoted(line)}."
            )
        names.append(name.strip())
    return names


def read_ucf_list(path: Path, class_names: list[str]) -> FoldList:
    """The videos of trainlist0x.txt or testlist0x.txt: ``Class/file.avi``, with the number of the class or without.

    The class is that of the folder; a number that disagrees with it is an error.
    """
    problems = RowProblems(path, "Expected `Class/file.avi`, or `Class/file.avi 1` with the number of classInd.txt.")
    label_of = {name.lower(): label for label, name in enumerate(class_names)}
    rows = _lines(path)
    paths, labels = [], []
    for line_number, line in rows:
        match = _UCF_ROW.fullmatch(line)
        label = label_of.get(match["folder"].lower()) if match else None
        if not match:
            problems.add(line_number, f"not a class and a file: {quoted(line)}")
        elif label is None:
            problems.add(line_number, f"class {match['folder']} is not in classInd.txt")
        elif match["label"] and int(match["label"]) != label + 1:
            problems.add(line_number, f"{match['folder']} has number {label + 1}, not {match['label']}")
        else:
            paths.append(match["path"].replace("\\", "/"))
            labels.append(label)
    problems.report(len(rows))
    return _fold_list(path.name, paths, labels, [line_number for line_number, _ in rows], class_names, path)


def read_hmdb_split(folder: Path, fold: int, part: str) -> tuple[list[str], FoldList]:
    """Class names, in alphabetical order, and the videos of the "train" or "test" part of a split.

    Rows of ``<class>_test_split<fold>.txt`` are ``file.avi code``: 1 is for training, 2 for the test, 0 for neither.
    """
    ending = f"_test_split{fold}.txt"
    class_names = sorted(path.name.removesuffix(ending) for path in folder.glob(f"*{ending}"))
    paths, labels, line_numbers = [], [], []
    for label, name in enumerate(class_names):
        file = folder / f"{name}{ending}"
        problems = RowProblems(file, "Expected `file.avi 1` for training, 2 for the test, 0 for neither.")
        rows = _lines(file)
        for line_number, line in rows:
            match = _HMDB_ROW.fullmatch(line)
            if not match or match["code"] not in HMDB_CODES:
                problems.add(line_number, f"not a file and a code: {quoted(line)}")
            elif HMDB_CODES[match["code"]] == part:
                paths.append(f"{name}/{match['name']}")
                labels.append(label)
                line_numbers.append(line_number)
        problems.report(len(rows))
    return class_names, _fold_list(f"*{ending}", paths, labels, line_numbers, class_names, folder)


def _fold_list(
    source: str, paths: list[str], labels: list[int], line_numbers: list[int], class_names: list[str], place: Path
) -> FoldList:
    if not paths:
        raise AnnotationError(f"{place} names no video of this part of the split.")
    return FoldList(
        source, paths, np.array(labels, dtype=np.int64), np.array(line_numbers, dtype=np.int32), tuple(class_names)
    )
