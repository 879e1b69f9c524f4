"""The recipes in configs/: equal to PySlowFast's, small, with a header, and loading in silence."""

import functools
import json
from pathlib import Path

import pytest
import torch
import yaml

from slowfast.config import find, get_cfg, load_cfg, warnings_of
from slowfast.config.files import recipe_names, recipes_root
from slowfast.config.merge import coerce
from slowfast.config.rules.common import value_of
from slowfast.datasets import DATASET_REGISTRY
from slowfast.models import build_model
from tests.meta import shapes_only

DATA = Path(__file__).parents[1] / "data/golden"
GOLDEN = json.loads((DATA / "recipes.json").read_text()) | json.loads((DATA / "native_recipes.json").read_text())
PYTORCHVIDEO = json.loads((DATA / "pytorchvideo_recipes.json").read_text())
ZOO = json.loads((DATA / "model_zoo.json").read_text())
DEFAULTS = json.loads((DATA / "config_defaults.json").read_text())
SETS = ("Kinetics/", "AVA/", "Charades/", "SSv2/")  # of PySlowFast
OTHER_SETS = ("Kinetics600/", "Kinetics700/", "UCF101/", "HMDB51/")
PUBLIC = [name for name in recipe_names() if name.startswith((*SETS, *OTHER_SETS))]
R101 = {"Kinetics/SLOWFAST_8x8_R101", "Kinetics/SLOWFAST_16x8_R101", "Kinetics/SLOWFAST_NLN_16x8_R101"}
C2D_NOPOOL = "Kinetics/c2/C2D_NOPOOL_8x8_R50"  # in PySlowFast's configs and model zoo, not in recipes.json


recipe = functools.cache(load_cfg)


def header(name: str) -> str:
    """Comment at the top of a recipe."""
    lines = find(name).read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith("#"))


def as_yaml(flat: dict) -> str:
    """Dotted keys as the text of a YAML file."""
    tree: dict = {}
    for name, value in flat.items():
        *groups, key = name.split(".")
        level = tree
        for group in groups:
            level = level.setdefault(group, {})
        level[key] = value
    return yaml.safe_dump(tree)


def test_all_of_pyslowfasts_recipes_are_there():
    assert GOLDEN.keys() <= set(PUBLIC)


@pytest.mark.parametrize("name", GOLDEN)
def test_every_value_is_pyslowfasts_and_its_yaml_loads_unchanged(name, tmp_path):
    path = tmp_path / "theirs.yaml"
    path.write_text(as_yaml(GOLDEN[name]))
    ours, theirs = recipe(name), load_cfg(path)
    private = {"TRAIN.CHECKPOINT_FILE_PATH"} if name.endswith("_IN1K") else set()  # a file of its authors
    for key, default in DEFAULTS.items():
        expected = coerce(GOLDEN[name].get(key, default), default)
        assert value_of(theirs, key) == expected, key
        assert key in private or value_of(ours, key) == expected, key


def test_c2d_without_its_pool_differs_in_nothing_else():
    without, released = recipe(C2D_NOPOOL), recipe("Kinetics/c2/I3D_8x8_R50")
    assert (without.MODEL.ARCH, released.MODEL.ARCH) == ("c2d_nopool", "i3d")
    for key in set(DEFAULTS) - {"MODEL.ARCH"}:
        assert value_of(without, key) == value_of(released, key), key


@pytest.mark.parametrize("name", sorted(R101))
def test_training_recipes_of_r101_are_the_released_network_with_the_r50_schedule(name):
    ours, released = recipe(name), recipe(name.replace("Kinetics/", "Kinetics/c2/") + "_50_50")
    trained = recipe("Kinetics/SLOWFAST_8x8_R50")
    for group in ("MODEL", "SLOWFAST", "RESNET", "NONLOCAL", "DATA"):
        assert ours[group] == released[group]
    for group in ("SOLVER", "BN", "TRAIN", "TEST"):
        assert ours[group] == trained[group]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_silently_and_says_what_it_is(name):
    assert recipe(name).is_frozen() and not warnings_of(recipe(name))
    if name in PUBLIC:
        words = ("# Source: ", "# Published: ", "# Ours: ", f"slowfast run --cfg {name} ")
        assert not [word for word in words if word not in header(name)]
        assert name in GOLDEN or name == C2D_NOPOOL or "our choice" in header(name)


@pytest.mark.parametrize("row", [row for row in ZOO if row.get("config") in PUBLIC], ids=lambda row: row["config"])
def test_headers_quote_the_published_accuracy(row):
    if "map" in row:
        published = f"{row['map']} mAP"
    else:
        published = f"{row['top1']} top-1, {row['top5']} top-5" if "top5" in row else f"{row['top1_30_views']} top-1"
    assert published in header(row["config"])


@pytest.mark.parametrize("name", PUBLIC)
def test_leaves_say_only_what_differs(name):
    leaf = yaml.safe_load(find(name).read_text())
    assert "_BASE_" in leaf
    settings = sum(len(group) for key, group in leaf.items() if key != "_BASE_")
    assert settings <= (10 if "X3D" in name else 4)  # each X3D has sizes of its own
    without = get_cfg()
    bases = leaf["_BASE_"] if isinstance(leaf["_BASE_"], list) else [leaf["_BASE_"]]
    for base in bases:
        without.merge_from_file(find(name).parent / base)
    for group, keys in leaf.items():
        if group != "_BASE_":
            assert all(without[group][key] != value for key, value in keys.items()), group


def test_every_base_is_used_and_says_what_it_is():
    root = recipes_root()
    text = "\n".join(path.read_text() for path in root.rglob("*.yaml"))
    for base in (root / "_base_").rglob("*.yaml"):
        assert base.read_text().startswith("# "), base
        assert base.name in text, base


@pytest.mark.parametrize("name", PYTORCHVIDEO)
def test_a_yaml_for_pytorchvideos_networks_loads_and_builds(name, tmp_path, caplog):
    path = tmp_path / "theirs.yaml"
    path.write_text(as_yaml(PYTORCHVIDEO[name]))
    cfg = load_cfg(path)
    assert not caplog.records
    with shapes_only():
        model = build_model(cfg)
        clip = torch.empty(2, 3, cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TRAIN_CROP_SIZE)
        assert model(clip).shape == (2, cfg.MODEL.NUM_CLASSES)
    for split in (cfg.TRAIN.DATASET, cfg.TEST.DATASET):
        assert split in DATASET_REGISTRY


@pytest.mark.parametrize("name", ["Kinetics/CSN_32x2_R101", "Kinetics/R2PLUS1D_16x4_R50"])
def test_recipes_of_pytorchvideos_networks_have_its_values(name):
    ours, theirs = recipe(name), PYTORCHVIDEO[name.replace("Kinetics/", "Kinetics/pytorchvideo/")]
    renamed = {"MODEL.MODEL_NAME", "TRAIN.DATASET", "TEST.DATASET"}
    without_effect = {"MODEL.SINGLE_PATHWAY_ARCH", "TENSORBOARD.ENABLE"}
    for key, value in theirs.items():
        if key not in renamed | without_effect:
            assert value_of(ours, key) == coerce(value, DEFAULTS[key]), key


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("ablations/")])
def test_the_papers_networks_of_few_slow_frames_train_for_256_epochs(name):
    cfg = recipe(name)
    slow_frames = cfg.DATA.NUM_FRAMES // (cfg.SLOWFAST.ALPHA if cfg.MODEL.ARCH in ("slowfast", "fast") else 1)
    assert cfg.SOLVER.MAX_EPOCH == (256 if slow_frames <= 4 else 196)
