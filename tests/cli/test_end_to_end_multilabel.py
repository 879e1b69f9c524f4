"""Multi-label recognition from the command line, on Motion in Charades form: write the set, train, test."""

import contextlib
import io
import re
from functools import partial

import numpy as np
import pytest

from slowfast.cli.motion import main as make_motion
from tests.cli.runs import LEARNING, SMALL, results_of, run_recipe, table

RECIPE = "Motion/MULTILABEL_SLOWFAST_4x4_R18"
run = partial(run_recipe, RECIPE)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "motion_charades"
    sizes = ["--num-train", "8", "--num-test", "6", "--num-seconds", "2", "--height", "32", "--width", "40"]
    assert make_motion([str(root), "--form", "charades", "--quiet", *sizes]) == 0
    return root


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """(OUTPUT_DIR of a training and a test on frames, what they printed)."""
    out = tmp_path_factory.mktemp("trained")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert run(out, "DATA.PATH_TO_DATA_DIR", root, *SMALL) == 0
    return out, printed.getvalue()


def obvious_map(scores, labels):
    """Percent: mean over classes with a positive of the mean precision at the rank of each positive (no ties here)."""
    found = []
    for score, label in zip(scores.T, labels.T, strict=True):
        hits = label[np.argsort(-score)].astype(bool)
        if hits.any():
            found.append(np.mean([hits[: rank + 1].mean() for rank in np.flatnonzero(hits)]))
    return 100 * np.mean(found)


def by_chance(labels):
    """mAP, in percent, of random scores: mean of 20 draws."""
    return np.mean([obvious_map(np.random.default_rng(seed).random(labels.shape), labels) for seed in range(20)])


def labels_of(root):
    """uint8 (N, K): the labels of all test videos, from the annotations."""
    rows = table(root / "Charades_v1_test.csv")
    num_classes = len((root / "Charades_v1_classes.txt").read_text().splitlines())
    labels = np.zeros((len(rows), num_classes), dtype=np.uint8)
    for label, row in zip(labels, rows, strict=True):
        label[[int(action[1:4]) for action in row["actions"].split(";") if action]] = 1
    return labels


def test_train_and_test(root, trained):
    out, shown = trained
    assert re.search(r"test \(10 clips x 3 crops, max of the scores.* RGB, sigmoid; multilabel_map\): mAP", shown)
    assert "W slowfast" not in shown  # no warning, of BGR or anything else
    results = results_of(out)
    saved = np.load(out / "predictions.npz")
    assert np.array_equal(saved["labels"], labels_of(root))
    assert saved["scores"].shape == (6, 8) and (saved["scores"] > 0).all() and (saved["scores"] < 1).all()
    assert results["figures"]["mAP"] == pytest.approx(obvious_map(saved["scores"], saved["labels"]), abs=1e-3)
    assert results["num_failed"] == 0
    names = [line.split()[1] for line in (root / "Charades_v1_classes.txt").read_text().splitlines()]
    shown_labels = [row["label_name"] for row in table(out / "predictions.csv")]
    assert shown_labels == [";".join(np.array(names)[row.astype(bool)]) for row in saved["labels"]]


def test_videos_give_what_frames_give(root, trained, tmp_path):
    """The same weights on the video files: the pixels differ by the codec, so do the scores, a little."""
    from_frames, _ = trained
    weights = from_frames / "checkpoints/checkpoint_epoch_00001.pyth"
    data = ["DATA.PATH_TO_DATA_DIR", root, "DATA.PATH_PREFIX", root / "videos"]
    assert run(tmp_path, *data, *SMALL, "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights) == 0
    scores = [np.load(out / "predictions.npz")["scores"] for out in (from_frames, tmp_path)]
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.1


@pytest.mark.slow
def test_it_learns(tmp_path):
    """The recipe on small, short videos of two shapes that slide. The shapes are learned first, the direction later."""
    root, out = tmp_path / "motion_charades", tmp_path / "out"
    sizes = ["--num-train", "200", "--num-test", "60", "--num-seconds", "2", "--height", "36", "--width", "44"]
    classes = ["--shapes", "arrow", "pie", "--motions", "slide-right", "slide-left"]
    assert make_motion([str(root), "--form", "charades", "--quiet", *sizes, *classes]) == 0
    views = ["TEST.NUM_ENSEMBLE_VIEWS", 4, "TEST.NUM_SPATIAL_CROPS", 1]
    opts = ["DATA.PATH_TO_DATA_DIR", root, *LEARNING, "MODEL.NUM_CLASSES", 4, "SOLVER.MAX_EPOCH", 8, *views]
    assert run(out, *opts) == 0
    reached = results_of(out)["figures"]["mAP"]
    chance = by_chance(labels_of(root))
    assert 40 < chance < 50  # random scores
    assert reached > 60


@pytest.mark.parametrize(
    "extra, message",
    [
        (["DATA.PATH_TO_DATA_DIR", "/nowhere"], "/nowhere holds neither the frame list"),
        (["MODEL.HEAD_ACT", "softmax"], "MODEL.HEAD_ACT"),
        (["DATA.MULTI_LABEL", "False", "MODEL.LOSS_FUNC", "cross_entropy"], "DATA.MULTI_LABEL"),
        (["MODEL.NUM_CLASSES", "4"], "MODEL.NUM_CLASSES"),
    ],
)
def test_what_a_user_gets_wrong_is_one_message(root, tmp_path, refused, extra, message):
    assert message in refused(run, tmp_path / "out", "DATA.PATH_TO_DATA_DIR", root, *SMALL, *extra)
