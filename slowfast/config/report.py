"""A config as data, for reports."""

from __future__ import annotations

from typing import Any

from fvcore.common.config import CfgNode

from slowfast.config.refused import INSTEAD, REFUSED_KEYS

_ABSENT = REFUSED_KEYS | INSTEAD


def config_as_data(cfg: CfgNode) -> dict[str, Any]:
    """The settings as nested mappings of plain values, without keys of parts that do not exist here."""
    return _as_data(cfg, "")


def _as_data(cfg: CfgNode, prefix: str) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in cfg.items():
        name = f"{prefix}{key}"
        if name in _ABSENT:
            continue
        if isinstance(value, CfgNode):
            inner = _as_data(value, f"{name}.")
            if inner or not value:  # a group of which nothing is left goes, an empty one (ARGS) stays
                data[key] = inner
        else:
            data[key] = list(value) if isinstance(value, tuple) else value
    return data
