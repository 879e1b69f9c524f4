"""What is written is read back by the reader of training, whatever the names."""

import os

import pytest

from slowfast.datasets.lists.path_labels import read_class_names, read_path_label_list
from slowfast.preparation.files import read_table
from slowfast.preparation.list_files import DatasetLists, write_lists


def lists_of(paths, labels=None):
    labels = range(len(paths)) if labels is None else labels
    return DatasetLists(
        {"train": list(zip(paths, labels, strict=True)), "val": [], "test": []}, [f"c{i}" for i in range(len(paths))]
    )


@pytest.mark.parametrize("separator", [" ", ",", "\t", ";"])
@pytest.mark.parametrize("folder", ["a b", "#1", "a,b;c\td", 'say "hi"', "x.mp4 3"])
def test_odd_names_come_back(tmp_path, odd_names, separator, folder):
    paths = [str(tmp_path / folder / name) for name in odd_names]
    write_lists(lists_of(paths), tmp_path, separator=separator)
    found = read_path_label_list(tmp_path / "train.csv", prefix=str(tmp_path), separator=separator)
    assert list(found.paths) == paths
    assert found.labels.tolist() == list(range(len(paths)))


def test_rows_without_label_come_back(tmp_path, odd_names):
    paths = [str(tmp_path / name) for name in odd_names]
    write_lists(lists_of(paths, [None] * len(paths)), tmp_path)
    found = read_path_label_list(tmp_path / "train.csv", prefix=str(tmp_path), labels_optional=True)
    assert list(found.paths) == paths
    assert set(found.labels.tolist()) == {-1}


def test_a_name_that_no_list_can_hold_is_told(tmp_path):
    paths = [str(tmp_path / "a.mp4"), str(tmp_path / "line\nbreak.mp4")]
    write_lists(lists_of(paths), tmp_path)
    assert list(read_path_label_list(tmp_path / "train.csv").paths) == ["a.mp4"]
    assert read_table(tmp_path / "unlisted.csv") == [
        {"path": paths[1], "reason": "a list cannot hold a line break in a name"}
    ]


def test_where_paths_start(tmp_path, monkeypatch):
    inside, outside = tmp_path / "out" / "videos" / "a.mp4", tmp_path / "elsewhere" / "b.mp4"
    write_lists(lists_of([str(inside), str(outside)]), tmp_path / "out")
    assert list(read_path_label_list(tmp_path / "out" / "train.csv").paths) == ["videos/a.mp4", str(outside)]
    write_lists(lists_of([str(inside), str(outside)]), tmp_path / "other", relative_to=tmp_path)
    found = read_path_label_list(tmp_path / "other" / "train.csv")
    assert list(found.paths) == ["out/videos/a.mp4", "elsewhere/b.mp4"]
    monkeypatch.chdir(tmp_path)
    write_lists(lists_of([os.path.join("out", "videos", "a.mp4")]), "out", overwrite=True)
    assert list(read_path_label_list("out/train.csv").paths) == ["videos/a.mp4"]


def test_class_names_come_back(tmp_path):
    write_lists(DatasetLists({"train": [("a.mp4", 0)]}, ["a b", 'say "hi"', "日本"]), tmp_path)
    names = read_class_names(tmp_path / "classids.json")
    assert names == ["a b", 'say "hi', "日本"]  # the reader takes quotes off ends


def test_other_lists_are_not_replaced_unasked(tmp_path):
    write_lists(lists_of(["a.mp4"]), tmp_path)
    write_lists(lists_of(["a.mp4"]), tmp_path)  # the same again is no replacement
    with pytest.raises(
        ValueError, match=r"holds train\.csv, classids\.json with different content: nothing was written"
    ):
        write_lists(lists_of(["a.mp4", "b.mp4"]), tmp_path)
    assert len(read_path_label_list(tmp_path / "train.csv")) == 1
    write_lists(lists_of(["a.mp4", "b.mp4"]), tmp_path, overwrite=True)
    assert len(read_path_label_list(tmp_path / "train.csv")) == 2


def test_a_row_that_would_be_misread_is_refused(tmp_path):
    # With commas, the last field but one is passed over if it follows a file name and is none itself.
    with pytest.raises(ValueError, match=r"x\.mp4,y\.3gp.* would be read as the path 'x\.mp4'"):
        write_lists(lists_of(["x.mp4,y.3gp"]), tmp_path, separator=",", relative_to=os.getcwd())
    assert not (tmp_path / "train.csv").exists()


def test_splits_without_videos_have_no_list(tmp_path):
    write_lists(lists_of(["a.mp4"]), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["classids.json", "missing.csv", "train.csv", "unlisted.csv"]
