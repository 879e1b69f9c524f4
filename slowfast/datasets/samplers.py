"""Which videos a process reads, in which order, and where a sample's randomness comes from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


def clip_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random generator of one sample: a function of the sample, not of the worker that happens to load it."""
    return np.random.default_rng([seed, epoch, index])


class TrainSampler(Sampler):
    """Batches of ``(epoch, index)`` in an order that depends on the seed and the epoch alone.

    Every process gets equally many batches; the tail of the list that fills no batch on all of them is left out, a
    different one every epoch. Batch b of all processes together is the same for any number of them, if the batch
    size changes in turn.

    Args:
        num_samples: length of the data set.
        batch_size: samples in a batch of this process.
        seed: of the order.
        rank, world_size: which process this is, of how many.
    """

    def __init__(self, num_samples: int, *, batch_size: int, seed: int, rank: int = 0, world_size: int = 1):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        _check_rank(rank, world_size)
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose what the next iteration gives: ``epoch``, from 0, without its first ``start_batch`` batches."""
        self.epoch = epoch
        self.start_batch = start_batch

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return self.num_samples // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_samples)
        total = self.batch_size * self.world_size  # of all processes
        epoch = self.epoch  # of this iteration, whatever is chosen for the next one meanwhile
        for batch in range(self.start_batch, len(self)):
            share = order[batch * total : (batch + 1) * total][self.rank :: self.world_size]
            yield [(epoch, int(index)) for index in share]


class EvalSampler(Sampler):
    """The indices rank, rank + world_size, ...: every sample on exactly one process, nothing repeated to fill up."""

    def __init__(self, num_samples: int, rank: int = 0, world_size: int = 1):
        _check_rank(rank, world_size)
        self.indices = range(rank, num_samples, world_size)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


def _check_rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be in 0-{world_size - 1}, got {rank} (world_size={world_size}).")
