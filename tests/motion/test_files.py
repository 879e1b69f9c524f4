"""Files of a Motion set: encoding, frame lists, manifests. test_motion.py holds what becomes of a whole set."""

import av
import numpy as np
import pytest
from PIL import Image

from slowfast.datasets.lists.frame_lists import read_frame_lists
from slowfast.motion.clips import MotionSpec
from slowfast.motion.files import FRAME_LIST_HEADER, frame_list_row, read_manifest, write_jpegs, write_video
from slowfast.motion.scene import render


@pytest.fixture(scope="module")
def frames():
    return render(MotionSpec(height=32, width=40).scene("train", 0), 8)


def test_equal_frames_are_encoded_to_equal_bytes(frames, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames, fps=25)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == 25
        assert len(list(container.decode(video=0))) == 8


def test_jpegs_keep_order_and_pixels(frames, tmp_path):
    names = [f"{number:06d}.jpg" for number in range(1, 9)]
    write_jpegs(tmp_path / "new" / "folder", names, frames)
    pictures = [np.asarray(Image.open(tmp_path / "new" / "folder" / name)) for name in names]
    for picture, frame in zip(pictures, frames, strict=True):
        distances = [np.abs(picture.astype(int) - other).mean() for other in frames]
        assert min(distances) == np.abs(picture.astype(int) - frame).mean() < 6


def test_frame_list_rows_are_read_back(tmp_path):
    rows = [
        frame_list_row("vid-a", 0, 0, "vid-a/1.jpg"),
        frame_list_row("vid-a", 0, 1, "vid-a/2.jpg", [3]),
        frame_list_row("vid-b", 1, 0, "vid-b/1.jpg", [0, 12]),
    ]
    (tmp_path / "train.csv").write_text(FRAME_LIST_HEADER + "".join(rows))
    lists = read_frame_lists([tmp_path / "train.csv"], prefix="/frames")
    assert lists.video_ids == ["vid-a", "vid-b"]
    assert list(lists.frame_paths(0)) == ["/frames/vid-a/1.jpg", "/frames/vid-a/2.jpg"]
    assert [list(lists.labels(video)) for video in (0, 1)] == [[(), (3,)], [(0, 12)]]


@pytest.mark.parametrize("text", [None, "no json", "[1]", '{"dataset": "other"}', '{"dataset": "motion"}'])
def test_what_is_no_manifest_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path) is None
