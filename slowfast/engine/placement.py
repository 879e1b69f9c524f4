"""Prepares a model for computing: device, memory format, compilation."""

from __future__ import annotations

import torch
from torch import nn


def place_model(
    model: nn.Module, device: torch.device | str | None = None, *, channels_last: bool = True, compiled: bool = False
) -> nn.Module:
    """``model`` itself on ``device``.

    Args:
        device: default its current one.
        channels_last: kernels of 3D convolutions lie channels-last in memory. Parameters of other ranks do not change:
            torch's own ``model.to(memory_format=torch.channels_last_3d)`` fails on those of rank 4.
        compiled: run it through torch.compile from now on; the names of its state dict stay.
    """
    if device is not None:
        model = model.to(device)
    if channels_last:
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.ndim == 5 and not tensor.is_contiguous(memory_format=torch.channels_last_3d):
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last_3d)
    if compiled:
        model.compile()
    return model
