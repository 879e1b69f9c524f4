"""Reads untrusted files: what a file is, whether it may be opened, and how much of it is read.

Limits, far above what data sets need: text 1 GiB, JSON 256 MiB, integers of 64 bits (in JSON 4,300 digits). Files are
read into memory, never mapped: one that shrinks while it is mapped kills the process that reads it.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

MAX_TEXT_BYTES = 2**30
MAX_JSON_BYTES = 2**28
MAX_REPORTED = 10  # rows named in one error message
MAX_INTEGER = 2**63 - 1  # what an int64 array holds

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")

# First bytes of files that often have another file's name; the first match counts.
_PLAYLISTS = (
    (b"#EXTM3U", "an HLS or M3U playlist"),
    (b"ffconcat version", "an FFmpeg concat list"),
    (b"v=0\n", "an SDP session description"),
    (b"v=0\r\n", "an SDP session description"),
    (b"[playlist]", "a PLS playlist"),
    (b"[reference]", "an ASX playlist"),
    (b"<asx", "an ASX playlist"),
    (b"<mpd", "a DASH manifest"),
    (b"<smoothstreamingmedia", "a Smooth Streaming manifest"),
)
_TEXT_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with git lfs pull"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG image"),
    (b"%pdf", "a PDF document"),
    (b"#!", "a script"),
)
_BINARY_KINDS = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF8", "a damaged GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"PK\x03\x04", "a ZIP archive (as files of torch and NumPy are)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "an MP3 file"),
    (b"fLaC", "a FLAC file"),
    (b"\x1aE\xdf\xa3", "a damaged or unfinished Matroska or WebM file"),
    (b"FLV\x01", "a damaged or unfinished Flash video"),
    (b"OggS", "a damaged or unfinished Ogg file"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)
_RIFF_KINDS = {b"AVI ": "a damaged or unfinished AVI file", b"WEBP": "a WebP image", b"WAVE": "a WAVE sound file"}
_SPECIAL_FILES = (
    (stat.S_ISDIR, errno.EISDIR, "it is a folder"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a FIFO (a named pipe), not a regular file"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a socket, not a regular file"),
    (stat.S_ISCHR, errno.EINVAL, "it is a character device, not a regular file"),
    (stat.S_ISBLK, errno.EINVAL, "it is a block device, not a regular file"),
)


def file_status(path: str | os.PathLike) -> os.stat_result:
    """The status of a regular file, checked before it is opened: a FIFO waits for a writer, and a device never ends.

    Raises:
        OSError: no such file, a name that no file can have, or a folder, FIFO, socket or device; ``strerror`` says so.
    """
    try:
        status = os.stat(path)
    except ValueError as error:  # a zero byte, or a surrogate that stands for no byte
        raise OSError(errno.EINVAL, f"this is not a valid file name ({error})", os.fspath(path)) from None
    for is_special, code, name in _SPECIAL_FILES:
        if is_special(status.st_mode):
            raise OSError(code, name, os.fspath(path))
    return status


def read_bytes(path: str | os.PathLike, *, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as ``file_status``, or it is larger than ``max_bytes``; ``strerror`` says so.
    """
    size = file_status(path).st_size
    if size > max_bytes:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than the {max_bytes:,} that are read", os.fspath(path))
    with open(path, "rb") as file:
        return file.read(max_bytes + 1)


