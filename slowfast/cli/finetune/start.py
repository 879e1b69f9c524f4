"""What training starts from: published weights, a weights file, or a recipe from scratch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slowfast.cli.finetune.plan import recipe_text
from slowfast.config import Config, ConfigError, get_cfg, load_cfg
from slowfast.config.files import locate, name_of_recipe
from slowfast.config.load import load_cfg_text
from slowfast.config.merge import changed_keys
from slowfast.datasets.sample_kinds import BOXES, sample_kind
from slowfast.engine.build import tells_its_model
from slowfast.models.weights.load import CheckpointError, local_path, read_checkpoint
from slowfast.models.weights.zoo import published_config, recognize
from slowfast.models.weights.zoo_table import find_entry

FROM_ZERO = "none"
# Settings of an earlier run's data, machine and folders, which say nothing about a network.
_OF_THE_RUN = (
    "AVA.", "BENCHMARK.", "DEMO.", "DETECTION.", "DIST_", "MULTIGRID.", "NUM_", "OUTPUT_DIR", "RNG_SEED", "SHARD_ID",
    "TENSORBOARD.", "TRAIN.BEST_", "TRAIN.CHECKPOINT_", "TRAIN.DATASET", "TRAIN.EARLY_", "TEST.CHECKPOINT_",
    "TEST.DATASET", "TEST.EVALUATOR", "TEST.SAVE_", "TEST.NUM_TEMPORAL_CLIPS", "DATA.ARGS", "DATA.CLASS_NAMES",
    "DATA.FOLD", "DATA.MULTI_LABEL", "DATA.PATH_", "DATA.SKIP_ROWS", "DATA_LOADER.",
)  # fmt: skip


@dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        cfg: the network, how it samples videos, and how it was or will be trained.
        base: ``_BASE_`` of a config of it; empty if ``settings`` are complete.
        settings: dotted config key -> value, over ``base``.
        weights: value of TRAIN.CHECKPOINT_FILE_PATH; empty for random weights.
        origin: in words.
        keeps_rate: the recipe's learning rate is already a low one, for pretrained weights.
    """

    cfg: Config
    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    origin: str = ""
    keeps_rate: bool = False


def find_start(name: str, recipe: str | None) -> Start:
    """What ``--from NAME`` and ``--cfg RECIPE`` mean; published weights are downloaded.

    Args:
        name: a name of ``slowfast zoo``, a weights file, or "none".
        recipe: the network, if the weights do not name it; None: the network of the weights.

    Raises:
        ValueError: no such name, file or recipe; a file that does not name its network; or a detection network.
    """
    start = _find(name, recipe)
    if sample_kind(start.cfg) is BOXES:
        raise ValueError(
            f"{start.origin} scores people in boxes, and folders of classes have none. Start from a network of clips."
        )
    return start


def _find(name: str, recipe: str | None) -> Start:
    if name == FROM_ZERO:
        if recipe is None:
            raise ValueError("--from none: which network? Name its recipe with --cfg.")
        return _of_recipe(recipe, origin=f"random weights, {recipe}")
    entry = None if os.path.isfile(name) or "://" in name else find_entry(name)
    path = local_path(name)  # downloads what is not here
    weights = os.path.abspath(name) if os.path.isfile(name) else entry.name if entry else name
    if recipe is not None:
        return _of_recipe(recipe, weights=weights, origin=f"{name}, as {recipe}")
    if entry is None:
        content = read_checkpoint(path)
        if tells_its_model(content):
            return _of_checkpoint(content, weights)
        entry = recognize(content["model_state"], file_name=name)
    cfg = published_config(entry)  # an image network has none, and says so
    origin = f"{name}, {entry.model} of {entry.dataset}"
    return Start(cfg, base=entry.config or "", settings=dict(entry.overrides), weights=weights, origin=origin)


def _of_recipe(recipe: str, *, origin: str, weights: str = "") -> Start:
    path = locate(recipe)
    base = name_of_recipe(path) or str(path.resolve())
    return Start(load_cfg(path, warn=False), base=base, weights=weights, origin=origin)


def _of_checkpoint(content: Mapping[str, Any], path: str) -> Start:
    """Our checkpoints contain their config; settings of that run itself are dropped."""
    try:
        cfg = load_cfg_text(content["cfg"], source=path)
    except ConfigError as error:
        raise CheckpointError(f"{error}\nName the recipe of the network with --cfg.") from error
    if cfg.IMPORTS:
        raise CheckpointError(
            f"{path} was trained with IMPORTS {list(cfg.IMPORTS)}, whose code would run here. If you trust it, name "
            "its config with --cfg."
        )
    changed = changed_keys(cfg, get_cfg())
    settings = {key: value for key, value in changed.items() if not key.startswith(_OF_THE_RUN)}
    origin = f"{Path(path).name}, {cfg.MODEL.MODEL_NAME}"
    keeps_rate = bool(cfg.TRAIN.CHECKPOINT_FILE_PATH)
    kept = load_cfg_text(recipe_text((), others=settings), source=path)
    return Start(kept, settings=settings, weights=path, origin=origin, keeps_rate=keeps_rate)
