"""The device that a test of this folder runs on, and torch's switches as runs set them.

Most bodies run on both devices: on the CPU in `make test`, which keeps them alive where there is no GPU, and on the
first GPU in `make gpu`. Tests whose subject is a GPU's own (its memory, NCCL, float16) take ``gpu``, and run there
alone.
"""

from __future__ import annotations

import os

# Before the first cuBLAS handle: deterministic algorithms need it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch

from slowfast.engine.backends import Backends

ON_GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"))


def _restored_switches(device: torch.device):
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32, torch.are_deterministic_algorithms_enabled()
    Backends().apply()
    yield device
    cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before[:3]
    torch.use_deterministic_algorithms(before[3])


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=ON_GPU)])
def device(request):
    """The CPU and, marked ``gpu``, the first GPU; TF32 off and cudnn.benchmark off, as for a run in full precision."""
    yield from _restored_switches(torch.device(request.param, *([0] if request.param == "cuda" else [])))


@pytest.fixture(params=[pytest.param("cuda", marks=ON_GPU)])
def gpu(request):
    """The first GPU alone."""
    yield from _restored_switches(torch.device(request.param, 0))


@pytest.fixture
def deterministic(device):
    """Deterministic algorithms, where ``device`` puts them back."""
    Backends(deterministic=True).apply()
