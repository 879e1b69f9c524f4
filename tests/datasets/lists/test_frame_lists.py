"""Frame lists: what is read, in which order, how little is kept, and what every odd row says."""

import pickle

import numpy as np
import pytest

from slowfast.datasets.lists import frame_lists
from slowfast.datasets.lists.frame_lists import HEADER, check_frame_files, read_frame_lists
from slowfast.datasets.lists.numbered_paths import NumberedPaths
from slowfast.datasets.lists.row_problems import AnnotationError

# As the published lists of Charades.
ROWS = [
    'Q7ZZ1 0 1 Q7ZZ1/Q7ZZ1-000001.jpg "15"',
    'Q7ZZ1 0 2 Q7ZZ1/Q7ZZ1-000002.jpg "15,61"',
    'Q7ZZ1 0 3 Q7ZZ1/Q7ZZ1-000003.jpg ""',
]


@pytest.fixture
def write(tmp_path):
    """``write(rows, name, ...)``: a frame list with these rows."""

    def write_list(rows, name="train.csv", *, header=HEADER, newline="\n", start=""):
        path = tmp_path / name
        path.write_bytes((start + newline.join([header, *rows]) + newline).encode())
        return path

    return write_list


def movie(video_id: str, numbers, first_frame_id: int = 0) -> list[str]:
    return [
        f'{video_id} 0 {first_frame_id + i} {video_id}/{video_id}_{number:06d}.jpg ""'
        for i, number in enumerate(numbers)
    ]


def test_the_example(write):
    lists = read_frame_lists([write(ROWS)], prefix="/data")
    assert (len(lists), lists.num_frames, lists.video_ids, lists.sources) == (1, 3, ["Q7ZZ1"], ["train.csv"])
    assert list(lists.frame_paths(0)) == [f"/data/Q7ZZ1/Q7ZZ1-00000{i}.jpg" for i in (1, 2, 3)]
    assert lists.labels(0) == [(15,), (15, 61), ()]
    assert lists.index_of("Q7ZZ1") == 0 and "Q7ZZ1" in lists and "Q7" not in lists
    assert lists.location(0) == "train.csv:2"
    with pytest.raises(KeyError):
        lists.index_of("Q7")


@pytest.mark.parametrize("empty", ['""', '""""', '"'])
def test_no_label_has_several_spellings(write, empty):
    lists = read_frame_lists([write([f"a 0 0 a/1.jpg {empty}", 'a 0 1 a/2.jpg "3"'])])
    assert lists.labels(0) == [(), (3,)]


def test_labels_need_no_quotes(write):
    assert read_frame_lists([write(["a 0 0 a/1.jpg 15,61"])]).labels(0) == [(15, 61)]


def test_line_ends_marks_and_blank_lines_of_other_systems(write):
    plain = read_frame_lists([write(ROWS)])
    odd = read_frame_lists([write(["", *ROWS[:2], "  ", ROWS[2] + "  "], "b.csv", newline="\r\n", start="\ufeff")])
    assert odd.video_ids == plain.video_ids
    assert odd.frame_paths(0) == plain.frame_paths(0) and odd.labels(0) == plain.labels(0)
    assert odd.location(0) == "b.csv:3"


def test_rows_of_a_video_need_not_stand_together(write):
    one, two = movie("one", range(1, 6)), movie("two", range(1, 6))
    mixed = [row for pair in zip(two, one, strict=True) for row in pair]
    lists = read_frame_lists([write(mixed)])
    assert lists.video_ids == ["two", "one"]
    assert [lists.location(i) for i in (0, 1)] == ["train.csv:2", "train.csv:3"]
    assert list(lists.frame_paths(1)) == [f"one/one_{n:06d}.jpg" for n in range(1, 6)]


def test_several_files_make_one_list(write):
    lists = read_frame_lists([write(movie("a", [1, 2]), "a.csv"), write(movie("b", [1]), "b.csv")])
    assert lists.video_ids == ["a", "b"] and lists.sources == ["a.csv", "b.csv"]
    assert lists.location(1) == "b.csv:2"


def test_a_video_in_two_files_is_an_error(write):
    a, b = write(movie("v", [1, 2]), "a.csv"), write(movie("w", [1]) + movie("v", [3]), "b.csv")
    with pytest.raises(AnnotationError, match=r"b\.csv:3: video v is already listed in a\.csv:2"):
        read_frame_lists([a, b])


def test_an_absolute_path_ignores_the_prefix(write):
    lists = read_frame_lists([write(['a 0 0 /frames/a_000001.jpg ""', 'a 0 1 /frames/a_000002.jpg ""'])], prefix="/p")
    assert list(lists.frame_paths(0)) == ["/frames/a_000001.jpg", "/frames/a_000002.jpg"]


def test_names_of_any_kind_survive(write):
    paths = ["é/ö_9.png", "é/ö_10.png", "no-number.jpg", "a1/b2/c.jpeg", "12345678901234567890.jpg"]
    lists = read_frame_lists([write([f'é 0 {i} {path} ""' for i, path in enumerate(paths)])], prefix="p")
    assert lists.video_ids == ["é"]
    assert list(lists.frame_paths(0)) == [f"p/{path}" for path in paths]


