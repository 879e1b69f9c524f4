"""Lists as they are found in the wild: every row is read as meant, or reported with its line."""

import json
import os
import pickle
import re

import numpy as np
import pytest

from slowfast.datasets.lists.path_labels import (
    PackedStrings,
    check_files,
    find_class_names,
    read_class_names,
    read_path_label_list,
)
from slowfast.datasets.lists.row_problems import AnnotationError


@pytest.fixture
def read(tmp_path):
    def read_text(text, **options):
        path = tmp_path / "train.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_path_label_list(path, **options)

    return read_text


@pytest.mark.parametrize(
    "line, separator, path, label",
    [
        ("a.mp4 7", " ", "a.mp4", 7),
        ("a.mp4  7", " ", "a.mp4", 7),  # an empty middle field
        ("a.mp4 7 ", " ", "a.mp4", 7),
        ("a.mp4 300 7", " ", "a.mp4", 7),  # a middle field: frames or start
        ("a.mp4 12.5 7", " ", "a.mp4", 7),
        ("washing lizard/x.mp4 7", " ", "washing lizard/x.mp4", 7),  # PySlowFast reads the path "washing"
        ("washing lizard/x.mp4 300 7", " ", "washing lizard/x.mp4", 7),
        ("my clip.mp4 copy.mp4 7", " ", "my clip.mp4 copy.mp4", 7),
        ("lizard 3/x.mp4 7", " ", "lizard 3/x.mp4", 7),
        ("raw frames 300 7", " ", "raw frames 300", 7),  # no file name before the number: part of the path
        ('"washing lizard/x.mp4" 7', " ", "washing lizard/x.mp4", 7),
        ('"washing lizard/x.mp4" 300 7', " ", "washing lizard/x.mp4", 7),
        ("a.mp4,7", ",", "a.mp4", 7),
        ("a.mp4, 7", ",", "a.mp4", 7),
        ("a.mp4,300,7", ",", "a.mp4", 7),
        ("a.mp4,,7", ",", "a.mp4", 7),
        ("a.mp4,val,7", ",", "a.mp4", 7),
        ("a, b.mp4,7", ",", "a, b.mp4", 7),
        ('"a, b.mp4","7"', ",", "a, b.mp4", 7),
        ('"say ""hi"".mp4",7', ",", 'say "hi".mp4', 7),
        ("washing lizard/x.mp4\t7", "\t", "washing lizard/x.mp4", 7),
        ("x.mp4\t10\t7", "\t", "x.mp4", 7),
        ("a.mp4 3.0", " ", "a.mp4", 3),
        ("-dash.mp4 7", " ", "-dash.mp4", 7),
        ("a.mp4;7", ";", "a.mp4", 7),
    ],
)
def test_rows(read, line, separator, path, label):
    videos = read(line, separator=separator)
    assert list(videos.paths) == [path]
    assert videos.labels.tolist() == [label] and videos.labels.dtype == np.int64


def test_what_editors_leave_behind(read):
    videos = read(b"\xef\xbb\xbf# made by hand\r\na.mp4 0\r\n\r\n  \r\nf\xc3\xbcr.mp4 1 \r\n#b.mp4 2\r\nc.mp4 2")
    assert list(videos.paths) == ["a.mp4", "f\u00fcr.mp4", "c.mp4"]
    assert videos.labels.tolist() == [0, 1, 2]
    assert videos.line_numbers.tolist() == [2, 5, 7]
    assert videos.location(1) == "train.csv:5"


def test_bytes_that_are_no_utf8_are_kept(read):
    path = read(b"caf\xe9.mp4 0\n").paths[0]
    assert os.fsencode(path) == b"caf\xe9.mp4"


def test_prefix_is_for_relative_paths(read):
    assert list(read("a.mp4 0\n/data/b.mp4 1\n", prefix="/videos").paths) == ["/videos/a.mp4", "/data/b.mp4"]


