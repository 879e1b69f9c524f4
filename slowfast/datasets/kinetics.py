"""Kinetics and every data set in its layout: train.csv, val.csv and test.csv name video files and their labels."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

from fvcore.common.config import CfgNode

from slowfast.datasets.build import DATASET_REGISTRY
from slowfast.datasets.clips import ClipDataset, class_names_from_config
from slowfast.datasets.lists.path_labels import VideoList, check_files, read_path_label_list

logger = logging.getLogger(__name__)


@DATASET_REGISTRY.register("kinetics")
class Kinetics(ClipDataset):
    """Videos of a list ``path label``; the arguments are those of ``ClipDataset``."""

    @classmethod
    def from_config(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that the config describes; reads and checks the list of ``split``.

        Raises:
            AnnotationError: the list, its files or the class names are not usable.
        """
        return {
            "videos": _read_list(cfg, split),
            "class_names": class_names_from_config(cfg),
            **cls.clip_options(cfg, split),
        }


DATASET_REGISTRY.register("ptvkinetics")(Kinetics)  # PySlowFast's name for the same lists, read through PyTorchVideo


def _read_list(cfg: CfgNode, split: str) -> VideoList:
    """The list ``<split>.csv``, checked."""
    folder = Path(cfg.DATA.PATH_TO_DATA_DIR)
    read = partial(
        read_path_label_list,
        folder / f"{split}.csv",
        separator=cfg.DATA.PATH_LABEL_SEPARATOR,
        num_classes=cfg.MODEL.NUM_CLASSES,
        multi_label=cfg.DATA.MULTI_LABEL,
        skip_rows=cfg.DATA.SKIP_ROWS,
        labels_optional=split == "test",
    )
    videos = read(prefix=cfg.DATA.PATH_PREFIX or str(folder))
    if not cfg.DATA.PATH_PREFIX and not os.path.exists(videos.paths[0]):
        # PySlowFast takes relative paths from the working directory.
        from_here = read(prefix="")
        videos = from_here if os.path.exists(from_here.paths[0]) else videos
    check_files(videos, cfg.DATA.CHECK_FILES)
    if not cfg.DATA.MULTI_LABEL and (videos.labels < 0).any():
        unknown = int((videos.labels < 0).sum())
        what = "figures cover only the others" if unknown < len(videos) else "no figures"
        counts = (f"{unknown:,}", f"{len(videos):,}")
        logger.warning("%s gives no label for %s of %s videos: %s.", videos.source, *counts, what)
    return videos
