"""Lateral connections: how the Fast features enter the Slow pathway (paper, section 3.4 and table 5a).

Every one takes slow (B, C, t, H, W) and fast (B, beta*C, alpha*t, H, W), states ``out_channels``, what the next Slow
stage receives, and returns (B, out_channels, t, H, W). Fast features of a smaller map (half resolution, table 5c) are
enlarged to Slow's by repeating pixels, after any convolution; the paper does not say how the two sizes are joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from slowfast.models.build import FUSION_REGISTRY
from slowfast.models.checks import check_registered, check_whole
from slowfast.models.norm import NormLayer
from slowfast.utils.signature import check_kwargs, filter_kwargs


@dataclass(frozen=True, kw_only=True)
class FusionOptions:
    """The lateral connections of a network; see ``options.py``.

    Args:
        fusion: name of the lateral connection.
        fusion_kernel: Fast frames that a lateral convolution sees, odd; for connections that have one.
        fusion_channel_ratio: output channels of a lateral convolution per Fast channel; likewise.
        fusion_args: any other argument of the connection.
    """

    fusion: str = "TimeStridedConv"
    fusion_kernel: int = 5
    fusion_channel_ratio: int = 2
    fusion_args: Mapping[str, Any] | None = None

    def __post_init__(self):
        check_registered("fusion", self.fusion, FUSION_REGISTRY)
        check_whole("fusion_kernel", self.fusion_kernel)
        if self.fusion_kernel % 2 == 0:
            raise ValueError(f"fusion_kernel={self.fusion_kernel!r} must be odd, centered on a frame.")
        check_whole("fusion_channel_ratio", self.fusion_channel_ratio)

    def build(self, slow_channels: int, fast_channels: int, *, alpha: int, norm: NormLayer) -> Any:
        """The connection between a Slow and a Fast stage of so many channels: a module with ``out_channels``.

        A class takes those of the kernel, the ratio and the norm that it names.

        Raises:
            ValueError: arguments that the connection does not take.
        """
        fusion_class, given = FUSION_REGISTRY.get(self.fusion), dict(self.fusion_args or {})
        check_kwargs(fusion_class, given, "SLOWFAST.FUSION_ARGS")
        offered = {"kernel_size": self.fusion_kernel, "channel_ratio": self.fusion_channel_ratio, "norm": norm}
        arguments = {**filter_kwargs(fusion_class, **offered), **given}
        return fusion_class(slow_channels=slow_channels, fast_channels=fast_channels, alpha=alpha, **arguments)


@fx.wrap  # one node in a traced graph: it looks at shapes
def at_size_of(slow: Tensor, lateral: Tensor) -> Tensor:
    """``lateral`` at the map size of ``slow``: pixels are repeated if its own map is smaller."""
    if lateral.shape[-2:] == slow.shape[-2:]:
        return lateral
    return F.interpolate(lateral, size=(lateral.shape[2], *slow.shape[-2:]), mode="nearest")


@FUSION_REGISTRY.register()
class TimeStridedConv(nn.Module):
    """T-conv, the paper's default: a kernel x1x1 convolution of stride alpha, BN, ReLU, concatenated after Slow.

    Args:
        kernel_size: in Fast frames, odd; 5 in the paper, 7 in some released recipes.
        channel_ratio: output channels per Fast channel.
        bare: no BN and no ReLU, as in mmaction2's networks.
    """

    def __init__(
        self,
        *,
        slow_channels: int,
        fast_channels: int,
        alpha: int,
        kernel_size: int = 5,
        channel_ratio: int = 2,
        bare: bool = False,
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__()
        check_whole("channel_ratio", channel_ratio)
        check_whole("kernel_size", kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} must be odd, centered on a frame.")
        channels = fast_channels * channel_ratio
        self.out_channels = slow_channels + channels
        self.conv = nn.Conv3d(
            fast_channels, channels, (kernel_size, 1, 1), (alpha, 1, 1), (kernel_size // 2, 0, 0), bias=False
        )
        self.bare = bare
        if not bare:
            self.bn = norm(channels)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        lateral = self.conv(fast)
        if not self.bare:
            lateral = F.relu(self.bn(lateral), inplace=True)
        return torch.cat([slow, at_size_of(slow, lateral)], dim=1)


@FUSION_REGISTRY.register()
class TimeStridedSample(nn.Module):
    """T-sample: every alpha-th Fast frame, concatenated after Slow."""

    def __init__(self, *, slow_channels: int, fast_channels: int, alpha: int):
        super().__init__()
        self.alpha = alpha
        self.out_channels = slow_channels + fast_channels

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return torch.cat([slow, at_size_of(slow, fast[:, :, :: self.alpha])], dim=1)


@fx.wrap
def time_to_channel(fast: Tensor, alpha: int) -> Tensor:
    """Alpha consecutive frames packed into the channels of one: (B, C, alpha*t, H, W) -> (B, alpha*C, t, H, W).

    Channel k * C + c of the result is channel c of the k-th of the packed frames.
    """
    batch, channels, time, height, width = fast.shape
    packed = fast.view(batch, channels, time // alpha, alpha, height, width)
    return packed.permute(0, 3, 1, 2, 4, 5).reshape(batch, alpha * channels, time // alpha, height, width)


@FUSION_REGISTRY.register()
class TimeToChannelConcat(nn.Module):
    """TtoC, concatenated: all Fast frames of a Slow one, as channels after Slow's."""

    def __init__(self, *, slow_channels: int, fast_channels: int, alpha: int):
        super().__init__()
        self.alpha = alpha
        self.out_channels = slow_channels + alpha * fast_channels

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return torch.cat([slow, at_size_of(slow, time_to_channel(fast, self.alpha))], dim=1)


@FUSION_REGISTRY.register()
class TimeToChannelSum(nn.Module):
    """TtoC, summed into Slow; possible when alpha * beta = 1."""

    def __init__(self, *, slow_channels: int, fast_channels: int, alpha: int):
        super().__init__()
        if alpha * fast_channels != slow_channels:
            raise ValueError(
                f"TimeToChannelSum needs alpha * Fast channels = Slow channels, got {alpha} * {fast_channels} and "
                f"{slow_channels}. Set SLOWFAST.BETA_INV = SLOWFAST.ALPHA (a divisor of the width), or use "
                f"TimeToChannelConcat."
            )
        self.alpha = alpha
        self.out_channels = slow_channels

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return slow + at_size_of(slow, time_to_channel(fast, self.alpha))


@FUSION_REGISTRY.register()
class NoFusion(nn.Module):
    """No lateral connection: two networks that meet at the classifier."""

    def __init__(self, *, slow_channels: int, fast_channels: int, alpha: int):
        super().__init__()
        self.out_channels = slow_channels

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return slow
