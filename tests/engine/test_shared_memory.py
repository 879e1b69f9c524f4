"""Batches that do not fit into /dev/shm are said before workers die of it."""

import shutil
from types import SimpleNamespace

import pytest

from slowfast.engine.shared_memory import check_shared_memory

MIB = 2**20


@pytest.fixture
def free(monkeypatch, tmp_path):
    """``free(64)``: a folder with so many MiB left."""

    def make(mib: int):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=mib * MIB))
        return tmp_path

    return make


def test_what_fits_is_not_spoken_of(free, caplog):
    check_shared_memory(batch_bytes=4 * MIB, num_workers=8, prefetch_factor=2, num_processes=1, folder=free(64))
    check_shared_memory(batch_bytes=99 * MIB, num_workers=0, prefetch_factor=2, num_processes=1, folder=free(64))
    check_shared_memory(
        batch_bytes=99 * MIB, num_workers=8, prefetch_factor=2, num_processes=1, folder=free(1) / "absent"
    )
    assert not caplog.records


def test_what_may_not_fit_is_a_warning_with_the_arithmetic(free, caplog):
    check_shared_memory(batch_bytes=6 * MIB, num_workers=8, prefetch_factor=2, num_processes=1, folder=free(64))
    (record,) = caplog.records
    assert "64 MiB free, but batches take up to 96 MiB in it: 8 workers x 2 batches" in record.getMessage()
    assert "--shm-size or --ipc=host; or set DATA_LOADER.NUM_WORKERS 5 or less" in record.getMessage()


def test_what_cannot_fit_is_an_error(free):
    with pytest.raises(ValueError, match=r"2 processes x 8 workers x 2 batches .* x 6 MiB\. .*die of a bus error"):
        check_shared_memory(batch_bytes=6 * MIB, num_workers=8, prefetch_factor=2, num_processes=2, folder=free(64))
