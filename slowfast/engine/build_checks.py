"""Checks what a job will need before it starts: a missing test list must not surface after a week of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slowfast.engine.build import check_loading
from slowfast.engine.checkpoint import check_integrity, find_checkpoints
from slowfast.engine.tasks import task_of
from slowfast.models import build_model
from slowfast.models.weights.load import CheckpointError, load_complete, local_path, read_checkpoint
from slowfast.utils import distributed
from slowfast.utils.download import is_url

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode


def check_job(cfg: CfgNode) -> None:
    """Return if the training and the test after it will find what they need; every process must call it.

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
    """Return if the weights that a key names exist or will be made by the training; names and URLs are downloaded now.

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
