"""Detection from the command line, on Motion in AVA form: write the set, train, test, evaluate what was written."""

import contextlib
import csv
import io
from functools import partial

import numpy as np
import pytest

from slowfast.cli.motion import main as make_motion
from slowfast.evaluation.ava.protocols import evaluate_files
from tests.cli.runs import DETECTION, LEARNING, SMALL, ava_folders, records_of, results_of, run_recipe

DETECTED_BOXES = "person_box_67091280_iou90/ava_detection_val_boxes_and_labels.csv"
NAMES = ["orbit-ccw", "orbit-cw", "spin-ccw", "spin-cw", "arrow", "key"]
run = partial(run_recipe, DETECTION)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "motion_ava"
    sizes = ["--num-train", "3", "--num-val", "9", "--num-seconds", "3", "--height", "32", "--width", "56"]
    assert make_motion([str(root), "--form", "ava", "--quiet", *sizes]) == 0
    return root


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """(OUTPUT_DIR of a training and a test on frames, what they printed)."""
    out = tmp_path_factory.mktemp("trained")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert run(out, *ava_folders(root), *SMALL) == 0
    return out, printed.getvalue()


def evaluate(root, detections):
    """Percent by the evaluation's own entry point, from files alone."""
    files = root / "annotations"
    report = evaluate_files(
        files / "ava_val_v2.2.csv",
        detections,
        files / "ava_val_excluded_timestamps_v2.2.csv",
        label_map=files / "ava_action_list_v2.2_for_activitynet_2019.pbtxt",
    )
    return 100 * report["mAP"]


def by_chance(root, detections, folder):
    """mAP, in percent, of the same boxes with random scores: mean of five draws."""
    rows = [row[:-1] for row in csv.reader(detections.open())]
    found = []
    for seed in range(5):
        scores = np.random.default_rng(seed).random(len(rows))
        path = folder / f"random{seed}.csv"
        path.write_text("".join(f"{','.join(row)},{score}\n" for row, score in zip(rows, scores, strict=True)))
        found.append(evaluate(root, path))
    return np.mean(found)


def test_train_and_test(root, trained):
    out, shown = trained
    results = results_of(out)
    assert list(results["figures"]) == ["mAP"] and 0 < results["figures"]["mAP"] < 100
    assert list(results["average_precision_percent"]) == NAMES
    assert (results["ava_protocol"], results["min_box_score"]) == ("pyslowfast", 0.8)
    assert results["num_failed"] == 0 and results["weights"].endswith("checkpoint_epoch_00001.pyth")
    assert results["trained_in"]["whole"] == 4
    assert shown.count("to test on") == 1
    assert "rows below score 0.8" in shown and "without label" in shown
    assert f"test (frame mAP at IoU 0.5, protocol pyslowfast): mAP {results['figures']['mAP']:.2f}" in shown

    boxes = [row for row in csv.reader((root / "annotations" / DETECTED_BOXES).open()) if float(row[7]) >= 0.8]
    rows = list(csv.reader((out / "detections.csv").open()))
    assert len(rows) == 6 * len(boxes)
    assert evaluate(root, out / "detections.csv") == pytest.approx(results["figures"]["mAP"], abs=1e-3)
    (validated,) = [record["val/mAP"] for record in records_of(out) if "val/mAP" in record]
    assert 0 < validated < 100


def test_movies_give_what_frames_give(root, trained, tmp_path):
    """The same weights on the movie files: the pixels differ by the codec, so do the scores, a little."""
    from_frames, _ = trained
    weights = from_frames / "checkpoints/checkpoint_epoch_00001.pyth"
    movies = [f"AVA.MOVIE_DIR={root / 'movies'}", "AVA.MOVIE_START_SECONDS=900", *ava_folders(root)[2:]]
    assert run(tmp_path, *movies, *SMALL, "TRAIN.ENABLE=False", f"TEST.CHECKPOINT_FILE_PATH={weights}") == 0
    one, other = (list(csv.reader((out / "detections.csv").open())) for out in (from_frames, tmp_path))
    assert [row[:7] for row in one] == [row[:7] for row in other]
    scores = np.array([[float(row[7]) for row in rows] for rows in (one, other)])
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.1
    assert np.corrcoef(scores)[0, 1] > 0.98


@pytest.mark.slow
def test_it_learns(tmp_path):
    """The recipe on a few small movies of two shapes that slide. The shapes are learned first, the direction later."""
    root, out = tmp_path / "motion_ava", tmp_path / "out"
    sizes = ["--num-train", "10", "--num-val", "4", "--num-seconds", "20", "--height", "36", "--width", "64"]
    classes = ["--shapes", "arrow", "pie", "--motions", "slide-right", "slide-left"]
    assert make_motion([str(root), "--form", "ava", "--quiet", *sizes, *classes]) == 0
    assert run(out, *ava_folders(root), *LEARNING, "MODEL.NUM_CLASSES", 4, "SOLVER.MAX_EPOCH", 6) == 0
    reached = results_of(out)["figures"]["mAP"]
    chance = by_chance(root, out / "detections.csv", tmp_path)
    assert 40 < chance < 52  # the same boxes with random scores
    assert reached > 60


@pytest.mark.parametrize(
    "extra, message",
    [
        (["AVA.FRAME_DIR", ""], "AVA.FRAME_DIR and AVA.MOVIE_DIR are both empty"),
        (["AVA.ANNOTATION_DIR", "/nowhere"], "/nowhere"),
        (["AVA.DETECTION_SCORE_THRESH", "1.5"], "AVA.DETECTION_SCORE_THRESH=1.5"),
        (["MODEL.NUM_CLASSES", "4"], "names class 5 (arrow), but labels are 1 to MODEL.NUM_CLASSES = 4"),
        (["DATA.NUM_FRAMES", "15", "SLOWFAST.ALPHA", "5"], "15"),
    ],
)
def test_what_a_user_gets_wrong_is_one_message(root, tmp_path, refused, extra, message):
    assert message in refused(run, tmp_path / "out", *ava_folders(root), *SMALL, *extra)
