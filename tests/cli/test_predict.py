"""``slowfast predict`` as users type it: what it says is what a test says; sources, files, long and live videos."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import slowfast
from slowfast.cli.demo_keys import predict_arguments
from slowfast.cli.main import main
from slowfast.config import load_cfg
from slowfast.video.reader import VideoReader
from slowfast.visualization import overlay
from tests.cli.runs import RECIPE, UNTRAINED, results_of, table, untrained
from tests.video_files import write_video

SMALL = [*UNTRAINED, "TEST.DATASET=kinetics", "MODEL.NUM_CLASSES=3"]
NAMES = ["sitting", "standing", "lying"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a checkpoint of random weights, and videos of two rates, one of which is broken."""
    root = tmp_path_factory.mktemp("predict")
    (root / "videos").mkdir()
    write_video(root / "videos/a.mp4", num_frames=45, fps=15, height=36, width=48)
    write_video(root / "videos/b.mp4", num_frames=10, fps=30, height=48, width=36)
    untrained(load_cfg(RECIPE, SMALL), root / "weights.pyth", NAMES)
    return root


@pytest.fixture
def predict(place, tmp_path, monkeypatch):
    """``predict("videos/a.mp4", ...)`` in a fresh folder; the exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").symlink_to(place / "videos")
    return lambda *words: main(["predict", *map(str, words), "--checkpoint", str(place / "weights.pyth")])


def document(path="out.json") -> dict:
    return json.loads(Path(path).read_text())


def test_predict_says_what_a_test_says(place, predict, tmp_path):
    """Through both commands: the scores of predictions.npz, the names and mean scores of predictions.csv."""
    (tmp_path / "test.csv").write_text("videos/a.mp4 0\nvideos/b.mp4 1\n")
    opts = ["DATA.PATH_TO_DATA_DIR", str(tmp_path), "OUTPUT_DIR", str(tmp_path / "out")]
    weights = ["--checkpoint", str(place / "weights.pyth")]
    assert main(["run", "--cfg", RECIPE, *weights, *SMALL, *opts]) == 0
    saved = np.load(tmp_path / "out/predictions.npz")
    rows, results = table(tmp_path / "out/predictions.csv"), results_of(tmp_path / "out")
    for words in (["videos"], ["videos", "--cfg", RECIPE, *SMALL]):
        assert predict(*words, "--json", "out.json") == 0
        said = document()
        assert said["protocol"] == results["protocol"] and said["class_names"] == NAMES
        by_name = {os.path.basename(video["path"]): video for video in said["videos"]}
        for path, scores, row in zip(saved["paths"].tolist(), saved["scores"], rows, strict=True):
            video = by_name[os.path.basename(path)]
            np.testing.assert_allclose(video["scores"], scores, atol=1e-6, rtol=0)
            assert video["top"][0]["name"] in (row["top1"], NAMES[int(row["top1"])] if row["top1"].isdigit() else "")
            assert video["top"][0]["score"] == pytest.approx(float(row["score1"]), rel=1e-5)
            assert video["failure"] is None and video["segments"] == [] and video["seconds"] > 0
    assert np.ptp(saved["scores"], axis=0).max() > 1e-3


def test_what_cannot_be_read_is_said_and_the_rest_goes_on(predict, tmp_path, capsys):
    (tmp_path / "page.mp4").write_text("<!DOCTYPE html><html>not here</html>")
    (tmp_path / "list.m3u8.mp4").write_text("#EXTM3U\n#EXTINF:5,\nfile:///etc/passwd\n")
    words = ["page.mp4", "videos/a.mp4", "list.m3u8.mp4", "gone.mp4", "videos/b.mp4"]
    assert predict(*words, "--json", "out.json", "--csv", "out.csv", "--top", "2") == 1
    out = capsys.readouterr().out
    assert "page.mp4" in out and "it is an HTML page" in out and "there is no such file or folder" in out
    failures = [video["failure"] for video in document()["videos"]]
    assert [failure is None for failure in failures] == [False, True, False, False, True]
    rows = table("out.csv")
    assert [bool(row["failure"]) for row in rows] == [True, False, True, True, False]
    assert rows[1]["top1"] in NAMES and rows[1]["top2"] in NAMES and "top3" not in rows[1]
    lines = [line for line in out.splitlines() if line.startswith("videos/a.mp4")]
    assert len(lines) == 1 and " s  " in lines[0] and rows[1]["top1"] in lines[0]


def test_json_to_standard_output_is_json_alone(predict, capsys):
    assert predict("videos/a.mp4", "gone.mp4", "--json", "-") == 1
    said = json.loads(capsys.readouterr().out)
    assert [video["path"] for video in said["videos"]] == ["videos/a.mp4", "gone.mp4"]


def test_windows_segments_and_pictures(predict, tmp_path, capsys):
    """Segments appear before the video's line; the picture and the plot lie where they were asked for."""
    words = ["videos/a.mp4", "--window", "1", "--stride", "0.5", "--threshold", "0.34", "--csv", "out.csv"]
    assert predict(*words, "--json", "out.json", "--save-video", "drawn.mp4", "--plot", "plots") == 0
    (video,) = document()["videos"]
    spans = [(window["start"], window["end"]) for window in video["windows"]]
    assert len(spans) == 5 and spans[0] == (0, 1) and spans[-1] == (2, 3)
    assert video["segments"] and all(s["label"] in NAMES and s["score"] >= 0.34 for s in video["segments"])
    rows = table("out.csv")
    assert [row["label"] for row in rows] == [segment["label"] for segment in video["segments"]]
    assert [float(row["start"]) for row in rows] == pytest.approx([s["start"] for s in video["segments"]], abs=1e-3)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("videos/a.mp4")]
    assert len(lines) == len(rows) + 1 and " - " in lines[0]
    with VideoReader("drawn.mp4") as drawn:
        assert drawn.num_frames == 45 and drawn.fps == pytest.approx(15)
        assert min(drawn.height, drawn.width) >= 240  # small frames are enlarged
    assert (tmp_path / "plots/a.png").stat().st_size > 5000


