"""AVA's lists of boxes: which key frames show which people, and what they do.

A list is a CSV file without a header, with one label of one box per line::

    mvA_0-xyz12,0902,0.120,0.081,0.455,0.970,12,0      true boxes: the label, from 1, and the person
    mvA_0-xyz12,0902,0.120,0.081,0.455,0.970,79,0      the same box once more, for its second label
    mvA_0-xyz12,0902,0.118,0.085,0.460,0.966,,0.991204 a detected box: no label (or -1), and its score

Coordinates are x1, y1, x2, y2 as fractions of the frame's width and height; a second counts from the movie's start.
Rows are one box if the *text* of their four coordinates is the same, as in PySlowFast: 0.10 and 0.100 make two boxes.
"""

from __future__ import annotations

import logging
import math
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowfast.datasets.lists.row_problems import AnnotationError, RowProblems
from slowfast.utils.logging import count
from slowfast.utils.untrusted import open_text, parse_integer, quoted

logger = logging.getLogger(__name__)

FIRST_SECOND, LAST_SECOND = 902, 1798  # annotated in AVA: the two seconds at either end of its 15 minutes are not
FAR_OUTSIDE = 0.5  # of the frame: coordinates this far beyond its border are none, but pixels
_SECOND_BITS = 20  # a key frame as one integer: video << 20 | second, of up to twelve days


@dataclass(frozen=True, eq=False, repr=False)
class KeyFrames(Sequence):
    """The key frames that hold a box, by video and second, and their boxes. N key frames, R boxes, L labels.

    ``key_frames[i]`` is (video id, second). Kept in arrays, which worker processes share.

    Attributes:
        video_ids: of all videos.
        videos: int32 (N,), index of each key frame's video in ``video_ids``; ascending.
        seconds: int32 (N,), from the start of the movie.
        boxes: float32 (R, 4), x1 y1 x2 y2 as fractions of the frame; those of a key frame in the order of the lists.
        box_starts: int64 (N + 1,), the boxes of key frame i are ``box_starts[i]`` to ``box_starts[i + 1] - 1``.
        labels: int16 (L,), from 1.
        label_starts: int64 (R + 1,), as ``box_starts``. A box without a label is a person who does nothing.
        missing_videos: ids of the videos with boxes that were skipped because they have no frames.
    """

    video_ids: list[str]
    videos: np.ndarray
    seconds: np.ndarray
    boxes: np.ndarray
    box_starts: np.ndarray
    labels: np.ndarray
    label_starts: np.ndarray
    missing_videos: tuple[str, ...] = ()

    def __repr__(self) -> str:
        sizes = (count(len(self), "key frame"), count(len(self.boxes), "box"), count(len(self.video_ids), "video"))
        return f"KeyFrames({', '.join(sizes)})"

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.video_ids[self.videos[index]], int(self.seconds[index])

    def boxes_of(self, index: int) -> np.ndarray:
        """float32 (r, 4), the boxes of a key frame."""
        return self.boxes[self.box_starts[index] : self.box_starts[index + 1]]

    def labels_of(self, index: int, num_classes: int) -> np.ndarray:
        """float32 (r, K) of 0 and 1; label k is column k - 1."""
        first, last = self.box_starts[index], self.box_starts[index + 1]
        labels = np.zeros((last - first, num_classes), dtype=np.float32)
        counts = np.diff(self.label_starts[first : last + 1])
        rows = np.repeat(np.arange(last - first), counts)
        labels[rows, self.labels[self.label_starts[first] : self.label_starts[last]] - 1] = 1
        return labels


