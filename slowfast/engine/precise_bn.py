"""Precise batch norm statistics (Wu & Johnson, "Rethinking Batch in BatchNorm", 2021, section 3).

Running statistics lag behind the weights: they average over many updates. Before an evaluation they are replaced by
the statistics of some batches as a whole, with the current weights.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from slowfast.models.norm import SubBatchNorm3d
from slowfast.utils import distributed
from slowfast.utils.logging import count, format_seconds
from slowfast.utils.progress import Progress

logger = logging.getLogger(__name__)

# Precise BN reads clips of its own: an epoch that no training reaches seeds their augmentation.
PRECISE_BN_EPOCH = 1_000_000


class _Population:
    """Mean and variance of all values that pass through one batch norm, gathered batch by batch.

    With the norm's momentum at 1, its running statistics are those of the last batch.
    """

    def __init__(self, norm: Any):
        self.norm = norm  # of _BatchNorm, with running statistics
        self.momentum, norm.momentum = norm.momentum, 1.0
        self.before = (norm.running_mean.clone(), norm.running_var.clone())
        self.num_batches_before = norm.num_batches_tracked.clone()
        self.count = torch.zeros((), dtype=torch.float64, device=norm.running_mean.device)
        self.sum = torch.zeros_like(norm.running_mean, dtype=torch.float64)
        self.sum_of_squares = torch.zeros_like(self.sum)
        self.hook = norm.register_forward_hook(self._add)

    def _add(self, norm: Any, inputs: tuple[Tensor], _output: Tensor) -> None:
        n = inputs[0].numel() / inputs[0].shape[1]
        mean, variance = norm.running_mean.double(), norm.running_var.double()
        self.count += n
        self.sum += n * mean
        self.sum_of_squares += (n - 1) * variance + n * mean**2  # running_var is the unbiased one

    def restore(self) -> None:
        """Restore the previous state."""
        self.hook.remove()
        self.norm.momentum = self.momentum
        self.norm.running_mean.copy_(self.before[0])
        self.norm.running_var.copy_(self.before[1])

    def apply(self) -> None:
        """Set the norm's running statistics to the population's, over all processes."""
        count = distributed.all_reduce_sum(self.count)
        if count == 0:  # nothing came through it, e.g. the eval half of a SubBatchNorm3d
            return
        mean = distributed.all_reduce_sum(self.sum) / count
        variance = distributed.all_reduce_sum(self.sum_of_squares) / count - mean**2
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(variance.clamp_(min=0))


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """The batch norms of ``model`` that are in train mode and keep running statistics."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return [m for m in norms if m.training and m.track_running_stats]


@torch.no_grad()
def update_precise_statistics(model: nn.Module, batches: Iterable, forward: Callable[[object], object]) -> int:
    """Set the running mean and variance of every batch norm to those of all ``batches`` together.

    They do not depend on how the data is cut into batches, except for a norm's effect on later features.

    Args:
        model: in train mode; its weights are not changed.
        batches: inputs of ``forward``; the same number, at least one, on every process.
        forward: runs the training step's forward pass on one of them.

    An exception in ``batches`` or ``forward`` leaves everything unchanged.

    Returns:
        Number of batches seen by this process; 0 when the model has no batch norm (then none is loaded).
    """
    norms = batch_norms(model)
    if not norms:
        return 0
    populations = [_Population(norm) for norm in norms]
    num_batches = 0
    try:
        for batch in batches:
            forward(batch)
            num_batches += 1
    except BaseException:
        for population in populations:
            population.norm.num_batches_tracked.copy_(population.num_batches_before)
        raise
    finally:
        for population in populations:
            population.restore()
    if num_batches:
        for population in populations:
            population.apply()
        for module in model.modules():
            if isinstance(module, SubBatchNorm3d):
                module.aggregate()
    return num_batches


def refresh_batch_norms(
    models: Sequence[nn.Module], batches: Iterable, run: Callable[[nn.Module, Any], object], *, num_batches: int
) -> None:
    """Give the batch norms of several models the statistics of the same batches, with a line in the log.

    Args:
        run: model, batch -> anything; the training step's forward pass.
    """
    start = time.perf_counter()

    def forward(batch) -> None:
        for model in models:
            run(model, batch)

    with Progress(batches, total=num_batches, name="precise BN") as progress:
        done = update_precise_statistics(nn.ModuleList(models), progress, forward)
    logger.info("precise batch norm over %s in %s", count(done, "batch"), format_seconds(time.perf_counter() - start))
