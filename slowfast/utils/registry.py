"""A name -> class table that answers an unknown name with those it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from slowfast.utils.suggest import did_you_mean

T = TypeVar("T", bound=Callable[..., Any])  # a class, or a function that builds


class Registry:
    """Classes of one kind, chosen by name in a YAML file. Names are not case-sensitive.

    Args:
        kind: what the entries are, for messages ("model", "dataset", ...).
        key: config key that holds the name, for the message ("MODEL.MODEL_NAME").
    """

    def __init__(self, kind: str, key: str = ""):
        self.kind = kind
        self.key = key
        self._entries: dict[str, tuple[str, Callable[..., Any]]] = {}

    def register(self, name: str | None = None) -> Callable[[T], T]:
        """Decorator that adds a class or function under ``name`` (default: its own name)."""

        def add(entry: T) -> T:
            entry_name = name or entry.__name__
            known = self._entries.get(entry_name.lower())
            # A module imported twice (notebook reload) may register again.
            if known is not None and _definition(known[1]) != _definition(entry):
                raise ValueError(
                    f"{self.kind} {entry_name!r} is already registered, as {known[1]!r}: choose another name."
                )
            self._entries[entry_name.lower()] = (entry_name, entry)
            return entry

        return add

    def get(self, name: str):
        """The entry called ``name``.

        Raises:
            ValueError: there is no such entry; the message lists the known names.
        """
        found = self._entries.get(str(name).lower())
        if found is None:
            place = f"{self.key}: " if self.key else ""
            raise ValueError(
                f"{place}there is no {self.kind} {name!r}.{did_you_mean(str(name), self.names())} "
                f"Known: {', '.join(self.names())}. For your own class, name its module or file in IMPORTS."
            )
        return found[1]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(name for name, _ in self._entries.values())

    def __contains__(self, name: str) -> bool:
        return str(name).lower() in self._entries


def _definition(entry: object) -> tuple:
    """Where an entry is defined; an object without a name is its own definition."""
    return getattr(entry, "__module__", None), getattr(entry, "__qualname__", entry)
