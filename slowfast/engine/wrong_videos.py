"""Frames of the videos that a test misclassifies, saved while they are in memory."""

from __future__ import annotations

import heapq
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from slowfast.datasets.samples import VideoViews
from slowfast.utils import distributed
from slowfast.utils.files import atomic_write
from slowfast.video.geometry import resize

FOLDER = "wrong_videos"
NUM_FRAMES = 4
HEIGHT = 112  # pixels of a strip


class WrongVideos:
    """The most confident wrong predictions, each with a strip of its video's frames.

    Args:
        labels: (N,); below 0 where none is known. Not read where the limit is 0.
        limit: maximum number of videos kept.
    """

    def __init__(self, labels: np.ndarray, *, limit: int):
        self.labels = np.asarray(labels)
        self.limit = limit
        # A heap of (confidence, -video, strip), the least confident first. No two are equal, so whichever order the
        # videos come in, and in however many parts, the same ones are kept.
        self._kept: list[tuple[float, int, bytes]] = []

    def update(self, views: VideoViews, scores: np.ndarray) -> bytes | None:
        """Consider a video with its fused scores (K,); returns its strip if it is kept, else None."""
        if not self.limit:
            return None
        label = int(self.labels[views.video_index])
        if label < 0 or label == int(scores.argmax()):
            return None
        if len(self._kept) == self.limit and _rank(views.video_index, scores) < self._kept[0][:2]:
            return None
        strip = frame_strip(views.frames)
        self.restore(views.video_index, scores, strip)
        return strip

    def restore(self, video: int, scores: np.ndarray, strip: bytes) -> None:
        """Add a video whose ``strip`` an earlier part of the test got from ``update``."""
        heapq.heappush(self._kept, (*_rank(video, scores), strip))
        if len(self._kept) > self.limit:
            heapq.heappop(self._kept)

    def gather(self) -> None:
        """Merge the videos of all processes; every process must call it."""
        if distributed.world_size() > 1:
            parts = distributed.all_gather_objects(self._kept)
            self._kept = heapq.nlargest(self.limit, (entry for part in parts for entry in part))

    def strips(self) -> dict[int, bytes]:
        """Video number -> its strip as a JPEG, the most confident first."""
        return {-place: strip for _, place, strip in sorted(self._kept, reverse=True)}


def _rank(video: int, scores: np.ndarray) -> tuple[float, int]:
    """A sort key: of two wrong videos, the one with the larger key is kept."""
    return float(scores.max()), -video


def frame_strip(frames: torch.Tensor) -> bytes:
    """A JPEG of four frames side by side, evenly spread over ``frames``, uint8 (F, 3 or more, H, W), RGB first."""
    places = torch.linspace(0, len(frames) - 1, min(NUM_FRAMES, len(frames))).round().long()
    height, width = frames.shape[-2:]
    shown = resize(frames[places, :3].cpu(), HEIGHT, max(1, round(width * HEIGHT / height)))
    strip = torch.cat(list(shown), dim=2).permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(strip).save(file, format="JPEG", quality=85)
    return file.getvalue()


def write_strips(output_dir: Path, strips: Mapping[int, bytes]) -> dict[int, str]:
    """Write wrong_videos/000012.jpg for video 12, and so on; files of an earlier test are deleted. Returns video ->
    path of its file."""
    folder = output_dir / FOLDER
    if folder.is_dir():
        for path in folder.iterdir():
            if re.fullmatch(r"\d{6,}\.jpg", path.name):
                path.unlink()
    written = {}
    for video, strip in strips.items():
        folder.mkdir(parents=True, exist_ok=True)
        written[video] = f"{FOLDER}/{video:06d}.jpg"
        with atomic_write(output_dir / written[video]) as draft:
            draft.write_bytes(strip)
    return written
