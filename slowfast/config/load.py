"""From a path and overrides to a checked, frozen config."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from slowfast.config.defaults import Config, assert_and_infer_cfg, get_cfg
from slowfast.config.files import parse_layer


def load_cfg(path: str | os.PathLike, overrides: Sequence[Any] = (), *, warn: bool = True) -> Config:
    """The settings of a YAML file with overrides, checked and frozen.

    Args:
        path: a file (``.yaml`` may be left out), or the name of a recipe of the package ("Kinetics/SLOWFAST_8x8_R50").
        overrides: ``[KEY, value, KEY, value, ...]``; an entry may also be ``KEY=value``. Text is decoded, other values
            are taken as they are.
        warn: log what ``warnings_of`` gives. A run logs it itself, once its log file is open.

    Raises:
        ConfigError: no such file, a missing base, keys written twice, unknown keys (with the nearest known
            one), wrong types, or settings that contradict each other: all of a kind at once, with file and
            line.
    """
    cfg = get_cfg()
    cfg.merge_from_file(path)
    return _finished(cfg, overrides, warn=warn)


def load_cfg_text(text: str, *, source: str, overrides: Sequence[Any] = ()) -> Config:
    """The settings that a config dumped as YAML (``cfg.dump()``), as checkpoints hold them; otherwise as ``load_cfg``.

    Args:
        source: names the text in messages.
    """
    cfg = get_cfg()
    cfg.merge_from_layers([parse_layer(text, source=source)])
    return _finished(cfg, overrides, warn=True)


def _finished(cfg: Config, overrides: Sequence[Any], *, warn: bool) -> Config:
    cfg.merge_from_list(overrides)
    cfg = assert_and_infer_cfg(cfg, warn=warn)
    cfg.freeze()
    return cfg


def with_overrides(cfg: Config, overrides: Sequence[Any], *, because: str = "") -> Config:
    """A copy of ``cfg`` with other values for some keys, checked and frozen; nothing is logged.

    Args:
        because: why, where it is not the user who asked for them; see ``origins.inferred``.

    Raises:
        ConfigError: as ``load_cfg``.
    """
    changed = cfg.clone()
    changed.defrost()
    changed.merge_from_list(overrides, because=because)
    return _finished(changed, (), warn=False)
