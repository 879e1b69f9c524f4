"""What the BACKEND keys mean, that they are set, and that known faults are named where a run starts."""

import logging
import os

import pytest
import torch

from slowfast.cli import run
from slowfast.config import ConfigError, load_cfg
from slowfast.engine import backends
from slowfast.engine.backends import Backends, faults_here

PLAIN = "Motion/SLOWFAST_4x4_R18"
MULTIGRID = "Kinetics/SLOWFAST_8x8_R50_stepwise_multigrid"
DETECTION = "AVA/SLOWFAST_32x2_R50_SHORT"


@pytest.fixture
def switches_as_they_were():
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    yield
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
    torch.use_deterministic_algorithms(False)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    if workspace is not None:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace


@pytest.mark.parametrize(
    "recipe, overrides, expected",
    [
        (PLAIN, [], True),
        (PLAIN, ["BACKEND.CUDNN_BENCHMARK", "never"], False),
        (PLAIN, ["BACKEND.DETERMINISTIC", True], False),
        (MULTIGRID, [], False),
        (MULTIGRID, ["BACKEND.CUDNN_BENCHMARK", "always"], True),
        (PLAIN, ["MULTIGRID.SHORT_CYCLE", True], False),
        (DETECTION, [], False),
    ],
)
def test_cudnn_is_timed_where_shapes_stay(recipe, overrides, expected):
    assert Backends.from_config(load_cfg(recipe, overrides)).cudnn_benchmark is expected


def test_full_precision_is_full_unless_asked_otherwise():
    assert Backends.from_config(load_cfg(PLAIN)) == Backends(cudnn_benchmark=True, tf32=False, deterministic=False)
    assert Backends.from_config(load_cfg(PLAIN, ["BACKEND.TF32", True])).tf32


def test_the_switches_are_set(switches_as_they_were):
    Backends(cudnn_benchmark=True, tf32=True).apply()
    assert torch.backends.cudnn.benchmark and torch.backends.cudnn.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32 and torch.get_float32_matmul_precision() == "high"
    Backends(deterministic=True).apply()
    assert not torch.backends.cudnn.benchmark and not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.are_deterministic_algorithms_enabled() and os.environ["CUBLAS_WORKSPACE_CONFIG"]
    Backends().apply()
    assert torch.are_deterministic_algorithms_enabled()  # the wish of whoever calls us stays


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["BACKEND.CUDNN_BENCHMARK", "sometimes"], r"BACKEND\.CUDNN_BENCHMARK='sometimes'.*auto, always, never"),
        (["BACKEND.CUDNN_BENCHMARK", "always", "BACKEND.DETERMINISTIC", True], r"contradict each other"),
    ],
)
def test_settings_that_cannot_be_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg(PLAIN, overrides)


def test_a_run_on_a_gpu_names_the_faults_of_its_libraries(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(backends.torch, "__version__", "2.9.1+cu128")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91300)
    cfg = load_cfg(PLAIN, ["NUM_GPUS", 1, "OUTPUT_DIR", str(tmp_path)])
    assert cfg.TRAIN.MIXED_PRECISION and len(faults_here(cfg)) == 1
    with caplog.at_level(logging.INFO):
        run._log_start(cfg)
    (warning,) = [record.message for record in caplog.records if "cuDNN 9.13.0" in record.message]
    assert "torch 2.10" in warning
    assert any("cudnn.benchmark on, TF32 off" in record.message for record in caplog.records)
    assert faults_here(load_cfg(PLAIN)) == []  # NUM_GPUS 0
    assert faults_here(load_cfg(PLAIN, ["NUM_GPUS", 1, "TRAIN.MIXED_PRECISION", False])) == []
