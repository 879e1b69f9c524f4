"""The model that a command line names, as a pipeline: a checkpoint, a published name, or a config."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

import torch

import slowfast
from slowfast.cli.arguments import Parser
from slowfast.cli.configs import load_config
from slowfast.cli.machine import one_device
from slowfast.config import CfgNode, get_cfg
from slowfast.datasets.clips import class_names_from_config
from slowfast.engine.checkpoint import find_checkpoints
from slowfast.engine.pipeline import Pipeline
from slowfast.prediction.boxes import DetectedBoxes, build_detector
from slowfast.utils.imports import import_extensions


def add_model(parser: Parser) -> None:
    """--checkpoint, --cfg, --allow-imports, --gpus: which model, and where it runs."""
    parser.add_checkpoint(
        "the model: one of our checkpoints, the folder of a run (its newest checkpoint), or a name that `slowfast "
        "zoo` lists; with --cfg, any weights",
    )
    parser.add_cfg(required=False)
    parser.option(
        "--allow-imports",
        "run the Python files that the checkpoint's config names (IMPORTS); only for files that you trust",
    )
    parser.add_gpus("GPU to run on: 1 or 0", default="1 if there is one")


def add_detector(parser: Parser) -> None:
    """--detector, --detector-weights, --least-detection: the detector for a detection model."""
    parser.option(
        "--detector NAME", "person detector: fasterrcnn_resnet50_fpn(_v2), or a function that IMPORTS registers"
    )
    parser.option("--detector-weights FILE", "torchvision's weights file for the detector")
    parser.option("--least-detection P", "minimum score of a detected box", type=float, default=0.8)


def detected_boxes(args: argparse.Namespace, pipeline: Pipeline, *, stride_seconds: float = 1.0) -> DetectedBoxes:
    """The boxes of the flags that ``add_detector`` adds, where --detector is given."""
    options = {"weights": args.detector_weights or "", "least_score": args.least_detection}
    detector = build_detector(args.detector, **options, device=pipeline.device)
    return DetectedBoxes(detector, stride_seconds=stride_seconds, least_score=args.least_detection)


def load_model(args: argparse.Namespace) -> Pipeline:
    """The pipeline of the flags that ``add_model`` adds, with the overrides of the command line.

    IMPORTS among these runs, because the user typed it.

    Raises:
        ValueError: neither a checkpoint nor a config, or what ``slowfast.load`` raises.
    """
    device = one_device("auto" if args.gpus is None else args.gpus)
    if args.cfg is None:
        if not args.checkpoint:
            raise ValueError("which model? Name its weights (--checkpoint FILE, or a name of `slowfast zoo`) or --cfg.")
        imports, overrides = split_imports(args.opts)
        import_extensions(imports)
        loaded: Pipeline = slowfast.load(
            newest_in(args.checkpoint), device=device, overrides=overrides, allow_imports=args.allow_imports
        )
        return loaded
    weights = ["TEST.CHECKPOINT_FILE_PATH", newest_in(args.checkpoint)] if args.checkpoint else []
    cfg = load_config(args.cfg, [*weights, "BN.NORM_TYPE", "batchnorm", *args.opts])
    return pipeline_of(cfg, device=device)


def pipeline_of(cfg: CfgNode, *, device: torch.device | str) -> Pipeline:
    """The pipeline of a config, with the class names of its data where its weights have none."""
    pipeline = Pipeline.from_config(cfg, device=device)
    if pipeline.class_names is None and cfg.DATA.PATH_TO_DATA_DIR:
        names = class_names_from_config(cfg)
        pipeline.class_names = None if names is None else tuple(names)
    return pipeline


def newest_in(path: str) -> str:
    """The newest checkpoint of a run's folder; anything else unchanged.

    Raises:
        ValueError: a folder without checkpoints.
    """
    if not os.path.isdir(path):
        return path
    found = find_checkpoints(path)
    if not found:
        raise ValueError(f"--checkpoint {path}: there is no checkpoint in {os.path.join(path, 'checkpoints')}.")
    return str(found[0])


def split_imports(overrides: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """(what IMPORTS names, the other overrides): the IMPORTS of a checkpoint's config are handled separately."""
    words = list(overrides)
    rest: list[Any] = []
    imports: list[Any] = []
    while words:
        word = words.pop(0)
        target = imports if str(word).partition("=")[0] == "IMPORTS" else rest
        target.append(word)
        if "=" not in str(word) and words:
            target.append(words.pop(0))
    cfg = get_cfg()
    cfg.merge_from_list(imports)
    return list(cfg.IMPORTS), rest
