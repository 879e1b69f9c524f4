"""A training step that does not fit into memory: recognized, and explained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch

from slowfast.utils.errors import RunError


class TrainingMemoryError(RunError):
    """A training step does not fit into memory; the message has the arithmetic and what to change."""


@contextlib.contextmanager
def lack_explained(place: str, advice: Callable[[], str] | None) -> Iterator[None]:
    """For the length of a with statement, ``TrainingMemoryError`` for a lack of memory.

    Args:
        place: where the training is, for the message.
        advice: says what to change; or None.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise _explained(error, place, advice) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU's memory, or that of the machine, did not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _explained(error: RuntimeError, place: str, advice: Callable[[], str] | None) -> TrainingMemoryError:
    """The error that says so, with ``advice`` where it can be had."""
    cause = str(error).partition("\n")[0].partition(" See documentation")[0]
    try:
        more = "" if advice is None else f"\n{advice()}"
    except Exception:  # any: somebody's own model may not run on the meta device, and the cause is what counts
        more = ""
    return TrainingMemoryError(f"out of memory at {place}: {cause}{more}")