def test_a_stream_a_pipe_and_a_file_score_alike(place, predict, tmp_path, monkeypatch):
    """The same windows from a file, from standard input, and over HTTP."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(place / "videos"))
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/a.mp4"
    windows = ["--window", "1", "--stride", "0.5"]
    try:
        assert predict("videos/a.mp4", *windows, "--json", "file.json") == 0
        assert predict(address, *windows, "--json", "address.json") == 0
    finally:
        server.shutdown()
    data = (place / "videos/a.mp4").read_bytes()
    for name, more in (("pipe.json", windows), ("whole.json", [])):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert predict("-", *more, "--json", name) == 0
    (of_file,) = document("file.json")["videos"]
    for name in ("address.json", "pipe.json"):
        (video,) = document(name)["videos"]
        np.testing.assert_allclose(video["scores"], of_file["scores"], atol=1e-6, rtol=0)
        assert [window["top"] for window in video["windows"]] == [window["top"] for window in of_file["windows"]]
    (whole,) = document("whole.json")["videos"]
    expected = slowfast.load(place / "weights.pyth", device="cpu")(place / "videos/a.mp4").scores
    np.testing.assert_allclose(whole["scores"], expected, atol=1e-6, rtol=0)


def test_nobody_answers(predict, capsys):
    assert predict("http://127.0.0.1:9/a.mp4", "--window", "1") == 1
    assert "cannot open http://127.0.0.1:9/a.mp4" in capsys.readouterr().out


def test_names_in_capitals_are_files_and_keys_are_keys(place, predict, tmp_path, refused):
    """As cameras call their files; also one that is not there."""
    (tmp_path / "IMG_0001.MP4").symlink_to(place / "videos/a.mp4")
    (tmp_path / "CLIPS").symlink_to(place / "videos")
    words = ["IMG_0001.MP4", "CLIPS", "IMG_0002.MP4", "--json", "out.json", "TEST.NUM_ENSEMBLE_VIEWS", "1"]
    assert predict(*words) == 1
    said = document()
    assert [video["path"] for video in said["videos"]] == ["IMG_0001.MP4", "CLIPS/a.mp4", "CLIPS/b.mp4", "IMG_0002.MP4"]
    assert said["protocol"]["num_clips"] == 1
    assert "TEST.NUM_VIEWS is not a config key" in refused(predict, "videos/a.mp4", "TEST.NUM_VIEWS", "1")


@pytest.mark.parametrize(
    "words, message",
    [
        ("", "no SOURCE"),
        ("videos/a.mp4 --boxes boxes.csv", "cannot read the list of boxes boxes.csv"),
        ("videos/a.mp4 --detector mine", "there is no detector 'mine'"),
        ("videos --save-video a.mp4", "a.mp4 is one file, but there are 2 videos"),
        ("0 videos/a.mp4", "0 is live, so it must be the only source"),
        ("videos/a.mp4 --show", "--show works for cameras"),
        ("videos/a.mp4 --draw-top 2", "nothing is. Add --save-video"),
        ("videos/a.mp4 --save-video a.mp4 --draw-class lying 0.5", "Add --draw-from P"),
        ("videos/a.mp4 --save-video a.mp4 --draw-from 0.5 --draw-class liing 0.5", "Did you mean lying?"),
        ("videos/a.mp4 --save-video a.mp4 --draw-from 0.5 --draw-class lying 2", "'lying': 2 is not a number"),
        ("videos/a.mp4 --save-video a.mp4 --draw-frames 3", "looked at as a whole has one label. Add --window S."),
        ("videos/a.mp4 --save-video a.mp4 --live --draw-frames 3", "labels stay until the next window's"),
    ],
)
def test_what_cannot_be_asked(predict, refused, words, message):
    assert message in refused(predict, *words.split())


def test_a_file_played_as_a_camera(predict, tmp_path, capsys):
    """At its own speed: three seconds of video take at least as long as its last window needs to come."""
    words = ["videos/a.mp4", "--live", "--window", "1", "--stride", "0.5", "--threshold", "0.3"]
    assert predict(*words, "--json", "out.json", "--save-video", "drawn.mp4", "--csv", "out.csv") == 0
    (video,) = document()["videos"]
    out = capsys.readouterr().out
    assert "s late" in out and "frames/s" in out and "windows dropped" in out
    assert video["seconds"] > 2.5 and video["failure"] is None
    assert 1 <= len(video["windows"]) <= 5 and video["segments"]
    assert len(table("out.csv")) == len(video["segments"])
    with VideoReader("drawn.mp4") as drawn:
        assert 30 <= drawn.num_frames <= 45


def test_which_classes_are_drawn_and_on_which_frames(predict, monkeypatch):
    """The captions that reach the frames; --draw-frames 1 leaves the rest of each window without."""
    captions = []
    draw = overlay.draw_caption

    def spy(frame, caption, *, size=None):
        captions.append(caption)
        return draw(frame, caption, size=size)

    monkeypatch.setattr(overlay, "draw_caption", spy)
    window = ["videos/a.mp4", "--window", "1", "--stride", "1", "--save-video", "drawn.mp4", "--json", "out.json"]

    def drawn(*words):
        captions.clear()
        assert predict(*window, *words) == 0
        return list(captions)

    assert {len(caption.best) for caption in drawn("--draw-top", 2)} == {2}
    scores = dict(drawn("--draw-top", 3)[0].best)
    first, second, third = scores
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    from_second = [name for name, _ in drawn("--draw-from", scores[second])[0].best]
    assert from_second == [first, second]
    words = ["--draw-from", 1, "--draw-class", third, 0, "--draw-frames", 1]
    frames = drawn(*words)
    assert [name for name, _ in frames[7].best] == [third]
    assert [index for index, caption in enumerate(frames) if caption.headline] == [6, 7, 8, 21, 22, 23, 36, 37, 38]


def demo_words(tmp_path, *words):
    """The words of predict for DEMO keys of a video of classes that lie in a file."""
    (tmp_path / "names.json").write_text(json.dumps({name: label for label, name in enumerate(["sit", "walk", "fly"])}))
    keys = ["DEMO.ENABLE", True, "DEMO.INPUT_VIDEO", "a.mp4", "DEMO.OUTPUT_FILE", "b.mp4", *words]
    return shlex.join(predict_arguments(load_cfg(RECIPE, [*SMALL, *keys]), RECIPE))


def test_demo_keys_choose_classes_and_frames(tmp_path):
    """PySlowFast's rule: common classes from one score on, others from another; all are common without names."""
    names = ["DEMO.LABEL_FILE_PATH", str(tmp_path / "names.json")]
    words = demo_words(tmp_path, *names, "DEMO.CLIP_VIS_SIZE", 4)
    assert "--draw-from 0.3 --draw-class walk 0.7 --draw-class sit 0.7" in words and "--draw-frames 4" in words
    words = demo_words(tmp_path, *names, "DEMO.COMMON_CLASS_NAMES", "['fly']", "DEMO.UNCOMMON_CLASS_THRES", 0.2)
    assert "--draw-from 0.2 --draw-class fly 0.7 " in words and "walk" not in words
    assert "--draw-from 0.6 " in demo_words(tmp_path, "DEMO.COMMON_CLASS_THRES", 0.6)
    top = ["DEMO.VIS_MODE", "top-k", "TENSORBOARD.MODEL_VIS.TOPK_PREDS", 4]
    assert "--draw-top 4 " in demo_words(tmp_path, *top, *names)
    with pytest.raises(ValueError, match=r"DEMO\.VIS_MODE='best': must be 'thres' or 'top-k'"):
        demo_words(tmp_path, "DEMO.VIS_MODE", "best")


