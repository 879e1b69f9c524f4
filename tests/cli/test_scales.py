"""Tests of clips at several scales, mirrored and not ("++"): the looks are those of tests at each of them alone."""

import itertools

import numpy as np
import pytest

import slowfast
from slowfast.cli.run import main
from slowfast.config import ConfigError, load_cfg
from slowfast.datasets import build_dataset
from tests.cli.runs import RECIPE, results_of, untrained

PLUS = ["TEST.SCALES=[32,40]", "TEST.FLIP=True"]


def test_all_looks_are_averaged(tiny_opts, tiny_motion, tmp_path):
    """Four tests with one look each, through DATA.ARGS, give on average what one test with all of them gives.

    A pipeline gives the same.
    """
    (tmp_path / "test.csv").write_text("".join((tiny_motion / "test.csv").read_text().splitlines(keepends=True)[:2]))
    opts = [*tiny_opts, "NUM_GPUS=0", "TRAIN.ENABLE=False", "DATA.ENSEMBLE_METHOD=mean"]
    opts += [f"DATA.PATH_TO_DATA_DIR={tmp_path}", f"DATA.PATH_PREFIX={tiny_motion}"]
    weights = untrained(load_cfg(RECIPE, opts, warn=False), tmp_path / "w.pyth")

    def scores(name, *more) -> np.ndarray:
        argv = ["--cfg", RECIPE, *opts, *more, f"OUTPUT_DIR={tmp_path / name}", "--checkpoint", str(weights)]
        assert main(argv) == 0
        with np.load(tmp_path / name / "predictions.npz") as file:
            return file["scores"]

    alone = []
    for side, flip in itertools.product((32, 40), (True, False)):
        look = [f"DATA.ARGS.short_side={side}", f"DATA.ARGS.crop_size={side}", f"DATA.ARGS.flip={flip}"]
        alone.append(scores("alone", *look))
    found = scores("plus", *PLUS)
    assert np.abs(found - np.mean(alone, axis=0)).max() < 1e-6
    assert min(np.abs(found - one).max() for one in alone) > 1e-4
    protocol = results_of(tmp_path / "plus")["protocol_text"]
    assert protocol.startswith("2 clips x 3 crops x 2 scales x mirrored and not, mean of the scores")
    first_video = tiny_motion / (tmp_path / "test.csv").read_text().split()[0]
    prediction = slowfast.load(str(weights), overrides=PLUS)(str(first_video))
    assert prediction.view_scores.shape[0] == len(prediction.seconds) == 2 * 3 * 2 * 2
    assert np.abs(prediction.scores - found[0]).max() < 1e-6


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
