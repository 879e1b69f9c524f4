from __future__ import annotations

import re

import pytest
import torch

from slowfast.engine.precision import autocast, autocast_dtype, grad_scaler

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["auto", "bfloat16"])
def test_a_cpu_computes_in_bfloat16(name):
    assert autocast_dtype(name, CPU) is torch.bfloat16


@pytest.mark.parametrize("has_bfloat16, expected", [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_on_a_gpu_is_what_it_computes_in(monkeypatch, has_bfloat16, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    assert autocast_dtype("auto", torch.device("cuda")) is expected
    assert autocast_dtype("float16", torch.device("cuda")) is torch.float16


@pytest.mark.parametrize(
    "name, message",
    [
        ("float16", "TRAIN.MIXED_PRECISION_DTYPE=float16 needs a GPU. Set it to auto or bfloat16."),
        ("fp8", "TRAIN.MIXED_PRECISION_DTYPE='fp8' is not one of auto, bfloat16, float16."),
    ],
)
def test_types_that_a_cpu_has_not(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        autocast_dtype(name, CPU)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_autocast_casts_products(dtype):
    with autocast(CPU, dtype):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is (dtype or torch.float32)


@pytest.mark.parametrize("dtype, enabled", [(None, False), (torch.bfloat16, False), (torch.float16, True)])
def test_only_float16_gradients_are_scaled(dtype, enabled):
    assert grad_scaler(CPU, dtype).is_enabled() == enabled
