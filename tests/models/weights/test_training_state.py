"""Trainings that move between PySlowFast and here.

PySlowFast's order of an optimizer's parameters: groups (batch norm, all else, without decay) in the order of its
modules, which is that of its state dict (tests/data/golden/models).
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.models.norm import norm_layer
from slowfast.models.weights.load import CheckpointError
from slowfast.models.weights.names import from_pyslowfast as our_name
from slowfast.models.weights.names import num_pathways_of, rename
from slowfast.models.weights.training_state import FIELDS, _our_order, _pyslowfast_order, from_pyslowfast, to_pyslowfast
from slowfast.solver.optimizer import make_optimizer, parameter_groups
from tests.models.golden import case_names, load_case
from tests.models.toys import seeded, toy_clip, toy_resnet, toy_slowfast, toy_x3d

MODELS = {
    "SlowFast": toy_slowfast,
    "with non-local blocks": lambda: toy_slowfast(nonlocal_after=(((), ()), ((1,), ()), ((0,), ()), ((), ()))),
    "ResNet": toy_resnet,
    "X3D": toy_x3d,
    "sub-batch norm": lambda: toy_slowfast(norm=norm_layer("sub_batchnorm", num_splits=2)),
}


def trained(make, *, name: str = "sgd", zero_decay_1d: bool = False):
    """A model, its optimizer after two steps, and the content of its checkpoint."""
    model = seeded(make).train()
    groups = parameter_groups(model, weight_decay=1e-4, bn_weight_decay=0.0, zero_decay_1d=zero_decay_1d)
    optimizer = make_optimizer(groups, name=name, lr=0.01)
    for seed in range(2):
        model(toy_clip(seed)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    content = {
        "epoch": 6,
        "batch": 0,
        "model_state": model.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "scaler_state": {},
        "cfg": "MODEL: {NUM_CLASSES: 5}\n",
        "rng_state": torch.zeros(3),
        "versions": {"torch": "x"},
    }
    return model, optimizer, content


def reference_groups(names: list[str], norms: set[str], vectors: set[str]) -> list[list[str]]:
    """PySlowFast's groups of the parameters ``names``, in the order of its state dict: written down once more."""
    first = [name for name in names if name in norms]
    last = [name for name in names if name in vectors - norms]
    groups = [first, [name for name in names if name not in {*first, *last}], last]
    return [group for group in groups if group]


def slot(optimizer_state: dict, name: str, index: int):
    """The momentum, or Adam's average, of the parameter at ``index``."""
    entry = optimizer_state["state"][index]
    return entry["momentum_buffer" if name == "sgd" else "exp_avg"]


@pytest.mark.parametrize("name", case_names())
def test_orders_are_those_of_the_modules(name):
    theirs = list(load_case(name)["state_dict"])
    ours = [our_name(key, num_pathways=num_pathways_of(theirs)) for key in theirs]
    in_our_order = sorted(ours, key=_our_order)
    assert sorted(in_our_order, key=_pyslowfast_order) == ours  # the reference's own order comes back


@pytest.mark.parametrize("make", [toy_slowfast, toy_resnet, toy_x3d])
def test_our_order_is_that_of_our_modules(make):
    names = list(make().state_dict())
    assert sorted(sorted(names, key=_pyslowfast_order), key=_our_order) == names


