"""A folder becomes a folder of smaller copies; what fails is listed and tried again."""

import os

import pytest

from slowfast.cli.prepare.main import main
from slowfast.preparation.files import read_table
from slowfast.video.reader import VideoReader


def resize(tmp_path, *options, workers="0"):
    folders = [str(tmp_path / "videos"), str(tmp_path / "out")]
    return main(["resize", *folders, "--short-side", "16", "--workers", workers, *options])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_tree_is_mirrored(tmp_path, make_video, workers, capsys):
    names = ["a b/-1 $(x).mp4", "c.d/é.mkv", os.fsdecode(b"\xff.mp4")]
    for name in names:
        make_video(tmp_path / "videos" / name)
    (tmp_path / "videos" / "notes.txt").write_text("")
    assert resize(tmp_path, workers=workers) == 0
    for name in names:
        with VideoReader(tmp_path / "out" / (os.path.splitext(name)[0] + ".mp4")) as video:
            assert (video.num_frames, video.height, video.width) == (12, 16, 20)
    assert "3 of 3 videos, 3 of them now" in capsys.readouterr().out
    assert sum(len(files) for _, _, files in os.walk(tmp_path / "out")) == 4  # and resize.json


def test_failures_do_not_stop_the_rest_and_are_tried_again(tmp_path, make_video, capsys):
    make_video(tmp_path / "videos" / "b.mp4")
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    assert resize(tmp_path) == 1
    assert f"1 failed: {tmp_path / 'out/failed.csv'} says which and why" in capsys.readouterr().out
    (failed,) = read_table(tmp_path / "out" / "failed.csv")
    assert failed["path"] == str(tmp_path / "videos" / "a.mp4") and "it is empty" in failed["reason"]
    make_video(tmp_path / "videos" / "a.mp4")
    assert resize(tmp_path) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.mp4", "b.mp4", "resize.json"]


def test_a_newer_source_is_copied_again(tmp_path, make_video, capsys):
    source = make_video(tmp_path / "videos" / "a.mp4")
    assert resize(tmp_path) == 0
    make_video(source, num_frames=20)
    later = (tmp_path / "out" / "a.mp4").stat().st_mtime + 5
    os.utime(source, (later, later))
    assert resize(tmp_path) == 0
    with VideoReader(tmp_path / "out" / "a.mp4") as video:
        assert video.num_frames == 20


def test_two_videos_for_one_copy(tmp_path, make_video):
    make_video(tmp_path / "videos" / "x" / "a.mkv")
    make_video(tmp_path / "videos" / "x" / "a.mp4")
    assert resize(tmp_path) == 1
    (failed,) = read_table(tmp_path / "out" / "failed.csv")
    assert failed["path"].endswith("videos/x/a.mp4") and "x/a.mp4, as that of x/a.mkv" in failed["reason"]


def test_settings_are_not_mixed(tmp_path, make_video, refused):
    make_video(tmp_path / "videos" / "a.mp4")
    assert resize(tmp_path) == 0
    assert "started with different settings (crf 20, now 30)" in refused(resize, tmp_path, "--crf", "30")


def test_copies_do_not_go_among_the_sources(tmp_path, make_video, refused):
    make_video(tmp_path / "videos" / "a.mp4")
    assert "is the folder of the videos itself" in refused(
        main, ["resize", str(tmp_path / "videos"), str(tmp_path / "videos"), "--workers", "0"]
    )
