"""Order and randomness depend on the seed, the epoch and the sample; evaluation sees every sample exactly once."""

import itertools

import numpy as np
import pytest

from slowfast.datasets.samplers import (
    EvalSampler,
    TrainSampler,
    balanced_order,
    batch_span,
    clip_rng,
    num_batches,
)
from slowfast.datasets.samples import ClipShape


def indices(sampler: TrainSampler) -> list[int]:
    return [index for batch in sampler for _, index in batch]


def test_an_epoch_is_a_permutation_that_changes():
    sampler = TrainSampler(12, batch_size=4, seed=0)
    assert sorted(indices(sampler)) == list(range(12))
    first = indices(sampler)
    assert indices(sampler) == first  # the same epoch again
    sampler.set_epoch(1)
    assert indices(sampler) != first
    assert {epoch for batch in sampler for epoch, _ in batch} == {1}
    assert indices(TrainSampler(12, batch_size=4, seed=1)) != first


@pytest.mark.parametrize("num_samples", [0, 3, 7, 8, 9, 39, 41])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_get_equally_many_whole_batches_and_share_nothing(num_samples, world_size):
    samplers = [
        TrainSampler(num_samples, batch_size=2, seed=5, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    batches = [list(sampler) for sampler in samplers]
    assert {len(b) for b in batches} == {len(samplers[0])} == {num_samples // (2 * world_size)}
    assert all(len(batch) == 2 for batch in itertools.chain(*batches))
    seen = [index for sampler in samplers for index in indices(sampler)]
    assert len(seen) == len(set(seen)) and set(seen) <= set(range(num_samples))


def test_two_processes_read_what_one_with_the_double_batch_reads():
    whole = list(TrainSampler(40, batch_size=8, seed=3))
    halves = [list(TrainSampler(40, batch_size=4, seed=3, rank=rank, world_size=2)) for rank in range(2)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert set(batch) == set(first) | set(second)


# ---- batches of several shapes in turn ----


def cut(num_samples: int, sizes: list[int]) -> list[range]:
    """The slow way: batch after batch until one is not filled."""
    spans, start = [], 0
    for size in itertools.cycle(sizes):
        if start + size > num_samples:
            return spans
        spans.append(range(start, start + size))
        start += size


@pytest.mark.parametrize("sizes", [[1], [4], [4, 2, 1], [1, 2, 4], [8, 4, 4], [3, 3], [5, 1, 1, 1]])
@pytest.mark.parametrize("num_samples", [0, 1, 3, 4, 5, 7, 11, 12, 29, 100])
def test_batches_are_cut_one_after_the_other(sizes, num_samples):
    spans = [range(*batch_span(batch, sizes)) for batch in range(num_batches(num_samples, sizes))]
    assert spans == cut(num_samples, sizes)


SMALL, LARGE = ClipShape(4, 16, 8), ClipShape(8, 32, 4)


def by_stage(epoch: int) -> list[tuple[int, ClipShape | None]]:
    """Epochs 0 and 1: batches of 4 and 2; epoch 2: of 1, in the data set's own shape."""
    return [(4, SMALL), (2, LARGE)] if epoch < 2 else [(1, None)]


def multigrid_sampler(num_samples: int = 41, **arguments) -> TrainSampler:
    return TrainSampler(num_samples, batch_size=2, seed=5, shapes=by_stage, **arguments)


def test_size_and_shape_change_from_batch_to_batch():
    batches = list(multigrid_sampler())
    assert [len(batch) for batch in batches] == [8, 4, 8, 4, 8, 4]
    assert [{shape for _, _, shape in batch} for batch in batches] == [{SMALL}, {LARGE}] * 3
    seen = [index for batch in batches for _, index, _ in batch]
    assert len(seen) == len(set(seen)) == 36 and set(seen) <= set(range(41))


def test_the_number_of_batches_changes_from_epoch_to_epoch():
    sampler = multigrid_sampler()
    assert [sampler.num_batches(epoch) for epoch in range(4)] == [6, 6, 20, 20]
    for epoch in range(4):
        sampler.set_epoch(epoch)
        assert len(sampler) == len(list(sampler)) == sampler.num_batches(epoch)
    plain = TrainSampler(41, batch_size=2, seed=5)
    plain.set_epoch(3)
    assert list(sampler) == list(plain)  # without a shape the keys are those of plain training


@pytest.mark.parametrize("start_batch", range(7))
def test_resuming_within_an_epoch_of_several_shapes(start_batch):
    sampler = multigrid_sampler()
    whole = list(sampler)
    sampler.set_epoch(0, start_batch=start_batch)
    assert list(sampler) == whole[start_batch:] and len(sampler) == 6  # of a whole epoch: what a schedule counts in


@pytest.mark.parametrize("num_samples", [0, 11, 12, 24, 47, 100])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_share_batches_of_every_shape_evenly(num_samples, world_size):
    samplers = [multigrid_sampler(num_samples, rank=rank, world_size=world_size) for rank in range(world_size)]
    batches = [list(sampler) for sampler in samplers]
    for together in zip(*batches, strict=True):  # equally many
        assert len({len(batch) for batch in together}) == 1
        assert len({shape for batch in together for _, _, shape in batch}) == 1
    seen = [index for share in batches for batch in share for _, index, _ in batch]
    assert len(seen) == len(set(seen)) and set(seen) <= set(range(num_samples))


# ---- evaluation ----


@pytest.mark.parametrize("num_samples, world_size", [(10, 1), (10, 3), (2, 4), (0, 2)])
def test_evaluation_sees_every_sample_once(num_samples, world_size):
    shares = [EvalSampler(num_samples, rank, world_size) for rank in range(world_size)]
    assert sorted(itertools.chain(*shares)) == list(range(num_samples))
    assert [len(list(share)) for share in shares] == [len(share) for share in shares]
    assert list(EvalSampler(5, 1, 2)) == [1, 3]


def test_a_samples_generator_is_its_own():
    draws = {
        key: clip_rng(*key).random() for key in itertools.product([0, 1], [0, 1, 1_000_000], [0, 1, 2])
    }  # (seed, epoch, index)
    assert len(set(draws.values())) == len(draws)
    assert clip_rng(0, 1, 2).random() == draws[0, 1, 2]
    assert isinstance(clip_rng(0, 0, 0), np.random.Generator)


def test_impossible_arguments():
    with pytest.raises(ValueError, match=r"rank must be in 0-1, got 2 \(world_size=2\)"):
        TrainSampler(8, batch_size=2, seed=0, rank=2, world_size=2)
    with pytest.raises(ValueError, match=r"rank must be in 0-0, got -1"):
        EvalSampler(8, -1, 1)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        TrainSampler(8, batch_size=0, seed=0)


# ---- every class equally often ----

SKEWED = np.array([0] * 60 + [1] * 6 + [2] * 3 + [-1])


def test_every_class_comes_equally_often():
    order, repeats = balanced_order(SKEWED, np.random.default_rng(0))
    assert len(order) == len(SKEWED)
    assert sorted(np.bincount(SKEWED[order])) == [23, 23, 24]
    assert len(set(order[SKEWED[order] == 0])) == (SKEWED[order] == 0).sum()  # of the frequent class a part, once each
    rare = np.bincount(order, minlength=len(SKEWED))[SKEWED == 2]
    assert rare.min() >= 7 and rare.max() <= rare.min() + 1  # of a rare one all, in turn
    for video in set(order.tolist()):  # its visits are numbered
        assert sorted(repeats[order == video]) == list(range((order == video).sum()))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_balanced_order_is_that_of_one_process_and_no_clip_comes_twice(world_size):
    def batches(rank, size):
        sampler = TrainSampler(len(SKEWED), batch_size=8 // size, seed=3, rank=rank, world_size=size, labels=SKEWED)
        sampler.set_epoch(5)
        return list(sampler)

    whole = batches(0, 1)
    shares = [batches(rank, world_size) for rank in range(world_size)]
    assert [sorted(key for share in shares for key in share[b]) for b in range(len(whole))] == [*map(sorted, whole)]
    keys = [key for batch in whole for key in batch]
    assert len(set(keys)) == len(keys)  # a video that comes again is another sample
    draws = {tuple(clip_rng(3, *key).integers(0, 2**62, 2)) for key in keys}
    assert len(draws) == len(keys)


def test_without_labels_there_are_no_classes_to_balance():
    with pytest.raises(ValueError, match=r"TRAIN\.BALANCE_CLASSES: none of the 3 training videos has a label"):
        balanced_order(np.full(3, -1), np.random.default_rng(0))
