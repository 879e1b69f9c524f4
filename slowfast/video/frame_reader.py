"""What all readers of frames share: assembling single frames, as they arrive, into one tensor; and resampling.

Letters: F requested frames, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from slowfast.video.watch import Deadline, VideoReadError, reading

Numbers = Sequence[int] | np.ndarray | Tensor  # of frames, counted from 0
Change = Callable[[Tensor], Tensor]  # of frames (F, 3, H, W), which keeps their number
CHUNK = 8  # frames converted at a time: large enough for the resize kernel, small enough for the cache
CHUNK_BYTES = 2**27  # of them at most: of large frames fewer are converted at a time


class FrameReader:
    """Base of the readers: from single frames, as they arrive, to one tensor. Use as a context manager."""

    num_frames: int
    fps: float

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; reading again reopens it."""

    @cached_property
    def _size(self) -> tuple[int, int]:
        height, width = self.frames_at([0]).shape[-2:]
        return height, width

    @property
    def height(self) -> int:
        """Pixels, after rotation."""
        return self._size[0]

    @property
    def width(self) -> int:
        """Pixels, after rotation."""
        return self._size[1]

    def frames_at(self, indices: Numbers, short_side: int | None = None, *, apply: Change | None = None) -> Tensor:
        """Frames by number, as RGB.

        Args:
            indices: frame numbers in [0, num_frames), in any order, repeated or not, shape (F,). Where the frame
                rate varies, number i means what is on the screen i / fps seconds after the first frame.
            short_side: scale frames to this many pixels on their shorter side while colors are converted: saves
                time on large videos, but the pixels differ from those of a resize afterwards.
            apply: works on a few frames at a time, (f, 3, H, W) to (f, 3, h, w), as they arrive: cropping and resizing
                here keeps a large video from ever being in memory at its full size.

        Returns:
            uint8 (F, 3, H, W), 0 to 255. Stored color by color: ``.permute(1, 0, 2, 3)`` is contiguous.

        Raises:
            VideoReadError: a frame cannot be decoded (the message says which were requested and how many came), or the
                read takes longer than its time limit.
        """
        numbers = np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(numbers) == 0:
            raise ValueError(f"{self}: no frames requested: indices is empty.")
        if numbers.min() < 0 or numbers.max() >= self.num_frames:
            raise self._error(numbers, f"it has {self.num_frames:,}")
        wanted, inverse = np.unique(self._frame_numbers(numbers), return_inverse=True)
        with reading(self._file_of(wanted)) as deadline:
            frames = _assemble(self._read(wanted, short_side, deadline), len(wanted), apply)
        if len(wanted) == len(inverse) and (np.diff(inverse) == 1).all():
            return frames
        return frames.permute(1, 0, 2, 3)[:, torch.from_numpy(inverse)].permute(1, 0, 2, 3)

    def _frame_numbers(self, indices: np.ndarray) -> np.ndarray:
        return indices

    def _file_of(self, wanted: np.ndarray) -> str:
        """The file that is read for these frames; the first of several images."""
        raise NotImplementedError

    def _read(self, wanted: np.ndarray, short_side: int | None, deadline: Deadline) -> Iterator[tuple[int, np.ndarray]]:
        """(position in ``wanted``, pixels (H, W, 3)) of every frame in ``wanted``, which ascends."""
        raise NotImplementedError

    def _error(self, wanted: np.ndarray, problem: str) -> VideoReadError:
        low, high = wanted.min(), wanted.max()
        frames = f"frame {low}" if low == high else f"frames {low}-{high}"
        return VideoReadError(f"cannot decode {self}: wanted {frames}, {problem}.")


class ResampledReader(FrameReader):
    """A video as if it had another frame rate: frame n is the frame visible n / fps seconds after the first."""

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


def _assemble(frames: Iterator[tuple[int, np.ndarray]], num_frames: int, apply: Change | None) -> Tensor:
    """One tensor (F, 3, h, w), stored color by color, of frames that come one by one as (position, pixels)."""
    result: Tensor | None = None
    buffer: np.ndarray | None = None
    positions: list[int] = []
    num_done = 0
    for position, pixels in frames:
        if buffer is None:
            at_once = max(1, min(CHUNK, num_frames, CHUNK_BYTES // pixels.nbytes))
            buffer = np.empty((at_once, *pixels.shape), dtype=np.uint8)
        buffer[len(positions)] = pixels
        positions.append(position)
        num_done += 1
        if len(positions) < len(buffer) and num_done < num_frames:
            continue
        # (f, H, W, 3) seen as (f, 3, H, W): channels-last, which the uint8 resize kernel is fast on.
        chunk = torch.from_numpy(buffer[: len(positions)]).permute(0, 3, 1, 2)
        chunk = chunk if apply is None else apply(chunk)
        if result is None:
            _, channels, height, width = chunk.shape
            result = torch.empty((channels, num_frames, height, width), dtype=chunk.dtype).permute(1, 0, 2, 3)
        # Decoders give frames in order, so nearly always one block; blocks copy twice as fast as single frames.
        in_order = positions[-1] - positions[0] == len(positions) - 1 and sorted(positions) == positions
        result[slice(positions[0], positions[-1] + 1) if in_order else torch.tensor(positions)] = chunk
        positions.clear()
    assert result is not None  # callers want at least one frame
    return result
