"""Mixed precision: which dtype, and whether its gradients need scaling."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from slowfast.utils.suggest import check_choice

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def check_dtype_name(name: str) -> None:
    """Check that ``name`` is a value of ``TRAIN.MIXED_PRECISION_DTYPE``.

    Raises:
        ValueError: it may not.
    """
    check_choice("TRAIN.MIXED_PRECISION_DTYPE", name, ["auto", *DTYPES])


def autocast_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype that ``TRAIN.MIXED_PRECISION_DTYPE`` means on ``device``.

    "auto" is bfloat16 on CPUs and on GPUs that support it, else float16.

    Raises:
        ValueError: unknown name, or float16 on a CPU (where torch does not support training in it).
    """
    if name == "auto":
        has_bfloat16 = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    check_dtype_name(name)
    if name == "float16" and device.type == "cpu":
        raise ValueError("TRAIN.MIXED_PRECISION_DTYPE=float16 needs a GPU. Set it to auto or bfloat16.")
    return DTYPES[name]


def autocast(device: torch.device, dtype: torch.dtype | None) -> contextlib.AbstractContextManager:
    """Autocast to ``dtype``, or nothing for None."""
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def forward(
    model: nn.Module, clip: Tensor, extra_inputs: Iterable[Tensor] = (), *, dtype: torch.dtype | None = None
) -> Tensor:
    """What ``model`` gives for a normalized clip on its device, in the mode that it is in.

    Args:
        extra_inputs: what the model takes beside the clip, wherever it lies: boxes.
        dtype: autocast type, or None for full precision.
    """
    with autocast(clip.device, dtype):
        return model(clip, *(x.to(clip.device, non_blocking=True) for x in extra_inputs))


def grad_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """A scaler that works for float16 and does nothing for any other type."""
    return torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)


def guard_small_inputs(model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
    """Make 3D convolutions with an input smaller than their kernel compute in full precision under autocast.

    On CPUs, torch (2.15 with oneDNN 3.13) gives a bfloat16 kernel such as 3x1x1 over 2 frames a gradient that is wrong
    or NaN: it reads uninitialized memory. Other devices and dtypes are not affected.
    """
    if device.type != "cpu" or dtype is not torch.bfloat16:
        return
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_pre_hook(_leave_autocast)
            module.register_forward_hook(_return_to_autocast, always_call=True)


def _leave_autocast(conv: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    conv._full_precision = None
    if all(size >= kernel for size, kernel in zip(inputs[0].shape[-3:], conv.kernel_size, strict=True)):
        return None
    conv._full_precision = torch.autocast("cpu", enabled=False)
    conv._full_precision.__enter__()
    return (inputs[0].float(),)


def _return_to_autocast(conv: Any, *_) -> None:
    if conv._full_precision is not None:
        conv._full_precision.__exit__(None, None, None)
        conv._full_precision = None
