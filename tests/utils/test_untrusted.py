"""Files of unknown origin: what may be opened, how much of it is read, and what a file is called."""

import os
import socket
import zipfile

import pytest
from PIL import Image

from slowfast.utils.untrusted import (
    csv_rows,
    describe_file,
    file_status,
    is_playlist,
    open_text,
    parse_integer,
    parse_json,
    read_bytes,
    read_json,
    read_text,
)

KINDS = {
    "empty": b"",
    "an HTML page": b"\n <!DOCTYPE html><html></html>",
    "an HTML or XML page": b"<note>hello</note>",
    "an SVG image": b"<svg xmlns='x'/>",
    "a text file": b"Sign in to confirm your age\n",
    "a Git LFS pointer: fetch the file itself with git lfs pull": b"version https://git-lfs.github.com/spec/v1\n",
    "an HLS or M3U playlist, which names other files": b"\xef\xbb\xbf#EXTM3U\n#EXTINF:1,\na.ts\n",
    "an FFmpeg concat list, which names other files": b"ffconcat version 1.0\nfile a.mp4\n",
    "a DASH manifest, which names other files": b"<?xml version='1.0'?>\n<!-- x -->\n<MPD></MPD>",
    "an SDP session description, which names other files": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
    "nothing but zeros in its first 8,192 bytes, as an unfinished download has": bytes(9000),
    "a gzip archive": b"\x1f\x8b\x08" + bytes(20),
    "a tar archive": bytes([1]) * 257 + b"ustar\0" + bytes(300),
    "a pickle": b"\x80\x04K\x05.",
    "a NumPy array": b"\x93NUMPY\x01\0" + bytes(50),
    "a PDF document": b"%PDF-1.7\n\x80",
    "a program": b"\x7fELF\x02\x01" + bytes(50),
    "a damaged or unfinished MP4 or QuickTime file": b"\0\0\0\x20ftypisom" + bytes(50),
    "a damaged or unfinished Matroska or WebM file": b"\x1aE\xdf\xa3" + bytes(50),
    "a damaged or unfinished AVI file": b"RIFF\0\0\0\0AVI LIST" + bytes(50),
    "a WAVE sound file": b"RIFF\0\0\0\0WAVEfmt " + bytes(50),
    "6 bytes of unknown kind, beginning with b'\\x00\\x01\\x02\\x03\\x04\\x05'": bytes(range(6)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_called_what_its_content_is(kind, tmp_path):
    (tmp_path / "a.mp4").write_bytes(KINDS[kind])
    assert describe_file(tmp_path / "a.mp4") == kind
    assert is_playlist(KINDS[kind]) == ("names other files" in kind)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tiff", "a.bmp", "a.webp"])
def test_an_image_is_called_so(name, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert "image" in describe_file(tmp_path / name)


def test_an_archive_is_called_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "b")
    assert describe_file(tmp_path / "a.zip").startswith("a ZIP archive")


def test_what_cannot_be_read_is_described_too(tmp_path):
    assert describe_file(tmp_path / "none") == "unreadable (No such file or directory)"
    assert describe_file(tmp_path) == "unreadable (it is a folder)"


def test_special_files_are_refused_before_they_are_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path, problem in (
            (tmp_path / "fifo", "it is a FIFO"),
            (tmp_path / "socket", "it is a socket"),
            (tmp_path, "it is a folder"),
            ("/dev/zero", "it is a character device"),
            ("zero\0byte", "this is not a valid file name"),
            ("half\ud800", "this is not a valid file name"),
        ):
            for read in (file_status, read_bytes, read_text, lambda path: open_text(path).__enter__()):
                with pytest.raises(OSError) as error:
                    read(path)
                assert error.value.strerror.startswith(problem)
            with pytest.raises(ValueError, match=problem):
                read_json(path)


def test_no_more_is_read_than_is_allowed(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1001)
    assert len(read_bytes(tmp_path / "a", max_bytes=1001)) == 1001
    with pytest.raises(OSError) as error:
        read_text(tmp_path / "a", max_bytes=1000)
    assert error.value.strerror == "it has 1,001 bytes, more than the 1,000 that are read"


def test_text_keeps_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\xff\r\nb")
    assert read_text(tmp_path / "a") == "a\udcff\r\nb"
    with open_text(tmp_path / "a") as file:
        assert list(file) == ["a\udcff\r\n", "b"]


class OwnError(ValueError):
    pass


@pytest.mark.parametrize(
    "text, problem",
    [
        ('{"a": 1,}', r"a\.json:1: not JSON: "),
        ('{"a":\n\n x}', r"a\.json:3: not JSON: "),
        ("[" * 100_000, r"a\.json: its JSON is nested too deeply"),
        ('{"a":' * 100_000, r"a\.json: its JSON is nested too deeply"),
        ("[" + "9" * 5000 + "]", r"a\.json: unusable JSON: Exceeds the limit"),
        (r'["\ud800 alone"]', r"a\.json: \\ud800 is half of a surrogate pair"),
        ("", r"a\.json:1: not JSON"),
    ],
)
def test_json_that_is_none_names_file_and_line(text, problem, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(OwnError, match=problem):
        read_json(tmp_path / "a.json", error=OwnError)


def test_json_that_is_some(tmp_path):
    assert parse_json(r'{"a": ["\ud83d\ude00", 1.5, null]}', source="a") == {"a": ["\U0001f600", 1.5, None]}


@pytest.mark.parametrize("text, number", [("12", 12), ("-3", -3), ("+0", 0), (str(2**63 - 1), 2**63 - 1)])
def test_integers(text, number):
    assert parse_integer(text) == number


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "0x1", "1_0", " 1", "9" * 19, "9" * 5000, "\u0663", "x" * 10**6])
def test_what_is_no_integer(text):
    with pytest.raises(ValueError, match="is not an integer of 64 bits") as error:
        parse_integer(text)
    assert len(str(error.value)) < 200


def test_rows_of_csv_and_a_quote_that_is_never_closed():
    assert list(csv_rows(["a,b\n", "\n", '"x\n', 'y",z\n'], source="a.csv", error=OwnError)) == [
        (1, ["a", "b"]),
        (4, ["x\ny", "z"]),
    ]
    with pytest.raises(OwnError, match=r"a\.csv:2: not CSV: field larger than field limit"):
        list(csv_rows(["a,b\n", '"' + "x" * 200_000], source="a.csv", error=OwnError))
