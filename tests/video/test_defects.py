"""Defects of real video files and lists: each gives the right outcome, or names its cause."""

import re
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.datasets import Kinetics
from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.lists.path_labels import VideoList
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.train_crop import TrainCrop
from slowfast.video.reader import VideoReader, VideoReadError


def write_frames(
    path: Path,
    frames: list[av.VideoFrame],
    *,
    codec: str = "libx264",
    rate: int | Fraction = 10,
    options: dict | None = None,
    format_options: dict | None = None,
    file_format: str | None = None,
    **context,
) -> Path:
    """A video of ``frames``; those without a time follow one another at ``rate``. ``context``: of the encoder."""
    with av.open(str(path), "w", format=file_format, options=format_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        stream.codec_context.time_base = 1 / Fraction(rate)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for i, frame in enumerate(frames):
            frame.pts = i if frame.pts is None else frame.pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def grays(
    num_frames: int, *, pts: range | None = None, height: int = 32, width: int = 48, pixels: str = "yuv420p"
) -> list[av.VideoFrame]:
    """Frames of which number n has the gray value 20 n; ``pts`` count in 1 / rate seconds."""
    frames = []
    for i in range(num_frames):
        picture = np.full((height, width, 3), 20 * i, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
        frame.pts = None if pts is None else pts[i]
        frames.append(frame)
    return frames


def numbers_of(path: Path) -> list[int]:
    """The frames of such a video as the reader gives them."""
    with VideoReader(path) as video:
        frames = video.frames_at(range(video.num_frames))
    return (frames.float().mean((1, 2, 3)) / 20).round().int().tolist()


def assert_reads_as_decoded(path: Path, helpers, *, num_frames: int, fps: float) -> None:
    """The reader gives the frames of decoding ``path`` in order, forwards and backwards."""
    expected = helpers.decode_all(path)
    assert len(expected) == num_frames
    with VideoReader(path) as video:
        assert (video.num_frames, video.height, video.width) == expected.shape[:3]
        assert video.fps == pytest.approx(fps, rel=1e-3)
        np.testing.assert_array_equal(video.frames_at(range(num_frames)).permute(0, 2, 3, 1), expected)
        for number in reversed(range(0, num_frames, 7)):
            np.testing.assert_array_equal(video.frames_at([number])[0].permute(1, 2, 0), expected[number])


def dataset_of(path: Path, split: str) -> Kinetics:
    """Clips of 8 frames, every other frame, of one file."""
    videos = VideoList(f"{split}.csv", [str(path)], np.array([0]), np.array([1]))
    views = {"num_clips": 2, "num_crops": 3} if split == "test" else {}
    protocol = Protocol(SecondsSampling(8, 2, offset_sampling=split == "val"), short_sides=(16,), crop_size=16, **views)
    return Kinetics(videos, split=split, protocol=protocol, train_crop=TrainCrop(16, (16, 16)))


def clips_of(path: Path, split: str) -> list[torch.Tensor]:
    """The clips of a file, uint8 (3, T, S, S): one, or all test views."""
    sample = dataset_of(path, split)[0]
    return list(sample.views(range(sample.num_views))) if split == "test" else [sample.frames]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_of_a_short_video_the_last_frame_repeats(split, tmp_path, helpers):
    path = helpers.write_gray_video(tmp_path / "a.mp4", num_frames=10, fps=30)
    for clip in clips_of(path, split):  # frame floor(k * 15 / 7), at most 9
        assert helpers.gray_frame_numbers(clip) == [0, 2, 4, 6, 8, 9, 9, 9]


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_video_of_one_frame_is_a_still_clip(split, name, make_video):
    path = make_video(name, num_frames=1)
    for clip in clips_of(path, split):
        assert clip.shape == (3, 8, 16, 16)
        assert torch.equal(clip, clip[:, :1].expand(-1, 8, -1, -1)) and clip.float().std() > 5


@pytest.mark.parametrize("name, cause", [("a.avi", "its video stream holds no frame"), ("a.mp4", "no video stream")])
def test_a_video_without_frames_is_an_error_with_its_row(name, cause, tmp_path):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    (reason,) = dataset_of(path, "val")[0].failures
    assert re.fullmatch(rf"val\.csv:1: cannot decode {re.escape(str(path))}: .*{cause}.*", reason)


# ---- Container metadata ----


# What is odd, how the file is written, frames per second, and what its header says.
HEADERS = {
    "an ending of another format": ("a.avi", {"codec": "libvpx-vp9", "file_format": "webm"}, 10, {}),
    "no rate": ("a.nut", {"codec": "mpeg4"}, 10, {"average_rate": None}),
    "a tick of several units": (
        "a.avi",
        {"codec": "mpeg4", "rate": Fraction(30000, 1001)},
        30000 / 1001,
        {"time_base": Fraction(1001, 30000)},
    ),
    "times below zero, in milliseconds": (
        "a.mkv",
        {"codec": "mpeg4", "pts": range(-3, 3), "format_options": {"avoid_negative_ts": "disabled"}},
        10,
        {"start_time": -300},
    ),
    "no number of frames and no duration": (
        "a.mkv",
        {"format_options": {"live": "1"}},
        10,
        {"frames": 0, "duration": None},
    ),
    # As in the usual copies of Kinetics, whose 340x256 pixels are those of pictures of 16:9.
    "pixels that are not square": (
        "a.mp4",
        {"sample_aspect_ratio": Fraction(4, 3)},
        10,
        {"sample_aspect_ratio": Fraction(4, 3), "width": 48},
    ),
    "odd sides": ("a.mp4", {"codec": "mpeg4", "height": 33, "width": 47}, 10, {"width": 47}),
    "odd sides of x264": ("a.mp4", {"height": 33, "width": 47, "pixels": "yuv444p"}, 10, {"height": 33}),
}


@pytest.mark.parametrize("oddity", HEADERS)
def test_frames_are_those_of_decoding_whatever_the_header_says(oddity, tmp_path, helpers):
    name, options, fps, stated = HEADERS[oddity]
    options = dict(options)
    frames = grays(6, **{key: options.pop(key) for key in ("pts", "height", "width", "pixels") if key in options})
    path = write_frames(tmp_path / name, frames, **options)
    with av.open(str(path)) as container:
        assert {key: getattr(container.streams.video[0], key) for key in stated} == stated
    assert_reads_as_decoded(path, helpers, num_frames=6, fps=fps)


@pytest.mark.parametrize("rate, name", [(1000, "a.mkv"), (1000, "a.avi"), (90000, "a.mkv"), (30, "a.mkv")])
def test_headers_of_another_rate(rate, name, tmp_path, helpers):
    """Frames come 25 times per second, whatever the header says."""
    clock = max(rate, 1000)
    frames = grays(8, pts=range(0, 8 * clock // 25, clock // 25))
    for frame in frames:
        frame.time_base = Fraction(1, clock)
    codec = "mpeg4" if name == "a.avi" else "libx264"
    path = write_frames(tmp_path / name, frames, codec=codec, rate=rate, time_base=Fraction(1, clock))
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate > 29
    assert_reads_as_decoded(path, helpers, num_frames=8, fps=25)


@pytest.mark.parametrize("start", [0, 9000], ids=["starts anew", "leaps"])
def test_the_clock_of_joined_files(start, make_video, tmp_path, helpers):
    """Sorting the frames by their times would interleave the parts, or show one frame for five minutes."""
    options = {"bf": "2", "g": "12"}
    first = make_video("first.ts", num_frames=20, options=options)
    second = make_video("second.ts", num_frames=20, options=options, pts=range(start, start + 20))
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    assert_reads_as_decoded(path, helpers, num_frames=40, fps=30)


def with_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """An .mp4 file with the upper left of its display matrix (of the track, 16.16 fixed point) replaced."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    assert content[start : start + 36] == struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    content[start : start + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


ORIENTATIONS = [
    (1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
    (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0),
]  # fmt: skip


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_pictures_are_turned_and_mirrored(matrix, make_video, helpers):
    path = with_display_matrix(make_video(num_frames=2, height=16, width=32), *matrix)
    stored = helpers.decode_all(path)[1]
    a, b, c, d = matrix
    # The slow way: every stored pixel (x, y) goes to (a x + c y, b x + d y), moved to begin at 0.
    shown = {(a * x + c * y, b * x + d * y): stored[y, x] for x in range(32) for y in range(16)}
    columns, rows = (sorted({place[axis] for place in shown}) for axis in (0, 1))
    expected = np.array([[shown[x, y] for x in columns] for y in rows])
    with VideoReader(path) as video:
        assert (video.height, video.width) == expected.shape[:2] == ((16, 32) if a else (32, 16))
        np.testing.assert_array_equal(video.frames_at([1])[0].permute(1, 2, 0), expected)
        assert video.frames_at([1], short_side=8).shape[-2:] == ((8, 16) if a else (16, 8))


def test_a_cover_picture_before_the_video(tmp_path):
    path = tmp_path / "a.mp4"
    frames = grays(6)
    with av.open(str(path), "w") as container:
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "rgb24"  # larger than the video
        cover.disposition = av.stream.Disposition.attached_pic.value
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8))
        container.mux(cover.encode(picture) + cover.encode())
        container.mux([packet for frame in frames for packet in stream.encode(frame)] + stream.encode())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert numbers_of(path) == list(range(6))


def test_another_size_in_the_middle(tmp_path):
    """All frames of a clip get the size of its first one, as with FFmpeg's command line."""
    sizes = {"first.ts": (32, 48), "second.ts": (48, 32)}
    path = tmp_path / "joined.ts"
    parts = [write_frames(tmp_path / name, grays(6, height=h, width=w)) for name, (h, w) in sizes.items()]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert numbers_of(path) == [*range(6), *range(6)]
    with VideoReader(path) as video:
        assert video.frames_at([0, 11]).shape == (2, 3, 32, 48) and video.frames_at([11]).shape == (1, 3, 48, 32)


COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (30, 200, 90), (128, 128, 128), (250, 250, 250), (5, 5, 5)]
MATRICES = {"BT.601": (5, 0.299, 0.114), "BT.709": (1, 0.2126, 0.0722)}  # number in ITU-T H.273, Kr, Kb


def coded(color: tuple[int, int, int], red: float, blue: float, *, is_full: bool) -> tuple[float, float, float]:
    """8-bit Y', Cb and Cr of an RGB color, by ITU-R BT.601 and BT.709."""
    r, g, b = (value / 255 for value in color)
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    return (255 * y, 128 + 255 * cb, 128 + 255 * cr) if is_full else (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)


def flat_frame(pixels: str, values: tuple[float, ...], bits: int = 8) -> av.VideoFrame:
    """A frame whose planes have one value each, given for 8 bits."""
    frame = av.VideoFrame(32, 32, pixels)
    for plane, value in zip(frame.planes, values, strict=False):
        number = min(round(value * 2 ** (bits - 8)), 2**bits - 1)
        dtype = np.uint8 if bits == 8 else np.uint16
        plane.update(np.full(plane.buffer_size // dtype().nbytes, number, dtype=dtype))
    return frame


def assert_shows(path: Path, colors: list[tuple[int, int, int]], tolerance: int) -> None:
    """The frames of ``path`` have these colors, each all over."""
    with VideoReader(path) as video:
        frames = video.frames_at(range(len(colors))).float()
    assert frames.amax((2, 3)).sub(frames.amin((2, 3))).max() <= 1  # flat
    np.testing.assert_allclose(frames.mean((2, 3)), colors, atol=tolerance)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("is_full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_colors_come_by_the_range_and_matrix_of_the_file(matrix, is_full, pixels, tmp_path):
    number, red, blue = MATRICES[matrix]
    values = [coded(color, red, blue, is_full=is_full) for color in COLORS]
    frames = [flat_frame(pixels, value, bits=10 if pixels.endswith("10le") else 8) for value in values]
    for frame in frames:
        frame.colorspace, frame.color_range = number, 2 if is_full else 1
    context = {"colorspace": number, "color_range": 2 if is_full else 1}
    assert_shows(write_frames(tmp_path / "a.mp4", frames, options={"qp": "1"}, **context), COLORS, tolerance=4)


def test_without_a_note_colors_are_those_of_bt_601(tmp_path):
    _, red, blue = MATRICES["BT.601"]
    frames = [flat_frame("yuv420p", coded(color, red, blue, is_full=False)) for color in COLORS]
    assert_shows(write_frames(tmp_path / "a.mp4", frames, options={"qp": "1"}), COLORS, tolerance=4)


@pytest.mark.parametrize("pixels", ["gray", "gray16le"])
def test_gray_is_three_equal_colors(pixels, tmp_path):
    bits = 16 if "16" in pixels else 8
    values = [0, 60, 255]
    frames = [flat_frame(pixels, (value * 257 / 256 if bits == 16 else value,), bits) for value in values]
    path = write_frames(tmp_path / "a.mkv", frames, codec="ffv1")
    assert_shows(path, [(value,) * 3 for value in values], tolerance=1)


def test_transparency_is_dropped(tmp_path):
    colors = [(255, 0, 0), (10, 200, 90)]
    pictures = [np.full((32, 32, 4), (*color, 40), dtype=np.uint8) for color in colors]
    frames = [av.VideoFrame.from_ndarray(picture, format="rgba") for picture in pictures]
    assert_shows(write_frames(tmp_path / "a.mov", frames, codec="png"), colors, tolerance=0)


def test_a_gif_has_colors_and_a_delay_for_every_frame(tmp_path):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255), (0, 0, 0)]
    delays = [100, 100, 400, 400, 100, 100]  # milliseconds
    pictures = [Image.new("RGB", (32, 24), color) for color in colors]
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=delays, loop=0)
    with VideoReader(path) as video:
        assert video.num_frames == 6
        assert video.fps == pytest.approx(5, rel=0.02)  # 6 frames in 1.2 seconds
        shown = video.frames_at(range(6))[:, :, 0, 0].tolist()
    # On the screen every 0.2 seconds; the frames change at 0.1, 0.2, 0.6, 1.0 and 1.1.
    assert [colors.index(tuple(color)) for color in shown] == [0, 2, 2, 3, 3, 4]


# ---- Lists and names ----


@pytest.mark.parametrize("form, other", [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")], ids=["NFC", "NFD"])
def test_accents_of_another_unicode_form_are_told(form, other, make_video, request):
    path = make_video(f"{form}.mp4", num_frames=1)
    missing = path.with_name(f"{other}.mp4")
    if missing.exists():
        pytest.skip("this file system takes both forms for one name")
    name = request.node.callspec.id
    message = rf"cannot open {re.escape(str(missing))}: No such file .*\(but there is a file of that name in .* {name}:"
    with pytest.raises(VideoReadError, match=message):
        VideoReader(missing)
