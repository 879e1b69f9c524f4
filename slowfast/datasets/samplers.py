"""Which videos a process reads, in which order, and where a sample's randomness comes from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import accumulate, groupby

import numpy as np
from torch.utils.data import Sampler

from slowfast.datasets.samples import ClipShape


def clip_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random generator of one sample: a function of the sample, not of the worker that happens to load it."""
    return np.random.default_rng([seed, epoch, index])


def num_batches(num_samples: int, sizes: Sequence[int]) -> int:
    """Number of full batches in ``num_samples``, with the sizes ``sizes`` in turn."""
    rounds, rest = divmod(num_samples, sum(sizes))
    return rounds * len(sizes) + bisect_right(list(accumulate(sizes)), rest)


def batch_span(batch: int, sizes: Sequence[int]) -> tuple[int, int]:
    """Where batch number ``batch``, from 0, begins and ends in the order of samples."""
    rounds, place = divmod(batch, len(sizes))
    start = rounds * sum(sizes) + sum(sizes[:place])
    return start, start + sizes[place]


# A video that comes again within an epoch is drawn as if in a later epoch, which no training reaches.
_REPEATS_FROM = 10**9


def balanced_order(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An epoch with every class equally often, shuffled; and how often each video appeared before in it.

    The videos of a class appear in turn, in random order: only some of a frequent class, but all of a rare class,
    several times. If the classes do not divide the videos evenly, random classes appear once more.

    Args:
        labels: int64 (N,); videos with a label below 0 never appear.

    Returns:
        int64 (N,) indices of videos, and int64 (N,) numbers from 0.

    Raises:
        ValueError: no video has a label.
    """
    classes = np.unique(labels[labels >= 0])
    if not len(classes):
        raise ValueError(f"TRAIN.BALANCE_CLASSES: none of the {len(labels)} training videos has a label.")
    counts = np.full(len(classes), len(labels) // len(classes))
    counts[rng.permutation(len(classes))[: len(labels) % len(classes)]] += 1
    indices, repeats = [], []
    for label, count in zip(classes, counts, strict=True):
        videos = rng.permutation(np.flatnonzero(labels == label))
        turns = np.arange(count)
        indices.append(videos[turns % len(videos)])
        repeats.append(turns // len(videos))
    order = rng.permutation(len(labels))
    return np.concatenate(indices)[order], np.concatenate(repeats)[order]


class TrainSampler(Sampler):
    """Batches of ``(epoch, index)`` in an order that depends only on the seed and the epoch.

    Every process gets the same number of batches and an equal share of each. The tail of the order that does not fill a
    batch on all of them is dropped, a different one every epoch. Batch b over all processes is the same for any number
    of processes, if the batch size is adapted.

    Args:
        num_samples: length of the data set.
        batch_size: samples in a batch of this process.
        seed: of the order.
        rank, world_size: which process this is, of how many.
        shapes: multigrid training: epoch -> (factor, shape) of consecutive batches, in turn. A batch then holds
            ``factor * batch_size`` keys ``(epoch, index, shape)``, or ``(epoch, index)`` where the shape is None.
            Default: all the same.
        labels: of the samples, int64 (N,), to draw every class equally often; see ``balanced_order``. Default: every
            sample once.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        shapes: Callable[[int], Sequence[tuple[int, ClipShape | None]]] | None = None,
        labels: np.ndarray | None = None,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        _check_rank(rank, world_size)
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.shapes = shapes or (lambda epoch: [(1, None)])
        self.labels = labels
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the next iteration: ``epoch``, from 0, without its first ``start_batch`` batches."""
        self.epoch = epoch
        self.start_batch = start_batch

    def num_batches(self, epoch: int) -> int:
        """Number of batches in the whole ``epoch``."""
        return num_batches(self.num_samples, self._sizes(epoch))

    def __len__(self) -> int:
        """Number of batches in the whole current epoch."""
        return self.num_batches(self.epoch)

    def __iter__(self) -> Iterator[list[tuple[int, int] | tuple[int, int, ClipShape]]]:
        epoch = self.epoch  # of this iteration, whatever is chosen for the next one meanwhile
        order = self._order(epoch)
        shapes, sizes = self.shapes(epoch), self._sizes(epoch)
        for batch in range(self.start_batch, self.num_batches(epoch)):
            start, stop = batch_span(batch, sizes)
            _, shape = shapes[batch % len(shapes)]
            rest = () if shape is None else (shape,)
            yield [(*key, *rest) for key in order[start:stop][self.rank :: self.world_size].tolist()]

    def _order(self, epoch: int) -> np.ndarray:
        """The keys of a whole epoch, int64 (N, 2)."""
        rng = np.random.default_rng([self.seed, epoch])
        if self.labels is None:
            indices, repeats = rng.permutation(self.num_samples), np.zeros(self.num_samples, dtype=np.int64)
        else:
            indices, repeats = balanced_order(self.labels, rng)
        return np.stack([np.full(self.num_samples, epoch) + _REPEATS_FROM * repeats, indices], axis=1)

    def _sizes(self, epoch: int) -> list[int]:
        """Samples of consecutive batches over all processes, in turn."""
        return [factor * self.batch_size * self.world_size for factor, _ in self.shapes(epoch)]


class EvalSampler(Sampler):
    """The indices rank, rank + world_size, ...: every sample on exactly one process, with no repetition as padding."""

    def __init__(self, num_samples: int, rank: int = 0, world_size: int = 1):
        _check_rank(rank, world_size)
        self.num_samples = num_samples
        self.rank, self.world_size = rank, world_size
        self.skip(())

    def skip(self, done: Container[int]) -> None:
        """Make the next iteration skip samples that are done."""
        self.indices = [index for index in range(self.rank, self.num_samples, self.world_size) if index not in done]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


class EvalBatches(Sampler):
    """The samples of an ``EvalSampler`` in batches of up to ``batch_size``.

    Args:
        video_of: index -> video. A batch then holds samples of one video, which are next to each other in the data set:
            frames of a test are not cropped, so only those of one video surely have the same size. (If a clip cannot be
            read, ``collate_detections`` gives it the size of the others.) Default: batches mix videos.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        *,
        video_of: Callable[[int], str] | None = None,
    ):
        self.samples = EvalSampler(num_samples, rank, world_size)
        self.batch_size = batch_size
        self.video_of = video_of or (lambda index: "")
        self.skip(())

    def skip(self, done: Container[int]) -> None:
        """See ``EvalSampler``. If whole batches are done, the others stay the same on the same number of processes."""
        self.samples.skip(done)
        self.batches: list[list[int]] = []
        for _, of_video in groupby(self.samples, self.video_of):
            indices = list(of_video)
            size = self.batch_size
            self.batches += [indices[start : start + size] for start in range(0, len(indices), size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def _check_rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be in 0-{world_size - 1}, got {rank} (world_size={world_size}).")
