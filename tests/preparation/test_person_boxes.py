"""Boxes of a detector become rows of AVA's format; the frames are those of the key seconds."""

import pytest
import torch
from torch import nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from slowfast.datasets.lists.ava_boxes import read_boxes
from slowfast.preparation.person_boxes import (
    KeyFrameJob,
    PersonBox,
    decoded_ahead,
    detect_people,
    key_seconds,
    load_detector,
    read_key_frames,
    write_boxes,
)
from slowfast.video.index import VideoReadError
from slowfast.video.reader import VideoReader


class Fixed(nn.Module):
    """Finds the same things in every picture: pixels of a 64 x 48 one."""

    def forward(self, images):
        assert all(image.dtype == torch.float32 and 0 <= image.min() and image.max() <= 1 for image in images)
        found = {
            "boxes": torch.tensor([[0.0, 0, 32, 48], [16, 12, 48, 36], [1, 1, 9, 9], [-3, -2, 70, 50], [0, 0, 8, 8]]),
            "labels": torch.tensor([1, 1, 18, 1, 1]),  # 18 is a dog
            "scores": torch.tensor([0.6, 0.9, 0.99, 0.7, 0.1]),
        }
        return [found] * len(images)


def test_people_above_the_threshold_best_first():
    frames = torch.full((2, 3, 48, 64), 200, dtype=torch.uint8)
    boxes = detect_people(Fixed(), frames, [902, 903], threshold=0.5)
    one = [(0.25, 0.25, 0.75, 0.75, 0.9), (0.0, 0.0, 1.0, 1.0, 0.7), (0.0, 0.0, 0.5, 1.0, 0.6)]
    assert [box.second for box in boxes] == [902] * 3 + [903] * 3
    for box, expected in zip(boxes, one * 2, strict=True):
        assert box[1:] == pytest.approx(expected)


def test_a_real_detector_gives_rows_that_the_loader_reads(tmp_path, make_video):
    torch.manual_seed(0)
    model = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=64, max_size=64, box_score_thresh=0.0
    ).eval()
    path = str(make_video(num_frames=150))
    seconds = key_seconds(path, start_seconds=900)
    assert list(seconds) == [902, 903, 904]
    boxes = detect_people(model, read_key_frames(path, seconds, start_seconds=900), seconds, threshold=0.0)
    assert boxes and all(0 <= value <= 1 for box in boxes for value in box[1:])
    write_boxes(tmp_path / "a.csv", "a", boxes)
    rows = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()]
    assert all(len(row) == 8 and row[0] == "a" and len(row[1]) == 4 and row[6] == "" for row in rows)
    found = read_boxes([], [tmp_path / "a.csv"], video_ids=["a"], num_classes=80, score_threshold=0.0)
    assert list(found) == [("a", second) for second in sorted({box.second for box in boxes})]


def test_rows(tmp_path):
    boxes = [
        PersonBox(903, 0.1, 0.2, 0.3, 0.4, 0.5),
        PersonBox(902, 0.11111, 0.2, 0.3, 0.99999, 0.25),
        PersonBox(902, 0.0, 0.0, 1.0, 1.0, 0.9912041),
        PersonBox(902, 0.5, 0.5, 0.50001, 0.9, 0.9),  # nothing is left of it
    ]
    write_boxes(tmp_path / "boxes.csv", "mvA_0-xyz12", boxes)
    assert (tmp_path / "boxes.csv").read_text() == (
        "mvA_0-xyz12,0902,0.0000,0.0000,1.0000,1.0000,,0.991204\n"
        "mvA_0-xyz12,0902,0.1111,0.2000,0.3000,1.0000,,0.250000\n"
        "mvA_0-xyz12,0903,0.1000,0.2000,0.3000,0.4000,,0.500000\n"
    )


@pytest.mark.parametrize(
    "start, expected",
    [(900.0, [902, 903, 904]), (900.5, [902, 903, 904, 905]), (0.0, []), (901.0, [902, 903, 904, 905])],
)
def test_seconds_of_a_file(make_video, start, expected):
    assert list(key_seconds(str(make_video(num_frames=150)), start_seconds=start)) == expected


def test_frames_are_those_on_the_screen_at_the_second(make_video):
    path = str(make_video(num_frames=150, fps=25))
    with VideoReader(path) as video:
        expected = video.frames_at([50, 100])
    assert torch.equal(read_key_frames(path, [902, 904], start_seconds=900), expected)


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_decoding_ahead_keeps_the_order(make_video, tmp_path, num_workers):
    path = str(make_video(num_frames=240))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"")
    jobs = [
        KeyFrameJob(path, range(902, 904)),
        KeyFrameJob(str(broken), range(902, 903)),
        KeyFrameJob(path, range(904, 907)),
    ]
    results = list(decoded_ahead(jobs, start_seconds=900, num_workers=num_workers))
    assert [job for job, _ in results] == jobs
    assert torch.equal(results[2][1], read_key_frames(path, range(904, 907), start_seconds=900))
    assert isinstance(results[1][1], VideoReadError)


def test_missing_weights_say_where_they_are(tmp_path):
    with pytest.raises(
        ValueError, match=r"none\.pth does not exist.*https://download\.pytorch\.org/models/fasterrcnn_resnet50"
    ):
        load_detector("fasterrcnn_resnet50_fpn_v2", tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"detector 'yolo' is not known\. Known: fasterrcnn_resnet50_fpn_v2"):
        load_detector("yolo", tmp_path / "none.pth")


@pytest.mark.parametrize("content", [b"<html>", "tensor"])
def test_other_files_are_no_weights(tmp_path, content):
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"x": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"w\.pth does not hold the weights of fasterrcnn_resnet50_fpn "):
        load_detector("fasterrcnn_resnet50_fpn", path)
