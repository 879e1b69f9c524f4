"""What a job will need, looked at before it starts: a missing test list must not be found after a week of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slowfast.engine.shared_memory import check_shared_memory
from slowfast.engine.tasks import task_of
from slowfast.models.weights.load import CheckpointError
from slowfast.models.weights.torchvision import is_torchvision_address
from slowfast.utils import distributed
from slowfast.utils.download import is_url

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode


def check_job(cfg: CfgNode) -> None:
    """Return when the training, and the test behind it, will find what they need; every process has to call it.

    Lists, class names, weights, evaluators and shared memory; the training's own lists are read as it is built.

    Raises:
        ValueError: something is missing; what the part that needs it says of it.
    """
    distributed.on_main(lambda: _check(cfg))


def _check(cfg: CfgNode) -> None:
    for group in ("TRAIN", "TEST"):
        if cfg[group].ENABLE:
            _check_weights(cfg, group)
    _check_shared_memory(cfg)
    if cfg.TEST.ENABLE:
        task_of(cfg).check_test(cfg)


def _check_weights(cfg: CfgNode, group: str) -> None:
    """Return when the file that a key names is there, can be fetched, or will be made by the training."""
    path = cfg[group].CHECKPOINT_FILE_PATH
    if not path or is_url(path) or is_torchvision_address(path) or Path(path).is_file():
        return
    made_here = Path(path).resolve().is_relative_to(Path(cfg.OUTPUT_DIR).resolve())
    if group == "TEST" and cfg.TRAIN.ENABLE and made_here:
        return
    raise CheckpointError(f"{group}.CHECKPOINT_FILE_PATH: there is no checkpoint {path}.")


def _check_shared_memory(cfg: CfgNode) -> None:
    """Return when the loading processes can hand their training clips over."""
    num_processes = distributed.processes_per_machine(cfg.NUM_GPUS)
    clips = max(1, cfg.TRAIN.BATCH_SIZE // num_processes)
    channels = 5 if cfg.SLOWFAST.FAST_INPUT == "flow" else 3
    check_shared_memory(
        batch_bytes=clips * channels * cfg.DATA.NUM_FRAMES * cfg.DATA.TRAIN_CROP_SIZE**2,
        num_workers=cfg.DATA_LOADER.NUM_WORKERS,
        prefetch_factor=cfg.DATA_LOADER.PREFETCH_FACTOR,
        num_processes=num_processes,
    )
