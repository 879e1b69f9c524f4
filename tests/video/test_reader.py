"""Frames by number are those of decoding everything in order, whatever the file; bad files say what they are."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.video.index import video_index
from slowfast.video.reader import FrameFolderReader, VideoReader, VideoReadError

X264 = {"bf": "3", "g": "12"}


def frames_of(path: Path, indices, **options) -> np.ndarray:
    """uint8 (F, H, W, 3)."""
    with VideoReader(path, **options) as video:
        return video.frames_at(indices).permute(0, 2, 3, 1).numpy()


def forbid_slow_way(monkeypatch) -> None:
    """Let reading fail that needs a second pass from the start of the file."""
    monkeypatch.setattr(VideoReader, "_decode_from_start", lambda self, wanted: iter(()))


# Each: a file name, how it is written, and whether one pass from a keyframe must do.
FILES = {
    "b_frames.mp4": ({"options": X264}, True),
    "open_gop.mp4": ({"options": {"x264-params": "open-gop=1:bframes=3:keyint=12:b-pyramid=normal"}}, True),
    "faststart.mp4": ({"options": X264, "format_options": {"movflags": "faststart"}}, True),
    "fragmented.mp4": ({"options": X264, "format_options": {"movflags": "frag_keyframe+empty_moov"}}, True),
    "late_start.mp4": ({"options": X264, "pts": range(100, 160)}, True),
    "all_keyframes.mp4": ({"options": {"g": "1"}}, True),
    "interlaced.mp4": ({"options": {"x264-params": "interlaced=1:bframes=3:keyint=12"}}, True),
    "intra_refresh.mp4": ({"options": {"x264-params": "intra-refresh=1:keyint=12:bframes=2"}}, False),
    "b_frames.mkv": ({"options": X264}, True),
    "b_frames.ts": ({"options": X264}, True),
    "b_frames.avi": ({"options": X264}, False),  # AVI stores no times
    "raw.h264": ({"options": X264}, False),
    "mpeg4.mp4": ({"codec": "mpeg4", "options": {"bf": "2", "g": "12"}}, True),
    "mpeg4.avi": ({"codec": "mpeg4", "options": {"bf": "2", "g": "12"}}, False),
    "no_b_frames.avi": ({"codec": "mpeg4", "options": {"g": "12"}}, True),
    "mpeg2.ts": ({"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}}, True),
    "mpeg2.mpg": ({"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}}, False),
    "one_frame.mp4": ({"num_frames": 1}, True),
}


@pytest.mark.parametrize(
    "name, num_threads", [*((name, 1) for name in FILES), ("b_frames.mp4", 2), ("b_frames.ts", 2), ("mpeg4.avi", 2)]
)
def test_frames_are_those_of_decoding_in_order(name, num_threads, make_video, helpers, monkeypatch):
    options, is_fast = FILES[name]
    path = make_video(name, **options)
    expected = helpers.decode_all(path)
    if is_fast:
        forbid_slow_way(monkeypatch)
    with VideoReader(path, num_threads=num_threads) as video:
        assert video.num_frames == len(expected) == options.get("num_frames", 60)
        assert (video.height, video.width) == expected.shape[1:3]
        if name != "raw.h264":  # which states no rate
            assert video.fps == pytest.approx(30, rel=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(6):
        first = rng.integers(0, len(expected))
        indices = np.minimum(first + rng.integers(0, 30, size=rng.integers(1, 12)), len(expected) - 1)
        np.testing.assert_array_equal(frames_of(path, indices, num_threads=num_threads), expected[indices])
    np.testing.assert_array_equal(frames_of(path, range(len(expected)), num_threads=num_threads), expected)


REAL = {  # frames, rate, height, width
    "mpeg4_25fps_audio.avi": (164, 25, 240, 320),
    "nasa_13013.mp4": (390, 30000 / 1001, 270, 480),  # the best of its video streams, not the first
    "h265_video.mp4": (10, 10, 128, 128),
    "av1_video.mkv": (125, 25, 360, 640),
    "h264_10bits.mp4": (30, 30, 200, 200),
}


@pytest.mark.parametrize("name", REAL)
def test_real_videos(name, helpers, monkeypatch):
    path = helpers.real_video(name)
    expected = helpers.decode_all(path)
    if not name.endswith(".avi"):
        forbid_slow_way(monkeypatch)
    with VideoReader(path) as video:
        num_frames, fps, height, width = REAL[name]
        assert (video.num_frames, video.height, video.width) == (num_frames, height, width)
        assert video.fps == pytest.approx(fps, rel=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(2):
        indices = rng.integers(0, num_frames, size=8)
        np.testing.assert_array_equal(frames_of(path, indices), expected[indices])


def test_one_reader_gives_any_order_and_repetition(make_video, helpers):
    path = make_video(options=X264)
    expected = helpers.decode_all(path)
    with VideoReader(path) as video:
        for indices in ([5], [9, 3, 3, 40, 0], [7, 7, 7], torch.tensor([59, 0]), np.array([1, 0]), [30, 31], [50]):
            np.testing.assert_array_equal(video.frames_at(indices).permute(0, 2, 3, 1), expected[np.asarray(indices)])


def test_frames_are_stored_color_by_color(make_video):
    with VideoReader(make_video()) as video:
        frames = video.frames_at([3, 5, 9])
        assert frames.shape == (3, 3, 48, 64) and frames.dtype == torch.uint8
        assert frames.permute(1, 0, 2, 3).is_contiguous()
        assert video.frames_at([9, 3, 3]).permute(1, 0, 2, 3).is_contiguous()


def test_apply_sees_a_few_frames_at_a_time_and_every_one_once(make_video, helpers):
    path = make_video()
    sizes = []

    def crop(frames):
        sizes.append(len(frames))
        return frames[..., 10:20, 5:25]

    with VideoReader(path) as video:
        frames = video.frames_at(range(30), apply=crop)
    assert sum(sizes) == 30 and max(sizes) < 30
    np.testing.assert_array_equal(frames.permute(0, 2, 3, 1), helpers.decode_all(path)[:30, 10:20, 5:25])


def test_only_wanted_frames_are_converted(make_video, monkeypatch):
    import slowfast.video.reader as module

    converted = []
    call = module.RgbConverter.__call__
    monkeypatch.setattr(module.RgbConverter, "__call__", lambda self, frame: converted.append(1) or call(self, frame))
    with VideoReader(make_video(options=X264)) as video:
        video.frames_at([20, 30, 40])
    assert len(converted) == 3


def test_decoding_starts_at_the_keyframe_and_ends_with_the_last_wanted_frame(make_video, monkeypatch):
    decoded = []
    decode = VideoReader._decode

    def counting(self, packets, *args, **kwargs):
        return decode(self, (decoded.append(packet.pts) or packet for packet in packets), *args, **kwargs)

    monkeypatch.setattr(VideoReader, "_decode", counting)
    with VideoReader(make_video(options={"bf": "0", "x264-params": "keyint=20:scenecut=0"})) as video:
        video.frames_at([45, 47])
    assert min(decoded) == 40 * 512  # in ticks of 1 / 15360 s, 512 a frame
    assert max(decoded) <= 50 * 512


def test_resizing_in_the_decoder(make_video):
    with VideoReader(make_video()) as video:
        scaled = video.frames_at([0, 1], short_side=24)
        assert scaled.shape == (2, 3, 24, 32)
        plain = video.frames_at([0, 1]).float()
        assert (scaled.float().mean() - plain.mean()).abs() < 3


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_variable_rate_shows_what_is_on_screen(name, make_video, helpers):
    durations = [1] * 20 + [3] * 20 + [10] * 20  # thirtieths of a second
    path = make_video(name, pts=np.cumsum(durations).tolist(), options=X264)
    stored = helpers.decode_all(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        seconds = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
    with VideoReader(path) as video:
        assert video.num_frames == 60
        assert video.fps == pytest.approx(60 / (seconds[-1] - seconds[0]), rel=0.1)
        now = [i / video.fps + 0.0005 for i in range(60)]
    shown = [max(k for k in range(60) if seconds[k] - seconds[0] <= t) for t in now]
    assert shown[0] == 0 and shown[5] > 5  # frames came faster than the average at first
    np.testing.assert_array_equal(frames_of(path, range(60)), stored[shown])


def test_one_lost_frame_does_not_shift_the_others_much(make_video):
    pts = [i for i in range(61) if i != 30]
    with VideoReader(make_video(pts=pts)) as video:
        shown = video._frame_numbers(np.arange(60))
    assert np.abs(shown - np.arange(60)).max() <= 1


def test_frames_before_an_edit_lists_start_do_not_count(make_video, helpers):
    path = make_video(pts=list(range(-7, 53)), options=X264)
    expected = helpers.decode_all(path)
    assert len(expected) == 53
    np.testing.assert_array_equal(frames_of(path, [0, 20, 52]), expected[[0, 20, 52]])


def test_equal_times_are_different_frames(make_video, helpers, tmp_path):
    source, path = make_video("source.mkv", options={"bf": "0"}), tmp_path / "doubled.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.pts = packet.dts = packet.pts // 66 * 66  # every two frames in the same millisecond
                packet.stream = stream
                new.mux(packet)
    expected = helpers.decode_all(path)
    assert len(expected) == 60
    with VideoReader(path) as video:
        assert len(set(video._index.pts.tolist())) < 60
        indices = [20, 21, 40, 41]
        shown = video._frame_numbers(np.array(indices))
        np.testing.assert_array_equal(frames_of(path, indices), expected[shown])


@pytest.mark.parametrize(
    "name",
    [b"-dash.mp4", b"pipe:1.mp4", b"a b#c'd.mp4", "f\u00fcr \u65e5\u672c.mp4".encode(), b"%03d.mp4", b"caf\xe9.mp4"],
)
def test_odd_names(name, tmp_path, make_video):
    path = os.path.join(os.fsencode(tmp_path), name)
    try:
        os.rename(make_video("a.mp4", num_frames=2), path)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with VideoReader(os.fsdecode(path)) as video:
        assert video.frames_at([1]).shape == (1, 3, 48, 64)


def test_index_is_remembered_until_the_file_changes(make_video):
    path = str(make_video(num_frames=10))
    assert video_index(path) is video_index(path)
    make_video(num_frames=12)
    assert video_index(path).num_frames == 12


# ---- Bad files ----


def test_missing_file(tmp_path):
    with pytest.raises(VideoReadError, match=r"cannot open .*none\.mp4: No such file or directory\."):
        VideoReader(tmp_path / "none.mp4")


@pytest.mark.parametrize("cover, streams", [(False, "audio"), (True, "audio, cover picture")])
def test_audio_is_no_video_and_neither_is_its_cover(tmp_path, helpers, cover, streams):
    path = helpers.write_audio(tmp_path / "a.mp4", cover=cover)
    with pytest.raises(VideoReadError, match=rf"no video stream that can be decoded \(streams: {streams}\)\."):
        VideoReader(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_of_a_truncated_file_the_whole_frames_are_read(name, make_video, helpers):
    path = make_video(name, options=X264, format_options={"movflags": "faststart"} if name == "a.mp4" else None)
    whole = helpers.decode_all(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with VideoReader(path) as video:
        assert 20 < video.num_frames < 60
        num_safe = video.num_frames - 4  # the last ones may lean on a frame that was cut off
        np.testing.assert_array_equal(frames_of(path, range(num_safe)), whole[:num_safe])
        with pytest.raises(VideoReadError, match=rf"wanted frames 0-59, it has {video.num_frames}\."):
            video.frames_at(range(60))


def damaged(path: Path, first: int, last: int) -> Path:
    """``path`` with the packets ``first`` to ``last`` (as decoded) overwritten with zeros."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for position, size in packets[first : last + 1]:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    return path


