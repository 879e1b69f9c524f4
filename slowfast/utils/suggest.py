"""Spelling help for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def not_one_of(name: str, value: object, choices: Iterable[object]) -> str:
    """Message for a closed choice: ``name='x' is not one of a, b. Did you mean a?``"""
    names = [str(choice) for choice in choices]
    near = did_you_mean(value, names) if isinstance(value, str) else ""
    return f"{name}={value!r} is not one of {', '.join(names)}.{near}"


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Check that ``value`` is one of ``choices``; the ValueError names them."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(not_one_of(name, value, choices))


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`` Did you mean X?`` with a leading space, or an empty string; made to be appended to a message."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[matches[0]]}?" if matches else ""
