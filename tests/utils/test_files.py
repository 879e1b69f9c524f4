"""Files are whole or not there."""

import pytest

from slowfast.utils.files import atomic_write


def test_a_file_appears_when_it_is_whole(tmp_path):
    with atomic_write(tmp_path / "deep" / "a.csv") as draft:
        draft.write_text("x")
        assert not (tmp_path / "deep" / "a.csv").exists()
    assert (tmp_path / "deep" / "a.csv").read_text() == "x"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.csv"]


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


def test_the_draft_of_a_long_name_can_be_written(tmp_path):
    with atomic_write(tmp_path / ("x" * 255)) as draft:
        draft.write_text("")
    assert (tmp_path / ("x" * 255)).exists()


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
