"""``slowfast predict`` on Motion's detection set: with boxes of its detector, and of a registered one."""

from __future__ import annotations

import csv
import json
from collections import defaultdict

import numpy as np
import pytest

from slowfast.cli.main import main
from slowfast.config import load_cfg
from slowfast.motion.detection import DETECTION_FILES, DETECTIONS_FOLDER, MotionAvaSpec
from slowfast.motion.files import write_set
from slowfast.prediction.boxes import BoxListError, ListedBoxes
from slowfast.video.reader import VideoReader
from tests.cli.runs import DETECTION, UNTRAINED, ava_folders, table, untrained

DETECTOR = '''
import numpy as np
from slowfast.prediction.boxes import DETECTOR_REGISTRY

@DETECTOR_REGISTRY.register()
def two_halves(frames):
    """The left and the right half of every frame; the right one doubtful."""
    assert frames.ndim == 4 and frames.shape[1] == 3
    return [np.array([[0.0, 0.1, 0.5, 0.9, 0.95], [0.5, 0.1, 1.0, 0.9, 0.3]]) for _ in frames]
'''


@pytest.fixture(scope="module")
def motion_ava(tmp_path_factory):
    spec = MotionAvaSpec(num_train=1, num_val=2, num_seconds=2, height=36, width=56)
    return write_set(tmp_path_factory.mktemp("data") / "motion_ava", spec).root


@pytest.fixture(scope="module")
def tested(motion_ava, tmp_path_factory):
    """A folder with weights, and what a test of them with the detector's boxes wrote."""
    folder = tmp_path_factory.mktemp("boxes")
    opts = [*UNTRAINED, *ava_folders(motion_ava), f"OUTPUT_DIR={folder}"]
    weights = untrained(load_cfg(DETECTION, opts), folder / "weights.pyth", [f"action {k}" for k in range(6)])
    detected = f"{DETECTIONS_FOLDER}/{DETECTION_FILES['val']}"
    lists = ["AVA.TEST_PREDICT_BOX_LISTS", f"['{detected}']", "AVA.DETECTION_SCORE_THRESH", "0.8"]
    assert main(["run", "--cfg", DETECTION, "--checkpoint", str(weights), *opts, *lists]) == 0
    return folder, motion_ava / "annotations" / detected


def test_boxes_of_motions_detector_score_as_in_the_test(motion_ava, tested, tmp_path, monkeypatch):
    folder, detected = tested
    monkeypatch.chdir(tmp_path)
    words = ["predict", motion_ava / "frames", "--checkpoint", folder / "weights.pyth", "--boxes", detected]
    words += ["--movie-start-seconds", 900, "--json", "out.json", "--csv", "out.csv", "--save-video", "drawn"]
    code = main([*map(str, words), "--threshold", "0.3"])
    said = json.loads((tmp_path / "out.json").read_text())
    by_video = {video["path"].rpartition("/")[2]: video for video in said["videos"]}
    # The train movie is in no list of the val split: said, and the rest goes on.
    assert code == 1 and [name for name, video in by_video.items() if video["failure"]] == ["Mo-train000"]

    written = defaultdict(dict)
    for video, second, *box, action, score in csv.reader((folder / "detections.csv").open()):
        written[video, int(second), tuple(np.float32(box).tolist())][int(action)] = float(score)
    found = {
        (name, round(frame["seconds"]) + 900, tuple(np.float32(np.round(box["box"], 3)).tolist())): box
        for name, video in by_video.items()
        for frame in video.get("key_frames", ())
        for box in frame["boxes"]
    }
    assert len(written) > 4
    for key, scores in written.items():
        expected = [scores[k + 1] for k in range(6)]
        np.testing.assert_allclose(found[key]["scores"], expected, atol=1e-6, rtol=0)
        assert found[key]["detection"] >= 0.8
    video = by_video["Mo-val__000"]
    assert {segment["track"] for segment in video["segments"]} <= {
        b["track"] for f in video["key_frames"] for b in f["boxes"]
    }
    rows = table("out.csv")
    assert {row["label"] for row in rows if row["label"]} <= {f"action {k}" for k in range(6)}
    assert 0 <= float(rows[-2]["x1"]) < float(rows[-2]["x2"]) <= 1
    with VideoReader("drawn/Mo-val__000.mp4") as drawn:
        assert drawn.num_frames == 180


def test_a_detector_of_ones_own(motion_ava, tested, tmp_path, monkeypatch):
    """Found by IMPORTS; of two boxes one is certain enough, and is one track over all key frames."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(DETECTOR)
    (movie,) = sorted((motion_ava / "movies").glob("Mo-val__000*"))
    words = ["predict", str(movie), "--checkpoint", str(tested[0] / "weights.pyth"), "--detector", "two_halves"]
    assert main([*words, "--stride", "0.5", "--json", "out.json", "IMPORTS", "['mine.py']"]) == 0
    (video,) = json.loads((tmp_path / "out.json").read_text())["videos"]
    assert [frame["seconds"] for frame in video["key_frames"]] == [k / 2 for k in range(12)]
    assert all(len(frame["boxes"]) == 1 and frame["boxes"][0]["track"] == 0 for frame in video["key_frames"])


def test_a_model_of_boxes_wants_boxes(motion_ava, tested, refused):
    words = ["predict", str(motion_ava / "movies"), "--checkpoint", str(tested[0] / "weights.pyth")]
    assert "this is a detection model: name a list of boxes (--boxes FILE)" in refused(main, words)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,1,0.1,0.1,0.5\n", "boxes.csv:1: 5 columns"),
        ("a,1,0.1,0.1,0.5,0.5\na,2,10,10,50,80\n", "boxes.csv:2: the box .* give fractions of it, not pixels"),
        ("a,1,0.1,x,0.5,0.5\n", "boxes.csv:1: 'x' is not a number"),
        ("", "holds no box"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(BoxListError, match=message):
        ListedBoxes(tmp_path / "boxes.csv")


def test_a_list_with_a_header_and_empty_boxes(tmp_path):
    rows = ["b.mp4,1.5,0.1,0.1,0.5,0.5,3,0.9", "b,1.5,0.5,0.1,0.5,0.5,,0.95", "b,1,0,0,1,1,,0.2", ""]
    (tmp_path / "boxes.csv").write_text("\n".join(["video,second,x1,y1,x2,y2,label,score", *rows]))
    ((seconds, boxes, scores),) = ListedBoxes(tmp_path / "boxes.csv", least_score=0.5).key_frames("x/b.mp4")
    assert seconds == 1.5 and boxes.shape == (1, 4) and scores.tolist() == pytest.approx([0.9])
