"""Lists of boxes: what is merged, left out and counted, and what is wrong enough to stop."""

import logging
import pickle

import numpy as np
import pytest

from slowfast.datasets.lists.ava_boxes import read_boxes
from slowfast.datasets.lists.row_problems import AnnotationError

BOX = "0.100,0.200,0.500,0.600"


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture
def read(tmp_path):
    """``read(true=[rows], detected=[rows], ...)``: the key frames of these rows."""

    def read_rows(true=None, detected=None, **options):
        paths = {}
        for name, rows in (("true.csv", true), ("detected.csv", detected)):
            if rows is not None:
                (tmp_path / name).write_text("".join(f"{row}\n" for row in rows))
                paths[name] = tmp_path / name
        options = {"video_ids": ["vidA", "vidB"], "num_classes": 80, "score_threshold": 0.8} | options
        return read_boxes(
            [paths[name] for name in paths if name == "true.csv"],
            [paths[name] for name in paths if name == "detected.csv"],
            **options,
        )

    return read_rows


def labels_of(key_frames, index=0):
    return [(np.flatnonzero(row) + 1).tolist() for row in key_frames.labels_of(index, 80)]


def summary(caplog):
    return caplog.records[-1].message


def test_the_example_of_the_documentation(read):
    key_frames = read(
        true=[
            "vidA,0902,0.120,0.081,0.455,0.970,12,0",
            "vidA,0902,0.120,0.081,0.455,0.970,79,0",
        ],
        detected=["vidA,0902,0.118,0.085,0.460,0.966,,0.991204"],
    )
    assert list(key_frames) == [("vidA", 902)]
    expected = np.array([[0.120, 0.081, 0.455, 0.970], [0.118, 0.085, 0.460, 0.966]], dtype=np.float32)
    assert np.array_equal(key_frames.boxes_of(0), expected) and key_frames.boxes.dtype == np.float32
    assert labels_of(key_frames) == [[12, 79], []]
    assert key_frames.labels_of(0, 80).dtype == np.float32


def test_key_frames_come_by_video_and_second_and_boxes_in_the_order_of_the_lists(read):
    rows = [
        f"vidB,0903,{BOX},1,0",
        "vidA,1798,0.3,0.3,0.4,0.4,3,1",
        "vidA,1798,0.1,0.1,0.2,0.2,2,0",
        f"vidA,0902,{BOX},1,0",
    ]
    key_frames = read(true=rows, detected=["vidA,1798,0.5,0.5,0.6,0.6,4,0.9"])
    assert key_frames[:] == [("vidA", 902), ("vidA", 1798), ("vidB", 903)]
    assert read(true=rows, video_ids=["vidB", "vidA"])[0] == ("vidB", 903)  # in the order of the frames
    assert key_frames.boxes_of(1)[:, 0].tolist() == pytest.approx([0.3, 0.1, 0.5])
    assert labels_of(key_frames, 1) == [[3], [2], [4]]


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_reading_agrees(read, seed):
    rng = np.random.default_rng(seed)
    boxes = [",".join(f"{x:.2f}" for x in (*rng.uniform(0, 0.4, 2), *rng.uniform(0.5, 1, 2))) for _ in range(4)]
    rows = [
        f"vid{rng.choice(['A', 'B'])},{rng.integers(902, 906)},{rng.choice(boxes)},{rng.choice(['', '1', '7', '80'])},"
        f"{rng.uniform():.3f}"
        for _ in range(60)
    ]
    expected: dict[tuple[str, int], dict[str, set[int]]] = {}
    for row in rows:
        video, second, *box, label, score = row.split(",")
        if float(score) >= 0.5:
            labels = expected.setdefault((video, int(second)), {}).setdefault(",".join(box), set())
            labels |= {int(label)} if label else set()
    key_frames = read(detected=rows, score_threshold=0.5)
    assert list(key_frames) == sorted(expected)
    for i, key in enumerate(key_frames):
        found = [",".join(f"{x:.2f}" for x in box) for box in key_frames.boxes_of(i)]
        assert dict(zip(found, map(set, labels_of(key_frames, i)), strict=True)) == expected[key]
        assert found == list(expected[key])  # in the order of first appearance