@pytest.mark.parametrize(
    "model_name, name, zero_decay_1d",
    [*((model_name, "sgd", True) for model_name in MODELS), ("SlowFast", "adamw", False), ("X3D", "sgd", False)],
)
def test_every_parameter_keeps_its_state_in_pyslowfasts_order(model_name, name, zero_decay_1d):
    model, optimizer, content = trained(MODELS[model_name], name=name, zero_decay_1d=zero_decay_1d)
    theirs = to_pyslowfast(content)
    assert tuple(theirs) == FIELDS
    assert theirs["epoch"] == 6 and theirs["cfg"] == content["cfg"]
    assert theirs["scaler_state"]["scale"] > 0  # GradScaler does not load an empty state

    parameters = dict(model.named_parameters())
    by_their_name = dict(zip(rename(parameters, to="pyslowfast"), parameters.values(), strict=True))
    names = sorted(parameters, key=_pyslowfast_order)
    names = [key for key in rename(dict.fromkeys(names), to="pyslowfast")]
    is_sub = model_name == "sub-batch norm"
    norms = {key for key in names if f"{key.rpartition('.')[0]}.running_mean" in theirs["model_state"] and not is_sub}
    vectors = {key for key in names if by_their_name[key].ndim == 1} if zero_decay_1d else set()
    expected = reference_groups(names, norms, vectors)
    groups = theirs["optimizer_state"]["param_groups"]
    assert [len(group["params"]) for group in groups] == [len(group) for group in expected]
    assert [index for group in groups for index in group["params"]] == list(range(len(names)))
    for index, key in enumerate(key for group in expected for key in group):
        state = optimizer.state[by_their_name[key]]["momentum_buffer" if name == "sgd" else "exp_avg"]
        assert torch.equal(slot(theirs["optimizer_state"], name, index), state), key
    for group in groups:
        assert (group["layer_decay"], group["apply_LARS"]) == (1.0, False)  # its trainer reads them
    decays = [group["weight_decay"] for group in groups]
    assert decays == ([1e-4] if is_sub else [0.0, 1e-4])[: len(groups)] + ([0.0] if zero_decay_1d else [])


def test_pyslowfasts_optimizer_takes_it():
    """Its own: groups of its model, whose parameters stand in the order of its state dict."""
    model, _, content = trained(toy_slowfast)
    theirs = to_pyslowfast(content)
    parameters = dict(model.named_parameters())
    names = sorted(parameters, key=_pyslowfast_order)
    norms = {name for name in names if f"{name.rpartition('.')[0]}.running_mean" in content["model_state"]}
    order = reference_groups(names, norms, set())
    copies = {name: nn.Parameter(parameters[name].detach().clone()) for name in names}
    groups = [
        {"params": [copies[name] for name in group], "weight_decay": 0.0, "layer_decay": 1.0, "apply_LARS": False}
        for group in order
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    optimizer.load_state_dict(theirs["optimizer_state"])
    for name, copy in copies.items():
        assert optimizer.state[copy]["momentum_buffer"].shape == copy.shape, name
    for group in optimizer.param_groups:
        group["lr"] = 0.02 * group["layer_decay"]  # as its set_lr
    copies["head.classifier.weight"].grad = torch.ones_like(copies["head.classifier.weight"])
    optimizer.step()


@pytest.mark.parametrize("model_name", MODELS)
def test_and_back(model_name):
    _, _, content = trained(MODELS[model_name], zero_decay_1d=True)
    back = from_pyslowfast(to_pyslowfast(content))
    assert back["epoch"] == 6
    fresh = seeded(MODELS[model_name], 1)
    groups = parameter_groups(fresh, weight_decay=1.0, bn_weight_decay=1.0, zero_decay_1d=True)
    optimizer = make_optimizer(groups, lr=1.0)
    if model_name != "sub-batch norm":
        optimizer.load_state_dict(back["optimizer_state"])
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 1e-4, 0.0]
    expected, found = content["optimizer_state"]["state"], back["optimizer_state"]["state"]
    assert expected.keys() == found.keys()
    for index, state in expected.items():
        assert torch.equal(found[index]["momentum_buffer"], state["momentum_buffer"])
    assert all("apply_LARS" not in group for group in back["optimizer_state"]["param_groups"])


def test_sub_batch_norms_are_saved_plain():
    model, _, content = trained(MODELS["sub-batch norm"])
    theirs = to_pyslowfast(content)["model_state"]
    assert theirs.keys() == rename(toy_slowfast().state_dict(), to="pyslowfast").keys()
    norm = model.slow.stem.bn.eval()
    assert torch.equal(theirs["s1.pathway0_stem.bn.running_var"], norm.bn.running_var)


def test_an_optimizer_of_another_model_is_refused():
    _, _, content = trained(toy_resnet)
    content["model_state"] = toy_slowfast().state_dict()
    with pytest.raises(CheckpointError, match=r"groups of \[\d+, \d+\] parameters, which do not match the \d+"):
        to_pyslowfast(content)
