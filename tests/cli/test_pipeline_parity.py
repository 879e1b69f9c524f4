"""One video through ``slowfast.load`` gives what a test of run_net.py writes for it, whatever the form of the set."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import slowfast
from slowfast.cli.run import main
from slowfast.config import load_cfg
from slowfast.datasets import build_dataset
from slowfast.engine.pipeline import Pipeline
from slowfast.motion.detection import MotionAvaSpec
from slowfast.motion.files import write_set
from tests.cli.runs import DETECTION, RECIPE, SEVERAL_LABELS, UNTRAINED, ava_folders, results_of, table, untrained
from tests.video_files import write_video


@dataclass(frozen=True)
class Form:
    """A data set in one of the forms."""

    opts: list[str]
    class_names: list[str] | None = None


def kinetics(root: Path) -> Form:
    """Files of two frame rates, one shorter than a clip, and one upright."""
    shapes = {"a.mp4": (40, 15, 36, 48), "b.mp4": (10, 30, 48, 36), "c.mp4": (33, 25, 32, 32)}
    for name, (num_frames, fps, height, width) in shapes.items():
        write_video(root / name, num_frames=num_frames, fps=fps, height=height, width=width)
    (root / "test.csv").write_text("".join(f"{name} {i}\n" for i, name in enumerate(shapes)))
    return Form(["TEST.DATASET=kinetics", "MODEL.NUM_CLASSES=3"])


def charades(root: Path) -> Form:
    """One video as a file of another rate than the 24 that frames are counted at, one as a folder of images."""
    (root / "videos").mkdir()
    write_video(root / "videos/AAAAA.mp4", num_frames=45, fps=15, height=36, width=48)
    write_images(root / "videos/BBBBB", 30)
    rows = ["id,actions", "AAAAA,c000 0.0 1.0;c002 1.0 2.0", "BBBBB,c001 0.0 1.0"]
    (root / "Charades_v1_test.csv").write_text("\n".join(rows) + "\n")
    return Form(["TEST.DATASET=charades", "MODEL.NUM_CLASSES=3", "DATA.ENSEMBLE_METHOD=max", *SEVERAL_LABELS])


def something_something(root: Path) -> Form:
    """A file at 12 frames per second, and a folder of images; one crop, which is the left one."""
    (root / "labels.json").write_text(json.dumps({"Closing something": "0", "Opening something": "1"}))
    entries = [{"id": "1", "template": "Closing [something]"}, {"id": "2", "template": "Opening [something]"}]
    (root / "validation.json").write_text(json.dumps(entries))
    write_video(root / "1.mp4", num_frames=30, fps=12, height=36, width=48)
    write_images(root / "2", 13)
    opts = ["TEST.DATASET=ssv2", "MODEL.NUM_CLASSES=2", "TEST.NUM_SPATIAL_CROPS=1", "TEST.NUM_ENSEMBLE_VIEWS=1"]
    return Form([*opts, "DATA.RANDOM_FLIP=False"], ["Closing something", "Opening something"])


def write_images(folder: Path, count: int) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (36, 44, 3), dtype=np.uint8)
    for i in range(count):
        Image.fromarray(np.roll(pixels, 2 * i, axis=1)).save(folder / f"{i + 1:06d}.jpg")


@pytest.fixture(scope="module", params=[kinetics, charades, something_something], ids=lambda form: form.__name__)
def clips(request, tmp_path_factory) -> tuple[Path, Form]:
    root = tmp_path_factory.mktemp(request.param.__name__)
    return root, request.param(root)


@pytest.mark.parametrize("reverse, fold", [(False, False), (True, True)], ids=["as it comes", "reversed and folded"])
def test_a_video_alone_scores_as_in_a_test(clips, tmp_path, reverse, fold):
    root, form = clips
    opts = [*UNTRAINED, *form.opts, f"DATA.PATH_TO_DATA_DIR={root}", f"OUTPUT_DIR={tmp_path}"]
    opts += [f"DATA.REVERSE_INPUT_CHANNEL={reverse}", f"TEST.FOLD_BN={fold}"]
    weights = untrained(load_cfg(RECIPE, opts), tmp_path / "weights.pyth", form.class_names)
    assert main(["--cfg", RECIPE, *opts, "--checkpoint", str(weights)]) == 0

    saved, results = np.load(tmp_path / "predictions.npz"), results_of(tmp_path)
    means = table(tmp_path / "predictions.csv")
    pipeline = slowfast.load(weights)
    assert pipeline.protocol.as_dict() == results["protocol"]
    images_are_bgr = form.opts[0] != "TEST.DATASET=kinetics"  # as PySlowFast reads them
    assert pipeline.protocol.channel_order == ("BGR" if reverse != images_are_bgr else "RGB")
    for path, scores, row in zip(saved["paths"].tolist(), saved["scores"], means, strict=True):
        prediction = pipeline(path)
        np.testing.assert_allclose(prediction.scores, scores, atol=1e-6, rtol=0)
        assert len(prediction.view_scores) == len(prediction.seconds) == pipeline.protocol.num_views
        ((name, score),) = prediction.top(1)
        assert name == row["top1"] and score == pytest.approx(float(row["score1"]), rel=1e-5) and 0 < score <= 1
    assert np.ptp(saved["scores"], axis=0).max() > 1e-3  # the videos differ


@pytest.fixture(scope="module")
def motion_ava(tmp_path_factory) -> Path:
    spec = MotionAvaSpec(num_train=1, num_val=2, num_seconds=1, height=36, width=56)
    return write_set(tmp_path_factory.mktemp("data") / "motion_ava", spec).root


@pytest.mark.parametrize("bgr, fold", [(False, True), (True, False)], ids=["RGB, folded", "BGR"])
def test_boxes_alone_score_as_in_a_test(motion_ava, tmp_path, bgr, fold):
    """At two scales, mirrored and not; the folder of a movie's frames is the video."""
    opts = [*UNTRAINED, *ava_folders(motion_ava), f"OUTPUT_DIR={tmp_path}", f"AVA.BGR={bgr}", f"TEST.FOLD_BN={fold}"]
    opts += ["AVA.TEST_SCALES=[32,36]", "AVA.TEST_FLIP=True"]
    cfg = load_cfg(DETECTION, opts)
    weights = untrained(cfg, tmp_path / "weights.pyth")
    assert main(["--cfg", DETECTION, *opts, "--checkpoint", str(weights)]) == 0

    written = defaultdict(dict)
    for video, second, *box, action, score in csv.reader((tmp_path / "detections.csv").open()):
        written[video, int(second), tuple(map(float, box))][int(action)] = float(score)
    key_frames = build_dataset(cfg, "test").key_frames
    pipeline = Pipeline.from_checkpoint(weights)
    assert pipeline.protocol.as_dict() == results_of(tmp_path)["protocol"]
    for index, (video, second) in enumerate(key_frames):
        boxes = key_frames.boxes_of(index)
        prediction = pipeline(motion_ava / "frames" / video, boxes=boxes, seconds=second - 900)
        rows = {box: scores for (name, at, box), scores in written.items() if (name, at) == (video, second)}
        expected = [[rows[box][k + 1] for k in range(6)] for box in sorted(rows)]
        order = sorted(range(len(boxes)), key=lambda i: boxes[i].tolist())
        np.testing.assert_allclose(prediction.scores[order], expected, atol=1e-6, rtol=0)
        assert prediction.view_scores.shape == (4, len(boxes), 6)


def test_a_checkpoint_of_a_training_tells_all(tiny_opts, tiny_motion, tmp_path):
    """Class names, protocol and config come from inside the file, wherever it lies."""
    assert main(["--cfg", f"configs/{RECIPE}.yaml", *tiny_opts]) == 0
    out = tmp_path / "out"
    moved = (out / "checkpoints/checkpoint_epoch_00001.pyth").rename(tmp_path / "alone.pyth")
    content = torch.load(moved, weights_only=True)
    assert content["lists"]["train"]["rows"] == 8 and content["lists"]["val"]["rows"] == 4
    pipeline = slowfast.load(moved)
    saved = np.load(out / "predictions.npz")
    prediction = pipeline(saved["paths"][2])
    np.testing.assert_allclose(prediction.scores, saved["scores"][2], atol=1e-6, rtol=0)
    rows = table(out / "predictions.csv")
    assert [name for name, _ in prediction.top(5)] == [rows[2][f"top{k}"] for k in range(1, 6)]
