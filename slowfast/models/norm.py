"""Batch normalisation in the flavours of the recipes: plain, over several devices, over parts of a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from slowfast.utils import distributed

logger = logging.getLogger(__name__)

NormLayer = Callable[[int], nn.Module]
NORM_TYPES = ("batchnorm", "sync_batchnorm", "sub_batchnorm")


def norm_layer(
    norm_type: str = "batchnorm", *, num_splits: int = 1, num_sync_devices: int = 1, global_sync: bool = False
) -> NormLayer:
    """A function from a channel count to a normalisation layer (eps 1e-5, momentum 0.1).

    Args:
        norm_type: one of ``NORM_TYPES``. Without a process group "sync_batchnorm" is plain batch norm, and says so.
        num_splits: parts of the batch with statistics of their own ("sub_batchnorm").
        num_sync_devices: processes that share statistics ("sync_batchnorm"); clipped to the number there are.
        global_sync: share them among all processes.
    """
    if norm_type == "batchnorm":
        return nn.BatchNorm3d
    if norm_type == "sub_batchnorm":
        return partial(SubBatchNorm3d, num_splits=num_splits)
    if norm_type == "sync_batchnorm":
        return _sync_norm_layer(distributed.world_size() if global_sync else num_sync_devices)
    raise ValueError(f"BN.NORM_TYPE: no normalisation is called {norm_type!r}. Known: {', '.join(NORM_TYPES)}.")


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
            "BN.NUM_SYNC_DEVICES=%d is more than the %d processes: all of them share.", group_size, world_size
        )
    group_size = min(group_size, world_size)
    # Every process has to create every group, its own and the others'.
    groups = [dist.new_group(range(start, start + group_size)) for start in range(0, world_size, group_size)]
    return partial(nn.SyncBatchNorm, process_group=groups[distributed.rank() // group_size])


class SubBatchNorm3d(nn.Module):
    """Batch norm whose training statistics are those of each of ``num_splits`` parts of the batch.

    State-dict names are PySlowFast's: weight, bias, bn.* (aggregate statistics, used in eval mode), split_bn.* (the
    parts'). Going to eval mode aggregates: mean of means, and mean of variances plus variance of means.
    """

    def __init__(self, num_features: int, *, num_splits: int = 1):
        super().__init__()
        self.num_splits = num_splits
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.bn = nn.BatchNorm3d(num_features, affine=False)
        self.split_bn = nn.BatchNorm3d(num_features * num_splits, affine=False)

    def train(self, mode: bool = True) -> SubBatchNorm3d:
        if self.training and not mode:
            self.aggregate()
        return super().train(mode)

    def aggregate(self) -> None:
        """Put the statistics of the whole into ``bn``, from those of the parts."""
        means = self.split_bn.running_mean.view(self.num_splits, -1)
        variances = self.split_bn.running_var.view(self.num_splits, -1)
        self.bn.running_mean.copy_(means.mean(0))
        self.bn.running_var.copy_(variances.mean(0) + means.var(0, unbiased=False))

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
