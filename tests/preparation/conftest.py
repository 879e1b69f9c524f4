"""Broken and odd files."""

import os
from pathlib import Path

import pytest

ODD_NAMES = [  # of files that must travel through folders, tables and lists unharmed
    "-starts-with-dash.mp4",
    "#comment.mp4",
    " leading blank.mp4",
    'quotes "in" it.mp4',
    '"quoted".mp4',
    "it's $(touch pwned); `id` & *?[x].mp4",
    "comma,and 7.mp4",
    "tab\there.mp4",
    "ünïcödé 日本.mp4",
    "\ufeffmark.mp4",
    os.fsdecode(b"not-utf8-\xff\xfe.mp4"),
    "x.mp4 12 y.mp4",
    "%d{id}.mp4",
]


def put(root: Path, *names: str) -> Path:
    """``root`` with empty files of these names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.fixture
def odd_names() -> list[str]:
    return ODD_NAMES


@pytest.fixture
def broken_videos(tmp_path, helpers) -> dict[str, tuple[Path, str]]:
    """{kind: (file, words of the reason that must be given)}."""
    folder = tmp_path / "broken"
    folder.mkdir()
    write = helpers.write_video

    def cut(name: str, *, share: float, **options) -> Path:
        path = write(folder / name, **options)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        return path

    damaged = write(folder / "damaged.mp4", num_frames=60)
    data = bytearray(damaged.read_bytes())
    third = len(data) // 3
    data[third : third + 400] = bytes((byte * 7 + 13) % 256 for byte in data[third : third + 400])
    damaged.write_bytes(data)
    files = {name: folder / f"{name}.mp4" for name in ("empty", "page", "sound", "text")}
    files["empty"].write_bytes(b"")
    files["page"].write_text("<!DOCTYPE html><html>404 Not Found</html>")
    files["text"].write_text("Sign in to confirm your age")
    helpers.write_audio(files["sound"])
    return {
        "empty": (files["empty"], "it is empty"),
        "page": (files["page"], "HTML"),
        "text": (files["text"], "text file"),
        "sound": (files["sound"], "no video stream.*audio"),
        "no index": (cut("no_index.mp4", share=0.5), "damaged or unfinished MP4"),
        "cut mp4": (
            cut("cut.mp4", share=0.6, format_options={"movflags": "faststart"}),
            "of 60 frames announced are in the file",
        ),
        "cut mkv": (cut("cut.mkv", share=0.6), "of 2.0 seconds announced are in the file"),
        "damaged": (damaged, r"\d+ of 60 frames (can be decoded|are damaged)"),
    }
