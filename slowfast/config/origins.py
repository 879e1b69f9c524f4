"""Who set a key: nobody (its default stands), a recipe of the package, a file of the user, or an override."""

from __future__ import annotations

from typing import Any

from fvcore.common.config import CfgNode

from slowfast.config.files import Layer
from slowfast.config.merge import OVERRIDES, leaves


def setters(cfg: CfgNode, name: str) -> list[Layer]:
    """The layers that hold a value for the key ``name``, in the order in which they were merged."""
    return [layer for layer in getattr(cfg, "layers", ()) if _has(layer.tree, name)]


def is_set(cfg: CfgNode, name: str) -> bool:
    """Whether any file or override sets the key; False where its default stands untouched."""
    return bool(setters(cfg, name))


def is_set_by_user(cfg: CfgNode, name: str) -> bool:
    """Whether a file of the user's own or an override sets the key, whatever recipes say."""
    return any(not layer.is_recipe for layer in setters(cfg, name))


def inferred(cfg: CfgNode) -> dict[str, str]:
    """``KEY value`` -> why, for every setting that a command chose because the user left it open."""
    layers = [layer for layer in getattr(cfg, "layers", ()) if layer.because]
    return {f"{name} {value}": layer.because for layer in layers for name, value in leaves(layer.tree)}


def value_beside(cfg: CfgNode, name: str, other: str) -> Any:
    """The value of ``name``, as written, that ``other`` was chosen for; None where no layer had set it by then.

    Layers after the last one that sets ``other`` do not count. All overrides are one layer, and so are all recipes of
    the package.
    """
    layers = list(getattr(cfg, "layers", ()))
    if not any(_has(layer.tree, other) for layer in layers if layer.source == OVERRIDES):
        while layers and not layers[-1].is_recipe and not _has(layers[-1].tree, other):
            layers.pop()
    values = [_value(layer.tree, name) for layer in layers if _has(layer.tree, name)]
    return values[-1] if values else None


def _has(tree: Any, name: str) -> bool:
    return _value(tree, name) is not None


def _value(tree: Any, name: str) -> Any:
    """What stands in the tree of a layer under the dotted ``name``; None where nothing does."""
    for part in name.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree
