"""Merging layers into a config: unknown keys, wrong types, and text that spells a number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fvcore.common.config import CfgNode

from slowfast.config.files import ConfigError, KeyPath, Layer
from slowfast.config.refused import INSTEAD, REFUSED_KEYS, unknown_key
from slowfast.utils.environment import num_gpus
from slowfast.utils.untrusted import cut

MAX_LITERAL = 10_000  # characters of a value on a command line that is read as a literal
OVERRIDES = "overrides"  # the source of what stands in no file
_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_MISSING: Any = object()
_PAIRS_HINT = 'Write KEY value or KEY=value, and quote a value that holds spaces: SOLVER.STEPS "[0, 94]".'
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def merge_layers(cfg: CfgNode, layers: Iterable[Layer], defaults: CfgNode) -> None:
    """Write the layers into ``cfg``, later ones over earlier ones. Nothing is written if anything is wrong.

    Args:
        cfg: written in place.
        layers: settings, and where they stand.
        defaults: tells which keys exist, and their types.

    Raises:
        ConfigError: every unknown key and every wrong type, one line each.
    """
    names, merged = list(key_names(cfg)), cfg.clone()
    problems = [problem for layer in layers for problem in _merge(merged, layer.tree, defaults, layer, (), names)]
    if problems:
        raise ConfigError("\n".join(problems))
    _replace(cfg, merged)


def key_names(cfg: CfgNode, prefix: str = "") -> Iterator[str]:
    """Dotted names of all keys and groups."""
    for key, value in cfg.items():
        yield prefix + key
        if isinstance(value, CfgNode):
            yield from key_names(value, f"{prefix}{key}.")


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every setting of a config, or of nested dicts; an empty group is one, too."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def changed_keys(cfg: CfgNode, defaults: CfgNode) -> dict[str, Any]:
    """Dotted name -> value of every setting whose value is not its default, or that has none."""
    usual = dict(leaves(defaults))
    return {name: value for name, value in leaves(cfg) if name not in usual or value != usual[name]}


def config_as_data(cfg: CfgNode, prefix: str = "") -> dict[str, Any]:
    """The settings as nested mappings of plain values, without keys of parts that do not exist here."""
    data: dict[str, Any] = {}
    for key, value in cfg.items():
        name = f"{prefix}{key}"
        if isinstance(value, CfgNode):
            inner = config_as_data(value, f"{name}.")
            if inner or not value:  # a group of which nothing is left goes, an empty one (ARGS) stays
                data[key] = inner
        elif name not in REFUSED_KEYS and name not in INSTEAD:
            data[key] = list(value) if isinstance(value, tuple) else value
    return data


def _replace(cfg: CfgNode, merged: CfgNode) -> None:
    """Give ``cfg`` the values of ``merged``; nodes stay the same objects: others may hold them."""
    for key, value in merged.items():
        if isinstance(value, CfgNode) and isinstance(cfg.get(key), CfgNode):
            _replace(cfg[key], value)
        else:
            setattr(cfg, key, value)  # raises when frozen


def _merge(
    cfg: CfgNode, tree: dict, defaults: CfgNode | None, layer: Layer, prefix: KeyPath, names: list[str]
) -> Iterator[str]:
    """Merge one level; the problems. ``defaults`` is the node of the same level, None below one that is not in them."""
    for key, value in tree.items():
        key_path = (*prefix, str(key))
        current = cfg.get(key)
        if isinstance(current, CfgNode) and isinstance(value, str):
            value = decode(value)
        if key_path == ("NUM_GPUS",) and value == "auto":
            value = num_gpus()
        try:
            if isinstance(current, CfgNode) and (value is None or isinstance(value, dict)):
                inner = defaults.get(key) if defaults is not None else None
                yield from _merge(current, value or {}, inner, layer, key_path, names)
            elif defaults is not None and key in defaults:
                setattr(cfg, key, coerce(value, defaults[key]))
            elif cfg.is_new_allowed():
                setattr(cfg, str(key), _free_form(value))
            elif key in cfg:
                setattr(cfg, key, coerce(value, current))
            else:
                yield layer.location(key_path) + cut(unknown_key(key_path, value, names))
        except ConfigError as error:
            yield f"{layer.location(key_path)}{cut('.'.join(key_path))} {error}"


def _free_form(value: Any) -> Any:
    """A value below an ARGS node: mappings become nodes that take any key, text that is a number a number."""
    if isinstance(value, dict):
        node = CfgNode(new_allowed=True)
        for key, item in value.items():
            setattr(node, str(key), _free_form(item))
        return node
    if isinstance(value, list | tuple):
        list(_leaf_types(value))
    elif not isinstance(value, str | int | float | None):
        raise _wrong_type(value, "text, a number, true or false, null, or a list or mapping of them")
    return _numbers(value)


def coerce(value: Any, expected: Any) -> Any:
    """``value`` as the type of the default ``expected``.

    Text is decoded unless the default is text ("1e-4" is text in YAML 1.1, as is every value on a command line). An
    integer may stand for a float, and a tuple for a list; a default of None accepts a number or None; null for text is
    empty text.

    Raises:
        ConfigError: any other type; the message continues the key's name.
    """
    if isinstance(expected, CfgNode):
        raise ConfigError(f"is a group of keys, got {cut(repr(value))}. Set the keys in it.")
    if isinstance(expected, str):
        return _as_text(value, expected)
    value = decode(value) if isinstance(value, str) else value
    if isinstance(expected, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise _wrong_type(value, "true or false")
    if isinstance(expected, list | tuple):
        return _as_list(value, expected)
    if expected is None and (value is None or str(value).lower() in ("none", "null", "")):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(value, "a number or null" if expected is None else "a number")
    if isinstance(expected, int) and not isinstance(value, int):
        raise _wrong_type(value, "a whole number (int)")
    try:
        return float(value) if isinstance(expected, float) else value
    except OverflowError:
        raise _wrong_type(value, "a number below 1e308") from None


def _as_text(value: Any, expected: str) -> str:
    """``value`` where text is expected; a quoted literal from a command line loses its quotes."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong_type(value, f"text (str), like the default {expected!r}; write it in quotes")
    decoded = decode(value)
    return decoded if isinstance(decoded, str) else value


