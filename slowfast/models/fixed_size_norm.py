"""Batch norm for batches whose size changes, as in multigrid training: statistics of a fixed number of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.norm import AllReduceSum, NormLayer, move_statistics
from slowfast.utils import distributed


def statistics_size(num_clips: int, wanted: int, processes: Sequence[int] = ()) -> int:
    """Clips per batch-norm statistic: the possible number nearest to ``wanted``, or the larger of two such numbers.

    Args:
        num_clips: clips of this process, >= 1. Splitting the batch evenly gives any divisor of it.
        processes: numbers of processes that can share statistics, which give num_clips times that number.
    """
    parts = [size for size in range(1, num_clips + 1) if num_clips % size == 0]
    shared = [num_clips * size for size in processes]
    return min({*parts, *shared}, key=lambda size: (abs(size - wanted), -size))


def group_sizes(num_clips: int, num_processes: int) -> list[int]:
    """Numbers of processes, 2 or more, that can share statistics of ``num_clips`` clips in equal groups."""
    return [size for size in range(2, min(num_clips, num_processes) + 1) if num_processes % size == 0]


class ProcessGroups(dict[int, "dist.ProcessGroup"]):
    """Groups of consecutive processes that this one belongs to, by size; a copy of a model shares them."""

    def __deepcopy__(self, memo: dict) -> ProcessGroups:
        return self  # a process group is no data


def fixed_size_norm(num_clips: int) -> NormLayer:
    """A function from a channel count to a ``FixedSizeBatchNorm3d``. Every process must call it."""
    sizes = group_sizes(num_clips, distributed.world_size())
    groups = ProcessGroups({size: distributed.consecutive_group(size) for size in sizes})
    return partial(FixedSizeBatchNorm3d, num_clips=num_clips, groups=groups)


class FixedSizeBatchNorm3d(nn.BatchNorm3d):
    """Batch norm with training statistics over ``num_clips`` clips, or the nearest possible number.

    A larger batch is split ("sub" or "ghost" batch norm, Hoffer et al., 2017), a smaller one shares its statistics
    with other processes (every process must then have equally many clips). Running statistics cover all clips
    together; the state dict and eval mode are plain batch norm's.

    Args:
        groups: process groups by size that this process can share statistics with.
    """

    running_mean: Tensor

    def __init__(self, num_features: int, *, num_clips: int, groups: Mapping[int, dist.ProcessGroup] | None = None):
        super().__init__(num_features)
        self.num_clips = num_clips
        self.groups = groups or {}

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, num_clips={self.num_clips}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        size = statistics_size(len(x), self.num_clips, tuple(self.groups))
        if size < len(x):
            return self._forward_split(x, size)
        if size > len(x):
            return self._forward_shared(x, size // len(x))
        return super().forward(x)

    def _forward_split(self, x: Tensor, size: int) -> Tensor:
        parts = x.split(size)
        # With a momentum of 1, batch_norm leaves the statistics of its input in what it is given as running ones.
        means = torch.zeros(len(parts), self.num_features, dtype=self.running_mean.dtype, device=x.device)
        variances = torch.ones_like(means)
        normalized = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
            for part, mean, variance in zip(parts, means, variances, strict=True)
        ]
        count = parts[0].numel() // self.num_features
        biased = variances * ((count - 1) / count)
        self._move(means.mean(0), biased.mean(0) + means.var(0, unbiased=False), count * len(parts))
        return torch.cat(normalized)

    def _forward_shared(self, x: Tensor, num_processes: int) -> Tensor:
        wide = x.to(self.running_mean.dtype)  # half precision is too coarse for the sums
        variance, mean = torch.var_mean(wide, (0, 2, 3, 4), unbiased=False)
        moments = torch.stack([mean, variance + mean.square()])  # their averages are those of all clips
        mean, square = AllReduceSum.apply(moments, self.groups[num_processes]) / num_processes
        variance = (square - mean.square()).clamp(min=0)  # rounding may leave a little less than 0
        self._move(mean.detach(), variance.detach(), num_processes * x.numel() // self.num_features)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (wide * scale.view(-1, 1, 1, 1) + shift.view(-1, 1, 1, 1)).to(x.dtype)

    def _move(self, mean: Tensor, biased_variance: Tensor, count: int) -> None:
        move_statistics(self, mean, biased_variance * (count / (count - 1)))
