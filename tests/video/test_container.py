"""What may be opened as a video, and what a file that is refused is called."""

import os
import re
import socket
import struct
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from slowfast.video.container import FORMATS, create_video, silence_ffmpeg
from slowfast.video.index import best_stream, read_index
from slowfast.video.reader import FrameFolderReader, VideoReader, VideoReadError
from slowfast.video.stream import FrameStream
from slowfast.video.watch import set_read_timeout

PLAYLISTS = {
    "an FFmpeg concat list": "ffconcat version 1.0\nfile secret.mp4\n",
    "an HLS or M3U playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\nsecret.ts\n#EXT-X-ENDLIST\n",
    "a DASH manifest": "<?xml version='1.0'?>\n<!-- a comment -->\n<MPD type='static'><Period><AdaptationSet>"
    "<Representation id='1'><BaseURL>secret.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "an SDP session description": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
    "a PLS playlist": "[playlist]\nFile1=secret.mp4\n",
}


def assert_refused(path, pattern):
    """All three doors of the package refuse the file with the same message."""
    for reader in (VideoReader, FrameStream, lambda path: read_index(os.fspath(path))):
        with pytest.raises(VideoReadError, match=rf"cannot open {re.escape(str(path))}: {pattern}"):
            reader(path)


@pytest.mark.parametrize("ending", ["mp4", "m3u8"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_opens_no_other_file(kind, ending, make_video, tmp_path):
    make_video("secret.mp4", num_frames=5)
    make_video("secret.ts", num_frames=5)
    path = tmp_path / f"list.{ending}"
    path.write_text(PLAYLISTS[kind])
    assert_refused(path, f"it is {kind}, which names other files; only self-contained video files are opened")


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo.mp4")  # opening it would wait for a writer
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.mp4"))
        assert_refused(tmp_path / "socket.mp4", "it is a socket")
    (tmp_path / "folder.mp4").mkdir()
    assert_refused(tmp_path / "fifo.mp4", r"it is a FIFO \(a named pipe\)")
    assert_refused(tmp_path / "folder.mp4", "it is a folder")
    assert_refused("/dev/zero", "it is a character device")
    assert_refused(f"{tmp_path}/zero\0byte.mp4", "this is not a valid file name")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tiff"])
def test_an_image_is_no_video(name, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / name)
    kind = name.removeprefix("a.").replace("jpg", "jpeg").upper()
    assert_refused((tmp_path / name).rename(tmp_path / "a.mp4"), f"it is a {kind} image, not a supported video file")


@pytest.mark.parametrize(
    "name, codec",
    [("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"), ("a.ts", "libx264"), ("a.mpg", "mpeg2video"),
     ("a.flv", "libx264"), ("a.wmv", "wmv2"), ("a.mov", "libx264"), ("a.3gp", "libx264"), ("a.mxf", "mpeg2video"),
     ("a.h264", "libx264"), ("a.ivf", "libvpx-vp9"), ("a.nut", "libx264")],
)  # fmt: skip
def test_every_usual_container_is_read(name, codec, make_video):
    with VideoReader(make_video(name, num_frames=4, codec=codec)) as video:
        assert video.frames_at([0, 3]).shape == (2, 3, 48, 64)


def test_every_format_is_one_of_ffmpegs():
    known = {name for names in av.formats_available for name in names.split(",")}
    assert not set(FORMATS) - known


def test_a_metadata_byte_that_is_no_text_does_not_matter(make_video):
    path = make_video("a.mp4", num_frames=4)
    content = path.read_bytes()
    assert content.count(b"Lavf") == 1  # the encoder's name, in the metadata
    path.write_bytes(content.replace(b"Lavf", b"L\xffvf"))
    with VideoReader(path) as video:
        assert len(video.frames_at([0, 3])) == 2


def test_a_best_stream_that_is_not_there_is_passed_over(make_video):
    """FFmpeg's best may have appeared after PyAV counted the streams."""

    def best(kind):
        raise IndexError("list index out of range")

    with av.open(str(make_video("a.mp4", num_frames=4))) as file:
        container = SimpleNamespace(streams=SimpleNamespace(video=tuple(file.streams.video), best=best))
        assert best_stream(container, "a.mp4") is file.streams.video[0]


def test_a_frame_of_too_many_pixels_is_refused(tmp_path):
    path = tmp_path / "a.gif"
    Image.new("P", (64, 48)).save(path, save_all=True, append_images=[Image.new("P", (64, 48), 9)])
    content = path.read_bytes()
    assert content[6:10] == struct.pack("<HH", 64, 48)
    path.write_bytes(content[:6] + struct.pack("<HH", 40_000, 40_000) + content[10:])
    with pytest.raises(VideoReadError, match=re.escape(str(path))), VideoReader(path) as video:
        video.frames_at([0])


def test_a_strip_is_refused_before_it_is_enlarged(make_video):
    path = make_video("a.mp4", num_frames=2, height=2, width=1024)
    with pytest.raises(
        VideoReadError, match=r"cannot decode .*a\.mp4: .*its frames are 1024x2 pixels, an aspect ratio above 100:1"
    ):
        VideoReader(path).frames_at([0], 256)
    Image.new("RGB", (1024, 2)).save(path.with_suffix(".png"))
    with pytest.raises(VideoReadError, match=r"a\.png: .*its frames are 1024x2 pixels, an aspect ratio above 100:1"):
        FrameFolderReader([path.with_suffix(".png")], 30).frames_at([0])


def test_an_image_that_a_program_would_have_to_draw_is_no_frame(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%touch run) (w) file\n")
    with pytest.raises(VideoReadError, match=r"a\.jpg: cannot be read as an image \(it is a text file\)"):
        FrameFolderReader([tmp_path / "a.jpg"], 30).frames_at([0])


def test_a_read_that_takes_too_long_names_its_file(make_video):
    path = make_video("a.mp4", num_frames=30)
    message = r"a\.mp4: reading it took longer than 1e-09 seconds \(DATA\.DECODE_T"
    set_read_timeout(1e-9)  # the fixture of all tests takes it back
    for reader in (VideoReader, FrameStream):
        with pytest.raises(VideoReadError, match=message):
            reader(path)
    set_read_timeout(60)
    with VideoReader(path) as video:
        set_read_timeout(1e-9)
        with pytest.raises(VideoReadError, match=message):
            video.frames_at([29])
        set_read_timeout(60)
        assert len(video.frames_at([29])) == 1


def test_reads_in_many_threads_end_although_a_program_asked_for_ffmpegs_messages(make_video):
    """As torchvision before 0.26 does when it is imported. Without ``silence_ffmpeg`` this hangs within 100 reads."""
    path = make_video("a.mp4", num_frames=40, height=128, width=160, options={"g": "5"})
    program = f"""
        import av
        av.logging.set_level(av.logging.ERROR)
        from concurrent.futures import ThreadPoolExecutor
        from slowfast.video.reader import VideoReader

        def read(start):
            with VideoReader({str(path)!r}, num_threads=2) as video:
                return len(video.frames_at([start % 30, start % 30 + 7]))

        with ThreadPoolExecutor(2) as pool:
            assert set(pool.map(read, range(150))) == {{2}}
        assert av.logging.get_level() is None
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=120)


def test_writing_takes_the_callback_away_too(tmp_path):
    av.logging.set_level(av.logging.ERROR)
    try:
        with create_video(tmp_path / "a.mp4"):
            assert av.logging.get_level() is None
            av.logging.set_level(av.logging.ERROR)  # as an import does meanwhile
        assert av.logging.get_level() is None
    finally:
        silence_ffmpeg()


def test_large_frames_are_converted_a_few_at_a_time(make_video, monkeypatch):
    path = make_video("a.mp4", num_frames=10)
    with VideoReader(path) as video:
        expected = video.frames_at(range(10))
        monkeypatch.setattr("slowfast.video.frame_reader.CHUNK_BYTES", 2 * 48 * 64 * 3)
        sizes = []
        found = video.frames_at(range(10), apply=lambda frames: sizes.append(len(frames)) or frames)
    assert sizes == [2] * 5
    np.testing.assert_array_equal(found, expected)