def test_damaged_frames_are_an_error_only_where_they_are_wanted(make_video, helpers):
    path = make_video(options={"bf": "0", "x264-params": "keyint=20:scenecut=0"})
    whole = helpers.decode_all(path)
    damaged(path, 25, 29)
    np.testing.assert_array_equal(frames_of(path, range(0, 25)), whole[:25])
    np.testing.assert_array_equal(frames_of(path, range(40, 60)), whole[40:])
    with pytest.raises(VideoReadError, match=r"cannot decode .*a\.mp4: wanted frames 20-39, got 15 \(Invalid data"):
        frames_of(path, range(20, 40))
    with pytest.raises(VideoReadError, match=r"wanted frame 27, got 0 \(Invalid data found when processing input\)\."):
        frames_of(path, [27])


def test_undecodable_first_frames_are_an_error(make_video, helpers, tmp_path):
    source, path = make_video(options={"bf": "0", "x264-params": "keyint=20:scenecut=0"}), tmp_path / "cut.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.size and number >= 5:  # without the keyframe that they build on
                packet.stream = stream
                new.mux(packet)
    with VideoReader(path) as video:
        assert video.num_frames == 55
        with pytest.raises(VideoReadError, match="wanted frames 0-19, got 5"):
            video.frames_at(range(20))
        whole = helpers.decode_all(source)
        np.testing.assert_array_equal(video.frames_at(range(15, 55)).permute(0, 2, 3, 1), whole[20:])


