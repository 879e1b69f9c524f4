"""Tests of clips at several scales, mirrored and not ("++"): the looks are those of tests at each of them alone."""

import itertools
import json

import numpy as np
import pytest

import slowfast
from slowfast.cli.run import main
from slowfast.config import ConfigError, load_cfg
from slowfast.datasets import build_dataset
from slowfast.engine.checkpoint import save_checkpoint
from slowfast.models import build_model
from tests.models.toys import randomize_batch_norms, seeded

RECIPE = "Motion/SLOWFAST_4x4_R18"
PLUS = ["TEST.SCALES", "[32, 40]", "TEST.FLIP", "True"]


@pytest.fixture
def opts(tiny_opts, tmp_path):
    """Of a test of random weights, mean of the scores."""
    opts = [
        *tiny_opts,
        "NUM_GPUS",
        "0",
        "TRAIN.ENABLE",
        "False",
        "DATA.ENSEMBLE_METHOD",
        "mean",
        "TEST.REPORT",
        "False",
    ]
    cfg = load_cfg(RECIPE, opts, warn=False)
    model = seeded(lambda: build_model(cfg))
    randomize_batch_norms(model)
    save_checkpoint(tmp_path / "w.pyth", {"model_state": model.state_dict(), "cfg": cfg.dump()})
    return [*opts, "TEST.CHECKPOINT_FILE_PATH", str(tmp_path / "w.pyth")]


def scores(opts, folder) -> np.ndarray:
    assert main(["--cfg", RECIPE, *opts, "OUTPUT_DIR", str(folder)]) == 0
    with np.load(folder / "predictions.npz") as file:
        return file["scores"]


def test_all_looks_are_averaged(opts, tmp_path):
    """Four tests with one look each, through DATA.ARGS, give on average what one test with all of them gives."""
    alone = []
    for side, flip in itertools.product((32, 40), (True, False)):
        look = [f"DATA.ARGS.short_side={side}", f"DATA.ARGS.crop_size={side}", f"DATA.ARGS.flip={flip}"]
        alone.append(scores([*opts, *look], tmp_path / "alone"))
    found = scores([*opts, *PLUS], tmp_path / "plus")
    assert np.abs(found - np.mean(alone, axis=0)).max() < 1e-6
    assert min(np.abs(found - one).max() for one in alone) > 1e-4
    report = json.loads((tmp_path / "plus" / "results.json").read_text())
    assert report["protocol_text"].startswith("2 clips x 3 crops x 2 scales x mirrored and not, mean of the scores")


def test_a_pipeline_looks_as_the_test_does(opts, tmp_path, tiny_motion):
    found = scores([*opts, *PLUS], tmp_path / "plus")
    prediction = slowfast.load(str(tmp_path / "w.pyth"), overrides=PLUS)(str(first_video(tiny_motion)))
    assert prediction.view_scores.shape[0] == len(prediction.seconds) == 2 * 3 * 2 * 2
    assert np.abs(prediction.scores - found[0]).max() < 1e-6


def first_video(root):
    return root / (root / "test.csv").read_text().split()[0]


def test_training_and_validation_look_once(tiny_opts):
    cfg = load_cfg(RECIPE, [*tiny_opts, *PLUS], warn=False)
    assert len(build_dataset(cfg, "val").protocol.variants()) == 1
    views = build_dataset(cfg, "test")[0]
    assert [look.crop_size for look in views.looks] == [32, 32, 40, 40]
    assert (views.looks[1].frames == views.frames.flip(-1)).all()


def test_boxes_have_keys_of_their_own():
    with pytest.raises(ConfigError, match=r"TEST\.FLIP=True applies to tests of clips; for boxes use AVA\.TEST_FLIP"):
        load_cfg("Motion/DETECTION_SLOWFAST_4x4_R18", ["TEST.FLIP", True])
    with pytest.raises(ConfigError, match=r"TEST\.SCALES=\[0\]: expected short sides in pixels"):
        load_cfg(RECIPE, ["TEST.SCALES", [0]])