def read_text(path: str | os.PathLike, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a file: UTF-8, with or without a byte-order mark; other bytes become surrogates (os.fsencode).

    Raises:
        OSError: as ``read_bytes``.
    """
    return read_bytes(path, max_bytes=max_bytes).decode("utf-8-sig", errors="surrogateescape")


@contextmanager
def open_text(path: str | os.PathLike) -> Iterator[TextIO]:
    """A regular file to be read line by line, decoded as by ``read_text``; line endings are kept.

    Raises:
        OSError: as ``file_status``.
    """
    file_status(path)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield file


def read_json(path: str | os.PathLike, *, error: type[ValueError] = ValueError) -> Any:
    """The content of a JSON file.

    Args:
        error: the exception for a file that cannot be read or is not JSON.

    Raises:
        ValueError: (``error``) names the file, and the line where there is one.
    """
    try:
        text = read_text(path, max_bytes=MAX_JSON_BYTES)
    except OSError as problem:
        raise error(f"cannot read {os.fspath(path)}: {problem.strerror}.") from problem
    return parse_json(text, source=path, error=error)


def parse_json(text: str, *, source: str | os.PathLike, error: type[ValueError] = ValueError) -> Any:
    """The value of a JSON text; ``source`` names it in messages.

    Raises:
        ValueError: (``error``) not JSON, nested too deeply, a number of thousands of digits, or half a surrogate pair.
    """
    source = os.fspath(source)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as problem:
        raise error(f"{source}:{problem.lineno}: not JSON: {problem.msg}.") from problem
    except RecursionError:
        raise error(f"{source}: its JSON is nested too deeply.") from None
    except ValueError as problem:  # an integer of more digits than Python converts
        raise error(f"{source}: unusable JSON: {problem}.") from problem
    if "\\ud" in text.lower():
        try:
            json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as problem:
            found = f"\\u{ord(problem.object[problem.start]):04x}"
            raise error(f"{source}: {found} is half of a surrogate pair, which no text file can hold.") from None
    return content


def csv_rows(file: Iterable[str], *, source: str | os.PathLike, error: type[ValueError]) -> Iterator[tuple[int, list]]:
    """(line that it ends in, fields) of every row of a CSV file that is not blank.

    Raises:
        ValueError: (``error``) a row is not CSV, or has a field of more than 131,072 characters (a quote never closed).
    """
    reader = csv.reader(file)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as problem:
        raise error(f"{os.fspath(source)}:{reader.line_num}: not CSV: {problem}.") from problem


def parse_integer(text: str) -> int:
    """The integer in ``text``.

    Raises:
        ValueError: it is not an integer, or one beyond 64 bits.
    """
    if not _INTEGER.fullmatch(text) or abs(int(text)) > MAX_INTEGER:
        raise ValueError(f"{quoted(text)} is not an integer of 64 bits")
    return int(text)


def quoted(text: str, *, length: int = 120) -> str:
    """``text`` quoted for a message, cut to ``length`` characters."""
    return repr(cut(text, length=length))


def cut(text: str, *, length: int = 300) -> str:
    """``text``, which may hold any part of a file, cut to ``length`` characters."""
    return text if len(text) <= length else text[: length - 3] + "..."


def describe_file(path: str | os.PathLike) -> str:
    """What a file is, by its content, for the message that refuses it: "an HTML page", "a ZIP archive", "empty", ...

    Never raises: a file that cannot be read is "unreadable (why)".
    """
    try:
        size = file_status(path).st_size
        with open(path, "rb") as file:
            head = file.read(2**13)
    except OSError as error:
        return f"unreadable ({error.strerror})"
    return describe_content(head, size)


def is_playlist(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a list of other files."""
    return _playlist(head) is not None


def describe_content(head: bytes, size: int) -> str:
    """As ``describe_file``, of a file of ``size`` bytes that begins with ``head``."""
    if not size:
        return "empty"
    if not head.strip(b"\0"):
        return f"nothing but zeros in its first {len(head):,} bytes, as an unfinished download has"
    playlist = _playlist(head)
    if playlist:
        return f"{playlist}, which names other files"
    return _text_kind(head) or _binary_kind(head) or f"{size:,} bytes of unknown kind, beginning with {head[:8]!r}"


def _text_kind(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    kind = next((kind for start, kind in _TEXT_KINDS if text.startswith(start)), None)
    if kind is None and text.startswith(b"<"):
        kind = "an HTML or XML page"
    if kind is None and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head):
        kind = "a text file"
    return kind


def _binary_kind(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] in _RIFF_KINDS:
        return _RIFF_KINDS[head[8:12]]
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return "a damaged or unfinished MP4 or QuickTime file"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "a BMP image"
    return next((kind for start, kind in _BINARY_KINDS if head.startswith(start)), None)


def _playlist(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml"):  # behind the declaration, and comments
        text = re.sub(rb"<[?!].*?>\s*", b"", text, flags=re.DOTALL)
    return next((kind for start, kind in _PLAYLISTS if text.startswith(start.lower())), None)
