"""Checks before a job starts: every part of its config can be built, and its files and weights are there.

Only the parts themselves know the names and values that they take. So mistakes are found by building the parts, the
network on the meta device, where this takes neither memory nor time. A missing test list must not surface after a week
of training.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from slowfast.config import ConfigError
from slowfast.datasets import DATASET_REGISTRY, build_augment
from slowfast.datasets.clips import build_clip_augment
from slowfast.engine.build import check_loading
from slowfast.engine.checkpoint import check_integrity, find_checkpoints
from slowfast.engine.parallel import ParallelOptions
from slowfast.engine.precision import check_dtype_name
from slowfast.engine.tasks import task_of
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.models.weights.load import CheckpointError, load_complete, local_path, read_checkpoint
from slowfast.solver import build_optimizer, build_schedule
from slowfast.utils import distributed
from slowfast.utils.download import is_url
from slowfast.utils.imports import import_extensions
from slowfast.utils.run_writers import WRITER_REGISTRY

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode


def check_parts(cfg: CfgNode) -> None:
    """Check that all parts of training and test can be built.

    Raises:
        ConfigError: the error of each part, one per line.
    """
    import_extensions(cfg.IMPORTS)
    problems = [problem for part in _parts_of(cfg) if (problem := _problem(part, cfg))]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def _parts_of(cfg: CfgNode) -> Iterator[Callable[[CfgNode], object]]:
    """Functions that build one part each."""
    if not cfg.TRAIN.ENABLE:
        yield _model
    else:
        yield lambda cfg: build_optimizer(cfg, _model(cfg))
        yield lambda cfg: DATASET_REGISTRY.get(cfg.TRAIN.DATASET)
        yield build_loss
        yield build_schedule
        yield build_augment
        yield build_clip_augment
        yield ParallelOptions.from_config
    if cfg.TEST.ENABLE:
        yield lambda cfg: DATASET_REGISTRY.get(cfg.TEST.DATASET)
    yield lambda cfg: check_dtype_name(cfg.TRAIN.MIXED_PRECISION_DTYPE)
    yield lambda cfg: [WRITER_REGISTRY.get(name) for name in cfg.LOG_WRITERS]
    yield lambda cfg: task_of(cfg).check_evaluation(cfg)


def _model(cfg: CfgNode) -> torch.nn.Module:
    with torch.device("meta"):
        return build_model(cfg)


def _problem(part: Callable[[CfgNode], object], cfg: CfgNode) -> str:
    """The error of a part; empty if it can be built.

    A user's network may not support the meta device. An error there does not count: the run builds the network again on
    a real device.
    """
    with _no_warnings():
        try:
            part(cfg)
        except ValueError as error:
            return str(error)
        except Exception:
            return ""
    return ""


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence warnings inside a with statement: the run logs them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def check_job(cfg: CfgNode) -> None:
    """Check that the training and the test after it will find what they need; every process must call it.

    Lists, class names, weights, evaluators and shared memory; the training's own lists are read when it is built.

    Raises:
        ValueError: something is missing; the message comes from the part that needs it.
    """
    distributed.on_main(lambda: _check(cfg))


def _check(cfg: CfgNode) -> None:
    for group in ("TRAIN", "TEST"):
        if cfg[group].ENABLE:
            _check_weights(cfg, group)
    check_loading(cfg)
    if cfg.TEST.ENABLE:
        task_of(cfg).check_test(cfg)


def _check_weights(cfg: CfgNode, group: str) -> None:
    """Check that the weights that a key names exist or will be made by the training; names and URLs are downloaded now.

    Weights for the test are also loaded into the model. Those that a training starts from will be loaded in a moment.
    """
    path = cfg[group].CHECKPOINT_FILE_PATH
    if not path or _is_made_here(cfg, group, path):
        return
    try:
        file = local_path(path)
    except CheckpointError as error:
        raise CheckpointError(f"{group}.CHECKPOINT_FILE_PATH: {error}") from error
    if group == "TEST":
        check_integrity(file)
        load_complete(build_model(cfg), read_checkpoint(path), path)


def _is_made_here(cfg: CfgNode, group: str, path: str) -> bool:
    """Whether the training saves the file that the test reads, or resumes from one that makes ``path`` unnecessary."""
    if group == "TRAIN":
        return bool(cfg.TRAIN.AUTO_RESUME and find_checkpoints(cfg.OUTPUT_DIR))
    return not is_url(path) and Path(path).resolve().is_relative_to(Path(cfg.OUTPUT_DIR).resolve())
