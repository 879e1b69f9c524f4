"""The writers of a config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slowfast.config import config_as_data
from slowfast.utils import distributed
from slowfast.utils.imports import import_extensions
from slowfast.utils.run_writers import WRITER_REGISTRY, RunWriter, TensorBoardWriter

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode


def build_writers(cfg: CfgNode) -> list[RunWriter]:
    """The writers of LOG_WRITERS, and TensorBoard's if TENSORBOARD.ENABLE; none except on the main process.

    Raises:
        ValueError: a name is not registered.
    """
    import_extensions(cfg.IMPORTS)
    makers = [WRITER_REGISTRY.get(name) for name in dict.fromkeys(cfg.LOG_WRITERS)]  # all, before any is made
    if not distributed.is_main():
        return []
    given: dict[str, Any] = {"output_dir": Path(cfg.OUTPUT_DIR), "config": config_as_data(cfg)}
    writers = [make(**given) for make in makers]
    if cfg.TENSORBOARD.ENABLE:
        writers.append(TensorBoardWriter(**given, folder=cfg.TENSORBOARD.LOG_DIR or "tensorboard"))
    return writers
