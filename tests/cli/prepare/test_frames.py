"""Frames and their lists, ready for the loaders of AVA and Charades."""

import json
import os

from slowfast.cli.prepare.main import main
from slowfast.datasets.lists.frame_lists import read_frame_lists
from slowfast.preparation.files import read_table


def frames(tmp_path, dataset, *options):
    command = ["frames", str(tmp_path / "videos"), str(tmp_path / "out"), "--dataset", dataset, "--workers", "0"]
    return main(command + [str(option) for option in options])


CUT = ["--start-seconds", 0.5, "--duration-seconds", 1, "--min-frames", 30]  # AVA's way, in small


def test_ava(tmp_path, make_video, capsys):
    for name in ("mvA_0-xyz12.mp4", "mvB_0-xyz12.mkv"):
        make_video(tmp_path / "videos" / name, num_frames=60)
    (tmp_path / "ava_train_v2.2.csv").write_text("mvA_0-xyz12,0902,0.1,0.1,0.2,0.2,12,0\n" * 2)
    (tmp_path / "ids.txt").write_text("mvB_0-xyz12.mkv\nmvC_0-xyz12.mp4\n")
    lists = ["--train", tmp_path / "ava_train_v2.2.csv", "--val", tmp_path / "ids.txt"]
    assert frames(tmp_path, "ava", *CUT, *lists) == 0
    out = capsys.readouterr().out
    assert "60 frames of 2 videos, 2 of them written now" in out and "1 videos of these lists have no frames" in out
    train = read_frame_lists([tmp_path / "out" / "frame_lists" / "train.csv"], prefix=str(tmp_path / "out" / "frames"))
    assert train.video_ids == ["mvA_0-xyz12"]
    paths = list(train.frame_paths(0))
    assert len(paths) == 30 and paths[0].endswith("frames/mvA_0-xyz12/mvA_0-xyz12_000001.jpg")
    assert all(os.path.isfile(path) for path in paths)
    assert [row["video_id"] for row in read_table(tmp_path / "out" / "missing.csv")] == ["mvC_0-xyz12"]


def test_charades(tmp_path, make_video):
    make_video(tmp_path / "videos" / "Q7ZZ1.mp4", num_frames=60, fps=30)
    (tmp_path / "train.csv").write_text(
        'id,subject,actions,length\nQ7ZZ1,"A, B",c015 0.00 0.50;c061 0.40 9.00,2.0\nGONE1,C,,3.0\n'
    )
    assert frames(tmp_path, "charades", "--train", tmp_path / "train.csv", "--long-side", 20) == 0
    train = read_frame_lists([tmp_path / "out" / "frame_lists" / "train.csv"], prefix=str(tmp_path / "out" / "frames"))
    assert len(train.frame_paths(0)) == 48
    labels = train.labels(0)
    # frame n (from 0) at n / 24 s: the first action ends at frame 12, the second begins after frame 9.6
    assert labels == [(15,)] * 10 + [(15, 61)] * 3 + [(61,)] * 35
    assert [row["video_id"] for row in read_table(tmp_path / "out" / "missing.csv")] == ["GONE1"]


def test_short_and_broken_movies_are_reported_and_the_rest_goes_on(tmp_path, make_video, capsys):
    make_video(tmp_path / "videos" / "good.mp4", num_frames=60)
    make_video(tmp_path / "videos" / "short.mp4", num_frames=30)
    (tmp_path / "videos" / "torn.mp4").write_bytes(b"\0" * 100)
    for _ in range(2):  # the second run finds the short one's folder, and says it again
        assert frames(tmp_path, "ava", *CUT) == 1
        failed = {row["path"].rsplit("/", 1)[1]: row["reason"] for row in read_table(tmp_path / "out" / "failed.csv")}
        assert failed["short.mp4"] == "15 frames, expected at least 30"
        assert "nothing but zeros" in failed["torn.mp4"] and len(failed) == 2
    assert "no frame list was written" in capsys.readouterr().out


def test_a_whole_movie_is_expected_unless_said_otherwise(tmp_path, make_video):
    make_video(tmp_path / "videos" / "a.mp4")
    assert frames(tmp_path, "ava", "--start-seconds", 0) == 1
    (failed,) = read_table(tmp_path / "out" / "failed.csv")
    assert failed["reason"] == "12 frames, expected at least 27,000"
    settings = json.loads((tmp_path / "out" / "frames.json").read_text())
    assert (settings["start_seconds"], settings["duration_seconds"], settings["fps"]) == (0, 901, 30)


def test_what_is_there_is_not_done_again(tmp_path, make_video, capsys, refused):
    make_video(tmp_path / "videos" / "a.mp4", num_frames=60)
    assert frames(tmp_path, "ava", *CUT) == 0
    first = (tmp_path / "out" / "frames" / "a").stat().st_mtime_ns
    make_video(tmp_path / "videos" / "b.mp4", num_frames=60)
    assert frames(tmp_path, "ava", *CUT) == 0
    assert (tmp_path / "out" / "frames" / "a").stat().st_mtime_ns == first
    assert "2 videos, 1 of them written now" in capsys.readouterr().out
    assert "quality 95, now 50" in refused(frames, tmp_path, "ava", *CUT, "--quality", 50)


def test_a_bad_list_is_refused_before_the_work(tmp_path, make_video, refused):
    make_video(tmp_path / "videos" / "a.mp4")
    assert "cannot read the video ids" in refused(frames, tmp_path, "ava", "--train", tmp_path / "none.csv")
    assert not (tmp_path / "out").exists()
