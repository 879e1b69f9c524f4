"""From videos to a file of boxes that the loader reads, with a detector of random weights."""

import shutil

import pytest
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from slowfast.cli.prepare import ava_boxes
from slowfast.cli.prepare.main import main
from slowfast.datasets.lists.ava_boxes import read_boxes
from slowfast.preparation.files import read_table


@pytest.fixture
def small_detector(monkeypatch):
    """Instead of the weights of torchvision, which no test can download."""
    torch.manual_seed(0)
    model = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=32, max_size=40, box_score_thresh=0.0
    ).eval()
    monkeypatch.setattr(ava_boxes, "load_detector", lambda name, weights, device: model)


def boxes(tmp_path, *options):
    command = ["ava-boxes", str(tmp_path / "videos"), str(tmp_path / "boxes.csv"), "--checkpoint", "w.pth"]
    return main([*command, "--threshold", "0", *options])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_boxes_of_every_second(tmp_path, make_video, small_detector, capsys, workers):
    make_video(tmp_path / "videos" / "b" / "late.mp4", num_frames=91)
    make_video(tmp_path / "videos" / "early.mp4", num_frames=121)
    assert boxes(tmp_path, "--workers", workers, "--batch", "2") == 0
    rows = [line.split(",") for line in (tmp_path / "boxes.csv").read_text().splitlines()]
    keys = [(row[0], row[1]) for row in rows]
    assert keys == sorted(keys)
    assert set(keys) == {("early", "0902"), ("early", "0903"), ("early", "0904"), ("late", "0902"), ("late", "0903")}
    found = read_boxes([], [tmp_path / "boxes.csv"], video_ids=["early", "late"], num_classes=80, score_threshold=0.0)
    assert len(found) == 5
    assert f"{len(rows):,} boxes of 2 videos" in capsys.readouterr().out


def test_boxes_of_seconds_from_0(tmp_path, make_video, small_detector, refused):
    make_video(tmp_path / "videos" / "a.mp4", num_frames=91)
    clock = ["--movie-start-seconds", "0", "--first-second", "0"]
    assert boxes(tmp_path, "--workers", "0", *clock, "--last-second", "2") == 0
    seconds = {line.split(",")[1] for line in (tmp_path / "boxes.csv").read_text().splitlines()}
    assert seconds == {"0000", "0001", "0002"}
    assert "--last-second 2 lies before --first-second 5" in refused(
        boxes, tmp_path, "--workers", "0", "--first-second", "5", "--last-second", "2"
    )


def test_a_later_run_does_the_rest(tmp_path, make_video, small_detector, monkeypatch):
    make_video(tmp_path / "videos" / "a.mp4", num_frames=61)
    (tmp_path / "videos" / "torn.mp4").write_bytes(b"")
    assert boxes(tmp_path, "--workers", "0") == 1
    (failed,) = read_table(tmp_path / "boxes.csv.parts" / "failed.csv")
    assert failed["path"].endswith("torn.mp4") and "empty" in failed["reason"]
    first = (tmp_path / "boxes.csv").read_text()
    make_video(tmp_path / "videos" / "torn.mp4", num_frames=61)
    seen = []
    detect = ava_boxes.detect_people
    monkeypatch.setattr(ava_boxes, "detect_people", lambda *args, **options: seen.append(1) or detect(*args, **options))
    assert boxes(tmp_path, "--workers", "0") == 0
    assert len(seen) == 1 and (tmp_path / "boxes.csv").read_text().startswith(first)


def test_parts_of_several_machines_are_put_together(tmp_path, make_video, small_detector, monkeypatch, capsys):
    """As one machine writes them; the run without --shard detects nothing again, and names what failed in any part."""
    for name in ("a", "b", "c"):
        make_video(tmp_path / "videos" / f"{name}.mp4", num_frames=61)
    (tmp_path / "videos" / "d.mp4").write_bytes(b"")
    parts = tmp_path / "boxes.csv.parts"
    assert boxes(tmp_path, "--workers", "0", "--shard", "0/2") == 0
    assert sorted(path.name for path in (parts / "boxes").iterdir()) == ["a.csv", "c.csv"]
    assert f"{parts}: 2 of 2 videos" in capsys.readouterr().out
    assert not (tmp_path / "boxes.csv").exists()
    assert boxes(tmp_path, "--workers", "0", "--shard", "1/2") == 1
    (failed,) = read_table(parts / "failed.1-of-2.csv")
    assert failed["path"].endswith("d.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(ava_boxes, "detect_people", None)
        assert boxes(tmp_path, "--workers", "0") == 1
    together = (tmp_path / "boxes.csv").read_text()
    assert [row["path"][-5:] for row in read_table(parts / "failed.csv")] == ["d.mp4"]
    (tmp_path / "boxes.csv").unlink()
    shutil.rmtree(parts)
    assert boxes(tmp_path, "--workers", "0") == 1
    assert (tmp_path / "boxes.csv").read_text() == together and together.count("\n") > 3


def test_other_settings_are_refused(tmp_path, make_video, small_detector, refused):
    make_video(tmp_path / "videos" / "a.mp4", num_frames=61)
    assert boxes(tmp_path, "--workers", "0") == 0
    assert "movie_start_seconds 900.0, now 901.0" in refused(
        boxes, tmp_path, "--workers", "0", "--movie-start-seconds", "901"
    )


def test_videos_without_key_seconds_are_reported(tmp_path, make_video, small_detector):
    make_video(tmp_path / "videos" / "a.mp4", num_frames=30)
    assert boxes(tmp_path, "--workers", "0") == 1
    (failed,) = read_table(tmp_path / "boxes.csv.parts" / "failed.csv")
    assert failed["reason"] == "it shows none of the seconds of the key frames"


def test_missing_weights_are_told_first(tmp_path, make_video, refused):
    make_video(tmp_path / "videos" / "a.mp4")
    assert "https://download.pytorch.org/models/" in refused(boxes, tmp_path)
