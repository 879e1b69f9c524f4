"""The table of published weights, and models by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import yaml

import slowfast.models.weights.zoo as zoo
import slowfast.models.weights.zoo_table as zoo_table
from slowfast.config import load_cfg
from slowfast.config.files import recipe_names
from slowfast.models import build_model, load_pretrained
from slowfast.models.weights.load import CheckpointError, read_checkpoint
from slowfast.models.weights.names import rename
from slowfast.models.weights.zoo_table import ZooEntry, find_entry, published_figures, zoo_entries
from tests.models.toys import randomize_batch_norms, same_weights, seeded, toy_clip

ROOT = Path(__file__).parents[3]
# PySlowFast's published weights, its MODEL_ZOO.md (tests/data/golden/README.md)
GOLDEN = json.loads((ROOT / "tests/data/golden/model_zoo.json").read_text())
FIGURES = ("top1", "top5", "map", "top1_10_views", "top1_30_views", "gflops", "parameters_millions")


def test_the_table_is_what_was_published():
    own = [entry for entry in zoo_entries() if entry.publisher == "PySlowFast"]
    for entry, row in zip(own, GOLDEN, strict=True):
        assert entry.published == {key: row[key] for key in FIGURES if key in row}
        others = {key: value for key, value in row.items() if key not in FIGURES}
        assert {key: getattr(entry, key) or None for key in others} == others
        assert entry.sha256 is None  # none was published


def test_names_are_the_recipes():
    names = [entry.name for entry in zoo_entries()]
    assert len(set(names)) == len(names)
    assert [entry.name for entry in zoo_entries() if entry.config is None] == ["R50_IN1K"]
    assert {entry.config for entry in zoo_entries() if entry.config} <= set(recipe_names())


@pytest.mark.parametrize(
    "name, found",
    [
        ("Kinetics/c2/SLOWFAST_8x8_R50", "Kinetics/c2/SLOWFAST_8x8_R50"),
        ("configs/Kinetics/c2/SLOWFAST_8x8_R50.yaml", "Kinetics/c2/SLOWFAST_8x8_R50"),
        ("SLOWFAST_8x8_R50", "Kinetics/c2/SLOWFAST_8x8_R50"),
        ("X3D_M", "Kinetics/X3D_M"),
        ("AVA/c2/SLOW_8x8_R50", "AVA/c2/SLOW_8x8_R50"),
        ("R50_IN1K", "R50_IN1K"),
    ],
)
def test_a_name_in_full_or_its_last_part(name, found):
    assert find_entry(name).name == found


def test_a_last_part_that_several_share():
    message = r"'SLOW_8x8_R50' matches 2 .*: Kinetics/c2/SLOW_8x8_R50, AVA/c2/SLOW_8x8_R50\."
    with pytest.raises(ValueError, match=message):
        find_entry("SLOW_8x8_R50")


@pytest.mark.parametrize(
    "name, nearest", [("slowfast_8x8_r50", "SLOWFAST_8x8_R50"), ("Kinetics/X3DM", "Kinetics/X3D_M")]
)
def test_an_unknown_name_gets_a_suggestion(name, nearest):
    with pytest.raises(ValueError, match=rf"'{name}'\. Did you mean {nearest}\? `slowfast zoo` lists them all"):
        load_pretrained(name)


# --- loading, with a toy recipe in place of the table ---


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A published file of a toy network: recipe, weights in the cache, and the network itself."""
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    recipe = tmp_path / "TOY.yaml"
    settings = {
        "DATA": {"NUM_FRAMES": 8, "TRAIN_CROP_SIZE": 32, "TEST_CROP_SIZE": 32},
        "RESNET": {"DEPTH": 18, "WIDTH_PER_GROUP": 8},
        "SLOWFAST": {"ALPHA": 4, "BETA_INV": 2},
        "MODEL": {"NUM_CLASSES": 5},
        "BN": {"NORM_TYPE": "sub_batchnorm", "NUM_SPLITS": 2},
    }
    recipe.write_text(yaml.safe_dump({"_BASE_": str(ROOT / "configs/Kinetics/SLOWFAST_8x8_R50.yaml"), **settings}))
    entry = ZooEntry(
        model="Toy", dataset="none", url="https://nowhere.invalid/zoo/toy.pyth", config=str(recipe), published={}
    )
    monkeypatch.setattr(zoo, "find_entry", lambda name: entry)
    model = seeded(lambda: build_model(load_cfg(recipe, ["BN.NORM_TYPE", "batchnorm"])), 3)
    randomize_batch_norms(model)
    file = tmp_path / "cache/zoo/toy.pyth"
    file.parent.mkdir(parents=True)
    torch.save({"epoch": 1, "model_state": rename(model.state_dict(), to="pyslowfast")}, file)
    return entry, file, model.eval()


