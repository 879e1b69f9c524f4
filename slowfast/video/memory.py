"""A reader for frames that are already in memory, from a stream, a notebook or a test."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from slowfast.video.frame_reader import Change, FrameReader, Numbers


class MemoryReader(FrameReader):
    """Frames in memory.

    Args:
        frames: uint8 (F, 3, H, W), RGB; at least one.
        fps: frames per second at which they were taken.

    Raises:
        ValueError: frames of a different form, or a rate that is not above 0.
    """

    def __init__(self, frames: Tensor, fps: float):
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3 or not len(frames):
            raise ValueError(f"frames must be uint8 (F, 3, H, W), RGB, got {frames.dtype} {tuple(frames.shape)}.")
        if not fps > 0:
            raise ValueError(f"fps={fps}: must be above 0.")
        self.frames, self.fps, self.num_frames = frames, float(fps), len(frames)

    def __repr__(self) -> str:
        return f"{self.num_frames} frames in memory"

    def frames_at(self, indices: Numbers, short_side: int | None = None, *, apply: Change | None = None) -> Tensor:
        """As in ``FrameReader``; there is no decoder that could scale, so ``short_side`` has no effect."""
        numbers = torch.as_tensor(indices, dtype=torch.int64).reshape(-1)
        if not len(numbers) or numbers.min() < 0 or numbers.max() >= self.num_frames:
            raise self._error(np.asarray(numbers), f"it has {self.num_frames:,}")
        frames = self.frames[numbers]
        return frames if apply is None else apply(frames)
