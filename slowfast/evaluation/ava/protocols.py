"""Frame mAP at IoU 0.5, the metric of AVA, by three protocols. R detections, G ground-truth boxes, K classes.

A protocol is a set of switches over one core (PASCAL VOC's average precision over all points, in float64 and without
the +1 of pixels). Figures of different protocols must not be compared, so every result names its own.

    evaluate_files("ava_val_v2.2.csv", "detections.csv", "ava_val_excluded_timestamps_v2.2.csv",
                   label_map="ava_action_list_v2.2_for_activitynet_2019.pbtxt")["mAP"]    # a fraction
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from slowfast.evaluation.ava.files import (
    read_detections,
    read_excluded_timestamps,
    read_groundtruth,
    read_label_map,
)
from slowfast.evaluation.ava.matching import average_precision, best_overlaps
from slowfast.evaluation.ava.table import BoxTable, ImageKey, format_key, number_images
from slowfast.utils.suggest import check_choice

__all__ = ["PROTOCOLS", "BoxTable", "Protocol", "evaluate", "evaluate_files"]

logger = logging.getLogger(__name__)

IOU_THRESHOLD = 0.5  # reached is enough


@dataclass(frozen=True)
class Protocol:
    """The switches by which evaluation programs differ.

    The core: within an image and class, a detection claims the box it overlaps most; the first to claim a box with an
    IoU of at least 0.5 is right, and there is no second choice.

    Attributes:
        name: appears in every report.
        claims_by_score: within an image, detections claim in descending order of score, not in file order.
        max_rows_per_image: only this number of the best rows (box x class) of an image count; None: all.
        min_score: rows with this score or less are dropped; None: none.
        excluded: what an excluded timestamp removes: "rows" (of both files), "detections", or "nothing".
        unlabeled_images: detections on an image without an evaluated ground-truth box are "wrong", "wrong if listed"
            (some row of the ground truth file, of any class or bare, names the image; else ignored), or "ignored".
        is_undetected_class_zero: a class with boxes but no detection has average precision 0; otherwise it is skipped.
    """

    name: str
    claims_by_score: bool
    max_rows_per_image: int | None
    min_score: float | None
    excluded: str
    unlabeled_images: str
    is_undetected_class_zero: bool


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(  # of the published SlowFast figures
            name="pyslowfast",
            claims_by_score=False,
            max_rows_per_image=None,
            min_score=None,
            excluded="rows",
            unlabeled_images="wrong",
            is_undetected_class_zero=True,
        ),
        Protocol(  # of the ActivityNet challenge's evaluation program
            name="official",
            claims_by_score=True,
            max_rows_per_image=50,
            min_score=None,
            excluded="nothing",
            unlabeled_images="wrong if listed",
            is_undetected_class_zero=True,
        ),
        Protocol(  # its arithmetic in float32 is not imitated
            name="mmaction2",
            claims_by_score=True,
            max_rows_per_image=None,
            min_score=0.002,
            excluded="detections",
            unlabeled_images="ignored",
            is_undetected_class_zero=False,
        ),
    )
}


def evaluate_files(
    groundtruth: str | os.PathLike,
    detections: str | os.PathLike,
    excluded_timestamps: str | os.PathLike | None = None,
    label_map: str | os.PathLike | Mapping[int, str] | None = None,
    protocol: str | Protocol = "pyslowfast",
) -> dict:
    """``evaluate`` for files; see files.py for their formats.

    Args:
        excluded_timestamps: file of ``video,second`` rows.
        label_map: file of the classes to evaluate (60 of AVA's 80), or {id: name}. It must be given.
    """
    if label_map is None:
        raise ValueError(
            "label_map is missing: it names the classes that are evaluated, such as the 60 of "
            "ava_action_list_v2.2_for_activitynet_2019.pbtxt."
        )
    return evaluate(
        read_groundtruth(groundtruth),
        read_detections(detections),
        class_names=label_map if isinstance(label_map, Mapping) else read_label_map(label_map),
        excluded=() if excluded_timestamps is None else read_excluded_timestamps(excluded_timestamps),
        protocol=protocol,
    )


def evaluate(
    groundtruth: BoxTable,
    detections: BoxTable,
    *,
    class_names: Mapping[int, str],
    excluded: Collection[ImageKey] = (),
    protocol: str | Protocol = "pyslowfast",
) -> dict:
    """Frame mAP at IoU 0.5 and what it comes from. Average precisions are fractions in [0, 1].

    Equal scores keep the order of rows. A detection with x1 >= x2 or y1 >= y2 is dropped. Duplicate rows (of a key
    frame that a padded sampler repeated) count twice, as in PySlowFast; ``detections.drop_duplicate_rows`` removes
    them.

    Args:
        class_names: the classes to evaluate, names by id; rows of others are dropped.
        excluded: (video, second) of images that are not evaluated.
        protocol: a name in ``PROTOCOLS``, or your own switches.

    Returns:
        protocol: its name
        mAP: mean over the classes with ground truth; NaN if there is none
        ap: {class name: average precision, NaN without ground truth}
        num_groundtruth, num_detections: {class name: rows that count}
        counts: {"images", "groundtruth_boxes", "detections": how many count; "dropped_groundtruth",
            "dropped_detections": {reason: rows}}

    Raises:
        ValueError: no such protocol, no class, a name given twice, a ground-truth box with min > max, or one table in
            pixels and the other in fractions.
    """
    rules = protocol_called(protocol)
    class_ids = _class_ids(class_names)
    _check_units(groundtruth, detections)
    images, (truth_image, found_image) = number_images(groundtruth, detections)
    excluded = set(excluded)
    if excluded and rules.excluded == "nothing":
        logger.warning("the protocol %r knows no excluded timestamps: %d are skipped.", rules.name, len(excluded))
    is_excluded = np.array([image in excluded for image in images], bool)

    truth = _Rows(groundtruth, truth_image, class_ids)
    if rules.excluded == "rows":
        truth.keep(~is_excluded[truth.image], "excluded timestamp")
    _check_corners(truth)

    found = _Rows(detections, found_image, class_ids)
    _check_known_images(images, truth_image, found_image)
    is_labeled = np.full(len(images), rules.unlabeled_images == "wrong")  # whether an image's detections count
    is_labeled[truth.image] = True
    if rules.unlabeled_images == "wrong if listed":
        is_labeled[: len(set(groundtruth.images))] = True  # they were numbered first
    _drop_detections(found, rules, is_excluded, is_labeled)

    is_right = _is_right(found, truth, by_score=rules.claims_by_score)
    return _result(rules, list(class_names.values()), truth, found, is_right)


class _Rows:
    """The rows of a table that still count, and how many were dropped for which reason.

    Attributes:
        rows: their numbers in the table, ascending.
        image, class_index: int32 and int16, one per remaining row.
    """

    def __init__(self, table: BoxTable, image: np.ndarray, class_ids: np.ndarray):
        self._table = table
        self._image = image
        self._class_index = _class_index(table.classes, class_ids)
        self.num_classes = len(class_ids)
        self.rows = np.arange(len(table), dtype=np.int32)
        self.dropped: dict[str, int] = {}
        self.keep(self._class_index >= 0, "class not in the label map")

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, is_kept: np.ndarray, reason_of_others: str) -> None:
        """Keep only the rows of the mask, which has one entry per remaining row."""
        num_dropped = len(is_kept) - int(np.count_nonzero(is_kept))
        if num_dropped:
            self.dropped[reason_of_others] = num_dropped
            self.rows = self.rows[is_kept]

    def location(self, position: int) -> str:
        return self._table.location(self.rows[position])

    @property
    def image(self) -> np.ndarray:
        return self._image[self.rows]

    @property
    def class_index(self) -> np.ndarray:
        return self._class_index[self.rows]

    @property
    def boxes(self) -> np.ndarray:
        return self._table.boxes[self.rows]

    @property
    def scores(self) -> np.ndarray:
        return self._table.scores[self.rows]

    @property
    def group(self) -> np.ndarray:
        """int64, a number for each (image, class): boxes of different groups never meet."""
        return self.image.astype(np.int64) * self.num_classes + self.class_index


def _drop_detections(found: _Rows, rules: Protocol, is_excluded: np.ndarray, is_labeled: np.ndarray) -> None:
    if rules.max_rows_per_image is not None:
        is_best = _is_among_best(found.image, found.scores, rules.max_rows_per_image)
        found.keep(is_best, f"not among the best {rules.max_rows_per_image} rows of its image")
    if rules.min_score is not None:
        found.keep(found.scores > rules.min_score, f"score of {rules.min_score} or less")
    if rules.excluded != "nothing":
        found.keep(~is_excluded[found.image], "excluded timestamp")
    found.keep(is_labeled[found.image], "image not in the ground truth")
    x1, y1, x2, y2 = found.boxes.T
    found.keep((x1 < x2) & (y1 < y2), "degenerate box")


def _is_among_best(image: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """Whether a row is among the ``count`` best of its image; of equal scores the earlier row is."""
    order = np.argsort(-scores, kind="stable")
    order = order[np.argsort(image[order], kind="stable")]
    _, first, of_image = np.unique(image[order], return_index=True, return_inverse=True)
    is_best = np.empty(len(image), bool)
    is_best[order] = np.arange(len(order)) - first[of_image] < count
    return is_best


def _is_right(found: _Rows, truth: _Rows, *, by_score: bool) -> np.ndarray:
    """Whether a detection is right: bool, one per remaining row of ``found``."""
    order = np.argsort(truth.group, kind="stable")
    groups, first, count = np.unique(truth.group[order], return_index=True, return_counts=True)
    is_right = np.zeros(len(found), bool)
    if not len(groups):
        return is_right
    group = found.group
    place = np.searchsorted(groups, group).clip(max=len(groups) - 1)
    rows = np.flatnonzero(groups[place] == group)  # the others have nothing to overlap
    best, overlap = best_overlaps(found.boxes[rows], truth.boxes[order], first[place[rows]], count[place[rows]])
    is_claim = overlap >= IOU_THRESHOLD
    rows, best = rows[is_claim], best[is_claim]
    if by_score:
        by_rank = np.argsort(-found.scores[rows], kind="stable")
        rows, best = rows[by_rank], best[by_rank]
    _, first_claim = np.unique(best, return_index=True)
    is_right[rows[first_claim]] = True
    return is_right


def _result(rules: Protocol, names: list[str], truth: _Rows, found: _Rows, is_right: np.ndarray) -> dict:
    class_index, scores = found.class_index, found.scores
    num_truth = np.bincount(truth.class_index, minlength=len(names)).tolist()
    num_found = np.bincount(class_index, minlength=len(names)).tolist()
    by_class = np.split(np.argsort(class_index, kind="stable"), np.cumsum(num_found)[:-1])
    ap = {
        name: average_precision(scores[rows], is_right[rows], count)
        if len(rows) or rules.is_undetected_class_zero
        else float("nan")
        for name, rows, count in zip(names, by_class, num_truth, strict=True)
    }
    averaged = [value for value in ap.values() if not np.isnan(value)]
    if not averaged:
        logger.warning("no class of the label map has ground truth to evaluate: mAP is NaN.")
    return {
        "protocol": rules.name,
        "mAP": float(np.mean(averaged)) if averaged else float("nan"),
        "ap": ap,
        "num_groundtruth": dict(zip(names, num_truth, strict=True)),
        "num_detections": dict(zip(names, num_found, strict=True)),
        "counts": {
            "images": len(np.union1d(truth.image, found.image)),
            "groundtruth_boxes": len(truth),
            "detections": len(found),
            "dropped_groundtruth": truth.dropped,
            "dropped_detections": found.dropped,
        },
    }


def protocol_called(protocol: str | Protocol) -> Protocol:
    """The protocol of that name, or the switches themselves.

    Raises:
        ValueError: there is no such protocol.
    """
    if isinstance(protocol, Protocol):
        return protocol
    check_choice("protocol", protocol, PROTOCOLS)
    return PROTOCOLS[protocol]


def _class_ids(class_names: Mapping[int, str]) -> np.ndarray:
    names = list(class_names.values())
    if not names:
        raise ValueError("class_names is empty: it says which classes are evaluated.")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"class_names must differ, {', '.join(map(repr, twice))} stands twice.")
    return np.array(list(class_names), np.int64)


def _class_index(classes: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Position of each class in ``class_ids``, -1 for others: int16 (R,), which NumPy sorts fast."""
    order = np.argsort(class_ids)
    place = np.searchsorted(class_ids[order], classes).clip(max=len(order) - 1).astype(np.int16)
    index = order.astype(np.int16)[place]
    index[class_ids[index] != classes] = -1
    return index


def _check_units(groundtruth: BoxTable, detections: BoxTable) -> None:
    largest = {table: float(table.boxes.max(initial=0.0)) for table in (groundtruth, detections)}
    low, high = sorted(largest, key=largest.__getitem__)
    if len(low) and largest[high] > 10 and largest[low] <= 2:
        raise ValueError(
            f"{high.source} has coordinates up to {largest[high]:g}, {low.source} up to {largest[low]:g}: one is in "
            "pixels. Divide x by the width and y by the height of the frame."
        )


def _check_corners(truth: _Rows) -> None:
    boxes = truth.boxes
    is_wrong = (boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise ValueError(
            f"{truth.location(row)}: ground-truth box {boxes[row].tolist()} has x1 > x2 or y1 > y2 "
            f"({int(is_wrong.sum()):,} such rows). Expected x1, y1, x2, y2: the upper left and the lower right corner."
        )


def _check_known_images(images: list[ImageKey], truth_image: np.ndarray, found_image: np.ndarray) -> None:
    """Warn of tables that share no image: they probably write video names or seconds in different ways."""
    if len(truth_image) and len(found_image) and not np.isin(found_image, truth_image).any():
        logger.warning(
            "no detection is on an image of the ground truth (%s against %s): do the names of videos agree?",
            format_key(images[found_image[0]]),
            format_key(images[truth_image[0]]),
        )
