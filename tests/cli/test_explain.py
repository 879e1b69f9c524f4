"""``slowfast explain`` as a user runs it, in a folder of its own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slowfast.cli.main import main
from slowfast.motion.clips import write_motion
from slowfast.video.reader import VideoReader

WEIGHTS = Path(__file__).parents[2] / "docs/data/motion_slowfast.pth"
MODEL = ["--checkpoint", str(WEIGHTS), "--cfg", "Motion/SLOWFAST_4x4_R18", "RESNET.WIDTH_PER_GROUP=8", "--gpus", "0"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    root = tmp_path_factory.mktemp("explained") / "motion"
    write_motion(root, num_train=0, num_val=0, num_test=1)
    return next(root.glob("test/*/*.mp4"))


def test_overlay_sheet_and_maps(video, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["explain", str(video), *MODEL, "--output", "why", "--clips", "2"]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    name = video.parent.name
    assert shown.count(f"{name}: score") == 2 and "layers: slow.res2, fast.res2; hirescam" in shown
    with np.load("why/maps.npz") as arrays:
        assert {key: arrays[key].shape for key in ("map_slow", "map_fast", "frames", "scores", "seconds")} == {
            "map_slow": (2, 16, 48, 48), "map_fast": (2, 16, 48, 48), "frames": (2, 16, 48, 48, 3), "scores": (2, 8),
            "seconds": (2, 2),
        }  # fmt: skip
        assert arrays["layers"].tolist() == ["slow=slow.res2", "fast=fast.res2"]
        assert arrays["map_fast"].min() >= 0 and arrays["map_fast"].max() > 0
        assert (np.diff(arrays["seconds"][:, 0]) > 0).all()
    with Image.open("why/sheet.png") as sheet:
        assert sheet.width > 8 * 192 and sheet.height > 6 * 192
        colors = np.asarray(sheet.convert("RGB")).astype(int)
    warm = (colors[..., 0] > 200) & (colors[..., 2] < 120)
    assert warm[:, 200:].any(), "no heat is drawn"
    with VideoReader("why/overlay.mp4") as reader:
        assert reader.num_frames == 32


def test_a_named_class_and_what_is_wrong(video, tmp_path, capsys):
    output = ["--output", str(tmp_path / "why")]
    assert main(["explain", str(video), *MODEL, *output, "--class", "0", "--layer", "fast.res3"]) == 0
    with np.load(tmp_path / "why/maps.npz") as arrays:
        assert arrays["class_ids"].tolist() == [0] and "map_slow" not in arrays
    capsys.readouterr()
    for extra, message in (
        (["--class", "arow-spin-cw"], "none of the model's 8 classes"),
        (["--layer", "fast.res9"], "no layer 'fast.res9'"),
        (["--boxes", "boxes.csv"], "scores whole clips"),
    ):
        assert main(["explain", str(video), *MODEL, *output, *extra]) == 2
        assert message in capsys.readouterr().err
