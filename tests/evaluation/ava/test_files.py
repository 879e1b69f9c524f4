"""Box files of AVA as they are found: zeros, endings, odd rows."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from slowfast.evaluation.ava import files
from slowfast.evaluation.ava.files import read_detections, read_excluded_timestamps, read_groundtruth
from slowfast.evaluation.ava.merging import write_detections
from tests.evaluation.ava.tables import rows_of

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "ava"  # sources: tests/data/README.md


def written(tmp_path, text, name="boxes.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_of_the_golden_detections():
    """Against the csv module and float()."""
    with open(GOLDEN / "detections.csv", newline="") as file:
        expected = [(r[0], int(r[1]), *map(float, r[2:6]), int(r[6]), float(r[7])) for r in csv.reader(file)]
    table = read_detections(GOLDEN / "detections.csv")
    assert rows_of(table) == expected
    assert table.line_numbers.tolist() == list(range(1, len(expected) + 1))
    assert table.location(3) == "detections.csv:4"


@pytest.mark.parametrize("block_bytes", [50, 64, 100, 1000])
def test_a_block_may_end_anywhere(monkeypatch, block_bytes):
    expected = read_detections(GOLDEN / "detections.csv")
    monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
    table = read_detections(GOLDEN / "detections.csv")
    assert rows_of(table) == rows_of(expected)
    assert table.images == expected.images
    assert table.line_numbers.tolist() == expected.line_numbers.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_read_to_the_last_bit(tmp_path, seed):
    rng = np.random.default_rng(seed)
    values = rng.random(300) * 10.0 ** rng.integers(-12, 3, 300)
    lines = [f"video-{i},{902 + i},0,1,.5,{1 - 1e-7!r},{i % 80},{value!r}\n" for i, value in enumerate(values.tolist())]
    rng.shuffle(lines)
    table = read_detections(written(tmp_path, "".join(lines)))
    expected = [(r[0], int(r[1]), *map(float, r[2:6]), int(r[6]), float(r[7])) for r in csv.reader(lines)]
    assert rows_of(table) == expected


def test_writings_of_a_second_are_one_image_and_a_fraction_is_another(tmp_path):
    """AVA-Kinetics has fractions; the official key has six decimals."""
    seconds = ("902", "0902", "902.0", "902.000000", "903", "902.5", "902.5000001")
    table = read_groundtruth(written(tmp_path, "".join(f"a,{second},0,0,1,1,1\n" for second in seconds)))
    assert table.images == [("a", 902), ("a", 903), ("a", 902.5)]
    assert table.image_index.tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert [type(second) for _, second in table.images] == [int, int, float]


def test_rows_of_2_7_and_8_columns_keep_their_order(tmp_path):
    text = "a,902,0,0,1,1,5,77\na,903\nb,902,0,0,.5,1,6\nb,904,0,0,1,1,-1,3\n"
    table = read_groundtruth(written(tmp_path, text))
    assert table.classes.tolist() == [5, 6, -1]
    assert table.scores.tolist() == [1, 1, 1]  # the eighth column is a person, no score
    assert table.line_numbers.tolist() == [1, 3, 4]
    assert [table.images[i] for i in table.image_index] == [("a", 902), ("b", 902), ("b", 904)]
    assert ("a", 903) in table.images


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.rstrip(b"\n"),
        lambda text: text.replace(b"\n", b" \t\n"),
        lambda text: b"\n \r\n" + text.replace(b"\n", b"\n\n"),
        lambda text: text.replace(b",", b" , "),
        lambda text: text.replace(b"a\xc3\xa9,", b'"a\xc3\xa9",'),
    ],
    ids=["CRLF", "byte-order mark", "no final newline", "trailing blanks", "blank lines", "spaces", "quotes"],
)
def test_endings_and_blanks(tmp_path, change):
    text = "aé,902,0.1,0.2,0.5,0.6,5,0.25\naé,903,0.1,0.2,0.5,0.6,6,1e-3\n".encode()
    assert rows_of(read_detections(written(tmp_path, change(text)))) == [
        ("aé", 902, 0.1, 0.2, 0.5, 0.6, 5, 0.25),
        ("aé", 903, 0.1, 0.2, 0.5, 0.6, 6, 0.001),
    ]


def test_names_of_any_length_and_bytes_stay_apart(tmp_path):
    names = [b"a", b"a" * 60 + b"1", b"a" * 60 + b"2", b"-x_#", b"\xff\xfe", b"a b"]
    text = b"".join(name + b",902,0,0,1,1,1,.5\n" for name in names)
    table = read_detections(written(tmp_path, text))
    assert [video.encode("utf-8", "surrogateescape") for video, _ in table.images] == names
    write_detections(tmp_path / "again.csv", table)
    assert read_detections(tmp_path / "again.csv").images == table.images


@pytest.mark.parametrize(
    "line, problem",
    [
        ("a,902,0,0,1,1,3", r"boxes\.csv:2: 7 columns: 'a,902,0,0,1,1,3'"),
        ("a,902,0,0,1,1,3,.5,9", r"boxes\.csv:2: 9 columns"),
        ("nothing", r"boxes\.csv:2: 1 columns: 'nothing'"),
        ("a,902,0,0,1,1,,.5", r"boxes\.csv:2: column 7, '', is not a number"),
        ("a,902,0,0,1,1,3,", r"boxes\.csv:2: column 8, '', is not a number"),
        ("a,902,0,x1,1,1,3,.5", r"boxes\.csv:2: column 4, 'x1', is not a number"),
        ("a,902,0,0,1,1_0,3,.5", r"boxes\.csv:2: column 6, '1_0', is not a number"),
        ("a,902,0,0 0,1,1,3,.5", r"boxes\.csv:2: column 4, '0 0', is not a number"),
        ("a,902,0,0,1,1,3.5,.5", r"boxes\.csv:2: action_id, column 7, is not an integer: 'a,902,0,0,1,1,3.5,.5'"),
        ("a,902,0,0,1,1,nan,.5", r"boxes\.csv:2: action_id, column 7, is not an integer"),
        ("a,902,0,0,1,1,3e10,.5", r"boxes\.csv:2: action_id, column 7, is not an integer"),
        ("a,nan,0,0,1,1,3,.5", r"boxes\.csv:2: the second, column 2, is not a time"),
        ("a,902,0,nan,1,1,3,.5", r"boxes\.csv:2: box \[0\.0, nan, 1\.0, 1\.0\] with score 0\.5 .* not finite"),
        ("a,902,0,0,1,1,3,inf", r"boxes\.csv:2: box .* with score inf holds a value that is not finite"),
        (",902,0,0,1,1,3,.5", r"boxes\.csv:2: no name in column 1"),
        ("a" * 2000 + ",902,0,0,1,1,3,.5", r"boxes\.csv:2: a name of 2,000 characters"),
    ],
)
def test_bad_rows_are_named(tmp_path, line, problem):
    path = written(tmp_path, f"a,902,0,0,1,1,3,.5\n{line}\na,902,0,0,1,1,4,.5\n")
    with pytest.raises(ValueError, match=problem):
        read_detections(path)


def test_bad_rows_far_into_a_file_have_their_line(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_BYTES", 200)
    lines = ["", *["a,902,0,0,1,1,3,.5"] * 40, "a,902,0,0,1,1,3,half", *["a,902,0,0,1,1,3,.5"] * 40]
    with pytest.raises(ValueError, match=r"boxes\.csv:42: column 8, 'half', is not a number"):
        read_detections(written(tmp_path, "\n".join(lines)))


def test_ten_bad_rows_are_enough_and_the_format_is_told(tmp_path):
    path = written(tmp_path, "a,902,0,0,1,1,3\n" * 30)
    with pytest.raises(ValueError) as error:
        read_detections(path)
    assert len(re.findall("7 columns", str(error.value))) == 10
    assert "... and more" in str(error.value)
    assert "Expected `video,second,x1,y1,x2,y2,action_id,score`, separated by commas." in str(error.value)


def test_a_header_is_recognized(tmp_path):
    path = written(tmp_path, "video,t,x1,y1,x2,y2,action,person\na,902,0,0,1,1,3,0\n")
    with pytest.raises(ValueError, match="If the first line is a header, delete it"):
        read_groundtruth(path)


def test_empty_and_missing_files(tmp_path, caplog):
    path = written(tmp_path, "\n")
    assert len(read_detections(path)) == 0
    assert "holds no detection" in caplog.text
    with pytest.raises(ValueError, match=r"boxes\.csv: no row"):
        read_groundtruth(path)
    with pytest.raises(ValueError, match=r"cannot read .*nowhere\.csv: No such file"):
        read_detections(tmp_path / "nowhere.csv")


def test_something_without_lines_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_BYTES", 100)
    with pytest.raises(ValueError, match=r"boxes\.csv:1: a line of over 100 bytes. Is this a CSV file"):
        read_detections(written(tmp_path, bytes(500)))


def test_excluded_timestamps(tmp_path):
    assert read_excluded_timestamps(GOLDEN / "excluded_timestamps.csv") == {
        ("vid000", 903),
        ("vid000", 908),
        ("vid001", 908),
    }
    with pytest.raises(ValueError, match=r"boxes\.csv:1: 3 columns: 'a,902,1'"):
        read_excluded_timestamps(written(tmp_path, "a,902,1\n"))
