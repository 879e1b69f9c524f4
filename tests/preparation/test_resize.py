"""Copies show the same frames at the same times, smaller, upright and with many keyframes."""

import re

import av
import numpy as np
import pytest
from torch.nn.functional import interpolate

from slowfast.preparation.resize import even_size, resize_job, resize_video
from slowfast.video.index import VideoReadError, video_index
from slowfast.video.reader import VideoReader
from tests.video.test_defects import with_display_matrix

FINE = {"crf": 4, "preset": "veryfast"}


def scaled_means(path, size):
    """float (F, h, w): brightness of every frame, averaged down to a small ``size`` that copies can be compared at."""
    with VideoReader(path) as video:
        frames = video.frames_at(range(video.num_frames)).float().mean(1, keepdim=True)
    return interpolate(frames, size, mode="area")[:, 0].numpy()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"options": {"bf": "3", "g": "60"}},
        {"height": 47, "width": 63, "codec": "mpeg4"},
        {"fps": 25},
        {"name": "a.avi", "codec": "mpeg4", "options": {"bf": "2"}},
        {"name": "a.mkv"},
        {"name": "a.ts"},
        {"name": "late.mp4", "pts": list(range(100, 160))},
        {"name": "early.mp4", "pts": list(range(-7, 53))},
    ],
    ids=str,
)
def test_copies_show_the_same_frames(make_video, tmp_path, options):
    source, target = make_video(**options), tmp_path / "out" / "copy.mp4"
    assert resize_video(source, target, short_side=24, **FINE) == video_index(str(source)).num_frames
    with VideoReader(source) as old, VideoReader(target) as new:
        assert new.num_frames == old.num_frames
        assert new.fps == pytest.approx(old.fps, rel=1e-6)
        assert (new.height, new.width) == (24, 32)
    difference = np.abs(scaled_means(source, (6, 8)) - scaled_means(target, (6, 8)))
    assert difference.mean() < 2.5  # of 255; the next frame is 4 away
    assert len(list(target.parent.iterdir())) == 1


def test_variable_rates_keep_their_times(make_video, tmp_path):
    durations = [1] * 20 + [3] * 20 + [10] * 20
    source, target = make_video("vfr.mkv", pts=np.cumsum(durations).tolist()), tmp_path / "copy.mp4"
    resize_video(source, target, short_side=24)
    old, new = video_index(str(source)), video_index(str(target))
    assert new.fps == pytest.approx(old.fps, rel=1e-3)
    assert np.abs(new.shown - old.shown).max() <= 1  # where the old clock's rounding decided
    assert (new.shown == old.shown).mean() > 0.95
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        seconds = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
    np.testing.assert_allclose(seconds, (np.cumsum(durations) - 1) / 30, atol=0.0011)  # Matroska's milliseconds


@pytest.mark.parametrize("matrix", [(0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0), (-1, 0, 0, 1)])
def test_pictures_are_turned_and_mirrored_in_the_copy(make_video, tmp_path, matrix):
    source, target = make_video(height=32, width=64, num_frames=6), tmp_path / "copy.mp4"
    resize_video(with_display_matrix(source, *matrix), target, short_side=32, **FINE)
    size, small = ((32, 64), (8, 16)) if matrix[0] else ((64, 32), (16, 8))
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert frame.rotation == 0 and (frame.height, frame.width) == size
    shown, copied = scaled_means(source, small), scaled_means(target, small)
    assert np.abs(shown - copied).mean() < 2.5 < np.abs(shown - copied[:, :, ::-1]).mean()


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuv444p", "yuv420p10le", "gray"])
def test_colors_stay(tmp_path, pixels):
    source, target = tmp_path / "source.mp4", tmp_path / "copy.mp4"
    picture = np.kron(
        np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8)
    )
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "4"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    resize_video(source, target, short_side=48, **FINE)
    with VideoReader(source) as old, VideoReader(target) as new:
        inner = (slice(None), slice(4, 12), slice(4, 12))  # of a square: color bleeds at its borders
        difference = old.frames_at([1])[0][inner].float() - new.frames_at([1])[0][inner].float()
    assert difference.abs().max() <= 4


@pytest.mark.parametrize("interval", [8, 16, 32])
def test_keyframes_come_often(make_video, tmp_path, interval):
    resize_video(make_video(num_frames=100), tmp_path / "copy.mp4", short_side=24, keyframe_interval=interval)
    index = video_index(str(tmp_path / "copy.mp4"))
    positions = np.append(np.searchsorted(index.pts, index.keyframe_pts), index.num_frames)
    assert np.diff(positions).max() <= interval


def test_the_sound_goes(helpers, tmp_path):
    resize_video(helpers.real_video("mpeg4_25fps_audio.avi"), tmp_path / "copy.mp4", short_side=64)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_the_best_of_several_streams_is_copied(helpers, tmp_path):
    resize_video(helpers.real_video("nasa_13013.mp4"), tmp_path / "copy.mp4", short_side=54, preset="ultrafast")
    with VideoReader(tmp_path / "copy.mp4") as video:
        assert (video.num_frames, video.height, video.width) == (390, 54, 96)
        assert video.fps == pytest.approx(30000 / 1001, rel=1e-9)


@pytest.mark.parametrize(
    "size, short_side, expected",
    [
        ((720, 1280), 256, (256, 456)),  # 455.1 wide: the even number next to it
        ((1280, 720), 256, (456, 256)),
        ((240, 320), 256, (240, 320)),  # nothing is enlarged
        ((47, 63), 256, (48, 64)),  # but sides become even
        ((1080, 1920), 320, (320, 568)),
        ((1, 1000), 256, (2, 1000)),
    ],
)
def test_sizes(size, short_side, expected):
    assert even_size(*size, short_side) == expected


@pytest.mark.parametrize("kind", ["empty", "page", "sound", "no index", "cut mp4", "cut mkv", "damaged"])
def test_broken_files_leave_no_copy(broken_videos, tmp_path, kind):
    path, words = broken_videos[kind]
    target = tmp_path / "out" / "copy.mp4"
    with pytest.raises(VideoReadError, match=words):
        resize_video(path, target)
    assert not target.parent.exists() or list(target.parent.iterdir()) == []
    assert re.search(words, resize_job((str(path), str(target))))


def test_a_full_disk_is_told(make_video, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slowfast.preparation.resize._encode", fail)
    assert resize_job((str(make_video()), str(tmp_path / "copy.mp4"))) == "No space left on device"
