"""Late fusion: averages the scores of several tests on the same videos (two streams, ensembles).

Letters: N videos, K classes, M members of the fusion.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowfast.utils.suggest import not_one_of
from slowfast.utils.tensor_files import TensorFileError, open_arrays

logger = logging.getLogger(__name__)

METHODS = ("mean", "geometric")
_SMALLEST = 1e-12  # stands for a score of zero in a geometric mean, which would otherwise be a veto
_FILE = "predictions.npz"


class FusionError(ValueError):
    """Predictions that cannot be read, or do not belong together."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of one test.

    Attributes:
        name: its name in messages, e.g. its file.
        scores: float64 (N, K); a row of NaN for a video that could not be decoded.
        labels: int64 (N,), or (N, K) of 0 and 1.
        paths: str (N,), the videos; each once.
    """

    name: str
    scores: np.ndarray
    labels: np.ndarray
    paths: np.ndarray

    def __post_init__(self):
        names, counts = np.unique(self.paths, return_counts=True)
        if (counts > 1).any():
            twice = names[counts > 1]
            raise FusionError(f"{self.name}: {len(twice)} videos appear more than once, e.g. {twice[0]}.")

    @property
    def has_scores(self) -> np.ndarray:
        """bool (N,): False for a video that could not be decoded."""
        return ~np.isnan(self.scores).any(1)


def find_predictions(path: str | Path) -> Path:
    """The file that ``path`` means: itself, itself with ".npz", or predictions.npz in it.

    Raises:
        FusionError: there is none.
    """
    path = Path(path)
    candidates = (path, path.with_name(path.name + ".npz"), path / _FILE)
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise FusionError(f"there are no predictions {path}: tried {', '.join(map(str, candidates))}.")
    return found


def read_predictions(path: str | Path) -> Predictions:
    """The predictions.npz of a test (see ``engine.results``).

    Raises:
        FusionError: no such file, or another kind of file.
    """
    path = find_predictions(path)
    return Predictions(str(path), *read_prediction_arrays(path))


def read_prediction_arrays(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores float64 (N, K), labels (N,) or (N, K), and paths (N,), possibly with duplicates, of a predictions.npz.

    Raises:
        FusionError: no such file, or another kind of file.
    """
    try:
        with open_arrays(path) as arrays:
            missing = [name for name in ("labels", "paths", "scores") if name not in arrays]
            found = {name: arrays[name] for name in ("labels", "paths", "scores") if name in arrays}
    except TensorFileError as error:
        raise FusionError(f"{path} cannot be read as the {_FILE} of a test ({error})") from error
    if missing:
        raise FusionError(f"{path} lacks {', '.join(missing)}; a test writes it as {_FILE}.")
    kinds = {name: array.dtype.kind for name, array in found.items()}
    if kinds["scores"] != "f" or kinds["labels"] not in "iu" or kinds["paths"] != "U":
        types = ", ".join(f"{name} {array.dtype}" for name, array in found.items())
        raise FusionError(f"{path} holds {types}; expected whole numbers as labels, text as paths, floats as scores.")
    scores, labels, paths = found["scores"].astype(np.float64), found["labels"], found["paths"]
    if scores.ndim != 2 or len(labels) != len(scores) or paths.shape != (len(scores),):
        raise FusionError(
            f"{path}: scores {scores.shape}, labels {labels.shape} and paths {paths.shape} do not match; expected "
            "scores (N, K), labels (N,) or (N, K), paths (N,)."
        )
    return scores, labels, paths