def test_header_is_skipped_when_asked(read):
    assert len(read("path label\na.mp4 0\n", skip_rows=1)) == 1
    with pytest.raises(AnnotationError, match=r"train.csv:1: label 'label' is not an integer.*\n.*DATA.SKIP_ROWS to 1"):
        read("path label\na.mp4 0\nb.mp4 1\n")


def test_bad_rows_are_reported_together_with_their_lines(read):
    good = "".join(f"a{i}.mp4 0\n" for i in range(20))
    bad = "b.mp4 x\nc.mp4\n" + "".join(f"d{i}.mp4 {i}\n" for i in range(10, 22))
    with pytest.raises(AnnotationError) as error:
        read(good + bad, num_classes=10)
    text = str(error.value)
    assert "14 of 34 rows cannot be used" in text
    assert "train.csv:21: label 'x' is not an integer: 'b.mp4 x'" in text
    assert "train.csv:22: no label (no ' ' in this line): 'c.mp4'" in text
    assert "train.csv:23: label 10 is not in 0-9: 'd10.mp4 10'" in text
    assert len(re.findall(r"train\.csv:\d+:", text)) == 10
    assert "... and 4 more" in text
    assert "MODEL.NUM_CLASSES is 10" in text


def test_labels_from_one_are_recognized(read):
    with pytest.raises(AnnotationError, match=r"Labels seem to count from 1: they must count from 0, up to 2\."):
        read("a.mp4 1\nb.mp4 2\nc.mp4 3\n", num_classes=3)


@pytest.mark.parametrize("optional", [True, False])
def test_minus_one_is_no_label(tmp_path, optional):
    (tmp_path / "test.csv").write_text("a.mp4 0\nb.mp4 -1\n")
    with pytest.raises(AnnotationError, match=r"test\.csv:2: label -1 is not in 0-2") as info:
        read_path_label_list(tmp_path / "test.csv", num_classes=3, labels_optional=optional)
    assert "Labels count from 0." in str(info.value) and "NUM_CLASSES" not in str(info.value)
    assert ("omit it: write only the path on the line" in str(info.value)) == optional


@pytest.mark.parametrize(
    "row, problem", [("a.mp4 -1", "label -1 is not 0 or more"), ("a.mp4 1.5", "is not an integer")]
)
def test_labels_that_are_none(read, row, problem):
    with pytest.raises(AnnotationError, match=problem):
        read(row)


def test_no_rows_and_no_file(read, tmp_path):
    with pytest.raises(AnnotationError, match=r"train.csv names no video: expected one `path label` per line"):
        read("# nothing\n\n")
    with pytest.raises(AnnotationError, match=r"cannot read .*none.csv: No such file.*DATA.PATH_TO_DATA_DIR"):
        read_path_label_list(tmp_path / "none.csv")


def test_withheld_labels(read):
    videos = read("a.mp4\nwashing lizard/x.mp4\nb.mp4 3\n", labels_optional=True)
    assert list(videos.paths) == ["a.mp4", "washing lizard/x.mp4", "b.mp4"]
    assert videos.labels.tolist() == [-1, -1, 3]
    with pytest.raises(AnnotationError, match=r"train\.csv:1: no label"):
        read("a.mp4\n")
    with pytest.raises(AnnotationError, match="neither a label nor a file name ends this line"):
        read("a.mp4 lizard\n", labels_optional=True)


@pytest.mark.parametrize(
    "line, separator", [("a.mp4 0,2", " "), ('a.mp4 "0,2"', " "), ('a.mp4,"0,2"', ","), ("a.mp4 9 0,2,", " ")]
)
def test_several_labels(read, line, separator):
    videos = read(line, separator=separator, multi_label=True, num_classes=4)
    assert list(videos.paths) == ["a.mp4"]
    assert videos.labels.tolist() == [[1, 0, 1, 0]]