def test_frames_that_do_not_exist(make_video):
    with VideoReader(make_video()) as video:
        for indices in ([60], [-1], [0, 60]):
            with pytest.raises(VideoReadError, match=r"wanted .*, it has 60\."):
                video.frames_at(indices)
        with pytest.raises(ValueError, match="indices is empty"):
            video.frames_at([])


def test_programming_errors_are_not_taken_for_bad_videos(make_video):
    def broken(frames):
        raise TypeError("mine")

    with VideoReader(make_video()) as video, pytest.raises(TypeError, match="mine"):
        video.frames_at([0], apply=broken)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files in /proc")
def test_files_are_closed(make_video, helpers, tmp_path):
    path = make_video(options=X264)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    sound = helpers.write_audio(tmp_path / "sound.mp4")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with VideoReader(path) as video:
            video.frames_at([30])
            with pytest.raises(VideoReadError):
                video.frames_at([99])
        for other in (bad, sound):
            with pytest.raises(VideoReadError):
                VideoReader(other)
    assert len(os.listdir("/proc/self/fd")) == before


# ---- Folders of images ----


def test_image_folder(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3), dtype=np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    with FrameFolderReader(paths, fps=24) as video:
        assert (video.num_frames, video.fps, video.height, video.width) == (4, 24, 20, 30)
        np.testing.assert_array_equal(video.frames_at([3, 0, 3]).permute(0, 2, 3, 1), pictures[[3, 0, 3]])
        assert video.frames_at([1], short_side=10).shape == (1, 3, 10, 15)
        with pytest.raises(VideoReadError, match=r"wanted frame 4, it has 4"):
            video.frames_at([4])