@pytest.mark.parametrize("seed", range(10))
def test_blocks_make_no_difference(write, seed, monkeypatch):
    """Whatever the order of rows and wherever a block ends: a slow reading of the same file agrees."""
    rng = np.random.default_rng(seed)
    rows = []
    for video in range(rng.integers(1, 5)):
        width = int(rng.integers(1, 7))
        for i in range(rng.integers(1, 30)):
            labels = ",".join(map(str, rng.integers(0, 99, rng.integers(0, 3))))
            rows.append(f'v{video} {video} {i} v{video}/img{i:0{width}d}.jpg "{labels}"')
    if seed % 2:
        rows = [rows[i] for i in rng.permutation(len(rows))]
    expected: dict[str, list] = {}
    for row in rows:
        name, _, _, path, labels = row.split()
        expected.setdefault(name, []).append(
            (f"r/{path}", tuple(map(int, labels.strip('"').split(","))) if labels != '""' else ())
        )
    monkeypatch.setattr(frame_lists, "BLOCK_BYTES", int(rng.integers(10, 400)))
    lists = read_frame_lists([write(rows)], prefix="r")
    found = {
        name: list(zip(lists.frame_paths(i), lists.labels(i), strict=True)) for i, name in enumerate(lists.video_ids)
    }
    assert found == expected and list(found) == list(expected)


def test_a_movie_takes_a_few_bytes(write):
    lists = read_frame_lists([write(movie("mvA_0-xyz12", range(1, 27_031)))])
    paths = lists.frame_paths(0)
    assert isinstance(paths, NumberedPaths) and isinstance(paths.numbers, range)
    assert (
        len(paths) == 27_030 and paths[60] == "mvA_0-xyz12/mvA_0-xyz12_000061.jpg" and paths[-1].endswith("_027030.jpg")
    )
    assert paths[1:3] == ["mvA_0-xyz12/mvA_0-xyz12_000002.jpg", "mvA_0-xyz12/mvA_0-xyz12_000003.jpg"]
    assert len(pickle.dumps(lists)) < 1000
    with pytest.raises(IndexError):
        paths[27_030]


# ---- What is wrong with a list ----


@pytest.mark.parametrize(
    "header, shown",
    [
        ("original_video_id video_id frame_id path labels", "original_video_id video_id"),
        ('a 0 0 a/1.jpg ""', "a 0 0 a/1.jpg"),
        ("", ""),
    ],
)
def test_the_header_is_checked(write, header, shown):
    with pytest.raises(AnnotationError, match=rf"train\.csv:1: expected the header `{HEADER}`, found `{shown}"):
        read_frame_lists([write(ROWS, header=header)])


def test_rows_with_other_numbers_of_fields_are_named(write):
    rows = [ROWS[0], 'Q7ZZ1 0 2 my frames/2.jpg "15"', "Q7ZZ1 0 3 3.jpg", ROWS[2]]
    message = (
        r"2 of 4 rows cannot be used:\n"
        r"  train\.csv:3: 6 fields instead of 5: 'Q7ZZ1 0 2 my frames/2\.jpg .*\n"
        r"  train\.csv:4: 4 fields instead of 5: 'Q7ZZ1 0 3 3\.jpg'\n"
    )
    with pytest.raises(AnnotationError, match=message):
        read_frame_lists([write(rows)])


def test_labels_that_are_none_are_named(write):
    with pytest.raises(AnnotationError, match=r"  train\.csv:3: labels '\"walk\"' are not integers from 0 such as"):
        read_frame_lists([write([ROWS[0], 'a 0 0 a/1.jpg "walk"'])])


def test_an_empty_list_and_a_missing_one(write, tmp_path):
    with pytest.raises(AnnotationError, match=r"train\.csv names no frame"):
        read_frame_lists([write([])])
    with pytest.raises(AnnotationError, match=r"cannot read the frame list .*none\.csv: No such file"):
        read_frame_lists([tmp_path / "none.csv"])
    with pytest.raises(ValueError, match=r"at least one entry, got 'train\.csv'"):
        read_frame_lists("train.csv")


def test_holes_in_the_numbering_are_kept_and_warned_of(write, caplog):
    rows = movie("a", [1, 2, 3]) + movie("b", [1, 2]) + movie("b", [4], first_frame_id=3) + movie("c", [5, 6], 1)
    lists = read_frame_lists([write(rows)])
    assert list(lists.frame_paths(1)) == ["b/b_000001.jpg", "b/b_000002.jpg", "b/b_000004.jpg"]
    (record,) = caplog.records
    assert "1 of 3 videos are not consecutive (first: train.csv:7, video b, 3 where 2 is expected)" in record.message


# ---- Files ----


def test_missing_frames_are_named(write, tmp_path):
    for name in ("a/a_000001.jpg", "a/a_000003.jpg", "b/b_000002.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    lists = read_frame_lists([write(movie("a", [1, 2, 3]) + movie("b", [1, 2]))], prefix=str(tmp_path))
    with pytest.raises(
        AnnotationError, match=r"1 of 2 frames checked \(of 5\) are missing:\n  train\.csv:5: .*b_000001"
    ):
        check_frame_files(lists)
    with pytest.raises(
        AnnotationError, match=r"2 of 5 frames .*\n  train\.csv:2: .*a_000002.*\n.*\nSet AVA\.FRAME_DIR"
    ):
        check_frame_files(lists, "all", hint="Set AVA.FRAME_DIR.")
    check_frame_files(lists, "none")
    with pytest.raises(ValueError, match=r"which must be .* got 'some'"):
        check_frame_files(lists, "some")