def test_a_model_comes_with_its_weights_in_eval_mode(toy):
    model = load_pretrained("toy")
    assert not any(module.training for module in model.modules())
    assert same_weights(model, toy[2])
    assert torch.equal(model(toy_clip()), toy[2](toy_clip()))


def test_another_class_count_gives_a_fresh_classifier_alone(toy):
    model = load_pretrained("toy", num_classes=9)
    assert model(toy_clip()).shape == (2, 9)
    assert torch.equal(model.slow.stem.conv.weight, toy[2].slow.stem.conv.weight)
    assert same_weights(load_pretrained("toy", num_classes=5), toy[2])


def test_the_device_is_the_callers_choice(toy):
    assert next(load_pretrained("toy", device="cpu").parameters()).device.type == "cpu"
    assert next(load_pretrained("toy", device="meta").parameters()).device.type == "meta"


def test_a_known_checksum_is_verified(toy, monkeypatch):
    entry = ZooEntry(**{**vars(toy[0]), "sha256": "0" * 64})
    monkeypatch.setattr(zoo, "find_entry", lambda name: entry)
    with pytest.raises(CheckpointError, match=rf"expected {'0' * 64}\. Delete it to download {entry.url} again"):
        load_pretrained("toy")


def test_offline_the_message_says_what_goes_where(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))

    def no_network(*arguments, **options):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("slowfast.utils.download.urlopen", no_network)
    entry = find_entry("X3D_S")
    path = tmp_path / "pyslowfast/x3d_models/x3d_s.pyth"
    message = (
        f"{entry.url} cannot be downloaded (Network is unreachable). Download it by other means and put it at {path}."
    )
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_pretrained("X3D_S")


def test_weights_are_read_by_name_where_a_file_may_stand(toy, tmp_path, monkeypatch):
    """TRAIN.CHECKPOINT_FILE_PATH, TEST.CHECKPOINT_FILE_PATH and --checkpoint: all through read_checkpoint."""
    entry = ZooEntry(**{**vars(toy[0]), "config": "Toys/TOY", "name": ""})
    monkeypatch.setattr(zoo_table, "zoo_entries", lambda: (entry,))
    monkeypatch.chdir(tmp_path)
    for name in ("Toys/TOY", "TOY", "configs/Toys/TOY.yaml"):
        assert read_checkpoint(name)["epoch"] == 1
    torch.save({"epoch": 2, "model_state": {"w": torch.ones(1)}}, "TOY")
    assert read_checkpoint("TOY")["epoch"] == 2  # a file comes first


def test_a_name_that_several_share_or_nobody_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"no checkpoint SLOW_8x8_R50: no file, and 'SLOW_8x8_R50' matches"):
        read_checkpoint("SLOW_8x8_R50")
    with pytest.raises(CheckpointError, match=r"no checkpoint X3DM: no file, and .* 'X3DM'\. Did you mean X3D_M\?"):
        read_checkpoint("X3DM")


def test_an_image_network_is_no_model_of_videos():
    with pytest.raises(ValueError, match=r"R50_IN1K is an image network .*TRAIN\.CHECKPOINT_INFLATE True"):
        load_pretrained("R50_IN1K")


def test_figures_in_words():
    assert published_figures(find_entry("SLOWFAST_8x8_R50")) == "77.0 top-1, 92.6 top-5 (3 x 10 views)"
    assert published_figures(find_entry("SLOWFAST_32x2_R101_50_50")) == "29.1 mAP"
    assert published_figures(find_entry("X3D_S")).startswith(
        "73.1 top-1 (1 x 10 views), 73.5 top-1 (3 x 10 views), 1.96"
    )
