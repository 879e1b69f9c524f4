"""Configs as commands load them: the settings that follow from the command line, the data and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slowfast.config import Config, ConfigError, load_cfg, locate, with_overrides
from slowfast.config.files import name_of_recipe
from slowfast.config.origins import is_set, is_set_by_user
from slowfast.datasets import count_classes

OUTPUTS = Path("outputs")  # folder of runs that name none


def load_config(name: str | Path, overrides: Sequence[Any] = ()) -> Config:
    """The config of a run, completed where its user left keys open; ``origins.inferred`` lists those. Logs nothing.

    - OUTPUT_DIR, if no file and no override sets it: outputs/<recipe>.
    - MODEL.NUM_CLASSES, if only a recipe of the package sets it, or nothing does: the number of names in the data's
        class list.

    Args:
        name: as --cfg takes it.

    Raises:
        ConfigError: as ``load_cfg``; other ValueErrors for a class list that cannot be read.
    """
    path = locate(name)
    cfg = load_cfg(path, overrides, warn=False)
    if not is_set(cfg, "OUTPUT_DIR"):
        cfg = with_overrides(cfg, ["OUTPUT_DIR", str(output_folder(path))], because="no config and no override sets it")
    listed = None if is_set_by_user(cfg, "MODEL.NUM_CLASSES") else count_classes(cfg)
    if listed is not None and listed.count != cfg.MODEL.NUM_CLASSES:
        because = f"{listed.source} names {listed.count} classes; without it, {cfg.MODEL.NUM_CLASSES}"
        cfg = with_overrides(cfg, ["MODEL.NUM_CLASSES", listed.count], because=because)
    return cfg


def output_folder(path: Path) -> Path:
    """``outputs/Kinetics/SLOWFAST_8x8_R50`` for a recipe, ``outputs/mine`` for a file somewhere/mine.yaml."""
    return OUTPUTS / (name_of_recipe(path) or path.stem)


def check_output_folders(configs: Sequence[Config], names: Sequence[str]) -> None:
    """Check that no two jobs of one command line would overwrite each other's files.

    One that trains and one that tests may share a folder: the second then tests what the first trained.

    Raises:
        ConfigError: two train, or two test, in one folder.
    """
    for what in ("TRAIN", "TEST"):
        owners: dict[Path, str] = {}
        for cfg, name in zip(configs, names, strict=True):
            folder = Path(cfg.OUTPUT_DIR).resolve()
            if cfg[what].ENABLE and folder in owners:
                raise ConfigError(
                    f"{owners[folder]} and {name} would both {what.lower()} in OUTPUT_DIR={cfg.OUTPUT_DIR}, and the "
                    f"second would overwrite the first. Set OUTPUT_DIR in each file (by default, each gets its own "
                    f"folder below {OUTPUTS}/), or run them one by one."
                )
            if cfg[what].ENABLE:
                owners[folder] = name
