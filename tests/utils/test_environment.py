from __future__ import annotations

import platform
import random
import re

import numpy as np
import pytest
import torch

from slowfast.utils.environment import git_commit, versions
from slowfast.utils.seeding import seed_all


def test_versions_name_what_shapes_a_result():
    found = versions()
    assert found["torch"] == torch.__version__
    assert found["python"] == platform.python_version()
    assert {"slowfast", "torchvision", "av", "numpy", "fvcore", "device"} <= found.keys()
    assert all(isinstance(value, str) and value for value in found.values())
    assert re.match(r"\d+\.\d+", found["slowfast"]) and re.fullmatch(r"([0-9a-f]{7,}\+?)?", git_commit())


def test_outside_of_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr("slowfast.utils.environment.__file__", str(tmp_path / "a" / "b" / "c.py"))
    assert git_commit() == ""
    assert "commit" not in versions()


@pytest.mark.parametrize("seed", [0, 2**32 + 5])
def test_one_seed_for_all_generators(seed):
    drawn = []
    for _ in range(2):
        seed_all(seed)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3
