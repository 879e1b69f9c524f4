"""Image n shows what is on the screen (n - 1) / fps seconds after the start of the cut."""

import re
from dataclasses import replace

import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image

from slowfast.preparation.frames import LAYOUTS, FrameLayout, extract_frames, fitting_size, frames_job
from slowfast.video.index import VideoReadError
from slowfast.video.reader import VideoReader

PLAIN = FrameLayout("{id}_{number:06d}.jpg", 30.0, quality=98)


def shown(folder, video):
    """Which frame of ``video`` every image of a folder shows, by the nearest pixels."""
    with VideoReader(video) as reader:
        stored = reader._index.num_frames
        reader._frame_numbers = lambda numbers: numbers  # as stored, also where the rate varies
        frames = reader.frames_at(range(stored)).permute(0, 2, 3, 1).numpy().astype(float)
    images = [np.asarray(Image.open(path)).astype(float) for path in sorted(folder.iterdir())]
    return [int(np.abs(frames - image).mean((1, 2, 3)).argmin()) for image in images]


def test_the_same_rate_gives_every_frame_once(make_video, tmp_path):
    result = extract_frames(make_video(), tmp_path / "vid", PLAIN)
    assert (result.num_frames, result.problem) == (60, "")
    names = sorted(path.name for path in (tmp_path / "vid").iterdir())
    assert names == [f"vid_{number:06d}.jpg" for number in range(1, 61)]
    assert shown(tmp_path / "vid", tmp_path / "a.mp4") == list(range(60))


@pytest.mark.parametrize("rate, fps", [(25, 30), (30, 24), (15, 30), (60, 24), (30, 1)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])  # Matroska rounds times to milliseconds
def test_other_rates_repeat_or_leave_out_frames(make_video, tmp_path, rate, fps, name):
    video = make_video(name, fps=rate)
    extract_frames(video, tmp_path / "vid", replace(PLAIN, fps=fps))
    expected = [k * rate // fps for k in range(-(-60 * fps // rate))]
    assert shown(tmp_path / "vid", video) == expected


def test_variable_rates_are_resampled_by_time(make_video, tmp_path):
    pts = np.cumsum([0] + [1] * 9 + [3] * 10 + [7] * 5).tolist()
    video = make_video("vfr.mkv", num_frames=25, pts=pts)
    extract_frames(video, tmp_path / "vid", PLAIN)
    images = shown(tmp_path / "vid", video)
    expected = [max(i for i in range(25) if pts[i] <= k) for k in range(pts[-1] + 1)]
    assert images[: len(expected)] == expected
    assert set(images[len(expected) :]) <= {24}


@pytest.mark.parametrize(
    "name, options", [("a.mp4", {"g": "12", "bf": "2"}), ("a.avi", {"bf": "2"}), ("a.ts", {"g": "12"})]
)
@pytest.mark.parametrize("start", [0.0, 0.5, 1.02])
def test_a_cut_begins_and_ends_where_it_should(make_video, tmp_path, name, options, start):
    video = make_video(name, options=options)
    layout = replace(PLAIN, start_seconds=start, duration_seconds=0.5)
    assert extract_frames(video, tmp_path / "vid", layout).num_frames == 15
    first = int(start * 30 + 1e-9)
    assert shown(tmp_path / "vid", video) == list(range(first, first + 15))


def test_a_cut_ends_with_the_file(make_video, tmp_path):
    layout = replace(PLAIN, start_seconds=1.5, duration_seconds=60, min_frames=1800)
    result = extract_frames(make_video(), tmp_path / "vid", layout)
    assert result.num_frames == 15
    assert result.problem == "15 frames, expected at least 1,800"


def test_time_counts_from_the_start_of_the_file(make_video, tmp_path):
    video = make_video("late.ts")  # MPEG-TS starts at 1.4 s or so
    extract_frames(video, tmp_path / "vid", replace(PLAIN, duration_seconds=0.1))
    assert shown(tmp_path / "vid", video) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(VideoStream, "set_display_rotation"), reason="this PyAV cannot write rotation")
def test_images_are_upright(make_video, tmp_path):
    video = make_video(height=48, width=64, num_frames=3, rotation=90)
    extract_frames(video, tmp_path / "vid", PLAIN)
    image = np.asarray(Image.open(tmp_path / "vid" / "vid_000001.jpg")).mean(-1)
    with VideoReader(video) as reader:
        frame = reader.frames_at([0])[0].float().mean(0).numpy()
    assert image.shape == frame.shape == (64, 48)
    assert np.abs(image - frame).mean() < 2 < np.abs(image - frame[::-1]).mean()


def test_images_are_scaled_down(make_video, tmp_path):
    video = make_video(height=64, width=48, num_frames=3)
    extract_frames(video, tmp_path / "vid", replace(LAYOUTS["charades"], long_side=32))
    images = [Image.open(path) for path in sorted((tmp_path / "vid").iterdir())]
    assert [image.size for image in images] == [(24, 32)] * 3
    assert np.asarray(images[0]).mean() == pytest.approx(63, abs=6)  # of noise that is even from 0 to 127


@pytest.mark.parametrize(
    "size, long_side, expected",
    [((480, 640), 320, (240, 320)), ((640, 360), 320, (320, 180)), ((100, 200), 320, (100, 200)), ((3, 5), 0, (3, 5))],
)
def test_sizes(size, long_side, expected):
    assert fitting_size(*size, long_side) == expected


def test_a_file_that_ends_before_the_cut_leaves_no_folder(make_video, tmp_path):
    with pytest.raises(VideoReadError, match=r"it ends after 2\.0 s, before second 900"):
        extract_frames(make_video(), tmp_path / "out" / "vid", LAYOUTS["ava"])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", ["empty", "page", "sound", "no index"])
def test_broken_files_leave_no_folder(broken_videos, tmp_path, kind):
    path, words = broken_videos[kind]
    result = frames_job((str(path), str(tmp_path / "out" / "vid")), layout=PLAIN)
    assert result.num_frames == 0 and re.search(words, result.problem)
    assert not (tmp_path / "out" / "vid").exists()


def test_what_can_be_had_of_a_damaged_file_is_kept_and_told(broken_videos, tmp_path):
    result = extract_frames(broken_videos["damaged"][0], tmp_path / "vid", PLAIN)
    assert 50 <= result.num_frames <= 60
    assert "packets could not be decoded" in result.problem
