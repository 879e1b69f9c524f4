"""Paths as a pattern with numbers: whatever they look like, the same come out again."""

import numpy as np
import pytest

from slowfast.datasets.lists.numbered_paths import NumberedPaths, join_runs, run_of
from slowfast.datasets.lists.path_labels import PackedStrings


def round_trip(*runs: list[str], prefix: str = ""):
    return join_runs([run_of([path.encode() for path in run]) for run in runs], prefix)


def test_consecutive_numbers_are_a_range():
    paths = round_trip(["v/a_000009.jpg", "v/a_000010.jpg"], ["v/a_000011.jpg"], prefix="/data")
    assert isinstance(paths, NumberedPaths) and paths.numbers == range(9, 12)
    assert list(paths) == ["/data/v/a_000009.jpg", "/data/v/a_000010.jpg", "/data/v/a_000011.jpg"]
    assert paths[-1] == "/data/v/a_000011.jpg" and paths[:2] == list(paths)[:2] and paths == list(paths)
    with pytest.raises(IndexError):
        paths[3]


def test_other_numbers_are_an_array():
    paths = round_trip(["a_07.png", "a_03.png"], ["a_03.png"])
    assert isinstance(paths, NumberedPaths) and isinstance(paths.numbers, np.ndarray)
    assert list(paths) == ["a_07.png", "a_03.png", "a_03.png"]


@pytest.mark.parametrize(
    "runs",
    [
        [["a9.jpg", "a10.jpg"]],  # no leading zeros: widths differ
        [["a1.jpg", "b2.jpg"]],
        [["a1.jpg", "a2.png"]],
        [["a1.jpg", "ax.jpg"]],
        [["a/b.jpg"]],
        [["a01.jpg"], ["a1.jpg"]],
        [["a1.jpg", "a2.jpg"], ["b1.jpg"]],
        [["a11.jpg", "a2.jpg", "a333.jpg"]],  # as long as three of the first, but not each
    ],
)
def test_other_paths_are_kept_as_they_are(runs):
    paths = round_trip(*runs)
    assert isinstance(paths, PackedStrings)
    assert list(paths) == [path for run in runs for path in run]


def test_more_digits_than_an_integer_has():
    paths = ["9999999999999999999999.jpg", "9999999999999999999998.jpg"]
    assert list(round_trip(paths)) == paths


@pytest.mark.parametrize("seed", range(8))
def test_random_paths_survive(seed):
    rng = np.random.default_rng(seed)
    runs = [
        [f"v{rng.integers(3)}/{rng.integers(10 ** rng.integers(1, 4)):0{rng.integers(1, 3)}d}.jpg" for _ in range(4)]
        for _ in range(rng.integers(1, 4))
    ]
    assert list(round_trip(*runs)) == [path for run in runs for path in run]
