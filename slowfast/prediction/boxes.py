"""Predictions of a detection model along a video: key frames, their boxes from a list or a detector, and tracks.

Boxes are x1 y1 x2 y2 as fractions of the frame; letters: R boxes of a key frame, K classes, F frames.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import Prediction
from slowfast.prediction.records import named_scores
from slowfast.prediction.segments import Segment, SegmentMerger
from slowfast.preparation.person_boxes import DETECTORS, detect_people, load_detector
from slowfast.utils.registry import Registry
from slowfast.utils.untrusted import csv_rows, open_text
from slowfast.video.reader import FrameReader

# frames uint8 (F, 3, H, W), RGB -> for each a float (R, 4), fractions, or (R, 5) with the detector's score behind
Detector = Callable[[Tensor], Sequence[Any]]
DETECTOR_REGISTRY = Registry("detector")
LEAST_IOU = 0.3  # intersection over union of a box with the last one of the track that it continues
MOST_MISSING = 1  # key frames that a track may miss
FARTHEST_OUTSIDE = 0.5  # of a frame that a box may reach beyond it: more is pixels


class BoxListError(ValueError):
    """A list of boxes that cannot be used; the message names file, line and remedy."""


@dataclass(frozen=True)
class KeyFramePrediction:
    """A model's prediction for the boxes of one key frame.

    Attributes:
        seconds: of the key frame, from the first frame of the video.
        boxes: float32 (R, 4).
        box_scores: float32 (R,), the detector's, or None.
        tracks: number of every box's track.
        prediction: scores (R, K).
    """

    seconds: float
    boxes: np.ndarray
    box_scores: np.ndarray | None
    tracks: tuple[int, ...]
    prediction: Prediction

    def as_dict(self, num_top: int) -> dict[str, Any]:
        """``{"seconds", "boxes": [{"box", "track", "detection", "scores", "top"}]}``, of plain values."""
        top = self.prediction.top(num_top)
        found = [None] * len(self.boxes) if self.box_scores is None else self.box_scores.tolist()
        rows = zip(self.boxes.tolist(), self.tracks, found, self.prediction.scores.tolist(), top, strict=True)
        return {
            "seconds": round(self.seconds, 4),
            "boxes": [
                {"box": box, "track": track, "detection": sure, "scores": scores, "top": named_scores(best)}
                for box, track, sure, scores, best in rows
            ],
        }


class ListedBoxes:
    """Boxes of key frames from a CSV file: ``video,second,x1,y1,x2,y2``, in AVA's form followed by ``label,score``.

    A video is identified by its file or folder name, with or without the extension. A first line that is not a row is a
    header.

    Args:
        path: the file.
        start_second: time in the list at the first frame of a video (AVA: 900).
        least_score: rows with a lower score, in column 8, are skipped.

    Raises:
        BoxListError: the file cannot be read, or holds a bad row.
    """

    def __init__(self, path: str | os.PathLike, *, start_second: float = 0.0, least_score: float = 0.0):
        self.path = os.fspath(path)
        self._rows: dict[str, dict[float, dict[tuple, float | None]]] = defaultdict(lambda: defaultdict(dict))
        try:
            with open_text(path) as file:
                for line, row in csv_rows(file, source=path, error=BoxListError):
                    self._add(line, [field.strip() for field in row], start_second, least_score)
        except OSError as error:
            raise BoxListError(f"cannot read the list of boxes {self.path}: {error.strerror}.") from error
        if not self._rows:
            raise BoxListError(f"{self.path} holds no box (video,second,x1,y1,x2,y2) of score {least_score:g} or more.")

    def _add(self, line: int, fields: list[str], start_second: float, least_score: float) -> None:
        if line == 1 and len(fields) > 2 and not _is_number(fields[1]):
            return
        where = f"{self.path}:{line}"
        if not 6 <= len(fields) <= 8:
            raise BoxListError(f"{where}: {len(fields)} columns; a row is video,second,x1,y1,x2,y2[,label[,score]].")
        numbers = [_number(text, where) for text in fields[1:6]]
        box = numbers[1:]
        if min(box) < -FARTHEST_OUTSIDE or max(box) > 1 + FARTHEST_OUTSIDE:
            raise BoxListError(f"{where}: the box {box} is far outside the frame: give fractions of it, not pixels.")
        # Lists of true boxes end in the number of a person, which is not a score.
        score = _number(fields[7], where) if len(fields) == 8 and fields[7] and "." in fields[7] else None
        is_empty = min(box[2], 1) <= max(box[0], 0) or min(box[3], 1) <= max(box[1], 0)
        if not is_empty and (score is None or score >= least_score):
            self._rows[_video_id(fields[0])][numbers[0] - start_second][tuple(box)] = score

    def key_frames(self, path: str) -> list[tuple[float, np.ndarray, np.ndarray | None]]:
        """(seconds, boxes, their scores) of a video, in the order of time.

        Raises:
            BoxListError: the list has none for this video.
        """
        seconds = self._rows.get(_video_id(path))
        if not seconds:
            named = ", ".join(sorted(self._rows)[:3])
            raise BoxListError(f"{self.path} has no boxes for {_video_id(path)} (only for {named}, ...).")
        found = []
        for time, rows in sorted(seconds.items()):
            scores = None if None in rows.values() else np.array(list(rows.values()), np.float32)
            if time >= 0:
                found.append((time, np.array(list(rows), np.float32), scores))
        return found


def _video_id(path: str) -> str:
    name = Path(path)
    return name.stem if name.suffix and not name.is_dir() else name.name


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number(text: str, where: str) -> float:
    if not _is_number(text):
        raise BoxListError(f"{where}: {text!r} is not a number; a row is video,second,x1,y1,x2,y2[,label[,score]].")
    return float(text)


class DetectedBoxes:
    """Boxes that a detector finds in a key frame every ``stride_seconds``.

    Args:
        detector: see ``Detector``.
        least_score: boxes with a lower score are skipped.
    """

    def __init__(self, detector: Detector, *, stride_seconds: float = 1.0, least_score: float = 0.0):
        if not stride_seconds > 0:
            raise ValueError(f"a key frame every {stride_seconds:g} seconds: must be above 0.")
        self.detector, self.stride_seconds, self.least_score = detector, stride_seconds, least_score

    def key_frames(self, reader: FrameReader) -> Iterator[tuple[float, np.ndarray, np.ndarray | None]]:
        """(seconds, boxes, their scores) of the key frames that show anybody."""
        count = int((reader.num_frames - 1) / reader.fps / self.stride_seconds + 1e-6) + 1
        for seconds in (index * self.stride_seconds for index in range(count)):
            number = min(int(seconds * reader.fps + 1e-6), reader.num_frames - 1)
            (found,) = self.detector(reader.frames_at([number]))
            boxes, scores = self._checked(found)
            if len(boxes):
                yield seconds, boxes, scores

    def _checked(self, found) -> tuple[np.ndarray, np.ndarray | None]:
        found = np.asarray(found, dtype=np.float32)
        if not found.size:
            return np.zeros((0, 4), np.float32), None
        if found.ndim != 2 or found.shape[1] not in (4, 5):
            raise ValueError(f"the detector gave an array {found.shape} for a frame: it must be (R, 4) or (R, 5).")
        boxes, scores = found[:, :4], found[:, 4] if found.shape[1] == 5 else None
        keep = (boxes[:, 2:] > boxes[:, :2]).all(1)
        keep &= True if scores is None else scores >= self.least_score
        return boxes[keep], None if scores is None else scores[keep]


def build_detector(name: str, *, weights: str = "", least_score: float = 0.5, device="cpu") -> Detector:
    """A detector by name: one of torchvision's for people, or a function registered in ``DETECTOR_REGISTRY``.

    Args:
        weights: torchvision's file, on disk; registered detectors take none.
        least_score: of a person, for torchvision's.

    Raises:
        ValueError: no such detector, or weights that do not fit it.
    """
    if name in DETECTORS:
        if not weights:
            raise ValueError(f"detector {name}: name its weights file (--detector-weights).")
        return partial(_people, load_detector(name, weights, device), least_score=least_score, device=device)
    if name not in DETECTOR_REGISTRY:
        known = ", ".join((*DETECTORS, *DETECTOR_REGISTRY.names()))
        raise ValueError(f"there is no detector {name!r}. Known: {known}. For your own, name its file in IMPORTS.")
    return DETECTOR_REGISTRY.get(name)


def _people(model, frames: Tensor, *, least_score: float, device) -> list[list[list[float]]]:
    found = detect_people(model, frames, range(len(frames)), threshold=least_score, device=device)
    return [[[*box[1:5], box.score] for box in found if box.second == index] for index in range(len(frames))]


class IouTracker:
    """Assigns boxes the number of the track that they continue, or a new one.

    The pair of a box and a track with the largest overlap is matched first, then the next, down to LEAST_IOU. A track
    may miss MOST_MISSING key frames.
    """

    def __init__(self):
        self._boxes: dict[int, np.ndarray] = {}  # of each track, the last one
        self._missing: dict[int, int] = {}
        self._num_tracks = 0

    def update(self, boxes: np.ndarray) -> list[int]:
        """Numbers of the tracks, from 0, of the boxes (R, 4), x1 y1 x2 y2, of the next key frame."""
        boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        found = self._matches(boxes)
        tracks = []
        for index in range(len(boxes)):
            if index not in found:
                found[index] = self._num_tracks
                self._num_tracks += 1
            tracks.append(found[index])
        self._remember(boxes, tracks)
        return tracks

    def _matches(self, boxes: np.ndarray) -> dict[int, int]:
        """Box -> track."""
        known = list(self._boxes)
        if not known or not len(boxes):
            return {}
        from torchvision.ops import box_iou  # a second of imports

        last = torch.from_numpy(np.stack([self._boxes[track] for track in known]))
        overlaps = box_iou(torch.from_numpy(boxes), last).numpy()
        found: dict[int, int] = {}
        for place in np.argsort(-overlaps, axis=None, kind="stable").tolist():
            box, column = divmod(place, len(known))
            if overlaps[box, column] < LEAST_IOU:
                break
            if box not in found and known[column] not in found.values():
                found[box] = known[column]
        return found

    def _remember(self, boxes: np.ndarray, tracks: list[int]) -> None:
        for track in [track for track in self._boxes if track not in tracks]:
            self._missing[track] = self._missing.get(track, 0) + 1
            if self._missing[track] > MOST_MISSING:
                del self._boxes[track], self._missing[track]
        for box, track in zip(boxes, tracks, strict=True):
            self._boxes[track] = box
            self._missing.pop(track, None)


def predict_boxes(
    pipeline: Pipeline, video: str | FrameReader, boxes: ListedBoxes | DetectedBoxes
) -> Iterator[KeyFramePrediction]:
    """The model's predictions for the boxes of every key frame of a video, with their tracks, as they arrive.

    Raises:
        BoxListError: the list has no boxes for the video.
        VideoReadError: the video cannot be read.
    """
    tracker = IouTracker()
    with pipeline.open(video) as reader:
        found = boxes.key_frames(str(video)) if isinstance(boxes, ListedBoxes) else boxes.key_frames(reader)
        for seconds, corners, scores in found:
            if seconds > reader.num_frames / reader.fps:
                break
            (prediction,) = pipeline.at_key_frames(reader, [(seconds, torch.from_numpy(corners))])
            yield KeyFramePrediction(seconds, corners, scores, tuple(tracker.update(corners)), prediction)


class TrackSegments:
    """The segments of every track: parts of a video in which a box's class reaches the threshold.

    Args:
        seconds_apart: between key frames; a label at one is valid for half of this time before and after it.
    """

    def __init__(self, threshold: float, class_names: Sequence[str] | None, *, seconds_apart: float = 1.0):
        self.threshold, self.class_names, self.half = threshold, class_names, seconds_apart / 2
        self._mergers: dict[int, SegmentMerger] = {}

    def add(self, key_frame: KeyFramePrediction) -> list[Segment]:
        """The segments that end before this key frame."""
        start, end = max(0.0, key_frame.seconds - self.half), key_frame.seconds + self.half
        segments = []
        for track, scores in zip(key_frame.tracks, key_frame.prediction.mean_scores, strict=True):
            if track not in self._mergers:
                self._mergers[track] = SegmentMerger(self.threshold, self.class_names, track=track)
            segments += self._mergers[track].add(start, end, scores)
        return segments

    def finish(self) -> list[Segment]:
        """The remaining segments."""
        segments = [segment for merger in self._mergers.values() for segment in merger.finish()]
        return sorted(segments, key=lambda segment: (segment.start, segment.track or 0))


def key_frame_spacing(boxes: ListedBoxes | DetectedBoxes, path: str) -> float:
    """The smallest time between two key frames of a video, seconds; 1 if there is only one."""
    if isinstance(boxes, DetectedBoxes):
        return boxes.stride_seconds
    return float(np.diff([seconds for seconds, _, _ in boxes.key_frames(path)]).min(initial=1.0))