def test_the_demo_of_a_pyslowfast_file_runs(place, tmp_path, monkeypatch, capsys):
    """DEMO keys are the command line of predict, which is shown; windows share BUFFER_SIZE frames."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.json").write_text(json.dumps({name: label for label, name in enumerate(NAMES)}))
    (tmp_path / "demo.yaml").write_text(
        f"_BASE_: {RECIPE}\nTRAIN: {{ENABLE: False}}\nTEST: {{ENABLE: False}}\nDEMO:\n  ENABLE: True\n"
        f"  INPUT_VIDEO: {place / 'videos/a.mp4'}\n  OUTPUT_FILE: drawn.mp4\n  BUFFER_SIZE: 4\n"
        "  LABEL_FILE_PATH: names.json\n  DISPLAY_WIDTH: 320\n  DISPLAY_HEIGHT: 240\n"
    )
    weights = ["--checkpoint", str(place / "weights.pyth")]
    assert main(["run", "--cfg", "demo.yaml", *weights, *SMALL]) == 0
    out = capsys.readouterr().out
    assert "DEMO.ENABLE: slowfast predict" in out and "--window 0.533333 --stride 0.4" in out
    assert any(name in out for name in NAMES)
    with VideoReader("drawn.mp4") as drawn:
        assert (drawn.width, drawn.height, drawn.num_frames) == (320, 240, 45)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("SLOWMO", 2, "slow down the file that `slowfast predict VIDEO --save-video FILE` writes"),
        ("GT_BOXES", "boxes.csv", "`slowfast predict VIDEO --boxes FILE`"),
        ("BUFFER_SIZE", 16, "clips of 16 frames cannot share that many"),
        ("DISPLAY_WIDTH", 100, "--frame-size W H"),
    ],
)
def test_demo_keys_that_nothing_does_name_the_command(key, value, message):
    words = ["DEMO.ENABLE", True, "DEMO.INPUT_VIDEO", "a.mp4", f"DEMO.{key}", value]
    with pytest.raises(ValueError, match=re.escape(message)):
        predict_arguments(load_cfg(RECIPE, [*SMALL, *words]), RECIPE)
