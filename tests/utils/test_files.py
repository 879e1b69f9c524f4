"""Files are whole or not there."""

import pytest

from slowfast.utils.errors import StorageError
from slowfast.utils.files import atomic_write, check_writable, remove_drafts


@pytest.mark.parametrize("name", ["a.csv", "x" * 255])
def test_a_file_appears_when_it_is_whole(tmp_path, name):
    with atomic_write(tmp_path / "deep" / name) as draft:
        draft.write_text("x")
        assert not (tmp_path / "deep" / name).exists()
    assert (tmp_path / "deep" / name).read_text() == "x"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_stays_of_what_was_interrupted(tmp_path, error):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(error), atomic_write(tmp_path / "a.csv") as draft:
        draft.write_text("half")
        raise error
    with pytest.raises(error), atomic_write(tmp_path / "folder") as draft:
        draft.mkdir()
        (draft / "half").write_text("half")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    context = atomic_write(tmp_path / "folder")
    draft = context.__enter__()
    draft.mkdir()
    (draft / "left over").write_text("")
    with atomic_write(tmp_path / "folder") as draft:
        draft.mkdir()
        (draft / "new").write_text("")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_two_processes_at_one_file_write_under_names_of_their_own(tmp_path, monkeypatch):
    with atomic_write(tmp_path / "a.npz", concurrently=True) as first:
        first.write_text("first")
        monkeypatch.setattr("os.getpid", lambda: -1)
        with atomic_write(tmp_path / "a.npz", concurrently=True) as second:
            assert second != first
            second.write_text("second")
        assert (tmp_path / "a.npz").read_text() == "second"
    assert (tmp_path / "a.npz").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_drafts_of_killed_processes_can_be_cleared(tmp_path):
    context = atomic_write(tmp_path / "a.pyth", concurrently=True)
    context.__enter__().write_text("half")
    folder = atomic_write(tmp_path / "folder").__enter__()
    folder.mkdir()
    (tmp_path / "b.pyth").write_text("whole")
    remove_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.pyth"]
    remove_drafts(tmp_path / "absent")


def test_a_folder_is_made_and_tried(tmp_path):
    check_writable(tmp_path / "new" / "deep", key="OUTPUT_DIR")
    assert list((tmp_path / "new" / "deep").iterdir()) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"^OUTPUT_DIR='.*' cannot be written to: a file stands where a folder"):
            check_writable(path, key="OUTPUT_DIR")
    with pytest.raises(StorageError, match="OUTPUT_DIR='/proc/x' cannot be written to: "):
        check_writable("/proc/x", key="OUTPUT_DIR")