EMPTY = ("0.5,0.1,0.5,0.9", "0.6,0.1,0.5,0.9", "0.1,0.9,0.5,0.2", "1.01,0.1,1.2,0.9")
SECONDS = (0, 901, 902, 903, 1798, 1799)
# What is read: rows of vidA in the true and the detected list, and the labels of the boxes of every second.
READ = {
    "boxes are one by the text of their coordinates": (
        ["0902,0.10,0.2,0.5,0.6,1,0", "902,0.10,0.2,0.5,0.6,2,0", "0902,0.100,0.2,0.5,0.6,3,0"],
        [],
        {902: [[1, 2], [3]]},
    ),
    "a box in both lists is one": ([f"902,{BOX},1,0"], [f"902,{BOX},2,0.9"], {902: [[1, 2]]}),
    "seconds in any spelling": (
        [f"{second},{BOX},{i},0" for i, second in enumerate(("902", "0902", "902.0", "902.000000"), 1)],
        [],
        {902: [[1, 2, 3, 4]]},
    ),
    "7 or 8 columns, and 2 without a box": ([f"902,{BOX},1", f"902,{BOX},2,0", "0903"], [], {902: [[1, 2]]}),
    "no label makes a negative": (
        [],
        [f"902,0,0,1,{y},{label},0.9" for y, label in ((0.1, ""), (0.2, "-1"), (0.3, "-1.0"), (0.4, "5"))],
        {902: [[], [], [], [5]]},
    ),
    "the last label, and an integer as a float": ([f"902,{BOX},80,0", f"902,{BOX},1.0,0"], [], {902: [[1, 80]]}),
    "the score threshold of 0.8 itself": (
        [],
        [f"902,0,0,1,0.{i},{i},{score}" for i, score in enumerate(("0.8", "0.80000", "0.799999", "1"), 1)],
        {902: [[1], [2], [4]]},
    ),
    "annotated seconds": ([f"{second},{BOX},1,0" for second in SECONDS], [], {902: [[1]], 903: [[1]], 1798: [[1]]}),
    "empty boxes go with their labels": (
        [f"902,{BOX},1,0", *(f"902,{box},{label},1" for box in EMPTY for label in (2, 3))],
        [],
        {902: [[1]]},
    ),
}


@pytest.mark.parametrize("case", READ)
def test_rows_become_boxes_with_labels(read, case):
    true, detected, expected = READ[case]
    key_frames = read(
        true=[f"vidA,{row}" for row in true] or None, detected=[f"vidA,{row}" for row in detected] or None
    )
    assert {second: labels_of(key_frames, i) for i, (_, second) in enumerate(key_frames)} == expected


def test_reduced_validation_keeps_every_fourth_second(read, caplog):
    rows = [f"vidA,{second},{BOX},1,1" for second in range(902, 915)]
    assert [second for _, second in read(detected=rows, every_seconds=4)] == [904, 908, 912]
    assert "Skipped: 1 videos without boxes" in summary(caplog)


def test_windows_files_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(f"\ufeffvidA,0902,{BOX},1,0\r\n\r\nvidA,0903,{BOX},1,0".encode())
    key_frames = read_boxes([path], [], video_ids=["vidA"], num_classes=80, score_threshold=0.9)
    assert list(key_frames) == [("vidA", 902), ("vidA", 903)]


def test_the_summary_counts_everything(read, caplog):
    key_frames = read(
        true=[f"vidA,0902,{BOX},1,0", f"vidA,0902,{BOX},2,0", "vidA,0903,-0.01,0,0.5,1,,0", f"vidA,0901,{BOX},1,0"],
        detected=[f"vidA,0904,{BOX},,0.1", "vidA,0905,0.5,0.5,0.5,0.9,,0.9", f"vidC,0902,{BOX},,0.9", "vidA,0906"],
    )
    assert summary(caplog) == (
        "true.csv, detected.csv: 1 videos, 2 key frames, 2 boxes (1 beyond the frame's border, 1 without label), "
        "2 labels. Skipped: 1 rows with seconds outside 902-1798, 1 rows below score 0.8 (1 key frames have no other), "
        "1 empty boxes, 1 rows without a box, 1 rows of 1 videos without frames (first: vidC), 1 videos without boxes."
    )
    assert caplog.records[-1].levelname == "WARNING" and key_frames.missing_videos == ("vidC",)  # boxes lost with it


def test_arrays_travel_to_workers(read):
    key_frames = read(true=[f"vidA,0902,{BOX},1,0"])
    assert list(pickle.loads(pickle.dumps(key_frames))) == [("vidA", 902)]


# ---- Defects ----


def test_coordinates_a_little_outside_are_kept_and_counted(read, caplog):
    key_frames = read(true=["vidA,0902,-0.003,0,1.0000001,1,1,0"])
    assert key_frames.boxes[0].tolist() == pytest.approx([-0.003, 0, 1, 1], abs=1e-6)
    assert "1 boxes (1 beyond the frame's border" in summary(caplog)


