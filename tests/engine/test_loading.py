"""Batches that do not fit into /dev/shm are said before workers die of it."""

import shutil
from types import SimpleNamespace

import pytest

from slowfast.config import load_cfg
from slowfast.engine.build import check_loading
from slowfast.engine.loading import check_cores, check_shared_memory

MIB = 2**20


def size(least: int, most: int | None = None) -> dict[str, int]:
    return {"least_bytes": least * MIB, "most_bytes": (most or least) * MIB}


@pytest.fixture
def free(monkeypatch, tmp_path):
    """``free(64)``: a folder with so many MiB left."""

    def make(mib: int):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=mib * MIB))
        return tmp_path

    return make


def test_what_fits_is_not_spoken_of(free, caplog):
    check_shared_memory(**size(4), num_workers=8, prefetch_factor=2, num_processes=1, folder=free(64))
    check_shared_memory(**size(99), num_workers=0, prefetch_factor=2, num_processes=1, folder=free(64))
    check_shared_memory(**size(99), num_workers=8, prefetch_factor=2, num_processes=1, folder=free(1) / "absent")
    assert not caplog.records


def test_what_may_not_fit_is_a_warning_with_the_arithmetic(free, caplog):
    check_shared_memory(**size(6), num_workers=8, prefetch_factor=2, num_processes=1, folder=free(64))
    (record,) = caplog.records
    assert "64 MiB free, but batches take up to 96 MiB in it: 8 workers x 2 batches" in record.getMessage()
    assert "--shm-size or --ipc=host; or set DATA_LOADER.NUM_WORKERS 5 or less" in record.getMessage()


def test_what_may_fit_is_not_refused(free, caplog):
    """The frames of a test's video are known when it has been read."""
    check_shared_memory(**size(1, 60), num_workers=8, prefetch_factor=2, num_processes=1, folder=free(64))
    assert "batches take up to 960 MiB in it" in caplog.text


def test_what_cannot_fit_is_an_error(free):
    with pytest.raises(ValueError, match=r"2 processes x 8 workers x 2 batches .* x 6 MiB\. .*die of a bus error"):
        check_shared_memory(**size(6), num_workers=8, prefetch_factor=2, num_processes=2, folder=free(64))


def test_loading_processes_without_a_core_of_their_own_are_spoken_of(caplog, monkeypatch):
    monkeypatch.setattr("slowfast.engine.loading.num_cores", lambda: 2)
    check_cores(2)
    assert not caplog.records
    check_cores(16)
    assert "16 loading processes on 2 CPU cores" in caplog.text and "DATA_LOADER.NUM_WORKERS" in caplog.text


@pytest.mark.parametrize("recipe, needed", [("Kinetics/SLOWFAST_8x8_R50", "8 workers"), ("Motion/SLOW_4x4_R18", "")])
@pytest.mark.parametrize("trains", [True, False])
def test_trainings_and_tests_are_looked_at(recipe, needed, trains, free, monkeypatch, caplog):
    """Of the Kinetics recipe on one GPU, a batch of 8 clips has 37 MiB, a video of a test up to 107 or so."""
    monkeypatch.setattr("slowfast.engine.loading.SHARED_MEMORY", free(300))
    cfg = load_cfg(recipe, ["NUM_GPUS", 0, "TRAIN.BATCH_SIZE", 8, "TRAIN.ENABLE", trains], warn=False)
    check_loading(cfg)
    assert ("MiB free, but batches take up to" in caplog.text) == bool(needed)
    assert needed in caplog.text