def fuse(
    members: Sequence[Predictions], *, weights: Sequence[float] | None = None, method: str = "mean"
) -> Predictions:
    """The fused scores, in the videos' order of the first member.

    Videos are matched by path. If some members could not decode a video, it gets the mean of the others, and the number
    of such videos is logged; if none could, it has no scores. Single-label scores are first divided by their sum, since
    a test may have summed over its views; multi-label ones must be means or maxima over views already.

    Args:
        weights: one per member, at least 0; default: equal. Only their ratio counts.
        method: "mean" of the scores, or "geometric": the weighted geometric mean, which favors classes that no
            member excludes; over a single label it is divided by its sum again.

    Raises:
        FusionError: different videos, labels or classes, scores that are not probabilities, or weights that do not fit.
    """
    if method not in METHODS:
        raise FusionError(not_one_of("method", method, METHODS))
    shares = _shares(weights, members)
    members = [align(member, members[0]) for member in members]
    scores = np.ma.masked_invalid([probabilities(member) for member in members])  # (M, N, K)
    for member in members:
        num_missing = int((~member.has_scores).sum())
        if num_missing:
            text = "%s has no scores for %d of %d videos: these get the mean of the others."
            logger.warning(text, member.name, num_missing, len(member.paths))
    values = scores if method == "mean" else np.log(np.maximum(scores, _SMALLEST))
    fused = np.ma.filled(np.ma.average(values, axis=0, weights=shares), np.nan)
    if method == "geometric":
        fused = np.exp(fused)
        if members[0].labels.ndim == 1:
            fused /= fused.sum(1, keepdims=True)
    name = " + ".join(member.name for member in members)
    return Predictions(name, fused, members[0].labels, members[0].paths)


def _shares(weights: Sequence[float] | None, members: Sequence[Predictions]) -> np.ndarray:
    """Weights that sum to one."""
    if len(members) < 2:
        raise FusionError(f"a fusion needs at least 2 tests, got {len(members)}.")
    shares = np.ones(len(members)) if weights is None else np.asarray(weights, np.float64)
    if len(shares) != len(members) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        given = None if weights is None else list(weights)
        raise FusionError(f"weights={given}: give one for each of the {len(members)} tests, at least 0, not all 0.")
    return shares / shares.sum()


def align(member: Predictions, reference: Predictions) -> Predictions:
    """``member`` with its videos in the order of ``reference``.

    Raises:
        FusionError: they differ in videos, labels or number of classes.
    """
    missing = np.setdiff1d(reference.paths, member.paths)
    extra = np.setdiff1d(member.paths, reference.paths)
    if len(missing) or len(extra):
        parts = [
            f"{len(names)} of the videos of {owner} are not in {other}, e.g. {names[0]}"
            for names, owner, other in ((missing, reference.name, member.name), (extra, member.name, reference.name))
            if len(names)
        ]
        raise FusionError(f"{'; '.join(parts)}. Fuse tests of one list with the same paths.")
    if member.scores.shape[1] != reference.scores.shape[1]:
        raise FusionError(
            f"{member.name} has {member.scores.shape[1]} classes, {reference.name} {reference.scores.shape[1]}."
        )
    place = {path: i for i, path in enumerate(member.paths.tolist())}
    order = np.array([place[path] for path in reference.paths.tolist()], np.int64)
    labels = member.labels[order]
    if labels.shape != reference.labels.shape:
        raise FusionError(
            f"{member.name} has labels {labels.shape}, {reference.name} {reference.labels.shape}: one is of a "
            "multi-label test, the other is not."
        )
    differs = (labels != reference.labels).reshape(len(labels), -1).any(1)
    if differs.any():
        raise FusionError(
            f"{int(differs.sum())} videos have different labels in {member.name} and in {reference.name}, e.g. "
            f"{reference.paths[differs][0]}."
        )
    return Predictions(member.name, member.scores[order], labels, reference.paths)


def probabilities(member: Predictions) -> np.ndarray:
    """Scores float64 (N, K) on the scale [0, 1] that members share; a single label's sum to one.

    Raises:
        FusionError: scores below 0, or multi-label ones above 1.
    """
    scores = member.scores
    known = scores[member.has_scores]
    if known.size and known.min() < 0:
        raise FusionError(
            f"{member.name}: scores go down to {known.min():.3g}, so they are logits. Test with MODEL.HEAD_ACT softmax "
            "or sigmoid."
        )
    if member.labels.ndim == 1:
        return scores / scores.sum(1, keepdims=True)
    if known.size and known.max() > 1 + 1e-5:
        raise FusionError(
            f"{member.name}: scores go up to {known.max():.3g}, so they are sums over views, which cannot be compared "
            "with another test's. Test with DATA.ENSEMBLE_METHOD mean or max."
        )
    return scores
