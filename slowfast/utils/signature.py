"""Checks arguments from a YAML file against the signature that will receive them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

from torch import nn

from slowfast.utils.suggest import did_you_mean


def check_kwargs(target: Callable, kwargs: Mapping[str, object], key: str, *, also: Iterable[str] = ()) -> None:
    """Check that ``target`` takes every one of ``kwargs`` by name.

    Args:
        target: class or function.
        key: config key that held them, for the message.
        also: additional names that are accepted.

    Raises:
        ValueError: an argument that ``target`` does not name; the message lists those that it does.
    """
    # A module without an __init__ of its own shows nn.Module's (*args, **kwargs), which takes nothing.
    takes_none = getattr(target, "__init__", None) is nn.Module.__init__
    parameters = {} if takes_none else inspect.signature(target).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    names = [*(name for name in parameters if name not in ("self", "args")), *also]
    for name in kwargs:
        if name not in names:
            raise ValueError(
                f"{key}: {target.__name__} takes no argument {name!r}.{did_you_mean(name, names)} "
                f"It takes: {', '.join(names) or 'none'}."
            )


def filter_kwargs(target: Callable, **offered: object) -> dict[str, object]:
    """The entries of ``offered`` that ``target`` takes by name."""
    parameters = inspect.signature(target).parameters
    return {name: value for name, value in offered.items() if name in parameters}
