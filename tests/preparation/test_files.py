"""Odd names come through; settings are not mixed."""

import os

import pytest

from slowfast.preparation.files import check_or_write_settings, find_files, read_table, write_table


def test_files_are_found_in_order_whatever_their_names(tmp_path, odd_names):
    for name in [*odd_names, "A.MP4", "a.webm", "notes.txt", ".hidden.mp4", "._a.mp4"]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "b.mp4").write_bytes(b"")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.mkv").write_bytes(b"")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    videos, others = find_files(tmp_path)
    expected = [*odd_names, "A.MP4", "a.webm", os.path.join("deep", "c.mkv")]
    assert videos == sorted(expected, key=os.fsencode)
    assert others == ["notes.txt"]


def test_videos_behind_a_link_are_found(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.mp4").write_bytes(b"")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "class").symlink_to(tmp_path / "disk")
    assert find_files(tmp_path / "data")[0] == [os.path.join("class", "a.mp4")]


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        find_files(tmp_path / "nowhere")


def test_tables_keep_odd_names(tmp_path, odd_names):
    names = [*odd_names, "line\nbreak.mp4", "return\r.mp4"]
    write_table(tmp_path / "t.csv", ("path", "reason"), [(name, "x, y") for name in names])
    assert [row["path"] for row in read_table(tmp_path / "t.csv")] == names
    assert read_table(tmp_path / "none.csv") == []


def test_settings_may_be_claimed_again_but_not_changed(tmp_path):
    check_or_write_settings(tmp_path / "s.json", {"fps": 30.0, "sizes": (1, 2)})
    check_or_write_settings(tmp_path / "s.json", {"sizes": (1, 2), "fps": 30.0})
    with pytest.raises(ValueError, match=r"started with different settings \(fps 30.0, now 24.0\).*s\.json"):
        check_or_write_settings(tmp_path / "s.json", {"fps": 24.0, "sizes": (1, 2)})
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(ValueError, match=r"s\.json:1: not JSON"):
        check_or_write_settings(tmp_path / "s.json", {"fps": 24.0})
