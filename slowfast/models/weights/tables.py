"""Two namings of the same parameters, as one table that can be read in both directions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_FIELD = re.compile(r"{(\w+)}")
_NUMBER = r"\d+"


class NameTable:
    """A bijection between two namings, as pairs (theirs, ours) of prefixes; what follows a prefix stays.

    A field ``{x}`` stands for a part that both have. ``values`` gives its spellings, theirs -> ours; a field that is
    not there is a number that both write alike.

    Args:
        rows: if two match, the longer prefix wins, so their order does not matter.
        values: {"p": {"0": "slow", "1": "fast"}}.
    """

    def __init__(self, rows: Sequence[tuple[str, str]], values: Mapping[str, Mapping[str, str]] | None = None):
        values = values or {}
        inverse = {name: {ours: theirs for theirs, ours in spellings.items()} for name, spellings in values.items()}
        self._to_ours = _compiled(rows, values)
        self._to_theirs = _compiled([(ours, theirs) for theirs, ours in rows], inverse)

    def to_ours(self, name: str) -> str | None:
        """Our name for theirs; None where the table has none."""
        return _translated(name, *self._to_ours)

    def to_theirs(self, name: str) -> str | None:
        """Their name for ours; None where the table has none."""
        return _translated(name, *self._to_theirs)


def _compiled(rows: Sequence[tuple[str, str]], values: Mapping[str, Mapping[str, str]]) -> tuple[list, Mapping]:
    """(Pattern of a source, target) of every row, the longest first, and the spellings of the fields."""

    def pattern(template: str) -> re.Pattern:
        pieces = _FIELD.split(template)  # text, field, text, ...
        pieces[::2] = map(re.escape, pieces[::2])
        for i in range(1, len(pieces), 2):
            accepted = "|".join(map(re.escape, values.get(pieces[i], ()))) or _NUMBER
            pieces[i] = f"(?P<{pieces[i]}>{accepted})"
        return re.compile("".join(pieces))

    rows = sorted(rows, key=lambda row: -len(_FIELD.sub("", row[0])))
    return [(pattern(source), target) for source, target in rows], values


def _translated(name: str, rows: Sequence[tuple[re.Pattern, str]], values: Mapping) -> str | None:
    for pattern, target in rows:
        if match := pattern.match(name):
            fields = {key: values.get(key, {}).get(text, text) for key, text in match.groupdict().items()}
            return target.format(**fields) + name[match.end() :]
    return None
