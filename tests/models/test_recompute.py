"""Blocks computed twice: equal outputs, gradients and running statistics, and less to keep."""

from __future__ import annotations

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.models.fixed_size_norm import fixed_size_norm
from slowfast.models.norm import norm_layer
from tests.models.toys import TOYS, seeded, toy_clip, toy_slowfast


def trained_step(make, **options):
    """Logits, gradients and buffers of one step in train mode."""
    model = seeded(lambda: make(**options)).train()
    torch.manual_seed(7)
    logits = model(toy_clip(batch=4))
    logits.square().sum().backward()
    return logits, {name: p.grad for name, p in model.named_parameters()}, dict(model.named_buffers())


def assert_equal_steps(first, second):
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["SlowFast", "X3D", "CSN", "R2Plus1D-50"])
def test_the_same_step_with_what_is_dropped_at_random(name):
    plain, twice = (trained_step(TOYS[name], drop_path=0.4, recompute=recompute) for recompute in (False, True))
    assert_equal_steps(plain, twice)


@pytest.mark.parametrize("norm", [norm_layer("sub_batchnorm", num_splits=2), fixed_size_norm(2)], ids=["sub", "fixed"])
def test_every_batch_norm_moves_once(norm):
    plain, twice = (trained_step(toy_slowfast, norm=norm, recompute=recompute) for recompute in (False, True))
    assert_equal_steps(plain, twice)
    counts = {value.item() for key, value in twice[2].items() if key.endswith("num_batches_tracked")}
    assert counts <= {0, 1} and 1 in counts


def test_much_less_is_kept():
    cost = {recompute: measure(toy_slowfast(recompute=recompute), (8, 32, 32)) for recompute in (False, True)}
    assert cost[True].activation_bytes < 0.5 * cost[False].activation_bytes
    assert cost[True].conv_macs == cost[False].conv_macs  # of a forward pass


def test_from_the_config():
    def opts(name):
        return load_cfg(name, ["MODEL.ACT_CHECKPOINT", True])

    with torch.device("meta"):
        for recipe in ("Kinetics/SLOWFAST_4x16_R50", "Kinetics/X3D_XS", "Kinetics/CSN_32x2_R101"):
            assert build_model(opts(recipe)).pathway_names
        with pytest.raises(ValueError, match=r"MODEL\.ACT_CHECKPOINT with MODEL\.MODEL_NAME=torchvision/r3d_18"):
            build_model(opts("comparators/r3d_18"))
