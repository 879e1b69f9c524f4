"""Captions on frames, and the videos that hold them."""

from __future__ import annotations

import numpy as np
import pytest

from slowfast.video.reader import VideoReader
from slowfast.visualization.overlay import BoxLabel, Caption, VideoWriter, display_size, draw_caption, frames_of
from slowfast.visualization.screen import Screen, ScreenError
from tests.video_files import write_video

GRAY = np.full((100, 200, 3), 128, np.uint8)


@pytest.mark.parametrize(
    "height, width, size, expected",
    [
        (480, 640, None, (480, 640)),
        (64, 112, None, (256, 448)),  # four times as large: text can be read
        (481, 641, None, (480, 640)),  # H.264 in 4:2:0 has even sides
        (480, 640, (101, 201), (100, 200)),
    ],
)
def test_frames_are_shown_large_enough_and_even(height, width, size, expected):
    assert display_size(height, width, size) == expected


def test_boxes_and_bars_lie_where_they_belong():
    """A frame twice as large; the border of the box, its inside, and a bar as long as the score."""
    boxes = [BoxLabel((0.5, 0.5, 0.9, 0.9), 0, [("run", 0.9)])]
    drawn = draw_caption(GRAY, Caption(best=[("walk", 0.5), ("sit", 0.0)], boxes=boxes), size=(200, 400))
    assert drawn.shape == (200, 400, 3)
    orange = np.array([230, 159, 0])
    assert np.abs(drawn[150, 200:202] - orange).max() < 10 and np.abs(drawn[100:102, 300] - orange).max() < 10
    assert (drawn[140:170, 230:350] == 128).all()
    blue = drawn[..., 2].astype(int) - drawn[..., 0]  # of the bars
    assert (blue[8, 10:80] > 30).mean() > 0.5 and (blue[6, 100:160] < 30).all()


def test_no_caption_leaves_the_pixels():
    assert np.array_equal(draw_caption(GRAY, Caption(), size=(100, 200)), GRAY)


def test_written_videos_keep_the_times_of_frames(tmp_path):
    times = [0.0, 0.1, 0.15, 0.5]
    with VideoWriter(tmp_path / "a.mp4", 20.0) as writer:
        for index, seconds in enumerate(times):
            writer.write(seconds, np.full((32, 48, 3), 60 * index, np.uint8))
    found = list(frames_of(str(tmp_path / "a.mp4")))
    assert [seconds for seconds, _ in found] == pytest.approx(times, abs=1e-3)
    assert [round(frame.mean() / 60) for _, frame in found] == [0, 1, 2, 3]


def test_frames_of_a_file_are_those_of_the_reader(tmp_path):
    path = str(write_video(tmp_path / "a.mp4", num_frames=5))
    with VideoReader(path) as reader:
        expected = reader.frames_at(range(5)).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.stack([frame for _, frame in frames_of(path)]).astype(int) - expected).max() <= 2


def test_a_window_needs_a_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ScreenError, match="--show needs a display"):
        Screen("title")
