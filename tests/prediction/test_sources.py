"""What the words of a command line name."""

import pytest

from slowfast.prediction.sources import Source, find_sources, output_names
from tests.video_files import write_gray_images


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.mp4", "a.webm", "sub/c d.mkv", "sub/notes.md"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(*words: str) -> list[tuple[str, str]]:
    return [(source.kind, source.path) for source in find_sources(words) if not source.failure]


def failures(*words: str) -> list[str]:
    return [source.failure for source in find_sources(words) if source.failure]


def test_files_folders_and_patterns_each_video_once(folder):
    files = [("file", f"videos/{name}") for name in ("a.webm", "b.mp4", "sub/c d.mkv")]
    assert named("videos") == files
    assert named("videos/*.mp4", "videos") == [files[1], files[0], files[2]]
    assert named("videos/**/*.mkv") == files[2:]
    assert named("videos/b.mp4", "videos/b.mp4") == files[1:2]


def test_lists_name_files_relative_to_themselves_with_or_without_labels(folder):
    (folder / "videos/list.csv").write_text("b.mp4 3\n\n a.webm,7\nvideos/b.mp4\nsub/c d.mkv\ngone.mp4 1\n")
    names = ("b.mp4", "a.webm", "sub/c d.mkv")
    assert named("videos/list.csv") == [("file", f"videos/{name}") for name in names]
    assert failures("videos/list.csv") == ["there is no such file (videos/list.csv:6)."]


def test_addresses_are_typed_never_listed(folder):
    (folder / "list.txt").write_text("rtsp://camera/1\nhttp://host/a.mp4\n")
    assert named("rtsp://camera/1", "http://host/a.mp4") == [
        ("address", "rtsp://camera/1"),
        ("address", "http://host/a.mp4"),
    ]
    first, second = failures("list.txt")
    assert first.startswith("list.txt:1 names an address") and second.startswith("list.txt:2 names an address")
    assert "addresses are http, https, rtsp" in failures("ftp://host/a.mp4")[0]
    assert "addresses are" in failures("file:///etc/passwd")[0]


def test_cameras_and_standard_input():
    assert named("0", "-") == [("camera", "0"), ("stdin", "-")]
    live = {source.path: source.is_live for source in find_sources(["0", "-", "rtsp://a/b", "http://a/b.mp4"])}
    assert live == {"0": True, "-": False, "rtsp://a/b": True, "http://a/b.mp4": False}


def test_what_is_not_there_is_said(folder):
    (folder / "empty").mkdir()
    problems = failures("no.mp4", "*.avi", "empty", "videos/b.mp4")
    assert problems[:2] == ["there is no such file or folder.", "nothing matches this pattern."]
    assert "holds no video" in problems[2] and len(problems) == 3


def test_folders_of_images_are_videos_where_there_are_no_files(tmp_path):
    for name in ("m1", "m2"):
        write_gray_images(tmp_path / "frames" / name, num_frames=2)
    frames = str(tmp_path / "frames")
    assert named(frames) == [("frames", f"{frames}/m1"), ("frames", f"{frames}/m2")]
    assert named(f"{frames}/m1") == [("frames", f"{frames}/m1")]


def test_names_of_outputs_differ():
    sources = [Source("file", path) for path in ("x/a.mp4", "y/a.mp4", "y/b.mp4")]
    assert output_names(sources, ".png") == ["x_a.png", "y_a.png", "y_b.png"]
    assert output_names(sources[:1], ".mp4") == ["a.mp4"]
    assert output_names([Source("camera", "0"), Source("stdin", "-")], ".mp4") == ["camera0.mp4", "stdin.mp4"]