def read_boxes(
    true_lists: Iterable[str | os.PathLike],
    detected_lists: Iterable[str | os.PathLike],
    *,
    video_ids: Sequence[str],
    num_classes: int,
    score_threshold: float,
    every_seconds: int = 1,
    first_second: int = FIRST_SECOND,
    last_second: int = LAST_SECOND,
) -> KeyFrames:
    """The key frames of all lists together.

    Skipped rows are counted and logged in one line: boxes below the score threshold, empty ones (x2 <= x1 or
    y2 <= y1 within the frame), seconds that are not annotated, videos that are not in ``video_ids``, and rows without a
    box. Boxes that reach slightly beyond the frame are kept unchanged.

    A list of true boxes may be named again as one of detected boxes, as some recipes do. PySlowFast then reads its last
    column, the person, as a score; this adds nothing to the same boxes with the same labels, so the list is not read
    again.

    Args:
        true_lists: 7 or 8 columns; all boxes count.
        detected_lists: 8 columns, the last is the score.
        video_ids: videos that have frames; key frames come in this order.
        num_classes: labels are 1 to ``num_classes``.
        score_threshold: detected boxes with a lower score are skipped.
        every_seconds: 4 keeps seconds that are multiples of 4.
        first_second, last_second: range of annotated seconds, both included.

    Raises:
        AnnotationError: no such file, bad rows (the message names the first ten), most rows outside the annotated
            seconds, or no box left.
    """
    reader = _BoxReader(video_ids, num_classes, score_threshold, every_seconds, range(first_second, last_second + 1))
    true_paths = [Path(path) for path in true_lists]
    for path in true_paths:
        reader.read(path, has_scores=False)
    for path in map(Path, detected_lists):
        if any(path.resolve() == other.resolve() for other in true_paths):
            logger.info("%s is listed both as true and as detected boxes: it is read once, as true boxes.", path.name)
            reader.names.append(path.name)
        else:
            reader.read(path, has_scores=True)
    return reader.key_frames()


