"""Evaluation of a detection config (DETECTION.ENABLE): which boxes, which ground truth, and what is written."""

from __future__ import annotations

import json
import logging
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slowfast.datasets import build_loader
from slowfast.datasets.ava import VAL_EVERY_SECONDS
from slowfast.engine.detection import DetectionEvaluator, DetectionResult
from slowfast.evaluation import ava
from slowfast.evaluation.ava.files import read_excluded_timestamps, read_groundtruth, read_label_map
from slowfast.evaluation.ava.merging import write_detections
from slowfast.evaluation.ava.table import BoxTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvcore.common.config import CfgNode
    from torch.utils.data import Dataset

logger = logging.getLogger(__name__)

_NAMES = {  # what the log calls an evaluation: (split, on some of the seconds alone) -> name
    ("val", True): f"validation, 1 in {VAL_EVERY_SECONDS} seconds",
    ("val", False): "validation",
    ("test", False): "test",
}


def build_evaluation(cfg: CfgNode, *, reduced: bool) -> Callable[[BoxTable], dict]:
    """A function from detections to the report of ``slowfast.evaluation.ava.protocols.evaluate``.

    Args:
        reduced: only every fourth second counts, as in PySlowFast's validation during training.

    Raises:
        ValueError: a file of AVA.ANNOTATION_DIR is missing or cannot be read; names the key.
    """
    groundtruth = read_groundtruth(_annotation_file(cfg, "GROUNDTRUTH_FILE", cfg.AVA.GROUNDTRUTH_FILE))
    if reduced:
        groundtruth = groundtruth.every_nth_second(VAL_EVERY_SECONDS)
    excluded = set()
    if cfg.AVA.EXCLUSION_FILE:
        excluded = read_excluded_timestamps(_annotation_file(cfg, "EXCLUSION_FILE", cfg.AVA.EXCLUSION_FILE))
    return partial(
        ava.evaluate,
        groundtruth,
        class_names=read_label_map(_annotation_file(cfg, "LABEL_MAP_FILE", cfg.AVA.LABEL_MAP_FILE)),
        excluded=excluded,
        protocol=cfg.AVA.PROTOCOL,
    )


def _annotation_file(cfg: CfgNode, key: str, name: str) -> Path:
    path = Path(cfg.AVA.ANNOTATION_DIR) / name
    if not path.is_file():
        folder = cfg.AVA.ANNOTATION_DIR
        raise ValueError(f"there is no {path}: AVA.{key} names a file in AVA.ANNOTATION_DIR={folder!r}.")
    return path


def build_detection_evaluator(
    cfg: CfgNode,
    split: str,
    dataset: Dataset,
    preprocess: Callable[[Tensor], Tensor],
    amp_dtype: torch.dtype | None,
) -> DetectionEvaluator:
    """Of the "val" split, one look at every box; of the "test" split, all of AVA.TEST_SCALES and AVA.TEST_FLIP."""
    looks = [dataset] if split == "val" else tta_variants(cfg, dataset)
    reduced = split == "val" and not cfg.AVA.FULL_TEST_ON_VAL
    return DetectionEvaluator(
        loaders=[build_loader(cfg, split, dataset=look) for look in looks],
        key_frames=dataset.key_frames,
        num_classes=cfg.MODEL.NUM_CLASSES,
        evaluate=build_evaluation(cfg, reduced=reduced),
        preprocess=preprocess,
        amp_dtype=amp_dtype,
        name=_NAMES[split, reduced],
    )


def tta_variants(cfg: CfgNode, dataset: Dataset) -> list[Dataset]:
    """The test set at every scale of AVA.TEST_SCALES, and mirrored as well if AVA.TEST_FLIP: "++" in the tables.

    Where they ask for nothing, the data set keeps its own scale and flip, which DATA.ARGS may have set.
    """
    scales = list(cfg.AVA.TEST_SCALES) or [None]
    flips = [False, True] if cfg.AVA.TEST_FLIP else [None]
    return [dataset.with_view(short_side=scale, flip=flip) for scale in scales for flip in flips]


def protocol_of(cfg: CfgNode) -> str:
    """How a test was made, for its report."""
    own = {"short_side": cfg.DATA.TEST_CROP_SIZE, "flip": cfg.AVA.TEST_FORCE_FLIP, **cfg.DATA.ARGS}
    scales = ", ".join(map(str, cfg.AVA.TEST_SCALES or [own["short_side"]]))
    flip = "; with the mirrored clip" if cfg.AVA.TEST_FLIP else "; mirrored clips alone" if own["flip"] else ""
    threshold = f"boxes with a score of at least {cfg.AVA.DETECTION_SCORE_THRESH}"
    return f"frame mAP at IoU 0.5, protocol {cfg.AVA.PROTOCOL}; short side {scales}{flip}; {threshold}"


def write_detection_results(output_dir: str | Path, result: DetectionResult, *, details: dict[str, Any]) -> None:
    """Write detections.csv (``video,second,x1,y1,x2,y2,action_id,score``) and results.json into ``output_dir``."""
    output_dir = Path(output_dir)
    write_detections(output_dir / "detections.csv", result.table)
    percents = {name: None if math.isnan(ap) else round(100 * ap, 4) for name, ap in result.report["ap"].items()}
    content = {
        "figures": {k: None if math.isnan(v) else v for k, v in result.figures.items()},
        "average_precision_percent": percents,
        "counts": result.report["counts"],
        "num_key_frames": result.num_key_frames,
        "num_failed": len(result.failures),
        "seconds": round(result.seconds, 2),
        **details,
        "failures": [{"key_frame": name, "reason": reason} for name, reason in result.failures.items()],
    }
    (output_dir / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    logger.info("wrote detections.csv and results.json into %s", output_dir)
