from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.config import load_cfg
from slowfast.models.norm import norm_layer
from slowfast.solver import build_optimizer
from slowfast.solver.optimizer import make_optimizer, parameter_groups
from tests.models.toys import toy_resnet, toy_slowfast


def groups_of(model, **options) -> dict[float, set[str]]:
    """Weight decay -> names of the parameters."""
    names = {id(p): name for name, p in model.named_parameters()}
    options = {"weight_decay": 0.5, "bn_weight_decay": 0.25, **options}
    return {g["weight_decay"]: {names[id(p)] for p in g["params"]} for g in parameter_groups(model, **options)}


@pytest.mark.parametrize("norm", ["batchnorm", "sub_batchnorm"])
def test_norms_have_a_decay_of_their_own(norm):
    model = toy_slowfast(norm=norm_layer(norm, num_splits=2))
    groups = groups_of(model)
    norms = {name for name, _ in model.named_parameters() if "bn." in name}
    assert len(norms) > 50
    assert groups[0.25] == norms
    assert groups[0.5] == {name for name, _ in model.named_parameters()} - norms
    assert "head.classifier.bias" in groups[0.5]


def test_other_one_dimensional_parameters_may_go_without():
    model = toy_resnet(nonlocal_after=((), (1,), (), ()))
    groups = groups_of(model, zero_decay_1d=True)
    biases = {f"pathway.res3.nonlocal1.{name}.bias" for name in ("theta", "phi", "g", "out")}
    assert groups[0.0] == biases | {"head.classifier.bias"}
    assert all("bn." in name for name in groups[0.25])  # norms keep theirs
    assert all(name.endswith(".weight") for name in groups[0.5])


def test_other_norms_count_as_norms():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm1d(4))
    assert groups_of(model)[0.25] == {f"{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")}


def test_frozen_parameters_and_empty_groups_are_left_out():
    model = toy_resnet()
    model.pathway.requires_grad_(False)
    groups = groups_of(model)
    assert groups == {0.5: {"head.classifier.weight", "head.classifier.bias"}}


@pytest.mark.parametrize(
    "name, kind",
    [
        ("sgd", torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("mt_adamw", torch.optim.AdamW),
    ],
)
def test_optimizers_by_name(name, kind):
    groups = parameter_groups(toy_resnet(), weight_decay=0.5, bn_weight_decay=0.25)
    optimizer = make_optimizer(groups, name=name, lr=0.3, momentum=0.8, nesterov=False, dampening=0.1, betas=[0.7, 0.9])
    assert type(optimizer) is kind
    assert {group["lr"] for group in optimizer.param_groups} == {0.3}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.25, 0.5]
    expected = {"momentum": 0.8, "dampening": 0.1, "nesterov": False} if name == "sgd" else {"betas": (0.7, 0.9)}
    for key, value in expected.items():
        assert optimizer.param_groups[0][key] == value


def test_the_config_reaches_the_optimizer():
    overrides = ["SOLVER.BASE_LR", 0.7, "SOLVER.WEIGHT_DECAY", "1e-3", "BN.WEIGHT_DECAY", 0.125, "SOLVER.MOMENTUM", 0.6]
    cfg = load_cfg("Kinetics/SLOWFAST_4x16_R50", [*overrides, "SOLVER.NESTEROV", False])
    optimizer = build_optimizer(cfg, toy_resnet())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.125, 1e-3]
    assert {(g["lr"], g["momentum"], g["nesterov"]) for g in optimizer.param_groups} == {(0.7, 0.6, False)}
    cfg = load_cfg("Kinetics/SLOWFAST_4x16_R50", ["SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.BETAS", [0.5, 0.75]])
    assert build_optimizer(cfg, toy_resnet()).param_groups[0]["betas"] == (0.5, 0.75)


def test_layers_nearer_to_the_input_learn_slower():
    model = toy_slowfast()
    cfg = load_cfg("Kinetics/SLOWFAST_4x16_R50", ["SOLVER.LAYER_DECAY", 0.5, "BN.WEIGHT_DECAY", 0.25])
    optimizer = build_optimizer(cfg, model)
    names = {id(p): name for name, p in model.named_parameters()}
    scales = {names[id(p)]: (g["lr_scale"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert scales.keys() == {name for name, _ in model.named_parameters()}
    assert scales["head.classifier.weight"] == (1.0, cfg.SOLVER.WEIGHT_DECAY)
    assert scales["slow.res5.block1.a.weight"] == (0.5, cfg.SOLVER.WEIGHT_DECAY)
    assert scales["slow.stem.bn.weight"] == (0.5**9, 0.25)


def test_a_model_without_layers_is_refused():
    cfg = load_cfg("Kinetics/SLOWFAST_4x16_R50", ["SOLVER.LAYER_DECAY", 0.5])
    with pytest.raises(ValueError, match=r"LAYER_DECAY=0\.5: Linear does not name its layers"):
        build_optimizer(cfg, nn.Linear(2, 2))


def test_lars_moves_every_tensor_by_a_like_share_of_itself():
    """One step without momentum, by hand: w - lr * trust * |w| / (|g| + decay |w|) * (g + decay w)."""
    torch.manual_seed(0)
    weight, bias = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3))
    weight.grad, bias.grad = 100 * torch.randn(3, 4), torch.randn(3)
    w, g, b, gb = (tensor.detach().clone() for tensor in (weight, weight.grad, bias, bias.grad))
    groups = [{"params": [weight, bias], "weight_decay": 0.1}]
    make_optimizer(groups, lr=2.0, momentum=0.0, nesterov=False, lars=True).step()
    ratio = 0.001 * w.norm() / (g.norm() + 0.1 * w.norm())
    torch.testing.assert_close(weight.detach(), w - 2.0 * ratio * (g + 0.1 * w))
    torch.testing.assert_close(bias.detach(), b - 2.0 * (gb + 0.1 * b))  # a vector moves as in SGD


def test_lars_is_sgd_where_there_is_no_size_to_compare_with():
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    make_optimizer([{"params": [weight]}], lr=1.0, momentum=0.0, nesterov=False, lars=True).step()
    assert torch.equal(weight.detach(), -torch.ones(2, 2))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("implementation", ["auto", "fused", "foreach", "single"])
def test_implementations_take_the_same_steps(name, implementation):
    def step(how):
        torch.manual_seed(0)
        net = nn.Linear(3, 2)
        optimizer = make_optimizer([{"params": list(net.parameters())}], name=name, implementation=how)
        for _ in range(3):
            optimizer.zero_grad()  # as the trainer does: some of them use the gradients as scratch paper
            net(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in net.parameters()]), optimizer

    steps, optimizer = step(implementation)
    torch.testing.assert_close(steps, step("single")[0])
    flags = {key: optimizer.param_groups[0][key] for key in ("fused", "foreach")}
    expected = {"fused": (True, None), "foreach": (None, True), "single": (None, False), "auto": (None, None)}
    assert {key: value or None if key == "fused" else value for key, value in flags.items()} == dict(
        zip(("fused", "foreach"), expected[implementation], strict=True)
    )


def test_an_implementation_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"SOLVER\.IMPLEMENTATION.*'fusd'.*fused"):
        make_optimizer([{"params": [nn.Parameter(torch.zeros(1))]}], implementation="fusd")


def test_fused_steps_wait_for_a_device():
    parameter = nn.Parameter(torch.zeros(1, device="meta"))
    assert not make_optimizer([{"params": [parameter]}], implementation="fused").param_groups[0]["fused"]
