"""Something-Something V2: short videos of 174 actions on objects, where the order of frames determines the class.

A clip spreads over the whole video: one frame from each of T equal segments, a random one in training, else the middle
one. Frames come from frame lists, folders of images, or video files; these are seen at 30 frames per second, at
which the published frames were taken.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
from fvcore.common.config import CfgNode

from slowfast.datasets.build import DATASET_REGISTRY
from slowfast.datasets.clip_sampling import SegmentSampling
from slowfast.datasets.clips import check_num_classes, class_names_from_config
from slowfast.datasets.frame_source import FrameSource, find_source, listed_source, warn_of_missing
from slowfast.datasets.lists.frame_lists import check_frame_files, read_frame_lists
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.lists.ssv2 import SomethingAnnotations, find_json, read_entries, read_labels, read_test_entries
from slowfast.datasets.sourced import LIST_HINT, SourcedDataset, SourcedVideos

logger = logging.getLogger(__name__)

FPS = 30.0  # of the published frames; the files themselves have 12
FOLDERS = ("", "20bn-something-something-v2", "videos", "frames")  # in which videos are looked for


@DATASET_REGISTRY.register("ssv2")
class SomethingSomething(SourcedDataset):
    """Clips of ``SourcedVideos``; the arguments are those of ``ClipDataset``.

    ``sampling_rate`` and ``num_clips`` have no effect: all test clips of a video are the same.
    """

    test_entries = "validation"  # of which JSON file the test is; so in PySlowFast, for lack of published labels

    @classmethod
    def from_config(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that the config describes; reads and checks the annotations of ``split``.

        The JSON files lie in DATA.PATH_TO_DATA_DIR. ``train.csv`` and ``val.csv`` (also for the test) there are read as
        frame lists; without them, frames are searched for in DATA.PATH_PREFIX.

        Raises:
            ValueError: DATA.MULTI_LABEL is on.
            AnnotationError: the annotations, or the frames, are not usable.
        """
        _check_settings(cfg, split)
        folder = Path(cfg.DATA.PATH_TO_DATA_DIR)
        labels_file = find_json(folder, "labels")
        labels = read_labels(labels_file)
        names = check_num_classes(labels_file, list(labels), cfg.MODEL.NUM_CLASSES)
        entries = {"train": "train", "val": "validation", "test": cls.test_entries}[split]
        read = read_test_entries if entries == "test" else read_entries
        rows = read(find_json(folder, entries), labels)
        frame_list = folder / {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}[entries]
        prefix = cfg.DATA.PATH_PREFIX or str(folder)
        if frame_list.is_file():
            source, present = _listed(frame_list, rows, prefix=prefix, check=cfg.DATA.CHECK_FILES)
        else:
            roots = [os.path.join(prefix, name) for name in FOLDERS]
            search = {"fps": FPS, "source": rows.source, "check": cfg.DATA.CHECK_FILES}
            source, present = find_source(rows.video_ids, roots, **search)
        if (rows.labels[present] < 0).any():
            logger.warning(
                "%s gives no labels, and there is no test-answers.csv next to it, so there will be no figures.",
                rows.source,
            )
        columns = (rows.source, source.paths, rows.labels[present], rows.line_numbers[present])
        return {
            "videos": SourcedVideos(*columns, source, num_missing=len(rows.video_ids) - len(present)),
            "class_names": class_names_from_config(cfg) if cfg.DATA.CLASS_NAMES else names,
            **cls.clip_options(cfg, split),
        }

    @classmethod
    def class_list(cls, cfg: CfgNode) -> tuple[Path, list[str]] | None:
        """As in ``ClipDataset``."""
        path = find_json(Path(cfg.DATA.PATH_TO_DATA_DIR), "labels")
        return path, list(read_labels(path))

    @classmethod
    def clip_sampling(cls, cfg: CfgNode) -> SegmentSampling:
        """One frame from each segment."""
        return SegmentSampling(cfg.DATA.NUM_FRAMES, FPS)


@DATASET_REGISTRY.register("ssv2_test")
class SomethingSomethingTest(SomethingSomething):
    """The official test set, for TEST.DATASET: test.json with the labels of test-answers.csv, frame list test.csv."""

    test_entries = "test"


@DATASET_REGISTRY.register("ptvssv2")
class PyTorchVideoSomethingSomething(SomethingSomething):
    """The same lists; PySlowFast reads them through PyTorchVideo, and feeds RGB unless DATA.REVERSE_INPUT_CHANNEL."""

    pyslowfast_reads_bgr = False


def _listed(path: Path, rows: SomethingAnnotations, *, prefix: str, check: str) -> tuple[FrameSource, np.ndarray]:
    """The frame source that a frame list gives of annotated videos, and their indices in ``rows``, int64.

    Videos that only one of the two knows are skipped with a warning that counts and names them.
    """
    lists = read_frame_lists([path], prefix=prefix)
    check_frame_files(lists, check, hint=LIST_HINT)
    present = np.array([i for i, video_id in enumerate(rows.video_ids) if video_id in lists], dtype=np.int64)
    if not len(present):
        raise AnnotationError(
            f"{path} shares no video with {rows.source}: its first video is {lists.video_ids[0]}, theirs is "
            f"{rows.video_ids[0]}."
        )
    without_frames = [video_id for video_id in rows.video_ids if video_id not in lists]
    known = set(rows.video_ids)
    without_label = [video_id for video_id in lists.video_ids if video_id not in known]
    for video_ids, of, lacks in ((without_frames, rows.source, path.name), (without_label, path.name, rows.source)):
        warn_of_missing(video_ids, of, lacks)
    return listed_source(lists, [rows.video_ids[i] for i in present], FPS), present


def _check_settings(cfg: CfgNode, split: str) -> None:
    """Raise for what would make figures wrong, warn of what makes them odd."""
    if cfg.DATA.MULTI_LABEL:
        raise ValueError("Something-Something has one label per video: set DATA.MULTI_LABEL False.")
    if split == "train" and cfg.DATA.RANDOM_FLIP:
        logger.warning(
            "DATA.RANDOM_FLIP mirrors Something-Something, where left and right distinguish classes. Set it False."
        )
    if split == "test" and cfg.TEST.NUM_ENSEMBLE_VIEWS > 1:
        logger.warning(
            "TEST.NUM_ENSEMBLE_VIEWS=%d: all clips of a Something-Something video are the same, so more than 1 only "
            "costs time.",
            cfg.TEST.NUM_ENSEMBLE_VIEWS,
        )
