from __future__ import annotations

import re

import numpy as np
import pytest

from slowfast.evaluation.ava.matching import paired_iou
from slowfast.evaluation.ava.table import BoxTable, format_key, number_images

BOX = [0.1, 0.2, 0.5, 0.6]


def a_table(**columns):
    default = {
        "images": [("a", 902), ("a", 904), ("b", 903)],
        "image_index": [0, 0, 2],
        "boxes": [BOX] * 3,
        "classes": [1, 2, 3],
        "scores": [0.5, 0.6, 0.7],
    }
    return BoxTable(**{**default, **columns})


def test_lists_become_columns():
    table = a_table()
    assert (table.boxes.dtype, table.classes.dtype, table.image_index.dtype) == (np.float64, np.int32, np.int32)
    assert len(table) == 3
    assert repr(table) == "BoxTable('boxes': 3 rows on 3 images)"
    assert table.location(2) == "boxes, row 2 (image b,0903)"
    assert a_table(scores=None).scores.tolist() == [1, 1, 1]


def test_a_score_matrix_becomes_rows_box_by_box():
    scores = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    boxes = np.array([BOX, [0, 0, 1, 1]], np.float32)
    table = BoxTable.from_score_matrix([("a", 902), ("b", 902)], [1, 0], boxes, scores)
    assert table.image_index.tolist() == [1, 1, 0, 0]
    assert table.classes.tolist() == [1, 2, 1, 2]
    assert table.scores.tolist() == scores.astype(np.float64).reshape(-1).tolist()
    np.testing.assert_array_equal(table.boxes, boxes[[0, 0, 1, 1]])


def test_no_row_at_all():
    empty = BoxTable(images=[("a", 902)], image_index=[], boxes=[], classes=[])
    assert len(empty) == 0 and empty.boxes.shape == (0, 4)
    assert len(BoxTable.from_score_matrix([], [], np.empty((0, 4)), np.empty((0, 80)))) == 0


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"boxes": [BOX] * 2}, "boxes has shape (2, 4); with 3 rows in image_index it must be (3, 4)"),
        ({"classes": [1.0, 2.0, 3.0]}, "classes must be integers, got float64"),
        ({"classes": [1, 2, 2**40]}, "classes holds 1099511627776, more than int32 can"),
        ({"image_index": [0, 1, 3]}, "image_index runs from 0 to 3, but there are 3 images (0 to 2)"),
        ({"image_index": [0, -1, 2]}, "image_index runs from -1 to 2"),
        ({"images": [("a", "902")] * 3}, "a string and a number, such as ('vid000', 902); got (str, str)"),
        ({"scores": [0.5, float("nan"), 0.7]}, "boxes, row 1 (image a,0902): box [0.1, 0.2, 0.5, 0.6] with score nan"),
        ({"source": "x.csv", "line_numbers": [1, 2, 9], "scores": [1, 1, float("inf")]}, "x.csv:9: box"),
    ],
)
def test_what_does_not_fit_is_refused(columns, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        a_table(**columns)


def test_rows_are_taken_with_all_their_columns():
    table = a_table(line_numbers=[4, 5, 6])
    for rows in (np.array([2, 0]), np.array([True, False, True])):
        taken = table.take(rows)
        assert taken.images == table.images
        assert taken.scores.tolist() == table.scores[rows].tolist()
        assert taken.line_numbers.tolist() == table.line_numbers[rows].tolist()


def test_reduced_key_frames():
    """PySlowFast's validation while training uses seconds with t mod 4 == 0."""
    table = a_table(image_index=[1, 0, 1]).every_nth_second(4)
    assert table.images == [("a", 904)]
    assert table.image_index.tolist() == [0, 0]
    assert table.scores.tolist() == [0.5, 0.7]


def test_images_of_several_tables_get_one_numbering():
    first = a_table(images=[("a", 902), ("a", 902), ("b", 903)])
    second = a_table(images=[("b", 903.0), ("c", 902), ("a", np.int64(902))])
    images, (one, two) = number_images(first, second)
    assert images == [("a", 902), ("b", 903), ("c", 902)]
    assert (one.tolist(), two.tolist()) == ([0, 0, 1], [1, 1, 0])


def test_keys_as_text():
    assert [format_key(("a", second)) for second in (5, 902, 902.0, np.int64(902), 902.5)] == [
        "a,0005",
        "a,0902",
        "a,0902",
        "a,0902",
        "a,902.500000",
    ]


def test_iou_of_boxes_one_can_draw():
    """Unit squares: the same, half beside, touching, apart, a point inside; a double square around."""
    square = np.array([[0, 0, 1, 1]] * 6, float)
    others = [[0, 0, 1, 1], [0.5, 0, 1.5, 1], [1, 0, 2, 1], [3, 3, 4, 4], [0.5, 0.5, 0.5, 0.5], [0, 0, 2, 1]]
    assert paired_iou(square, np.array(others, float)) == pytest.approx([1, 1 / 3, 0, 0, 0, 0.5])
