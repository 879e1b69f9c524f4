from __future__ import annotations

import re

import numpy as np
import pytest

from slowfast.evaluation import MissingViewsError, ViewEnsemble

NUM_VIDEOS, NUM_VIEWS, NUM_CLASSES = 4, 6, 3


def views(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((NUM_VIDEOS, NUM_VIEWS, NUM_CLASSES)).astype(np.float32)


def ensemble(method: str = "mean", **sizes) -> ViewEnsemble:
    sizes = {"num_videos": NUM_VIDEOS, "num_views": NUM_VIEWS, "num_classes": NUM_CLASSES, **sizes}
    return ViewEnsemble(method=method, **sizes)


@pytest.mark.parametrize("method", ["mean", "sum", "max"])
@pytest.mark.parametrize("seed", range(5))
def test_neither_the_order_nor_the_cutting_of_the_views_matters(method, seed):
    rng = np.random.default_rng(seed)
    collected = ensemble(method)
    pieces = [
        (video, piece)
        for video in range(NUM_VIDEOS)
        for piece in np.array_split(rng.permutation(NUM_VIEWS), rng.integers(1, NUM_VIEWS + 1))
    ]
    for i in rng.permutation(len(pieces)):
        video, piece = pieces[i]
        collected.update(video, piece.tolist(), views()[video, piece])
    assert collected.scores().dtype == np.float32
    np.testing.assert_allclose(collected.scores(), getattr(np, method)(views(), axis=1), rtol=1e-6)


def test_max_works_on_negative_scores():
    collected = ensemble("max", num_videos=1, num_views=2)
    collected.update(0, [0, 1], [[-3.0, -1.0, -9.0], [-2.0, -5.0, -9.0]])
    assert collected.scores().tolist() == [[-2.0, -1.0, -9.0]]


def test_a_sum_keeps_its_digits():
    """PySlowFast begins at -1e10 with several labels: in float32 a sum then keeps nothing of its scores."""
    collected = ensemble("sum", num_videos=1, num_views=1000, num_classes=1)
    for view in range(1000):
        collected.update(0, [view], [[1e-4 + 1e-9 * view]])
    expected = 1000 * 1e-4 + 1e-9 * 999 * 1000 / 2
    assert collected.scores()[0, 0] == np.float32(expected)


TWICE = [(2, range(6)), (1, [0, 3]), (3, [2])]


@pytest.mark.parametrize(
    "updates, message",
    [
        ([(2, [0, 2, 3, 4])], "1 of 4 videos did not get each of their 6 views once (video 2: missing: 1, 5)."),
        (
            TWICE,
            "2 of 4 videos did not get each of their 6 views once (video 1: twice: 0, 3)",
        ),
        ([(2, [0, 1, 2, 3, 4, 4])], "(video 2: missing: 5; twice: 4)"),
        ([], "1 of 4 videos did not get each of their 6 views once (video 2: missing: 0, 1, 2, 3, 4, 5)."),
    ],
)
def test_views_that_are_missing_or_came_twice_are_named(updates, message):
    collected = ensemble()
    for video, present in [(0, range(6)), (1, range(6)), (3, range(6)), *updates]:
        collected.update(video, present, views()[video, list(present)])
    with pytest.raises(MissingViewsError, match=re.escape(message)):
        collected.scores()


@pytest.mark.parametrize("method", ["mean", "sum", "max"])
def test_a_failed_video_has_no_scores_and_no_missing_views(method):
    collected = ensemble(method)
    for video in (0, 1, 3):
        collected.update(video, range(NUM_VIEWS), views()[video])
    collected.fail(2, "v.mp4: cannot be decoded")
    collected.fail(0, "broke half-way")
    collected.gather()
    assert np.isnan(collected.scores()).all(1).tolist() == [True, False, True, False]
    assert collected.failures == {2: "v.mp4: cannot be decoded", 0: "broke half-way"}


@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (3,), (2, 1)])
def test_scores_of_another_shape(shape):
    message = f"video 1: expected scores (2, 3) (views, classes), got {shape}."
    with pytest.raises(ValueError, match=re.escape(message)):
        ensemble().update(1, [0, 1], np.zeros(shape))


@pytest.mark.parametrize("video, view_ids", [(-1, [0, 1]), (4, [0, 1]), (0, [0, -1]), (0, [5, 6])])
def test_videos_and_views_that_do_not_exist(video, view_ids):
    message = f"video {video}, views {view_ids}: valid are videos 0 to 3 with views 0 to 5."
    with pytest.raises(ValueError, match=re.escape(message)):
        ensemble().update(video, view_ids, np.zeros((2, 3)))


def test_an_unknown_method():
    with pytest.raises(ValueError, match=r"DATA\.ENSEMBLE_METHOD='median' is not one of mean, sum, max"):
        ensemble("median")
