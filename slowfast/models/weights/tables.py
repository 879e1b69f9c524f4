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
        self._to_ours = _Direction([(theirs, ours) for theirs, ours in rows], values)
        self._to_theirs = _Direction([(ours, theirs) for theirs, ours in rows], inverse)

    def to_ours(self, name: str) -> str | None:
        """Our name for theirs; None where the table has none."""
        return self._to_ours(name)

    def to_theirs(self, name: str) -> str | None:
        """Their name for ours; None where the table has none."""
        return self._to_theirs(name)


class _Direction:
    def __init__(self, rows: Sequence[tuple[str, str]], values: Mapping[str, Mapping[str, str]]):
        self._values = values
        rows = sorted(rows, key=lambda row: -len(_FIELD.sub("", row[0])))
        self._rows = [(self._pattern(source), target) for source, target in rows]

    def _pattern(self, template: str) -> re.Pattern:
        pieces = _FIELD.split(template)
        for i in range(0, len(pieces), 2):
            pieces[i] = re.escape(pieces[i])
        for i in range(1, len(pieces), 2):
            spellings = self._values.get(pieces[i])
            accepted = "|".join(map(re.escape, spellings)) if spellings else _NUMBER
            pieces[i] = f"(?P<{pieces[i]}>{accepted})"
        return re.compile("".join(pieces))

    def __call__(self, name: str) -> str | None:
        for pattern, target in self._rows:
            match = pattern.match(name)
            if match:
                fields = {key: self._values.get(key, {}).get(text, text) for key, text in match.groupdict().items()}
                return target.format(**fields) + name[match.end() :]
        return None