class _BoxReader:
    """Collects the boxes of several files, what is skipped, and what is wrong."""

    def __init__(
        self, video_ids: Sequence[str], num_classes: int, score_threshold: float, every_seconds: int, annotated: range
    ):
        self.video_ids = list(video_ids)
        self.num_classes = num_classes
        self.score_threshold = score_threshold
        self.every_seconds = every_seconds
        self.annotated = annotated  # seconds
        self.num_rows = self.num_passed_over = 0
        self.seconds_elsewhere: Counter[int] = Counter()  # rows of seconds that are not annotated
        self.names: list[str] = []
        self.left_out: Counter[str] = Counter()
        self.videos_without_frames: Counter[str] = Counter()
        self.num_beyond_frame = 0
        self.seconds_of_low_scores: set[int] = set()
        self._video_of = {video_id: index for index, video_id in enumerate(self.video_ids)}
        self._second_of = _Seconds()
        self._box_of: dict[
            tuple[int, str], int
        ] = {}  # (key frame, text of its coordinates) -> box, -1 for an empty one
        self._key_frame_of_box = array("q")
        self._coordinates = array("f")
        self._labeled_boxes, self._labels = array("q"), array("h")

    def read(self, path: Path, *, has_scores: bool) -> None:
        """Add the boxes of a file."""
        self.names.append(path.name)
        columns = "video,second,x1,y1,x2,y2,label," + ("score" if has_scores else "person")
        hint = f"Expected `{columns}`: coordinates from 0 to 1, labels from 1 (empty or -1 for none)."
        problems, num_rows = RowProblems(path, hint), 0
        self._first_score_above_one: int | None = None
        try:
            with open_text(path) as file:
                for line_number, line in enumerate(file, 1):
                    line = line.strip()
                    num_rows += bool(line)
                    try:
                        if line:
                            self._add_row(line.split(","), has_scores, line_number)
                    except ValueError as error:
                        problems.add(line_number, f"{error}: {quoted(line)}")
        except OSError as error:
            raise AnnotationError(f"cannot read the list of boxes {path}: {error.strerror}.") from error
        problems.report(num_rows)
        if not num_rows:
            raise AnnotationError(f"{path} holds no box: the file is empty.")
        self.num_rows += num_rows
        if self._first_score_above_one:
            logger.warning(
                "%s:%d: the last column, read as a score, is above 1. In a list of true boxes it is the person id; as "
                "in PySlowFast, persons with an id below the threshold %g are skipped.",
                *(path.name, self._first_score_above_one, self.score_threshold),
            )

    def _add_row(self, fields: list[str], has_scores: bool, line_number: int) -> None:
        if len(fields) == 2:
            self.left_out["rows without a box"] += 1
            return
        if len(fields) != 8 and (has_scores or len(fields) != 7):
            raise ValueError(f"{len(fields)} columns instead of {'8' if has_scores else '7 or 8'}")
        second = self._second_of[fields[1]]
        if second not in self.annotated:
            self.left_out[f"rows with seconds outside {self.annotated[0]}-{self.annotated[-1]}"] += 1
            self.seconds_elsewhere[second] += 1
            return
        if second % self.every_seconds:
            self.num_passed_over += 1
            return
        video = self._video_of.get(fields[0])
        if video is None:
            self.videos_without_frames[fields[0]] += 1
            return
        key_frame = video << _SECOND_BITS | second
        if has_scores and not self._is_certain(fields[7], key_frame, line_number):
            return
        key = (key_frame, ",".join(fields[2:6]))
        box = self._box_of.get(key)
        if box is None:
            box = self._box_of[key] = self._new_box(key_frame, fields[2:6])
        label = self._label(fields[6])
        if label and box >= 0:
            self._labeled_boxes.append(box)
            self._labels.append(label)

    def _is_certain(self, text: str, key_frame: int, line_number: int) -> bool:
        """Whether a score reaches the threshold."""
        score = _number("score", text)
        if score > 1 and self._first_score_above_one is None:
            self._first_score_above_one = line_number
        if score >= self.score_threshold:
            return True
        self.left_out[f"rows below score {self.score_threshold:g}"] += 1
        self.seconds_of_low_scores.add(key_frame)
        return False

    def _new_box(self, key_frame: int, texts: list[str]) -> int:
        x1, y1, x2, y2 = box = [_number(name, text) for name, text in zip(("x1", "y1", "x2", "y2"), texts, strict=True)]
        if min(box) < -FAR_OUTSIDE or max(box) > 1 + FAR_OUTSIDE:
            raise ValueError("box far outside the frame; coordinates are fractions from 0 to 1 (are these pixels?)")
        if min(x2, 1) <= max(x1, 0) or min(y2, 1) <= max(y1, 0):
            self.left_out["empty boxes"] += 1
            return -1
        self.num_beyond_frame += min(box) < 0 or max(box) > 1
        self._key_frame_of_box.append(key_frame)
        self._coordinates.extend(box)
        return len(self._key_frame_of_box) - 1

    def _label(self, text: str) -> int:
        """From 1, or 0 for none."""
        try:
            label = parse_integer(text or "-1")
        except ValueError:
            number = _number("label", text)
            label = int(number)
            if label != number:
                raise ValueError(f"label {quoted(text)} is not an integer") from None
        if label == -1:
            return 0
        if not 1 <= label <= self.num_classes:
            raise ValueError(f"label {label} is not in 1-{self.num_classes} (MODEL.NUM_CLASSES)")
        return label

    def key_frames(self) -> KeyFrames:
        """All boxes by key frame; logs what was found and what was skipped."""
        self._check_seconds()
        key_frame_of_box = np.array(self._key_frame_of_box, dtype=np.int64)
        order = np.argsort(key_frame_of_box, kind="stable")
        key_frames, box_starts = np.unique(key_frame_of_box[order], return_index=True)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        labels = np.array(self._labels, dtype=np.int64)
        labeled = np.unique(rank[np.array(self._labeled_boxes, dtype=np.int64)] << 16 | labels)  # sorted, none twice
        boxes = np.array(self._coordinates, dtype=np.float32).reshape(-1, 4)[order]
        result = KeyFrames(
            video_ids=self.video_ids,
            videos=(key_frames >> _SECOND_BITS).astype(np.int32),
            seconds=(key_frames & (1 << _SECOND_BITS) - 1).astype(np.int32),
            boxes=boxes,
            box_starts=np.append(box_starts, len(order)),
            labels=(labeled & 0xFFFF).astype(np.int16),
            label_starts=np.searchsorted(labeled >> 16, np.arange(len(order) + 1)),
            missing_videos=tuple(self.videos_without_frames),
        )
        left_out = self._left_out(key_frames)
        if not len(result):
            raise AnnotationError(
                f"{', '.join(self.names)}: no box is left. Skipped: {left_out or 'nothing'}.{self._passed_over()}"
            )
        level = logging.WARNING if result.missing_videos else logging.INFO
        logger.log(level, "%s: %s. Skipped: %s.", ", ".join(self.names), self._kept(result), left_out or "nothing")
        return result

    def _check_seconds(self) -> None:
        """Check that most rows are in annotated seconds: otherwise the config's time scale does not match the lists."""
        elsewhere = self.seconds_elsewhere
        if 2 * elsewhere.total() > self.num_rows:
            raise AnnotationError(
                f"{', '.join(self.names)}: {elsewhere.total():,} of {self.num_rows:,} rows have the seconds "
                f"{min(elsewhere)} to {max(elsewhere)}, outside {self.annotated[0]}-{self.annotated[-1]}. Set "
                "AVA.FIRST_SECOND and AVA.LAST_SECOND to the seconds that these lists annotate."
            )

    def _passed_over(self) -> str:
        """The seconds that validation uses, as a sentence; empty if it uses all."""
        if not self.num_passed_over:
            return ""
        return (
            f" Validation uses every {self.every_seconds}th second and skips {self.num_passed_over:,} rows: "
            f"AVA.FULL_TEST_ON_VAL True uses all."
        )

    def _kept(self, result: KeyFrames) -> str:
        """``2 videos, 5 key frames, 9 boxes (1 beyond the frame's border, 2 without label), 14 labels``."""
        num_unlabeled = int((np.diff(result.label_starts) == 0).sum())
        return (
            f"{len(np.unique(result.videos)):,} videos, {len(result):,} key frames, {len(result.boxes):,} boxes "
            f"({self.num_beyond_frame:,} beyond the frame's border, {num_unlabeled:,} without label), "
            f"{len(result.labels):,} labels"
        )

    def _left_out(self, key_frames: np.ndarray) -> str:
        """``5 rows below score 0.9 (2 key frames have no other), 3 empty boxes``."""
        parts = [f"{count:,} {what}" for what, count in self.left_out.items()]
        num_lost = len(self.seconds_of_low_scores - set(key_frames.tolist()))
        parts = [
            f"{p} ({num_lost:,} key frames have no other)" if "below score" in p and num_lost else p for p in parts
        ]
        if self.videos_without_frames:
            missing = self.videos_without_frames
            rows, first = f"{sum(missing.values()):,} rows", next(iter(missing))
            parts.append(f"{rows} of {len(missing):,} videos without frames (first: {first})")
        num_without_boxes = len(self.video_ids) - len(np.unique(key_frames >> _SECOND_BITS))
        if num_without_boxes:
            parts.append(f"{num_without_boxes:,} videos without boxes")
        return ", ".join(parts)


class _Seconds(dict):
    """Text of a timestamp -> second: 902, 0902, 902.0 and 902.000000 are the same."""

    def __missing__(self, text: str) -> int:
        number = _number("timestamp", text)
        if number != int(number):
            raise ValueError(f"timestamp {quoted(text)} is not a whole second")
        self[text] = int(number)
        return self[text]


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} {quoted(text)} is not a number") from None
    return number
