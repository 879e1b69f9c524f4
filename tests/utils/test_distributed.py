from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from slowfast.utils import distributed
from tests import reference
from tests.groups import run_group
from tests.utils import workers


def test_alone():
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    assert not distributed.is_initialized()
    assert distributed.barrier() is None
    value = object()
    assert distributed.all_gather_objects(value) == [value]
    tensor = torch.ones(2)
    assert distributed.all_reduce_sum(tensor) is tensor


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What two gloo processes found, and the folder they wrote to."""
    folder = tmp_path_factory.mktemp("two")
    return run_group(workers.everything, 2, folder, str(folder)), folder


def test_two_know_who_they_are_and_what_both_have(two_processes):
    found, _ = two_processes
    assert [part["who"] for part in found] == [(0, 2, True), (1, 2, False)]
    for part in found:
        assert [(value["rank"], len(value["long"])) for value in part["objects"]] == [(0, 0), (1, 100)]
        assert part["reduced"].tolist() == [2.0, 1.0]


@pytest.mark.parametrize("method", ["mean", "sum", "max"])
def test_views_of_both_are_fused_alike_everywhere(two_processes, method):
    expected = getattr(np, method)(workers.video_scores(), axis=1)
    for part in two_processes[0]:
        scores = part[method]["scores"].numpy()
        np.testing.assert_allclose(scores[:-1], expected[:-1], rtol=1e-6)
        assert np.isnan(scores[-1]).all()
        assert part[method]["failures"] == {workers.NUM_VIDEOS - 1: "broken"}


def test_precise_statistics_are_those_of_both_shares(two_processes):
    mean, variance = reference.population_statistics([workers.small_net()[0](workers.clips())])
    for part in two_processes[0]:
        torch.testing.assert_close(part["statistics"][0].double(), mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(part["statistics"][1].double(), variance, rtol=1e-5, atol=1e-6)


def test_sync_batch_norm_shares_within_its_group(two_processes):
    for rank, part in enumerate(two_processes[0]):
        assert part["groups"] == {1: [rank], 2: [0, 1], 8: [0, 1]}  # 8: more than there are, so all
        assert part["global"] == [0, 1]
        assert part["kind"] == "SyncBatchNorm3d"
        assert "BN.NUM_SYNC_DEVICES=0 does not divide the 2 processes into equal groups" in part["message"]


def test_the_main_process_writes_the_numbers_and_each_its_log(two_processes):
    _, folder = two_processes
    records = [json.loads(line) for line in (folder / "metrics" / "metrics.jsonl").read_text().splitlines()]
    assert records == [{"step": 0, "rank": 0}]
    logs = folder / "logs"
    assert sorted(path.name for path in logs.iterdir()) == ["log.txt", "log_rank1.txt"]
    assert "more than the 2 processes: all of them share statistics" in (logs / "log_rank1.txt").read_text()


def test_the_launcher_says_which_process_of_a_machine_this_is_and_of_how_many(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert distributed.local_rank() == 0
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert distributed.local_rank() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert distributed.processes_per_machine(4) == 4
    assert distributed.processes_per_machine(0) == 1  # alone, whatever the environment says
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    assert distributed.processes_per_machine(0) == 3
