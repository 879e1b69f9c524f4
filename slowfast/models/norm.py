"""Batch normalization in the variants that the recipes use: plain, over several devices, over parts of a batch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from slowfast.utils import distributed
from slowfast.utils.suggest import not_one_of

logger = logging.getLogger(__name__)

NormLayer = Callable[[int], nn.Module]
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of a batch norm's state
NORM_TYPES = ("batchnorm", "sync_batchnorm", "sub_batchnorm")


def norm_layer(
    norm_type: str = "batchnorm", *, num_splits: int = 1, num_sync_devices: int = 1, global_sync: bool = False
) -> NormLayer:
    """A function from a channel count to a normalization layer (eps 1e-5, momentum 0.1).

    Args:
        norm_type: one of ``NORM_TYPES``. Without a process group "sync_batchnorm" is plain batch norm, and says so.
        num_splits: parts of the batch, each with its own statistics ("sub_batchnorm").
        num_sync_devices: processes that share statistics ("sync_batchnorm"); clipped to the number there are.
        global_sync: share them among all processes.
    """
    if norm_type == "batchnorm":
        return nn.BatchNorm3d
    if norm_type == "sub_batchnorm":
        return partial(SubBatchNorm3d, num_splits=num_splits)
    if norm_type == "sync_batchnorm":
        return _sync_norm_layer(distributed.world_size() if global_sync else num_sync_devices)
    raise ValueError(not_one_of("norm_type", norm_type, NORM_TYPES))


def _sync_norm_layer(group_size: int) -> NormLayer:
    world_size = distributed.world_size()
    if world_size == 1:
        logger.warning("BN.NORM_TYPE sync_batchnorm on a single process is plain batch norm.")
        return nn.BatchNorm3d
    if group_size < 1 or world_size % min(group_size, world_size):
        raise ValueError(
            f"BN.NUM_SYNC_DEVICES={group_size} does not divide the {world_size} processes into equal groups. "
            "Choose a divisor, or set BN.GLOBAL_SYNC True."
        )
    if group_size > world_size:
        logger.warning(
            "BN.NUM_SYNC_DEVICES=%d is more than the %d processes: all of them share statistics.",
            group_size,
            world_size,
        )
    return partial(SyncBatchNorm3d, process_group=distributed.consecutive_group(min(group_size, world_size)))


class AllReduceSum(torch.autograd.Function):
    """Sum over a process group, and in the backward pass the sum of the gradients."""

    @staticmethod
    def forward(ctx, value: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        value = value.contiguous().clone()
        dist.all_reduce(value, group=group)
        return value

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient, group=ctx.group)
        return gradient, None


class SyncBatchNorm3d(nn.SyncBatchNorm):
    """Sync batch norm: torch's on GPUs and our own on CPUs, where torch has none. Statistics cover all processes of a
    group.

    Every process counts with the number of its values, so clips may differ in number and size.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not self.training:
            return super().forward(x)
        wide = x.double()  # sums of squares lose half of their digits
        axes = [axis for axis in range(x.ndim) if axis != 1]
        count = torch.full_like(wide[0, :, 0, 0, 0], x.numel() / x.shape[1])
        sums = AllReduceSum.apply(torch.stack([count, wide.sum(axes), wide.square().sum(axes)]), self.process_group)
        count, mean, square = sums[0], sums[1] / sums[0], sums[2] / sums[0]
        variance = (square - mean.square()).clamp(min=0)
        move_statistics(self, mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        shape = (1, -1, *(1 for _ in range(x.ndim - 2)))
        return (wide * scale.view(shape) + shift.view(shape)).to(x.dtype)


@torch.no_grad()
def move_statistics(norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics of a batch norm towards the mean and the unbiased variance of a batch."""
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean.to(norm.running_mean), norm.momentum)
    norm.running_var.lerp_(variance.to(norm.running_var), norm.momentum)


def running_statistics(norm: nn.modules.batchnorm._BatchNorm) -> tuple[Tensor, Tensor]:
    """Running mean and variance, (C,) each, of a norm that has them."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var


def aggregate_statistics(means: Tensor, variances: Tensor, num_features: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the whole, (C,) each, from those of equal parts, (num_splits * C,) each.

    Mean of the means, and mean of the variances plus variance of the means.
    """
    means, variances = means.view(-1, num_features), variances.view(-1, num_features)
    return means.mean(0), variances.mean(0) + means.var(0, unbiased=False)


class SubBatchNorm3d(nn.Module):
    """Batch norm with separate training statistics for each of ``num_splits`` parts of the batch.

    State-dict names are PySlowFast's: weight, bias, bn.* (aggregate statistics, used in eval mode), split_bn.* (the
    parts'). Going to eval mode aggregates, and so does taking the state dict in train mode.
    """

    def __init__(self, num_features: int, *, num_splits: int = 1):
        super().__init__()
        self.num_splits = num_splits
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.bn = nn.BatchNorm3d(num_features, affine=False)
        self.split_bn = nn.BatchNorm3d(num_features * num_splits, affine=False)
        self.register_state_dict_pre_hook(_aggregate_before_saving)

    def train(self, mode: bool = True) -> SubBatchNorm3d:
        if self.training and not mode:
            self.aggregate()
        return super().train(mode)

    def aggregate(self) -> None:
        """Put the statistics of the whole into ``bn``, from those of the parts."""
        mean, variance = running_statistics(self.bn)
        whole = aggregate_statistics(*running_statistics(self.split_bn), self.bn.num_features)
        mean.copy_(whole[0])
        variance.copy_(whole[1])

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            batch, channels, *rest = x.shape
            if batch % self.num_splits:
                raise ValueError(f"BN.NUM_SPLITS={self.num_splits} does not divide the {batch} clips of a batch.")
            # reshape, not view: channels-last clips have no such view
            parts = x.reshape(batch // self.num_splits, self.num_splits * channels, *rest)
            x = self.split_bn(parts).reshape(batch, channels, *rest)
        else:
            x = self.bn(x)
        return x * self.weight.view(-1, 1, 1, 1) + self.bias.view(-1, 1, 1, 1)


def _aggregate_before_saving(norm: SubBatchNorm3d, *_) -> None:
    if norm.training:  # in eval mode ``bn`` holds what the model computes with
        norm.aggregate()


def fit_statistics(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """``state`` with its running statistics in the form that the batch norms of ``model`` have, and what was done.

    Sub-batch norms become plain ones by their aggregate. Plain ones, and sub-batch norms of another number of parts,
    become sub-batch norms whose parts all have the statistics of the whole. In eval mode nothing changes.
    """
    state = dict(state)
    done: Counter[str | None] = Counter()
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, SubBatchNorm3d):
            change = _to_parts(state, prefix, module)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            change = _to_plain(state, prefix, module.num_features)
        else:
            continue
        done[change] += 1
    return state, [f"{count} {change}" for change, count in done.items() if change]


def join_sub_norms(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with plain batch norms in place of sub-batch norms, by the statistics of the whole."""
    state = dict(state)
    for name in [name for name in state if name.endswith("split_bn.running_mean")]:
        prefix = name.removesuffix("split_bn.running_mean")
        _to_plain(state, prefix, state[f"{prefix}weight"].numel())
    return state


def _to_plain(state: dict[str, Tensor], prefix: str, num_features: int) -> str | None:
    if f"{prefix}running_mean" in state or not _has_parts(state, prefix, num_features):
        return None
    mean, variance, num_batches = _take_whole(state, prefix, num_features)
    state |= _statistics(prefix, mean, variance, num_batches)
    return "sub-batch norms joined into plain ones"


def _to_parts(state: dict[str, Tensor], prefix: str, norm: SubBatchNorm3d) -> str | None:
    num_features, num_splits = norm.bn.num_features, norm.num_splits
    if f"{prefix}running_mean" in state:
        mean, variance = state.pop(f"{prefix}running_mean"), state.pop(f"{prefix}running_var")
        num_batches = state.pop(f"{prefix}num_batches_tracked", None)
        change = f"batch norms made sub-batch norms of {num_splits} parts"
    elif _has_parts(state, prefix, num_features) and (
        state[f"{prefix}split_bn.running_mean"].numel() != num_features * num_splits
    ):
        parts = state[f"{prefix}split_bn.running_mean"].numel() // num_features
        mean, variance, num_batches = _take_whole(state, prefix, num_features)
        change = f"sub-batch norms of {parts} parts made ones of {num_splits}"
    else:
        return None
    state |= _statistics(f"{prefix}bn.", mean, variance, num_batches)
    state |= _statistics(f"{prefix}split_bn.", mean.repeat(num_splits), variance.repeat(num_splits), num_batches)
    return change


def _has_parts(state: Mapping[str, Tensor], prefix: str, num_features: int) -> bool:
    means = state.get(f"{prefix}split_bn.running_mean")
    return means is not None and means.numel() % num_features == 0


def _take_whole(state: dict[str, Tensor], prefix: str, num_features: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Remove the statistics of a sub-batch norm from ``state``; those of the whole, from the parts.

    The aggregate in the file is not used: it dates from the last time that the model was in eval mode.
    """
    means, variances, num_batches = (state.pop(f"{prefix}split_bn.{key}", None) for key in _STATISTICS)
    for key in _STATISTICS:
        state.pop(f"{prefix}bn.{key}", None)
    assert means is not None and variances is not None, prefix
    return *aggregate_statistics(means, variances, num_features), num_batches


def _statistics(prefix: str, mean: Tensor, variance: Tensor, num_batches: Tensor | None) -> dict[str, Tensor]:
    """Entries of a state dict; without the count if there is none (older files)."""
    values = dict(zip(_STATISTICS, (mean, variance, num_batches), strict=True))
    return {f"{prefix}{key}": value for key, value in values.items() if value is not None}
