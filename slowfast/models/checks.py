"""Checks of plain arguments and of clips, whose messages name the argument, the value and what is accepted."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from slowfast.utils.registry import Registry
from slowfast.utils.suggest import did_you_mean


def check_registered(name: str, value: str, registry: Registry) -> None:
    """Check that ``registry`` has an entry called ``value``."""
    if value not in registry:
        raise ValueError(
            f"{name}={value!r} is not a known {registry.kind}.{did_you_mean(str(value), registry.names())} Known: "
            f"{', '.join(registry.names())}. For your own class, name its module or file in IMPORTS."
        )


def check_whole(name: str, value: Any, *, least: int = 1, or_else: str = "") -> None:
    """Check that ``value`` is a whole number of ``least`` or more; ``or_else`` names what else would be accepted."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number >= {least}{or_else and f', or {or_else}'}.")


def check_least(name: str, value: Any, least: float) -> None:
    """Check that ``value`` is a number of ``least`` or more."""
    if not isinstance(value, Real) or isinstance(value, bool) or not float(value) >= least:
        raise ValueError(f"{name}={value!r} must be a number >= {least}.")


def check_above(name: str, value: Any, bound: float) -> None:
    """Check that ``value`` is a number above ``bound``."""
    if not isinstance(value, Real) or isinstance(value, bool) or not float(value) > bound:
        raise ValueError(f"{name}={value!r} must be a number > {bound}.")


def check_fraction(name: str, value: Any) -> None:
    """Check that ``value`` is a probability, in [0, 1]."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name}={value!r} must be in [0, 1].")


def shape_text(value: Any) -> str:
    """Shape of a tensor, or of each of several, for a message; the type of anything else."""
    if isinstance(value, Tensor):
        return f"({', '.join(map(str, value.shape))})"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shape_text, value))}]"
    return type(value).__name__


def dtype_of(model: nn.Module) -> torch.dtype:
    """The type of a model's weights."""
    return next(model.parameters()).dtype


def check_clip(clip: Tensor, *, dtype: torch.dtype, least_frames: int = 1, least_size: int = 1) -> None:
    """Check that ``clip`` (B, C, T, H, W) holds floats, and enough frames and pixels (``least_size`` per side).

    Args:
        dtype: of the weights. float64 goes only with itself; autocast handles the others.

    Raises:
        ValueError: with the shape received and what is expected.
    """
    if not clip.is_floating_point():
        received = str(clip.dtype).removeprefix("torch.")
        raise ValueError(
            f"expected a normalized clip of floats, received {received} {shape_text(clip)}. Normalize frames of 0 to "
            f"255 by (frames / 255 - mean) / std, with the mean and std that the weights were trained with (0.45 and "
            f"0.225 for PySlowFast's)."
        )
    if clip.dtype != dtype and torch.float64 in (clip.dtype, dtype):
        wanted, found = (str(each).removeprefix("torch.") for each in (dtype, clip.dtype))
        raise ValueError(f"expected a clip of {wanted}, as the weights are; received {found}: clip.to({dtype}).")
    if clip.shape[2] < least_frames or clip.shape[3] < least_size or clip.shape[4] < least_size:
        raise ValueError(
            f"expected a clip (B, C, T, H, W) of at least {least_frames} frame{'s' * (least_frames > 1)} of "
            f"{least_size}x{least_size} pixels; received {shape_text(clip)}."
        )
