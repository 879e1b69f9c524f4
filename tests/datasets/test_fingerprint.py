"""Fingerprints of lists: equal for the same data, different for any other, and easy to compare."""

from __future__ import annotations

import numpy as np
import pytest

from slowfast.config import load_cfg
from slowfast.datasets import build_dataset
from slowfast.datasets.fingerprint import Fingerprint, differences, fingerprint_of, of_rows

LABELS = np.array([0, 1, 1])


def test_the_place_and_the_format_of_a_copy_do_not_count():
    here = of_rows("a.csv", ["/data/k400/x/1.mp4", "/data/k400/x/2.mp4", "/data/k400/y/3.mp4"], LABELS)
    there = of_rows("b.csv", ["x/1.webm", "x/2.webm", "y/3.webm"], LABELS)
    assert here.sha256 == there.sha256 and here.differences(there) == []
    assert (here.rows, here.classes, here.missing) == (3, 2, 0)


@pytest.mark.parametrize(
    "names, labels",
    [
        (["1", "2", "4"], LABELS),
        (["1", "2", "3"], np.array([0, 1, 0])),
        (["2", "1", "3"], LABELS),
        (["1", "23", ""], LABELS),
    ],
)
def test_other_names_labels_and_orders_count(names, labels):
    assert of_rows("a", names, labels).sha256 != of_rows("a", ["1", "2", "3"], LABELS).sha256


def test_lists_without_labels_and_with_several():
    assert of_rows("a", ["1", "2", "3"], np.full(3, -1)).classes == 0
    assert of_rows("a", ["1"], np.zeros((1, 7), np.uint8)).classes == 7


def test_two_reports_are_compared_split_by_split():
    first, second = of_rows("a", ["1", "2", "3"], LABELS), of_rows("a", ["1", "2"], LABELS[:2], missing=1)
    stored = {"train": first.as_dict(), "val": first.as_dict()}
    assert differences(stored, {"train": first.as_dict(), "val": second.as_dict()}) == [
        f"val: rows 3 -> 2, missing 0 -> 1, sha256 {first.sha256[:8]} -> {second.sha256[:8]}"
    ]
    assert differences(stored, {"test": second.as_dict()}) == [] == differences(None, stored)
    assert Fingerprint.from_dict(first.as_dict()) == first


def test_every_kind_of_data_set_has_one(tiny_motion):
    cfg = load_cfg("Motion/SLOWFAST_4x4_R18", ["DATA.PATH_TO_DATA_DIR", str(tiny_motion)])
    found = fingerprint_of(build_dataset(cfg, "test"))
    assert (found.file, found.rows, found.missing) == ("test.csv", 6, 0)

    class Own:
        paths, labels = ["noise0", "noise1"], [0, 1]

    assert fingerprint_of(Own()).rows == 2
