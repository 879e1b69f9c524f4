"""Detection files that round-trip, ensembles by hand, and duplicates."""

from __future__ import annotations

import re

import numpy as np
import pytest

from slowfast.evaluation.ava import merging as module
from slowfast.evaluation.ava.files import read_detections
from slowfast.evaluation.ava.merging import drop_duplicate_rows, merge_scores, write_detections
from slowfast.evaluation.ava.table import BoxTable
from tests.evaluation.ava.tables import rows_of

COLUMNS = ("image_index", "boxes", "classes", "scores")


def random_table(seed=0, num_boxes=20, source="detections"):
    rng = np.random.default_rng(seed)
    images = [("a", 902), ("b", 7), ("c", 902.5)]
    boxes = rng.random((num_boxes, 4)).astype(np.float32)
    return BoxTable.from_score_matrix(
        images, rng.integers(0, 3, num_boxes), boxes, rng.random((num_boxes, 3)), source=source
    )


def with_scores(table, scores, **columns):
    values = {name: getattr(table, name) for name in ("images", "image_index", "boxes", "classes", "source")}
    return BoxTable(**{**values, "scores": scores, **columns})


def test_a_written_file_reads_back_to_the_last_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROWS_A_WRITE", 7)
    table = random_table()
    write_detections(tmp_path / "new" / "detections.csv", table)
    assert rows_of(read_detections(tmp_path / "new" / "detections.csv")) == rows_of(table)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["detections.csv"]


def test_the_official_format(tmp_path):
    table = BoxTable([("vid-1", 902)], [0, 0], [[0.1, 0.25, 0.5, 1]] * 2, [12, 80], [0.125, 1e-7])
    write_detections(tmp_path / "d.csv", table)
    assert (tmp_path / "d.csv").read_text() == (
        "vid-1,0902,0.1,0.25,0.5,1.0,12,0.125\nvid-1,0902,0.1,0.25,0.5,1.0,80,1e-07\n"
    )


def test_merged_scores_are_the_mean_in_the_first_tables_order():
    one = random_table(source="one")
    rng = np.random.default_rng(1)
    shuffled = rng.permutation(len(one))
    two = with_scores(one, one.scores / 2, source="two").take(shuffled)
    merged = merge_scores([one, two])
    assert rows_of(merged) == [(*row[:-1], pytest.approx(row[-1] * 0.75)) for row in rows_of(one)]
    assert merged.source == "one + two"
    assert rows_of(merge_scores([one])) == rows_of(one)


def test_weights_are_relative():
    one = random_table()
    two = with_scores(one, np.zeros(len(one)))
    for weights in ([3, 1], [0.75, 0.25]):
        np.testing.assert_allclose(merge_scores([one, two], weights).scores, 0.75 * one.scores, rtol=1e-14)
    np.testing.assert_array_equal(merge_scores([one, two], [1, 0]).scores, one.scores)


def test_boxes_that_differ_in_the_seventh_decimal_are_the_same():
    one = random_table()
    one = with_scores(one, one.scores, boxes=np.round(one.boxes, 3))
    noisy = with_scores(
        one, one.scores, boxes=one.boxes.astype(np.float32), images=[("a", 902.0), ("b", 7), ("c", 902.5)]
    )
    assert (noisy.boxes != one.boxes).any()
    np.testing.assert_array_equal(merge_scores([one, noisy]).boxes, one.boxes)
    other = with_scores(one, one.scores, boxes=one.boxes + 2e-6)
    with pytest.raises(ValueError, match="120 of 120 "):
        merge_scores([one, other])


def test_boxes_of_one_table_only_are_an_error_with_examples():
    table = BoxTable([("a", 902)], [0, 0, 0], [[0, 0, 0.5, 1]] * 3, [1, 2, 3], [0.4, 0.6, 0.8], source="one.csv")
    part = BoxTable([("a", 902)], [0], [[0, 0, 0.5, 1]], [2], [0.2], source="two.csv")
    message = (
        "2 of 3 (image, box, class) are not in all of one.csv, two.csv; 2 of them are in one.csv, such as "
        "a,0902,0,0,0.5,1,1; a,0902,0,0,0.5,1,3."
    )
    for tables in ([table, part], [part, table]):
        with pytest.raises(ValueError, match=re.escape(message.split("in all of")[0])):
            merge_scores(tables)
    with pytest.raises(ValueError, match=re.escape(message)):
        merge_scores([table, part])


def test_a_missing_score_can_be_zero():
    table = BoxTable([("a", 902)], [0, 0], [[0, 0, 0.5, 1]] * 2, [1, 2], [0.4, 0.6])
    other = BoxTable([("b", 902), ("a", 902)], [0, 1], [[0, 0, 0.5, 1]] * 2, [1, 2], [0.8, 0.2])
    assert rows_of(merge_scores([table, other], missing="zero")) == [
        ("a", 902, 0, 0, 0.5, 1, 1, pytest.approx(0.2)),
        ("a", 902, 0, 0, 0.5, 1, 2, pytest.approx(0.4)),
        ("b", 902, 0, 0, 0.5, 1, 1, pytest.approx(0.4)),
    ]


def test_a_row_that_stands_twice_in_a_table_is_an_error():
    table = random_table()
    twice = table.take(np.append(np.arange(len(table)), 4))
    with pytest.raises(ValueError, match=r"detections: 2 rows share image, box and class .*--deduplicate"):
        merge_scores([twice, table])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weights": [1.0]}, "weights=[1.0]: expected 2 numbers, one per table"),
        ({"weights": [1.0, -1.0]}, "weights=[1.0, -1.0]: expected"),
        ({"weights": [0.0, 0.0]}, "not all 0"),
        ({"missing": "skip"}, 'missing=\'skip\' is not "error" or "zero"'),
    ],
)
def test_wrong_arguments_of_a_merge(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        merge_scores([random_table(), random_table()], **arguments)
    with pytest.raises(ValueError, match="no table to merge"):
        merge_scores([])


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_of_a_padded_sampler_go_and_the_rest_stays(seed):
    rng = np.random.default_rng(seed)
    table = random_table(seed)
    table = with_scores(table, table.scores.round(1))
    rows = np.concatenate([np.arange(len(table)), rng.integers(0, len(table), 10)])
    unique, num_dropped = drop_duplicate_rows(table.take(rows))
    assert num_dropped == 10
    assert rows_of(unique) == rows_of(table)
    assert drop_duplicate_rows(table) == (table, 0)
    other = with_scores(table, table.scores + 0.1)
    columns = {
        name: np.concatenate([getattr(t, name) for t in (table, other.take(rows[-10:]), table)]) for name in COLUMNS
    }
    both = BoxTable(table.images, **columns)
    assert rows_of(drop_duplicate_rows(both)[0]) == list(dict.fromkeys(rows_of(both)))
