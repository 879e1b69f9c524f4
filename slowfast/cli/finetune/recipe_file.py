"""A YAML file of chosen settings: `_BASE_`, and every key followed by its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from slowfast.cli.finetune.plan import Setting
from slowfast.utils.text import printable


def recipe_text(
    settings: Iterable[Setting], *, base: str = "", others: Mapping[str, Any] | None = None, header: Sequence[str] = ()
) -> str:
    """The text of a config file.

    Args:
        settings: written with their reason.
        base: recipe or file under the settings; empty for none.
        others: dotted key -> value, written without a reason.
        header: lines of comment.
    """
    tree: dict[str, Any] = {}
    for setting in [*(Setting(key, value, "") for key, value in (others or {}).items()), *settings]:
        *groups, name = setting.key.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[name] = setting
    lines = [f"# {printable(line)}".rstrip() for line in header]
    lines += [f"_BASE_: {_scalar(base)}"] if base else []
    return "\n".join([*lines, *_lines(tree, "")]) + "\n"


def _lines(tree: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, node in tree.items():
        if isinstance(node, Setting):
            why = f"  # {printable(node.why)}" if node.why else ""
            yield f"{indent}{name}: {_scalar(node.value)}{why}"
        else:
            yield f"{indent}{name}:"
            yield from _lines(node, indent + "  ")


def _scalar(value: Any) -> str:
    """``value`` on one line of YAML."""
    plain = list(value) if isinstance(value, tuple) else value
    # the dumper ends a plain scalar's document with a line of three dots
    text = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
