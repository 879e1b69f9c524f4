"""From a path and overrides to a checked, frozen config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slowfast.config.defaults import Config, assert_and_infer_cfg, get_cfg
from slowfast.config.files import parse_layer
from slowfast.config.merge import merge_layers


def load_cfg(path: str | Path, overrides: Sequence[Any] = ()) -> Config:
    """The settings of a YAML file with overrides, checked and frozen.

    Args:
        path: a file, or the name of a recipe of the package ("Kinetics/SLOWFAST_8x8_R50").
        overrides: ``[KEY, value, KEY, value, ...]``. Text is decoded, other values are taken as they are.

    Raises:
        ConfigError: no such file, a missing base, keys written twice, unknown keys (with the nearest known
            one), wrong types, or settings that contradict each other: all of a kind at once, with file and
            line.
    """
    cfg = get_cfg()
    cfg.merge_from_file(path)
    return _finished(cfg, overrides)


def load_cfg_text(text: str, *, source: str, overrides: Sequence[Any] = ()) -> Config:
    """The settings that a config dumped as YAML (``cfg.dump()``), as checkpoints hold them; otherwise as ``load_cfg``.

    Args:
        source: names the text in messages.
    """
    cfg = get_cfg()
    merge_layers(cfg, [parse_layer(text, source=source)], get_cfg())
    return _finished(cfg, overrides)


def _finished(cfg: Config, overrides: Sequence[Any]) -> Config:
    cfg.merge_from_list(list(overrides))
    cfg = assert_and_infer_cfg(cfg)
    cfg.freeze()
    return cfg
