"""Charades: half-minute videos with any number of 157 actions, each lasting for a while.

A training clip has the labels of all frames from its first to its last, including those that it skips.
A validation or test video has all labels of the video, for every clip. Frames come from frame lists, or, by the
official annotation files, from folders of images or video files: always 24 per second.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.build import DATASET_REGISTRY
from slowfast.datasets.clip_sampling import StridedSampling
from slowfast.datasets.clips import class_list_from_config, class_names_from_config
from slowfast.datasets.frame_source import find_source, listed_source
from slowfast.datasets.lists.charades import TimedActions, read_charades_csv
from slowfast.datasets.lists.frame_lists import FrameLists, check_frame_files, read_frame_lists
from slowfast.datasets.lists.row_problems import AnnotationError, RowProblems
from slowfast.datasets.sourced import LIST_HINT, SourcedDataset, SourcedVideos

FPS = 24.0  # of the published frames
CLASSES_FILE = "Charades_v1_classes.txt"
# In which videos are looked for.
FOLDERS = ("", "Charades_v1_rgb", "frames", "Charades_v1_480", "Charades_v1", "videos")


@dataclass(frozen=True, repr=False)
class CharadesVideos(SourcedVideos):
    """Videos whose ``labels``, uint8 (N, K), are those of the whole video; ``frame_labels`` says when each is valid."""

    frame_labels: FrameLists | TimedActions  # whose ``between`` gives those of a window


@DATASET_REGISTRY.register("charades")
class Charades(SourcedDataset):
    """Clips of ``CharadesVideos``; the other arguments are those of ``ClipDataset``.

    Clips have an exact stride of ``sampling_rate`` frames, and may lie where video/sampling.py says. Validation takes
    the clip in the middle. Labels are float32 (K,) of 0 and 1.
    """

    videos: CharadesVideos

    @classmethod
    def from_config(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that the config describes; reads and checks the annotations of ``split``.

        ``train.csv`` and ``val.csv`` (also for the test) in DATA.PATH_TO_DATA_DIR are taken for frame lists; without
        them Charades_v1_train.csv and Charades_v1_test.csv are read.

        Raises:
            ValueError: DATA.MULTI_LABEL is off.
            AnnotationError: the annotations, the frames or the class names are not usable.
        """
        if not cfg.DATA.MULTI_LABEL:
            raise ValueError(
                "Charades has several labels per video, but DATA.MULTI_LABEL is False: the loss and the figures would "
                "assume one label. Set DATA.MULTI_LABEL True, MODEL.LOSS_FUNC bce_logit, MODEL.HEAD_ACT sigmoid "
                "and DATA.ENSEMBLE_METHOD max, as configs/Charades does."
            )
        folder = Path(cfg.DATA.PATH_TO_DATA_DIR)
        files = {"list": folder / ("train.csv" if split == "train" else "val.csv")}
        files["csv"] = folder / ("Charades_v1_train.csv" if split == "train" else "Charades_v1_test.csv")
        sources = {
            "num_classes": cfg.MODEL.NUM_CLASSES,
            "prefix": cfg.DATA.PATH_PREFIX or str(folder),
            "check": cfg.DATA.CHECK_FILES,
        }
        if files["list"].is_file():
            videos = _listed_videos(files["list"], **sources)
        elif files["csv"].is_file():
            videos = _annotated_videos(files["csv"], **sources)
        else:
            raise AnnotationError(
                f"{folder} holds neither the frame list {files['list'].name} nor the annotations {files['csv'].name}. "
                "DATA.PATH_TO_DATA_DIR names the folder of one of them."
            )
        return {"videos": videos, "class_names": _class_names(cfg), **cls.clip_options(cfg, split)}

    @classmethod
    def class_list(cls, cfg: CfgNode) -> tuple[Path, list[str]] | None:
        """As in ``ClipDataset``."""
        return class_list_from_config(cfg, default=_classes_file(cfg))

    @classmethod
    def clip_sampling(cls, cfg: CfgNode) -> StridedSampling:
        """An exact stride."""
        return StridedSampling(cfg.DATA.NUM_FRAMES, int(cfg.DATA.SAMPLING_RATE), FPS)

    def _label(self, index: int, indices: Tensor | None = None) -> Tensor:
        if indices is None:
            return super()._label(index)
        label = torch.zeros(self.labels.shape[1])
        label[list(self.videos.frame_labels.between(index, int(indices[0]), int(indices[-1])))] = 1
        return label


@DATASET_REGISTRY.register("ptvcharades")
class PyTorchVideoCharades(Charades):
    """The same lists; PySlowFast reads them through PyTorchVideo, and feeds RGB unless DATA.REVERSE_INPUT_CHANNEL."""

    pyslowfast_reads_bgr = False


def _listed_videos(path: Path, *, num_classes: int, prefix: str, check: str) -> CharadesVideos:
    """The videos of a frame list, with the labels of its frames; arguments and errors as in ``from_config``."""
    lists = read_frame_lists([path], prefix=prefix)
    check_frame_files(lists, check, hint=LIST_HINT)
    problems = RowProblems(path, f"MODEL.NUM_CLASSES is {num_classes}: raise it, or correct the list.")
    labels = np.zeros((len(lists), num_classes), dtype=np.uint8)
    for index, row in enumerate(labels):
        found = set().union(*set(lists.labels(index)))
        if found and max(found) >= num_classes:
            wrong = f"video {lists.video_ids[index]}, which begins here, has label {max(found)}"
            problems.add(int(lists.line_numbers[index]), f"{wrong}, not in 0-{num_classes - 1}")
            continue
        row[list(found)] = 1
    problems.report(len(lists), "videos")
    source = listed_source(lists, lists.video_ids, FPS)
    return CharadesVideos(path.name, source.paths, labels, lists.line_numbers, source, frame_labels=lists)


def _annotated_videos(path: Path, *, num_classes: int, prefix: str, check: str) -> CharadesVideos:
    """The videos of Charades_v1_train.csv or Charades_v1_test.csv whose frames exist, in ``prefix`` or ``FOLDERS``.

    Frame n, from 0, has the time n / 24 and the label of every action that encloses it. A video has all classes that
    its row names, as in the official evaluation, even if none of its frames shows one.
    """
    rows = read_charades_csv(path, num_classes)
    roots = [os.path.join(prefix, folder) for folder in FOLDERS]
    source, present = find_source(rows.video_ids, roots, fps=FPS, source=path.name, check=check)
    return CharadesVideos(
        path.name,
        source.paths,
        rows.labels(num_classes)[present],
        rows.line_numbers[present],
        source,
        TimedActions([rows.actions[i] for i in present], FPS),
        num_missing=len(rows.video_ids) - len(present),
    )


def _classes_file(cfg: CfgNode) -> Path:
    return Path(cfg.DATA.PATH_TO_DATA_DIR) / CLASSES_FILE


def _class_names(cfg: CfgNode) -> list[str] | None:
    """Names without their codes: Charades_v1_classes.txt has lines such as ``c008 Opening a door``."""
    names = class_names_from_config(cfg, default=_classes_file(cfg))
    codes = [re.fullmatch(r"c([0-9]{3}) (.+)", name) for name in names or []]
    found = [code for code in codes if code is not None]
    if names and [int(code[1]) for code in found] == list(range(len(names))):
        return [code[2] for code in found]
    return names
