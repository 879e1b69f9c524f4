"""What a user names as videos: files, folders, globs, lists, standard input, cameras, streams.

Nothing in a file can open an address or a camera: lists name only files.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from slowfast.preparation.files import find_files
from slowfast.utils.untrusted import open_text
from slowfast.video.container import ADDRESS_PROTOCOLS
from slowfast.video.files import IMAGE_ENDINGS, VIDEO_ENDINGS

LIST_ENDINGS = frozenset((".txt", ".csv", ".list"))
LIVE_SCHEMES = frozenset(("rtsp", "rtsps", "rtmp", "srt", "tcp", "udp"))  # http and https send files, too
STANDARD_INPUT = "-"
_SCHEME = re.compile(r"([A-Za-z][\w+.-]+)://")


@dataclass(frozen=True)
class Source:
    """One video.

    Attributes:
        kind: "file", "frames" (a folder of images), "stdin", "camera" or "address".
        path: its name in results; for a file, its path.
        failure: why there is nothing to read, if that is already known.
    """

    kind: str
    path: str
    failure: str = ""

    @property
    def is_live(self) -> bool:
        """Whether frames arrive at their own pace and are lost if not read."""
        return self.kind == "camera" or (self.kind == "address" and _scheme(self.path) in LIVE_SCHEMES)

    @property
    def is_stream(self) -> bool:
        """Whether it cannot be read a second time."""
        return self.kind in ("stdin", "camera", "address")


def find_sources(words: Iterable[str]) -> list[Source]:
    """The videos that the words of a command line name, each once, in their order.

    A word is a video file; a folder (all videos below it, or the folders of images); a glob; a list file (.txt, .csv,
    .list: a path per line, optionally followed by a label); ``-`` for standard input; a number for a camera; an
    address. A missing one is a source with a ``failure``.
    """
    found: dict[tuple[str, str], Source] = {}
    for word in words:
        for source in _sources_of(word):
            found.setdefault((source.kind, source.path), source)
    return list(found.values())


def _sources_of(word: str) -> Iterator[Source]:
    scheme = _scheme(word)
    if word == STANDARD_INPUT:
        yield Source("stdin", word)
    elif os.path.lexists(word):
        yield from _existing(word)
    elif word.isascii() and word.isdigit():
        yield Source("camera", word)
    elif scheme:
        known = scheme in ADDRESS_PROTOCOLS
        yield Source("address", word, "" if known else f"no stream: addresses are {', '.join(ADDRESS_PROTOCOLS)}.")
    elif glob.has_magic(word):
        names = sorted(glob.glob(word, recursive=True), key=os.fsencode)
        for name in names:
            yield from _existing(name)
        if not names:
            yield Source("file", word, "nothing matches this pattern.")
    else:
        yield Source("file", word, "there is no such file or folder.")


def _scheme(word: str) -> str:
    found = _SCHEME.match(word)
    return found[1].lower() if found else ""


def _existing(path: str) -> Iterator[Source]:
    if os.path.isdir(path):
        yield from _in_folder(path)
    elif os.path.splitext(path)[1].lower() in LIST_ENDINGS:
        yield from _in_list(path)
    else:
        yield Source("file", path)


def _in_folder(folder: str) -> Iterator[Source]:
    videos, others = find_files(folder)
    for name in videos:
        yield Source("file", os.path.join(folder, name))
    images = (name for name in others if os.path.splitext(name)[1].lower() in IMAGE_ENDINGS)
    image_folders = sorted({os.path.dirname(name) for name in images}, key=os.fsencode) if not videos else []
    for name in image_folders:
        yield Source("frames", os.path.join(folder, name).rstrip(os.sep))
    if not videos and not image_folders:
        endings = " ".join(sorted(VIDEO_ENDINGS))
        yield Source("file", folder, f"the folder holds no video: no file below it ends in {endings}.")


def _in_list(path: str) -> Iterator[Source]:
    folder = os.path.dirname(path)
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _listed(line.strip(), folder, f"{path}:{number}")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        yield Source("file", path, f"cannot read the list: {why}.")


def _listed(line: str, folder: str, where: str) -> Source:
    """The video of a line, relative to the list's folder or to the working directory."""
    if _SCHEME.match(line):
        return Source("file", line, f"{where} names an address: lists name files. Type the address yourself.")
    names = [line, *(re.split(separator, line, maxsplit=1)[0] for separator in (r",", r"\s+\S*$"))]
    for name in names:
        name = name.strip().strip("\"'")
        for candidate in (os.path.join(folder, name), name):
            if os.path.isfile(candidate):
                return Source("file", candidate)
            if os.path.isdir(candidate):
                return Source("frames", candidate)
    return Source("file", names[-1], f"there is no such file ({where}).")


@contextmanager
def spooled(file: BinaryIO) -> Iterator[str]:
    """The path of a temporary file with all that ``file`` holds, for reading it as a whole; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="slowfast-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 2**20)
        yield str(path)


def standard_input() -> BinaryIO:
    """The bytes of standard input.

    Raises:
        ValueError: it is a terminal.
    """
    if sys.stdin.isatty():
        raise ValueError("- reads a video from standard input, but that is the terminal: pipe one in (< video.mp4).")
    return sys.stdin.buffer


def output_names(sources: Sequence[Source], ending: str) -> list[str]:
    """A file name for each source: its own, preceded by parent folders as needed to make names unique."""
    parts = [_name_parts(source) for source in sources]
    depth = 1
    while depth < max(map(len, parts), default=1) and len({p[-depth:] for p in parts}) < len(parts):
        depth += 1
    names = []
    counts: dict[str, int] = {}
    for part in parts:
        name = "_".join(part[-depth:])
        counts[name] = counts.get(name, 0) + 1
        names.append(f"{name}{f'_{counts[name]}' if counts[name] > 1 else ''}{ending}")
    return names


def _name_parts(source: Source) -> tuple[str, ...]:
    if source.kind in ("file", "frames"):
        path = Path(source.path)
        return (*(part for part in path.parts[:-1] if part not in ("/", "..")), path.stem)
    return (re.sub(r"\W+", "_", {"stdin": "stdin", "camera": f"camera{source.path}"}.get(source.kind, source.path)),)
