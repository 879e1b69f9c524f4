"""What a device computes on: clips, normalized from the loader's uint8 frames, and a model that is ready for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slowfast.datasets.protocol import Protocol
from slowfast.video.augment import normalize


@dataclass(frozen=True)
class ClipPreprocessor:
    """``preprocess(frames)``: uint8 (B, 3, T, H, W), RGB -> normalized float32 of the same shape on the device.

    Attributes:
        mean, std: of each channel, for pixels in [0, 1].
        reverse_channels: the model expects BGR.
        channels_last: memory format of the result, the faster one for convolutions.
    """

    device: torch.device
    mean: Sequence[float] = (0.45, 0.45, 0.45)
    std: Sequence[float] = (0.225, 0.225, 0.225)
    reverse_channels: bool = False
    channels_last: bool = True

    @classmethod
    def of(cls, protocol: Protocol, device: torch.device, *, channels_last: bool = True) -> ClipPreprocessor:
        """The preprocessing of a protocol."""
        reverse_channels = protocol.channel_order == "BGR"
        return cls(device, protocol.mean, protocol.std, reverse_channels, channels_last)

    def __call__(self, frames: Tensor) -> Tensor:
        frames = frames.to(self.device, non_blocking=True)
        clip = normalize(frames, self.mean, self.std, reverse_channels=self.reverse_channels)
        return clip.contiguous(memory_format=torch.channels_last_3d) if self.channels_last else clip.contiguous()


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
