"""Averaging several tests: matched by path, on one scale, with gaps filled by the others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slowfast.evaluation.late_fusion import FusionError, Predictions, find_predictions, fuse, read_predictions

PATHS = np.array(["c.mp4", "a.mp4", "b.mp4", "d.mp4"])
LABELS = np.array([0, 1, 2, 1])


def single_label(name: str, seed: int, *, num_views: int = 1, paths=PATHS, labels=LABELS) -> Predictions:
    """Softmax scores of 4 videos and 3 classes, summed over views."""
    scores = np.random.default_rng(seed).dirichlet(np.ones(3), size=len(paths)) * num_views
    return Predictions(name, scores, labels, paths)


def multi_label(name: str, seed: int, scale: float = 1.0) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = (np.arange(12).reshape(4, 3) % 2).astype(np.int64)
    return Predictions(name, scale * rng.random((4, 3)), labels, PATHS)


def shuffled(predictions: Predictions, order: list[int]) -> Predictions:
    return Predictions(predictions.name, predictions.scores[order], predictions.labels[order], predictions.paths[order])


def slow_fuse(members, weights, method) -> dict[str, list[float]]:
    """path -> scores, video by video and class by class, for members of one label per video."""
    result = {}
    for path in members[0].paths:
        rows = []
        for member, weight in zip(members, weights, strict=True):
            row = member.scores[member.paths.tolist().index(path)]
            if not any(math.isnan(x) for x in row):
                rows.append((weight, [x / sum(row) for x in row]))
        total = sum(weight for weight, _ in rows)
        if total == 0:
            result[path] = [math.nan] * 3
        elif method == "mean":
            result[path] = [sum(w * row[k] for w, row in rows) / total for k in range(3)]
        else:
            products = [math.prod(row[k] ** (w / total) for w, row in rows) for k in range(3)]
            result[path] = [x / sum(products) for x in products]
    return result


@pytest.mark.parametrize("method", ["mean", "geometric"])
@pytest.mark.parametrize("seed", range(5))
def test_fusion_is_that_of_the_slow_version(method, seed):
    rng = np.random.default_rng(100 + seed)
    members = [single_label(name, 10 * seed + i, num_views=1 + 29 * i) for i, name in enumerate("xyz")]
    for member in members:
        member.scores[rng.random(4) < 0.3] = np.nan
    members = [shuffled(member, rng.permutation(4).tolist()) for member in members]
    weights = rng.uniform(0, 2, 3).tolist()
    fused, expected = fuse(members, weights=weights, method=method), slow_fuse(members, weights, method)
    assert fused.paths.tolist() == members[0].paths.tolist()
    assert fused.labels.tolist() == members[0].labels.tolist()
    for path, row in zip(fused.paths, fused.scores, strict=True):
        np.testing.assert_allclose(row, expected[path], rtol=1e-9)


def test_a_video_without_scores_takes_the_others(caplog):
    a, b = single_label("a", 0), single_label("b", 1)
    a.scores[1:3] = np.nan
    b.scores[2] = np.nan
    fused = fuse([a, b])
    np.testing.assert_allclose(fused.scores[1], b.scores[1])
    assert fused.has_scores.tolist() == [True, True, False, True]
    assert "a has no scores for 2 of 4 videos" in caplog.text
    assert "b has no scores for 1 of 4 videos" in caplog.text


def test_multi_label_scores_are_averaged_as_they_are():
    a, b = multi_label("a", 0), multi_label("b", 1)
    np.testing.assert_allclose(fuse([a, b]).scores, (a.scores + b.scores) / 2)
    np.testing.assert_allclose(fuse([a, b], method="geometric").scores, np.sqrt(a.scores * b.scores))


def test_in_a_geometric_mean_a_zero_is_finite():
    a, b = single_label("a", 0), single_label("b", 1)
    a.scores[0] = [0, 0.5, 0.5]
    scores = fuse([a, b], method="geometric").scores
    assert np.isfinite(scores).all() and scores[0, 0] < 1e-5
    np.testing.assert_allclose(scores.sum(1), 1)


@pytest.mark.parametrize(
    "second, message",
    [
        (
            single_label("b", 1, paths=np.array(["c.mp4", "a.mp4", "b.mp4", "e.mp4"])),
            r"1 of the videos of a are not in b, e\.g\. d\.mp4; 1 of the videos of b are not in a, e\.g\. e\.mp4",
        ),
        (shuffled(single_label("b", 1), [0, 1]), r"2 of the videos of a are not in b, e\.g\. b\.mp4\. Fuse tests of"),
        (
            single_label("b", 1, labels=np.array([0, 1, 2, 0])),
            "1 videos have different labels in b and in a, e.g. d",
        ),
        (Predictions("b", np.ones((4, 5)), LABELS, PATHS), "b has 5 classes, a 3"),
        (multi_label("b", 1), r"b has labels \(4, 3\), a \(4,\)"),
        (Predictions("b", np.full((4, 3), -2.5), LABELS, PATHS), r"b: scores go down to -2\.5, so they are logits"),
    ],
)
def test_tests_that_do_not_belong_together(second, message):
    with pytest.raises(FusionError, match=message):
        fuse([single_label("a", 0), second])


@pytest.mark.parametrize("weights", [[1], [1, 2, 3], [1, -1], [0, 0], [1, math.nan], [1, math.inf]])
def test_weights_that_do_not_fit(weights):
    with pytest.raises(FusionError, match=r"weights=\[.*give one for each of the 2 tests"):
        fuse([single_label("a", 0), single_label("b", 1)], weights=weights)


def test_other_misuse():
    a = single_label("a", 0)
    with pytest.raises(FusionError, match=r"b: scores go up to .* Test with DATA\.ENSEMBLE_METHOD mean or max"):
        fuse([multi_label("a", 0), multi_label("b", 1, scale=30)])
    with pytest.raises(FusionError, match="at least 2 tests, got 1"):
        fuse([a])
    with pytest.raises(FusionError, match="method='median' is not one of mean, geometric"):
        fuse([a, a], method="median")
    with pytest.raises(FusionError, match=r"b: 1 videos appear more than once, e\.g\. a\.mp4"):
        Predictions("b", np.ones((2, 3)), np.zeros(2), np.array(["a.mp4", "a.mp4"]))


def save(path, predictions: Predictions) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, scores=predictions.scores, labels=predictions.labels, paths=predictions.paths)


def test_files_are_found_by_folder_stem_and_name(tmp_path):
    path = tmp_path / "run" / "predictions.npz"
    save(path, single_label("a", 0))
    for given in (tmp_path / "run", tmp_path / "run" / "predictions", path):
        assert find_predictions(given) == path
    read = read_predictions(str(tmp_path / "run"))
    assert read.name == str(path) and read.paths.tolist() == PATHS.tolist()
    np.testing.assert_array_equal(read.scores, single_label("a", 0).scores)


def test_files_of_another_kind(tmp_path):
    with pytest.raises(
        FusionError, match=r"there are no predictions .*nowhere: tried .*nowhere\.npz, .*predictions\.npz"
    ):
        read_predictions(tmp_path / "nowhere")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(FusionError, match=r"text\.npz cannot be read as the predictions\.npz of a test"):
        read_predictions(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", scores=np.ones((2, 3)))
    with pytest.raises(FusionError, match=r"other\.npz lacks labels, paths"):
        read_predictions(tmp_path / "other")
    np.savez(tmp_path / "unequal.npz", scores=np.ones((2, 3)), labels=[0], paths=np.array(["a", "b"]))
    with pytest.raises(FusionError, match=r"unequal\.npz: scores \(2, 3\), labels \(1,\) and paths \(2,\) do"):
        read_predictions(tmp_path / "unequal.npz")
    np.savez(tmp_path / "objects.npz", scores=np.ones((1, 3)), labels=[0], paths=np.array(["a"], dtype=object))
    with pytest.raises(FusionError, match=r"objects\.npz cannot be read"):
        read_predictions(tmp_path / "objects.npz")
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(FusionError, match=r"array\.npy cannot be read"):
        read_predictions(tmp_path / "array.npy")
