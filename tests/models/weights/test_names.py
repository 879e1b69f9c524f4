from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.models import build_model
from slowfast.models.weights.names import (
    accept_pyslowfast_names,
    from_pyslowfast,
    is_pyslowfast_name,
    num_pathways_of,
    rename,
    to_pyslowfast,
)
from tests.models.golden import case_config, case_names, load_case
from tests.models.toys import seeded, toy_resnet, toy_slowfast

CASES = case_names()


@pytest.mark.parametrize("name", CASES)
def test_the_table_is_a_bijection_onto_the_models_names(name):
    theirs = load_case(name)["state_dict"]
    num_pathways = num_pathways_of(theirs)
    assert num_pathways == (1 if load_case(name)["alpha"] is None else 2)
    ours = [from_pyslowfast(key, num_pathways=num_pathways) for key in theirs]
    assert len(set(ours)) == len(theirs)  # no two meet
    assert [to_pyslowfast(key, num_pathways=num_pathways) for key in ours] == list(theirs)
    same = {key for key in theirs if key in ours}  # X3D's head: one name for both
    assert all(is_pyslowfast_name(key) for key in theirs if key not in same)
    assert not any(is_pyslowfast_name(key) for key in ours)
    with torch.device("meta"):
        model = build_model(case_config(load_case(name)))
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == dict(
        zip(ours, theirs.values(), strict=True)
    )


def test_names_of_one_pathway():
    assert from_pyslowfast("s5.pathway0_res2.branch2.c.weight", num_pathways=1) == "pathway.res5.block2.c.weight"
    assert to_pyslowfast("pathway.res5.block2.c.weight", num_pathways=1) == "s5.pathway0_res2.branch2.c.weight"
    assert from_pyslowfast("s5.pathway1_res2.branch2.c.weight", num_pathways=1) == "s5.pathway1_res2.branch2.c.weight"


@pytest.mark.parametrize("name", ["epoch", "slow_fast.weight", "module.thing", "backbone.s1.pathway0_stem.conv.weight"])
def test_other_names_are_left_alone(name):
    assert from_pyslowfast(name, num_pathways=2) == name
    assert to_pyslowfast(name, num_pathways=2) == name
    assert not is_pyslowfast_name(name)


def test_a_fusion_of_ones_own_has_a_name_outside_too():
    ours = "laterals.2.project.weight"
    assert to_pyslowfast(ours, num_pathways=2) == "s3_fuse.project.weight"
    assert from_pyslowfast("s3_fuse.project.weight", num_pathways=2) == ours


@pytest.mark.parametrize("make, naming", [(toy_slowfast, "pyslowfast"), (toy_resnet, "slowfast")])
def test_strict_loading_takes_both_namings(make, naming):
    source, target = seeded(make, 0), seeded(make, 1)
    state = rename(source.state_dict(), to=naming)
    names = list(state)
    target.load_state_dict(state, strict=True)
    assert list(state) == names  # the caller's dict is left alone
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("naming", ["pyslowfast", "slowfast"])
def test_strict_loading_reports_what_is_left_over_and_what_is_missing(naming):
    model = toy_slowfast()
    state = rename(model.state_dict(), to=naming)
    removed = {"pyslowfast": "s2.pathway1_res1.branch2.a.weight", "slowfast": "fast.res2.block1.a.weight"}[naming]
    del state[removed]
    state["s6.pathway0_res0.branch2.a.weight"] = torch.zeros(1)
    state["s1.pathway2_stem.conv.weight"] = torch.zeros(1)
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(state)
    message = str(error.value)
    assert 'Missing key(s) in state_dict: "fast.res2.block1.a.weight"' in message
    assert "slow.res6.block0.a.weight" in message and "s1.pathway2_stem.conv.weight" in message


def test_a_model_inside_another_module_loads_too():
    inner = seeded(toy_resnet, 0)
    wrapped = nn.ModuleDict({"module": seeded(toy_resnet, 1)})
    wrapped.load_state_dict({f"module.{k}": v for k, v in rename(inner.state_dict(), to="pyslowfast").items()})
    assert torch.equal(wrapped["module"].head.classifier.weight, inner.head.classifier.weight)


def test_the_hook_serves_any_module_that_names_its_pathways():
    class Own(nn.Module):
        pathway_names = ("pathway",)

        def __init__(self):
            super().__init__()
            self.head = nn.ModuleDict({"classifier": nn.Linear(2, 2)})
            accept_pyslowfast_names(self)

    Own().load_state_dict({"head.projection.weight": torch.ones(2, 2), "head.projection.bias": torch.ones(2)})
