"""``slowfast explain`` as a user runs it, in a folder of its own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slowfast.cli.main import main
from slowfast.config import load_cfg
from slowfast.motion.clips import write_motion
from slowfast.video.reader import VideoReader
from tests.cli.runs import DETECTION, untrained

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


def test_a_named_class_and_what_is_wrong(video, tmp_path, capsys, refused):
    output = ["--output", str(tmp_path / "why")]
    assert main(["explain", str(video), *MODEL, *output, "--class", "0", "--layer", "fast.res3"]) == 0
    with np.load(tmp_path / "why/maps.npz") as arrays:
        assert arrays["class_ids"].tolist() == [0] and "map_slow" not in arrays
    capsys.readouterr()
    for extra, message in (
        (["--class", "arow-spin-cw"], "not one of the model's 8 classes"),
        (["--layer", "fast.res9"], "no layer 'fast.res9'"),
        (["--boxes", "boxes.csv"], "scores whole clips"),
    ):
        assert message in refused(main, ["explain", str(video), *MODEL, *output, *extra])


def test_every_box_of_a_key_frame_has_maps_of_its_own(video, tmp_path, capsys, refused):
    opts = ["DATA.NUM_FRAMES", 8, "DATA.TEST_CROP_SIZE", 64, "RESNET.WIDTH_PER_GROUP", 4, "SLOWFAST.BETA_INV", 2]
    cfg = load_cfg(DETECTION, [*opts, "RESNET.ZERO_INIT_FINAL_BN", False, "NUM_GPUS", 0])
    weights = untrained(cfg, tmp_path / "boxes.pyth")
    boxes = tmp_path / "boxes.csv"
    rows = ["0.5,0.1,0.1,0.5,0.6", "0.5,0.5,0.4,0.9,0.9", "1,0.2,0.2,0.8,0.8"]
    boxes.write_text("".join(f"{video.stem},{row}\n" for row in rows))
    words = ["explain", str(video), "--checkpoint", str(weights), "--gpus", "0", "--output", str(tmp_path / "why")]
    assert main([*words, "--boxes", str(boxes), "--class", "1"]) == 0, capsys.readouterr().err
    with np.load(tmp_path / "why/maps.npz") as arrays:
        assert arrays["boxes"].shape == (2, 4) and arrays["class_ids"].tolist() == [1, 1]
        assert arrays["map_fast"].shape == (*arrays["frames"].shape[:4],) and len(arrays["map_fast"]) == 2
        assert not np.array_equal(arrays["map_fast"][0], arrays["map_fast"][1])
    assert "no box of" in refused(main, [*words, "--boxes", str(boxes), "--seconds", "0.7"])
    assert "give a list of boxes (--boxes)" in refused(main, words)
