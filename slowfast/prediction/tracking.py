"""Matches the boxes of one key frame to those of the next by their overlap."""

from __future__ import annotations

import numpy as np
import torch

LEAST_IOU = 0.3  # intersection over union of a box with the last one of the track that it continues
MOST_MISSING = 1


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
        from torchvision.ops import box_iou  # a second of imports

        known = list(self._boxes)
        if not known or not len(boxes):
            return {}
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
