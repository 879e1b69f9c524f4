"""Checked once, files are known; bad ones are listed, and left out of clean lists."""

import os

from slowfast.cli.prepare.main import main
from slowfast.preparation.files import read_table


def check(tmp_path, *arguments):
    return main(["check", *map(str, arguments), "--output", str(tmp_path / "check"), "--workers", "0"])


def test_a_folder(tmp_path, make_video, capsys):
    make_video(tmp_path / "videos" / "good one.mp4")
    (tmp_path / "videos" / "bad.mp4").write_text("<html>")
    assert check(tmp_path, tmp_path / "videos") == 1
    out = capsys.readouterr().out
    assert "2 files, 1 good, 1 bad" in out and "check/bad.csv says which and why" in out
    (bad,) = read_table(tmp_path / "check" / "bad.csv")
    assert bad["path"] == str(tmp_path / "videos" / "bad.mp4") and "HTML" in bad["reason"]
    rows = read_table(tmp_path / "check" / "manifest.csv")
    assert [(row["frames"], row["width"], row["height"]) for row in rows] == [("0", "0", "0"), ("12", "40", "32")]


def test_only_new_and_changed_files_are_decoded_again(tmp_path, make_video, monkeypatch):
    from slowfast.cli.prepare import check as module

    looked_at = []
    inspect = module.inspect_video
    monkeypatch.setattr(module, "inspect_video", lambda path: looked_at.append(os.path.basename(path)) or inspect(path))
    for name in ("a", "b"):
        make_video(tmp_path / "videos" / f"{name}.mp4")
    assert check(tmp_path, tmp_path / "videos") == 0
    make_video(tmp_path / "videos" / "b.mp4", num_frames=20)
    make_video(tmp_path / "videos" / "c.mp4")
    assert check(tmp_path, tmp_path / "videos") == 0
    assert looked_at == ["a.mp4", "b.mp4", "b.mp4", "c.mp4"]
    frames = {os.path.basename(row["path"]): row["frames"] for row in read_table(tmp_path / "check" / "manifest.csv")}
    assert frames == {"a.mp4": "12", "b.mp4": "20", "c.mp4": "12"}


def test_an_interrupted_check_keeps_what_it_found(tmp_path, make_video, monkeypatch):
    from slowfast.cli.prepare import check as module

    for name in ("a", "b"):
        make_video(tmp_path / "videos" / f"{name}.mp4")
    inspect = module.inspect_video

    def interrupted(path):
        if path.endswith("b.mp4"):
            raise KeyboardInterrupt
        return inspect(path)

    monkeypatch.setattr(module, "inspect_video", interrupted)
    assert check(tmp_path, tmp_path / "videos") == 130
    assert [os.path.basename(row["path"]) for row in read_table(tmp_path / "check" / "manifest.csv")] == ["a.mp4"]


def test_a_clean_list_lacks_the_bad_rows_alone(tmp_path, make_video, capsys):
    make_video(tmp_path / "big dogs" / "1.mp4")
    make_video(tmp_path / "3.mp4", num_frames=3)
    (tmp_path / "2.mp4").write_bytes(b"")
    rows = ["# my videos", "big dogs/1.mp4 7", "2.mp4 3", "", "3.mp4 1", "gone.mp4 0", ""]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    assert check(tmp_path, "--clean-list", tmp_path / "train.csv", tmp_path / "clean.csv") == 1
    assert (tmp_path / "clean.csv").read_text().split("\n") == [*rows[:2], "", "3.mp4 1", ""]
    assert "clean.csv: 2 of 4 videos" in capsys.readouterr().out
    assert check(tmp_path, "--clean-list", tmp_path / "train.csv", tmp_path / "clean.csv", "--min-frames", "8") == 1
    assert (tmp_path / "clean.csv").read_text().split("\n") == [*rows[:2], "", ""]


def test_lists_with_several_labels(tmp_path, make_video):
    make_video(tmp_path / "1.mp4")
    (tmp_path / "2.mp4").write_bytes(b"")
    (tmp_path / "train.csv").write_text("1.mp4\t7,2\n2.mp4\t3\n")
    options = ["--separator", "\t", "--multi-label", "8"]
    assert check(tmp_path, *options, "--clean-list", tmp_path / "train.csv", tmp_path / "clean.csv") == 1
    assert (tmp_path / "clean.csv").read_text() == "1.mp4\t7,2\n"


def test_single_files_and_lists(tmp_path, make_video, capsys, refused):
    make_video(tmp_path / "1.mp4")
    make_video(tmp_path / "2.mp4")
    (tmp_path / "list.csv").write_text("1.mp4 0\n")
    assert check(tmp_path, tmp_path / "list.csv", tmp_path / "2.mp4", tmp_path / "1.mp4") == 0
    assert "2 files, 2 good, 0 bad" in capsys.readouterr().out
    assert "nothing to check" in refused(check, tmp_path)
