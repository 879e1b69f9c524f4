"""A video resampled to another frame rate."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from slowfast.video.reader import FrameReader
from slowfast.video.watch import Deadline


class ResampledReader(FrameReader):
    """A video as if it had another frame rate: frame n is the frame visible n / fps seconds after the first.

    Args:
        video: the original frames.
        fps: frames per second of the result.
    """

    def __init__(self, video: FrameReader, fps: float):
        self.video = video
        self.fps = float(fps)
        self._ratio = video.fps / self.fps
        # Rates are rounded: a frame that begins a billionth after the end is none.
        self.num_frames = max(1, math.ceil(video.num_frames / self._ratio - 1e-6))

    def __repr__(self) -> str:
        return repr(self.video)

    def close(self) -> None:
        self.video.close()

    def _frame_numbers(self, indices: np.ndarray) -> np.ndarray:
        source = np.floor(indices * self._ratio + 1e-6).astype(np.int64)
        return self.video._frame_numbers(np.minimum(source, self.video.num_frames - 1))

    def _file_of(self, wanted: np.ndarray) -> str:
        return self.video._file_of(wanted)

    def _read(self, wanted: np.ndarray, short_side: int | None, deadline: Deadline) -> Iterator[tuple[int, np.ndarray]]:
        return self.video._read(wanted, short_side, deadline)