def _as_list(value: Any, expected: Sequence) -> list:
    """``value`` as a list whose leaves have the type of the default's leaves; nesting and length are free."""
    if not isinstance(value, list | tuple):
        raise _wrong_type(value, f"a list, e.g. [{cut(str(value), length=40)}]")
    wanted, got = set(_leaf_types(expected)), set(_leaf_types(value))
    if wanted == {str}:
        if got - {str}:
            raise _wrong_type(value, "a list of text")
        return _lists(value)
    value = _numbers(value)
    if wanted and set(_leaf_types(value)) - {int, float}:
        raise _wrong_type(value, "a list of numbers")
    return value


def _leaf_types(value: Any) -> Iterator[type]:
    """Types of the leaves of nested lists."""
    for item in value:
        if isinstance(item, list | tuple):
            yield from _leaf_types(item)
        elif isinstance(item, str | int | float | None):
            yield type(item)
        else:
            raise _wrong_type(item, "text, a number, true or false, or null inside a list")


def _lists(value: Any) -> Any:
    """Nested tuples as lists."""
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _numbers(value: Any) -> Any:
    """Nested tuples as lists, and text that is a number as that number."""
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value]
    return decode(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def decode(text: str) -> Any:
    """The Python literal that ``text`` spells, or ``text`` itself when it spells none, or is too long to be one."""
    if len(text) > MAX_LITERAL:
        return text
    try:
        value = ast.literal_eval(text.strip())
        repr(value)  # an integer of more digits than Python writes could be in no message
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value


def _wrong_type(value: Any, expected: str) -> ConfigError:
    return ConfigError(f"is {cut(repr(value))} ({type(value).__name__}); expected {expected}.")


def override_layers(overrides: Sequence[Any]) -> list[Layer]:
    """``[KEY, value, KEY=value, ...]`` as one layer per pair; a key is a dotted path.

    Raises:
        ConfigError: a value is missing, or something else stands where a key should.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides: expected pairs of KEY value, got the text {cut(repr(overrides))}.")
    layers, entries = [], iter(overrides)
    for entry in entries:
        key, has_value, value = entry.partition("=") if isinstance(entry, str) else (entry, "", "")
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ConfigError(f"overrides: expected a key, got {cut(repr(entry))}. {_PAIRS_HINT}")
        if not has_value:
            value = next(entries, _MISSING)
        if value is _MISSING:
            raise ConfigError(f"overrides: {cut(key)} has no value. {_PAIRS_HINT}")
        # No default tells the type of an entry below ARGS.
        tree: Any = decode(value) if isinstance(value, str) and "ARGS." in key else value
        for part in reversed(key.split(".")):
            tree = {part: tree}
        layers.append(Layer(tree, OVERRIDES))
    return layers
