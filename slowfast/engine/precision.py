"""Mixed precision: which type, and whether its gradients need scaling."""

from __future__ import annotations

import contextlib

import torch

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type that ``TRAIN.MIXED_PRECISION_DTYPE`` means on ``device``.

    "auto" is bfloat16 on CPUs and on GPUs that compute in it, else float16.

    Raises:
        ValueError: unknown name, or float16 on a CPU (where torch has no training in it).
    """
    if name == "auto":
        has_bfloat16 = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if name not in DTYPES:
        raise ValueError(f"TRAIN.MIXED_PRECISION_DTYPE={name!r} is not one of auto, {', '.join(DTYPES)}.")
    if name == "float16" and device.type == "cpu":
        raise ValueError("TRAIN.MIXED_PRECISION_DTYPE=float16 needs a GPU. Set it to auto or bfloat16.")
    return DTYPES[name]


def autocast(device: torch.device, dtype: torch.dtype | None) -> contextlib.AbstractContextManager:
    """Autocast to ``dtype``, or nothing for None."""
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def grad_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """A scaler that works for float16 and does nothing for any other type."""
    return torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
