"""Class names by id, from label maps in the text format of protocol buffers, as in AVA."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from slowfast.utils.untrusted import cut, parse_integer, quoted, read_bytes

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[\w.+-]+)|(?P<mark>.)""",
    re.VERBOSE,
)
_ID_FIELDS = ("id", "label_id")
MAX_BYTES = 2**24  # AVA's map has 4 KB


def read_label_map(path: str | os.PathLike) -> dict[int, str]:
    """Class names by id, in file order, of a label map in the text format of protocol buffers.

    Both of AVA's dialects, ``item { name: "stand" id: 12 }`` and ``label { name: "stand" label_id: 12 label_type: X}``,
    with any indentation; other fields are skipped.

    Raises:
        ValueError: no such file, not this format, or missing or duplicate ids or names; with file and line.
    """
    path = Path(path)
    try:
        text = read_bytes(path, max_bytes=MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the label map {path}: {getattr(error, 'strerror', None) or error}.") from error
    names: dict[int, str] = {}
    seen: set[str] = set()
    for line, entry in _entries(path, list(_tokens(text))):
        class_id, name = _class_of(f"{path.name}:{line}", entry)
        if class_id in names or name in seen:
            raise ValueError(f"{path.name}:{line}: class {class_id} {quoted(name)}: its id or its name appears twice.")
        names[class_id] = name
        seen.add(name)
    if not names:
        raise ValueError(f'{path}: no class. Expected entries such as `item {{ name: "stand" id: 12 }}`.')
    return names


def names_of_labels(path: str | os.PathLike, num_classes: int) -> list[str] | None:
    """Names of labels 1 to K in order, ``class 12`` if the map has none; None if there is no such file.

    Raises:
        ValueError: as ``read_label_map``, or the map names a label that is not in 1 to K.
    """
    if not Path(path).is_file():
        return None
    found = read_label_map(path)
    for label, name in found.items():
        if not 1 <= label <= num_classes:
            raise ValueError(
                f"{path} names class {label} ({name}), but labels are 1 to MODEL.NUM_CLASSES = {num_classes}."
            )
    return [found.get(label, f"class {label}") for label in range(1, num_classes + 1)]


def _tokens(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, kind, text) of every token."""
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield line, str(match.lastgroup), match.group()
        line += match.group().count("\n")


def _entries(path: Path, tokens: list[tuple[int, str, str]]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, {field: value}) of every ``item { ... }`` or ``label { ... }``."""
    rest = iter(tokens)
    for line, _, word in rest:
        opening = next(rest, (line, "", "the end"))
        if word not in ("item", "label") or opening[2] != "{":
            raise ValueError(
                f"{path.name}:{line}: expected `item {{` or `label {{`, got {quoted(f'{word} {opening[2]}')}."
            )
        entry: dict[str, str] = {}
        for field_line, kind, field in rest:
            if field == "}":
                yield line, entry
                break
            if field in (",", ";"):
                continue
            (_, _, colon), (_, value_kind, value) = next(rest, (0, "", "")), next(rest, (0, "", ""))
            if kind != "word" or colon != ":" or value_kind not in ("string", "word"):
                raise ValueError(
                    f"{path.name}:{field_line}: expected `field: value`, got {quoted(f'{field}{colon} {value}')}."
                )
            entry[field] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value_kind == "string" else value
        else:
            raise ValueError(f"{path.name}:{line}: this `{word} {{` is never closed with `}}`.")


def _class_of(where: str, entry: dict[str, str]) -> tuple[int, str]:
    ids = [entry[field] for field in _ID_FIELDS if field in entry]
    if len(ids) != 1 or not entry.get("name"):
        raise ValueError(f"{where}: a class needs a name and an id (or label_id), got {cut(str(entry))}.")
    try:
        return parse_integer(ids[0]), entry["name"]
    except ValueError as error:
        raise ValueError(f"{where}: class id {error}.") from None