def test_no_label_is_a_row_of_zeros_and_ambiguous_ones_are_refused(read):
    for optional in (False, True):
        rows = read('a b.mp4 ""\n"c.mp4" 1,2', multi_label=True, num_classes=3, labels_optional=optional)
        assert rows.labels.tolist() == [[0, 0, 0], [0, 1, 1]] and list(rows.paths) == ["a b.mp4", "c.mp4"]
    with pytest.raises(AnnotationError, match="several labels must be in double quotes"):
        read("a.mp4,0,2", separator=",", multi_label=True, num_classes=3)
    with pytest.raises(AnnotationError, match="label 3 is not in 0-2"):
        read("a.mp4 0,3", multi_label=True, num_classes=3)


def test_packed_strings():
    strings = ["", "a", "\u65e5\u672c", "b" * 300, ""]
    packed = PackedStrings(strings)
    assert list(packed) == strings and packed == strings
    assert packed[-2] == "b" * 300 and packed[1:3] == ["a", "\u65e5\u672c"]
    assert pickle.loads(pickle.dumps(packed)) == packed
    assert len(PackedStrings([])) == 0
    with pytest.raises(IndexError):
        packed[5]


# ---- Missing files ----


@pytest.fixture
def half_missing(read, tmp_path):
    for i in range(0, 3000, 2):
        (tmp_path / f"{i}.mp4").touch()
    return read("".join(f"{i}.mp4 0\n" for i in range(3000)), prefix=str(tmp_path))


def test_missing_files_are_counted_and_named(half_missing):
    with pytest.raises(AnnotationError) as error:
        check_files(half_missing, "all")
    text = str(error.value)
    assert "train.csv: 1,500 of 3,000 files are missing" in text
    assert re.findall(r"train\.csv:(\d+): ", text) == [str(line) for line in range(2, 22, 2)]
    assert "DATA.PATH_PREFIX" in text and "DATA.CHECK_FILES none" in text


def test_a_sample_looks_at_a_thousand_files(half_missing, monkeypatch):
    looked = []
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: looked.append(path) or exists(path))
    with pytest.raises(AnnotationError, match=r"500 of 1,000 files checked \(of 3,000\) are missing"):
        check_files(half_missing, "sample")
    assert len(looked) == 1000 and looked[-1].endswith("2997.mp4")
    looked.clear()
    check_files(half_missing, "none")
    assert not looked
    with pytest.raises(ValueError, match='must be "all", "sample" or "none", got \'some\''):
        check_files(half_missing, "some")


# ---- Class names ----


def test_class_names(tmp_path):
    path = tmp_path / "classids.json"
    path.write_text(json.dumps({'"washing lizard"': 1, "abseiling": 0, "passing American football (in game)": 2}))
    assert read_class_names(path) == ["abseiling", "washing lizard", "passing American football (in game)"]
    assert find_class_names(tmp_path) == path
    path.write_text('["b", "a"]')
    assert read_class_names(path) == ["b", "a"]


def test_class_names_in_a_text_file(tmp_path):
    path = tmp_path / "class_names.txt"
    path.write_bytes(b"\xef\xbb\xbfabseiling\r\n\r\nwashing lizard\r\n")
    assert read_class_names(path) == ["abseiling", "washing lizard"]
    assert find_class_names(tmp_path) == path
    assert find_class_names(tmp_path / "none") is None


@pytest.mark.parametrize(
    "content, problem",
    [
        ('{"a": 1, "b": 2}', r"labels 0, 1, \.\.\. K - 1, each once"),
        ('{"a": 0, "b": 0}', r"each once"),
        ('{"a": "0"}', r"expected a list of names or an object"),
        ("[1, 2]", r"expected a list of names or an object"),
        ('["a", "a"]', r"class names must be unique; 'a' appears"),
        ("{", r":1: not JSON"),
    ],
)
def test_class_files_that_are_none(tmp_path, content, problem):
    path = tmp_path / "classids.json"
    path.write_text(content)
    with pytest.raises(AnnotationError, match=rf"classids\.json.*{problem}"):
        read_class_names(path)


def test_missing_class_file(tmp_path):
    with pytest.raises(AnnotationError, match=r"cannot read .*: No such file"):
        read_class_names(tmp_path / "x.json")