@pytest.mark.parametrize(
    "row, problem",
    [
        ("vidA,0903,12,30,300,400,1,0", r"box far outside the frame; .* \(are these pixels\?\)"),
        ("vidA,0903,0.1,0.2,nan,0.4,1,0", "x2 'nan' is not a number"),
        ("vidA,0903,0.1,inf,0.3,0.4,1,0", "y1 'inf' is not a number"),
        ("vidA,0903,0.1,,0.3,0.4,1,0", "y1 '' is not a number"),
        (f"vidA,0903,{BOX},walk,0", "label 'walk' is not a number"),
        (f"vidA,0903,{BOX},1.5,0", "label '1.5' is not an integer"),
        (f"vidA,902.5,{BOX},1,0", "timestamp '902.5' is not a whole second"),
        (f"vidA,,{BOX},1,0", "timestamp '' is not a number"),
        ("vidA,0902,0.1", "3 columns instead of 7 or 8"),
    ],
)
def test_bad_rows_are_errors(read, row, problem):
    with pytest.raises(AnnotationError, match=rf"1 of 2 rows cannot be used:\n  true\.csv:2: {problem}: 'vidA,"):
        read(true=[f"vidA,0902,{BOX},1,0", row])


@pytest.mark.parametrize("label", ["0", "81", "-2"])
def test_labels_that_the_model_does_not_have_are_errors(read, label):
    with pytest.raises(AnnotationError, match=rf"true\.csv:1: label {label} is not in 1-80 \(MODEL\.NUM_CLASSES\)"):
        read(true=[f"vidA,0902,{BOX},{label},0"])


def test_seconds_may_be_counted_from_0_and_for_hours(read):
    rows = [f"vidA,{second},{BOX},1,0" for second in (0, 1, 901, 7200, 100_000)]
    assert [second for _, second in read(true=rows, first_second=0, last_second=100_000)] == [0, 1, 901, 7200, 100_000]


def test_lists_of_another_clock_are_an_error(read):
    rows = [f"vidA,{second},{BOX},1,0" for second in (0, 1, 2, 902)]
    with pytest.raises(AnnotationError, match=r"3 of 4 .* 0 to 2, outside 902-1798\. Set AVA\.FIRST_SECOND and AVA\.L"):
        read(true=rows)


def test_other_numbers_of_columns_are_errors(read):
    with pytest.raises(AnnotationError, match=r"detected\.csv:1: 7 columns instead of 8: .*\nExpected `.*,score`"):
        read(detected=[f"vidA,0902,{BOX},1"])


def test_a_list_of_true_boxes_may_be_named_for_detected_ones_too(tmp_path, caplog):
    path = tmp_path / "ava_train.csv"
    path.write_text(f"vidA,0902,{BOX},1,0\nvidA,0902,0,0,1,1,2,1\n")
    options = {"video_ids": ["vidA"], "num_classes": 80, "score_threshold": 0.9}
    once, twice = read_boxes([path], [], **options), read_boxes([path], [tmp_path / "." / "ava_train.csv"], **options)
    assert labels_of(once) == labels_of(twice) == [[1], [2]]
    assert np.array_equal(once.boxes, twice.boxes)
    assert "ava_train.csv is listed both as true and as detected boxes: it is read once" in caplog.text


def test_a_person_read_as_a_score_is_warned_of(read, caplog):
    rows = [f"vidA,0902,0,0,1,{0.2 + person / 10},1,{person}" for person in range(4)]
    assert len(read(detected=rows).boxes) == 3  # person 0 is lost, as in PySlowFast
    assert "detected.csv:3: the last column, read as a score, is above 1" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


# ---- Files ----


def test_a_list_from_which_nothing_is_left_is_an_error(read):
    with pytest.raises(AnnotationError, match=r"detected\.csv: no box is left\. Skipped: 1 rows below .*, 2 videos"):
        read(detected=[f"vidA,0902,{BOX},,0.1"])


def test_empty_and_missing_files(read, tmp_path):
    with pytest.raises(AnnotationError, match=r"true\.csv holds no box: the file is empty"):
        read(true=[])
    with pytest.raises(AnnotationError, match=r"cannot read the list of boxes .*none\.csv: No such file"):
        read_boxes([tmp_path / "none.csv"], [], video_ids=["a"], num_classes=1, score_threshold=0)