def test_image_folder_kinds(tmp_path):
    Image.new("L", (30, 20), 7).save(tmp_path / "gray.jpg")
    Image.new("CMYK", (30, 20)).save(tmp_path / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.new("RGB", (20, 30)).save(tmp_path / "turned.jpg", exif=exif)
    with FrameFolderReader([tmp_path / f"{name}.jpg" for name in ("gray", "cmyk", "turned")], fps=30) as video:
        assert video.frames_at([0, 1, 2]).shape == (3, 3, 20, 30)


def test_image_folder_errors_name_the_image(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "0.png")
    Image.new("RGB", (31, 20)).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_text("no image")
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    video = FrameFolderReader(paths, fps=30)
    with pytest.raises(VideoReadError, match=r"wanted frames 0-1, got 1 \(.*1\.png is 31x20, not 30x20"):
        video.frames_at([0, 1])
    with pytest.raises(VideoReadError, match=r"wanted frame 2, got 0 \(.*2\.png: cannot be read as an image"):
        video.frames_at([2])
    with pytest.raises(VideoReadError, match=r"wanted frame 3, got 0 \(.*3\.png: No such file"):
        video.frames_at([3])
    with pytest.raises(VideoReadError, match="needs at least one"):
        FrameFolderReader([], fps=30)
