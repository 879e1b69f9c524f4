from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.engine.precise_bn import batch_norms, update_precise_statistics
from slowfast.models.norm import SubBatchNorm3d
from tests import reference
from tests.models.toys import seeded, toy_clip, toy_slowfast


def data() -> torch.Tensor:
    """Clips whose level and spread differ much from one to the next."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(12, 3, 2, 4, 4, generator=generator)
    return clips * torch.linspace(0.1, 5, 12).view(-1, 1, 1, 1, 1) + torch.linspace(-20, 30, 12).view(-1, 1, 1, 1, 1)


def net(norm=nn.BatchNorm3d) -> nn.Sequential:
    return seeded(lambda: nn.Sequential(nn.Conv3d(3, 4, 1), norm(4), nn.ReLU())).train()


def assert_population(norm: nn.BatchNorm3d, values: torch.Tensor, **tolerance: float) -> None:
    """The running statistics of ``norm`` are those of all ``values`` that it saw."""
    mean, variance = reference.population_statistics([values])
    torch.testing.assert_close(norm.running_mean.double(), mean, **tolerance)
    torch.testing.assert_close(norm.running_var.double(), variance, **tolerance)


def statistics(model) -> list[torch.Tensor]:
    return [value.clone() for name, value in model.state_dict().items() if "running" in name]


@pytest.mark.parametrize("sizes", [[12], [6, 6], [1, 11], [5, 4, 3], [1] * 12, [2, 1, 7, 2]])
def test_they_are_the_populations_however_the_data_is_cut(sizes):
    model = net()
    assert update_precise_statistics(model, data().split(sizes), model) == len(sizes)
    assert_population(model[1], model[0](data()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("momentum", [0.1, 0.9, None])
def test_momentum_mode_and_weights_stay(momentum):
    model = net()
    model[1].momentum = momentum
    before, recorded = [p.clone() for p in model.parameters()], []
    update_precise_statistics(model, data().split(4), lambda batch: recorded.append(model(batch).requires_grad))
    assert recorded == [False] * 3
    assert model[1].momentum == momentum
    assert model.training and model[1].training
    assert not model[1]._forward_hooks
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, model.parameters(), strict=True))


def test_a_deep_network_gets_the_statistics_of_what_each_norm_saw():
    """One batch: every norm's statistics are those of its own input, the blocks before it using that batch's."""
    model = seeded(toy_slowfast).train()
    seen = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm3d):
            module.register_forward_hook(lambda _m, inputs, _o, name=name: seen.__setitem__(name, inputs[0].clone()))
    update_precise_statistics(model, [toy_clip(batch=4)], model)
    assert len(seen) == len(batch_norms(model)) > 50
    for name, values in seen.items():
        assert_population(model.get_submodule(name), values, rtol=1e-3, atol=1e-4)


def test_a_model_without_batch_norm_loads_nothing():
    model = nn.Conv3d(3, 4, 1).train()

    def batches():
        raise AssertionError("a batch was asked for")
        yield

    assert update_precise_statistics(model, batches(), model) == 0


def test_frozen_norms_are_left_alone():
    model = net()
    model[1].eval()
    before = statistics(model)
    assert update_precise_statistics(model, data().split(4), model) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(model), strict=True))


def test_no_batch_leaves_everything_as_it_was():
    model = net()
    model(data())
    before = statistics(model)
    assert update_precise_statistics(model, [], model) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(model), strict=True))


@pytest.mark.parametrize("where", ["forward", "loader"])
def test_an_exception_leaves_the_statistics_as_before(where):
    model = net()
    model(data())
    before = statistics(model)

    def batches():
        yield from data().split(6)
        if where == "loader":
            raise OSError("disk")

    def forward(batch):
        model(batch)
        if where == "forward":
            raise OSError("device")

    with pytest.raises(OSError, match=r"disk|device"):
        update_precise_statistics(model, batches(), forward)
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(model), strict=True))
    assert model[1].momentum == 0.1 and not model[1]._forward_hooks


def test_a_norm_that_nothing_passes_keeps_its_statistics():
    model = net()
    model.add_module("unused", nn.Identity())
    model.unused.norm = nn.BatchNorm3d(4)
    model.unused.norm.running_mean.fill_(7.0)
    update_precise_statistics(model, data().split(4), model)
    assert model.unused.norm.running_mean.tolist() == [7.0] * 4
    assert torch.isfinite(model[1].running_mean).all()


def test_sub_batch_norm_aggregates_its_parts():
    """All clips through two splits: the parts together are the population."""
    model = net(lambda channels: SubBatchNorm3d(channels, num_splits=2))
    update_precise_statistics(model, data().split(4), model)
    for mode in (True, False):
        assert_population(model.train(mode)[1].bn, model[0](data()), rtol=1e-4, atol=1e-4)


def test_half_precision_features_are_counted_in_float64():
    model = net()

    def forward(batch):
        with torch.autocast("cpu", torch.bfloat16):
            model(batch)

    update_precise_statistics(model, data().split(4), forward)
    assert model[1].running_mean.dtype == torch.float32
    assert_population(model[1], model[0](data()), rtol=0.02, atol=0.05)
