"""Whom the watch blames, by the signs of life of the processes."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch.distributed as dist

from slowfast.engine.watch import Watch, _Sign


def sign(count: int, overdue: float, *, is_waiting: bool = False) -> _Sign:
    return _Sign(beat=1, count=count, doing=f"batch {count}", is_waiting=is_waiting, overdue=overdue)


@pytest.mark.parametrize(
    "signs, blamed",
    [
        ([sign(3, 0.9), sign(3, 0.5)], []),
        ([sign(3, 1.1), sign(3, 0.5)], []),  # the first may wait for the second, which came later
        ([sign(3, 1.1), sign(2, 0.5)], []),
        ([sign(3, 1.1), sign(3, 1.1)], [0, 1]),  # who waits for whom cannot be known
        ([sign(3, 1.1), sign(2, 1.1)], [1]),
        ([sign(3, 1.1), sign(4, 0.5)], [0]),
        ([sign(3, 1.1), sign(2, 9.0, is_waiting=True)], [0]),
        ([sign(3, 9.0, is_waiting=True), sign(2, 9.0, is_waiting=True)], []),
    ],
)
def test_the_furthest_behind_of_those_that_do_not_wait_is_blamed_when_overdue(signs, blamed):
    store = dist.HashStore()
    for rank, value in enumerate(signs):
        store.set(f"sign/{rank}", json.dumps(asdict(value)))
    watch = Watch(store, rank=0, names=["a, 7", "b, 8"], timeout=6)
    watch._look()
    named = [rank for rank, name in enumerate(watch.names) if f"process {rank} ({name}, batch " in watch.verdict]
    assert named == blamed
    assert watch.verdict == "" or "made no progress for more than 6 seconds (DIST_TIMEOUT" in watch.verdict
