"""Folders are classes; a division is reproducible, complete and the same for every class."""

import os
from collections import Counter

import pytest

from slowfast.preparation.folder_lists import folder_lists
from tests.preparation.conftest import put


def test_split_folders(tmp_path):
    put(tmp_path, "train/b/1.mp4", "train/a/deeper/2.mkv", "validation/a/3.mp4", "test/c d/4.webm", "train/loose.mp4")
    lists = folder_lists(tmp_path)
    found = {
        split: [(os.path.relpath(path, tmp_path), label) for path, label in rows] for split, rows in lists.rows.items()
    }
    assert found == {
        "train": [("train/a/deeper/2.mkv", 0), ("train/b/1.mp4", 1)],
        "val": [("validation/a/3.mp4", 0)],
        "test": [("test/c d/4.webm", 2)],
    }
    assert lists.class_names == ["a", "b", "c d"]
    assert lists.unlisted == [(str(tmp_path / "train/loose.mp4"), "not in the folder of a class")]
    assert lists.notes == ["test holds 1 classes without a training video, such as 'c d'."]


def test_class_names_sort_by_bytes(tmp_path):
    put(tmp_path, *(f"train/{name}/1.mp4" for name in ("b", "A", "a", "é", "Z", "_")))
    assert folder_lists(tmp_path).class_names == ["A", "Z", "_", "a", "b", "é"]


def divide(root, **options):
    lists = folder_lists(root, **options)
    return {path: (split, label) for split, rows in lists.rows.items() for path, label in rows}


def test_a_division_is_whole_fair_and_reproducible(tmp_path):
    put(tmp_path, *(f"{name}/{i}.mp4" for name in "abc" for i in range(20)))
    first = divide(tmp_path, fractions=(0.8, 0.1, 0.1))
    assert len(first) == 60
    counts = Counter(first.values())
    assert counts == {(s, k): n for s, n in (("train", 16), ("val", 2), ("test", 2)) for k in range(3)}
    assert divide(tmp_path, fractions=(0.8, 0.1, 0.1)) == first
    assert divide(tmp_path, fractions=(0.8, 0.1, 0.1), seed=1) != first


@pytest.mark.parametrize("per_class", [1, 2, 3, 5, 7])
def test_small_classes_fill_every_split_together(tmp_path, per_class):
    names = [f"c{i:02}" for i in range(30)]
    put(tmp_path, *(f"{name}/{i}.mp4" for name in names for i in range(per_class)))
    found = divide(tmp_path, fractions=(0.6, 0.2, 0.2))
    counts = Counter(split for split, _ in found.values())
    assert sum(counts.values()) == 30 * per_class
    assert {label for split, label in found.values() if split == "train"} == set(
        range(30)
    )  # every class can be learned
    if per_class > 1:
        for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            assert counts[split] == pytest.approx(share * 30 * per_class, abs=2)


@pytest.mark.parametrize(
    "names, fractions, words",
    [
        ([], None, "holds no video file"),
        (["a/1.mp4"], None, "holds no folder train, val or test.*--split 0.8 0.1 0.1"),
        (["train/a/1.mp4"], (0.8, 0.1, 0.1), r"is already split \(train\): omit --split"),
        (["train/a/1.mp4", "dogs/1.mp4"], None, "holds train and also 'dogs'"),
        (["val/a/1.mp4", "validation/a/1.mp4"], None, "two folders for one split: val, validation"),
        (["a/1.mp4"], (0.8, 0.1, 0.2), r"split \(0.8, 0.1, 0.2\): .* sum to 1"),
        (["a/1.mp4"], (1.2, -0.1, -0.1), "sum to 1"),
    ],
)
def test_other_folders_are_refused(tmp_path, names, fractions, words):
    with pytest.raises(ValueError, match=words):
        folder_lists(put(tmp_path, *names), fractions=fractions)


def test_given_classes_decide_the_labels(tmp_path):
    put(tmp_path, "train/a/1.mp4", "train/b/1.mp4")
    assert [label for _, label in folder_lists(tmp_path, class_names=["b", "c", "a"]).rows["train"]] == [0, 2]
    with pytest.raises(ValueError, match="1 folders that are not among the given classes, such as 'b'"):
        folder_lists(tmp_path, class_names=["a"])
