"""Batch norm of a fixed number of clips: against plain batch norm on every part, and over processes."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn

from slowfast.config import load_cfg
from slowfast.engine.precise_bn import update_precise_statistics
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.models.fixed_size_norm import FixedSizeBatchNorm3d, fixed_size_norm, group_sizes, statistics_size
from tests import reference
from tests.groups import run_group
from tests.models.toys import uneven_clips as clips


def norm_of(num_clips: int) -> FixedSizeBatchNorm3d:
    norm = fixed_size_norm(num_clips)(3)
    nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(2))
    return norm


def plain_copy(norm: FixedSizeBatchNorm3d) -> nn.BatchNorm3d:
    plain = nn.BatchNorm3d(3)
    plain.load_state_dict(norm.state_dict())
    return plain


@pytest.mark.parametrize(
    "num_clips, wanted, processes, size",
    [
        (8, 8, (), 8),
        (64, 8, (), 8),
        (12, 8, (), 6),  # 12 is further away
        (10, 8, (), 10),
        (9, 8, (), 9),
        (6, 4, (), 3),  # nearer than 6
        (9, 6, (), 9),  # as near as 3, and larger
        (2, 8, (2, 4), 8),
        (2, 8, (2,), 4),
        (3, 8, (2, 4), 6),
        (2, 8, (), 2),
        (16, 8, (2, 4), 8),
    ],
)
def test_the_nearest_number_of_clips_that_can_be_had(num_clips, wanted, processes, size):
    assert statistics_size(num_clips, wanted, processes) == size


def test_groups_are_equal_and_no_larger_than_needed():
    assert group_sizes(8, 12) == [2, 3, 4, 6]
    assert group_sizes(8, 64) == [2, 4, 8]
    assert group_sizes(8, 1) == []


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("batch", [2, 4, 8])
def test_every_part_has_statistics_of_its_own(batch, memory_format):
    norm = norm_of(2)
    x = clips(batch).contiguous(memory_format=memory_format)
    expected = torch.cat([plain_copy(norm)(part) for part in x.split(2)])
    normalized = norm(x)
    torch.testing.assert_close(normalized, expected)
    assert normalized.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("batch", [2, 4, 8])
def test_running_statistics_are_those_of_the_whole_batch(batch):
    norm, x = norm_of(2), clips(batch)
    plain = plain_copy(norm)
    for _ in range(3):
        norm(x)
        plain(x)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value)


def test_gradients_are_those_of_the_parts():
    norm, x = norm_of(2).double(), clips(6).double().requires_grad_()
    plain = plain_copy(norm).double()
    weights = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view_as(x)
    (norm(x) * weights).sum().backward()
    mine, x.grad = x.grad, None
    (torch.cat([plain(part) for part in x.split(2)]) * weights).sum().backward()
    torch.testing.assert_close(mine, x.grad)
    torch.testing.assert_close(norm.weight.grad, plain.weight.grad)


def test_eval_mode_and_names_are_plain_batch_norms():
    norm = norm_of(2)
    norm(clips(6))
    plain = plain_copy(norm)
    assert norm.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(norm.eval()(clips(6)), plain.eval()(clips(6)))


@pytest.mark.parametrize("sizes", [[12], [8, 4], [2] * 6, [6, 4, 2]])
def test_precise_statistics_do_not_hang_on_the_cut(sizes):
    data = clips(12)
    model = nn.Sequential(norm_of(2)).train()
    update_precise_statistics(model, data.split(sizes), model)
    mean, variance = reference.population_statistics([data])
    torch.testing.assert_close(model[0].running_mean.double(), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model[0].running_var.double(), variance, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cycle", ["MULTIGRID.SHORT_CYCLE", "MULTIGRID.LONG_CYCLE"])
def test_multigrid_training_has_it_everywhere(cycle):
    overrides = [cycle, True, "MULTIGRID.BN_BASE_SIZE", 4, "BN.NORM_TYPE", "sync_batchnorm"]
    for recipe in ("Kinetics/SLOWFAST_8x8_R50_stepwise", "Kinetics/X3D_S"):
        steps = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", [0, 9], "SOLVER.LRS", [1, 1]]
        with torch.device("meta"):
            model = build_model(load_cfg(recipe, [*overrides, *steps]))
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        assert norms and all(type(norm) is FixedSizeBatchNorm3d and norm.num_clips == 4 for norm in norms)


def share(rank: int, world_size: int, path: str) -> None:
    """Two processes of three clips each; statistics of six."""
    norm = norm_of(6).double()
    assert list(norm.groups) == [2]
    assert copy.deepcopy(norm).groups is norm.groups
    assert measure(nn.Sequential(nn.Conv3d(3, 3, 1), norm), (2, 4, 4)).num_parameters == 18
    x = clips(6).double()[3 * rank : 3 * rank + 3].requires_grad_()
    y = norm(x)
    weights = torch.linspace(-1, 1, 6 * y[0].numel(), dtype=torch.float64).view(6, *y.shape[1:])
    (y * weights[3 * rank : 3 * rank + 3]).sum().backward()
    dist.all_reduce(norm.weight.grad)
    state = {"y": y.detach(), "x_grad": x.grad, "weight_grad": norm.weight.grad, **norm.state_dict()}
    torch.save(state, f"{path}{rank}.pt")


def test_two_processes_share_statistics_as_one_with_the_double_batch(tmp_path):
    run_group(share, 2, tmp_path / "group", str(tmp_path / "rank"))
    halves = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    norm = plain_copy(norm_of(6)).double()
    x = clips(6).double().requires_grad_()
    y = norm(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)).sum().backward()
    torch.testing.assert_close(torch.cat([half["y"] for half in halves]), y.detach())
    torch.testing.assert_close(torch.cat([half["x_grad"] for half in halves]), x.grad)
    for half in halves:
        torch.testing.assert_close(half["weight_grad"], norm.weight.grad)
        torch.testing.assert_close(half["running_mean"], norm.running_mean)
        torch.testing.assert_close(half["running_var"], norm.running_var)
        assert half["num_batches_tracked"] == 1
