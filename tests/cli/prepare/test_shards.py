"""``prepare-data ... --shard K/N``: parts that several machines do, and the run that puts them together."""

from __future__ import annotations

import pytest

from slowfast.cli.prepare.main import main
from slowfast.preparation.files import read_table

IDS = ("a", "b", "c", "d", "e")


@pytest.fixture
def videos(make_video, tmp_path):
    (tmp_path / "videos").mkdir()
    for name in IDS[:-1]:
        make_video(tmp_path / f"videos/{name}.mp4", num_frames=5, height=32, width=32)
    (tmp_path / "videos/e.mp4").write_text("no video")
    return tmp_path / "videos"


def names(folder, pattern="*"):
    return sorted(path.name for path in folder.glob(pattern))


def test_copies_by_parts(videos, tmp_path, capsys):
    def resize(*more):
        out = str(tmp_path / "out")
        return main(["resize", str(videos), out, "--short-side", "16", "--workers", "0", *more])

    assert resize("--shard", "0/2") == 1  # e is no video
    assert names(tmp_path / "out", "*.mp4") == ["a.mp4", "c.mp4"]
    assert [row["path"] for row in read_table(tmp_path / "out/failed.0-of-2.csv")] == [str(videos / "e.mp4")]
    assert resize("--shard", "1/2") == 0
    assert names(tmp_path / "out", "*.mp4") == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    capsys.readouterr()
    assert resize() == 1
    assert "4 of 5 videos, 0 of them now" in capsys.readouterr().out


def test_frames_by_parts_and_then_their_lists(videos, tmp_path):
    (videos / "e.mp4").unlink()
    (tmp_path / "ids.txt").write_text("a\nb\nc\nd\n")

    def frames(*more):
        lists = ["--dataset", "charades", "--train", str(tmp_path / "ids.txt"), "--workers", "0"]
        return main(["frames", str(videos), str(tmp_path / "out"), *lists, *more])

    assert frames("--shard", "1/2") == 0
    assert names(tmp_path / "out/frames") == ["b", "d"] and not (tmp_path / "out/frame_lists").exists()
    assert frames("--shard", "0/2") == 0 and frames() == 0
    text = (tmp_path / "out/frame_lists/train.csv").read_text()
    assert {line.split()[0] for line in text.splitlines()[1:]} == set("abcd")


def test_checks_by_parts_are_put_together_without_decoding_again(videos, tmp_path, capsys):
    out = tmp_path / "check"

    def check(*more):
        return main(["check", str(videos), "--output", str(out), "--workers", "0", *more])

    assert [check("--shard", f"{k}/2") for k in range(2)] == [1, 0]
    assert names(out) == ["bad.0-of-2.csv", "bad.1-of-2.csv", "manifest.0-of-2.csv", "manifest.1-of-2.csv"]
    capsys.readouterr()
    assert check() == 1
    assert "5 videos are known and unchanged" in capsys.readouterr().out
    assert len(read_table(out / "manifest.csv")) == 5 and [row["path"] for row in read_table(out / "bad.csv")] == [
        str(videos / "e.mp4")
    ]


@pytest.mark.parametrize("text", ["2/2", "1", "a/b", "0/0"])
def test_parts_that_there_are_not(videos, tmp_path, text, capsys):
    with pytest.raises(SystemExit):
        main(["check", str(videos), "--output", str(tmp_path), "--shard", text])
    assert "expected K/N with K from 0 to N - 1, as 0/16" in capsys.readouterr().err


def test_a_clean_list_is_of_all_parts(videos, tmp_path, refused):
    (tmp_path / "train.csv").write_text("videos/a.mp4 0\n")
    lists = ["--clean-list", str(tmp_path / "train.csv"), str(tmp_path / "clean.csv")]
    assert "--clean-list with --shard" in refused(main, ["check", "--output", str(tmp_path), *lists, "--shard", "0/2"])
