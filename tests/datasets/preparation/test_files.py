"""Files are whole or not there; odd names come through; settings are not mixed."""

import os

import pytest

from slowfast.datasets.preparation.files import claim_settings, find_files, read_table, write_table, written_whole


def test_a_file_appears_when_it_is_whole(tmp_path):
    with written_whole(tmp_path / "deep" / "a.csv") as draft:
        draft.write_text("x")
        assert not (tmp_path / "deep" / "a.csv").exists()
    assert (tmp_path / "deep" / "a.csv").read_text() == "x"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_stays_of_what_was_interrupted(tmp_path, error):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(error), written_whole(tmp_path / "a.csv") as draft:
        draft.write_text("half")
        raise error
    with pytest.raises(error), written_whole(tmp_path / "folder") as draft:
        draft.mkdir()
        (draft / "half").write_text("half")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    context = written_whole(tmp_path / "folder")
    draft = context.__enter__()
    draft.mkdir()
    (draft / "left over").write_text("")
    with written_whole(tmp_path / "folder") as draft:
        draft.mkdir()
        (draft / "new").write_text("")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_draft_of_a_long_name_can_be_written(tmp_path):
    with written_whole(tmp_path / ("x" * 255)) as draft:
        draft.write_text("")
    assert (tmp_path / ("x" * 255)).exists()


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
    with pytest.raises(ValueError, match="nowhere is no folder"):
        find_files(tmp_path / "nowhere")


def test_tables_keep_odd_names(tmp_path, odd_names):
    names = [*odd_names, "line\nbreak.mp4", "return\r.mp4"]
    write_table(tmp_path / "t.csv", ("path", "reason"), [(name, "x, y") for name in names])
    assert [row["path"] for row in read_table(tmp_path / "t.csv")] == names
    assert read_table(tmp_path / "none.csv") == []


def test_settings_may_be_claimed_again_but_not_changed(tmp_path):
    claim_settings(tmp_path / "s.json", {"fps": 30.0, "sizes": (1, 2)})
    claim_settings(tmp_path / "s.json", {"sizes": (1, 2), "fps": 30.0})
    with pytest.raises(ValueError, match=r"begun with other settings \(fps 30.0, now 24.0\).*s\.json"):
        claim_settings(tmp_path / "s.json", {"fps": 24.0, "sizes": (1, 2)})
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(ValueError, match=r"s\.json .* holds no JSON"):
        claim_settings(tmp_path / "s.json", {"fps": 24.0})
