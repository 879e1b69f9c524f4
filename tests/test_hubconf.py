"""torch.hub entry points, loaded as a user does from a checkout."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from slowfast.models import X3D, ResNet, SlowFast
from slowfast.models.weights.zoo import find_entry

ROOT = Path(__file__).parents[1]
ENTRIES = {
    "slowfast_r50": SlowFast,
    "slowfast_4x16_r50": SlowFast,
    "slow_r50": ResNet,
    "i3d_r50": ResNet,
    "c2d_r50": ResNet,
    "x3d_xs": X3D,
    "x3d_s": X3D,
    "x3d_m": X3D,
    "x3d_l": X3D,
}


@pytest.fixture
def hubconf():
    spec = importlib.util.spec_from_file_location("hubconf_under_test", ROOT / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_entry_points_are_these_and_say_what_they_are(hubconf):
    entries = {name for name, value in vars(hubconf).items() if callable(value) and not name.startswith("_")}
    assert entries == ENTRIES.keys()
    for name in entries:
        assert getattr(hubconf, name).__doc__.strip(), name
    page = (ROOT / "docs/MODEL_ZOO.md").read_text()
    assert all(f"`{name}`" in page for name in entries)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_point_builds_its_model(name, hubconf):
    with torch.device("meta"):
        model = getattr(hubconf, name)(num_classes=7)
    assert type(model) is ENTRIES[name] and model.training
    assert model.state_dict()[next(reversed(model.state_dict()))].shape == (7,)  # the classifier's biases


def test_every_entry_point_has_published_weights(hubconf):
    recipes = re.findall(r'_model\("(.+?)"', (ROOT / "hubconf.py").read_text())
    assert len(recipes) == len(ENTRIES)
    assert [find_entry(recipe).name for recipe in recipes] == recipes


def test_torch_hub_loads_from_a_checkout():
    with torch.device("meta"):
        model = torch.hub.load(str(ROOT), "slow_r50", source="local", num_classes=3)
        published = torch.hub.load(str(ROOT), "slow_r50", source="local")
    assert (model.num_classes, published.num_classes) == (3, 400)


def test_pretrained_takes_the_published_weights(hubconf, monkeypatch):
    calls = []
    monkeypatch.setattr(hubconf, "_load_pretrained", lambda name, **options: calls.append((name, options)))
    hubconf.x3d_m(pretrained=True)
    hubconf.slowfast_r50(pretrained=True, num_classes=4)
    assert calls == [("Kinetics/X3D_M", {"num_classes": None}), ("Kinetics/c2/SLOWFAST_8x8_R50", {"num_classes": 4})]


def test_dependencies_are_what_the_models_import(hubconf):
    assert all(importlib.util.find_spec(name) for name in hubconf.dependencies)
