"""Optical flow for the Fast pathway: computed once from the frames of a video, and kept in files.

Flow of frame i points from frame i to frame i + 1 of the source (the last frame's is the one before it). It travels as
two more uint8 channels of a frame, x and y, where 128 is no movement and 1 to 255 are -bound to bound pixels of the
source frame, so crops, views and batches treat it like pixels (geometry.py scales and mirrors vectors).
Letters: F frames, H W pixels.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from slowfast.utils.files import atomic_write
from slowfast.utils.suggest import check_choice
from slowfast.utils.tensor_files import TensorFileError, load_state, open_arrays
from slowfast.video.reader import FrameReader
from slowfast.video.watch import VideoReadError

logger = logging.getLogger(__name__)

METHODS = ("dis", "farneback", "raft")
ZERO = 128  # the uint8 value of no movement
CHUNK = 32  # frames in memory at a time
RAFT_MIN_SIDE = 128  # pixels; its correlation pyramid needs them, in multiples of 8


class FlowStore:
    """Flow of any video, read from its file in ``cache_dir``, or computed and written there.

    A file takes about a third of the frames' raw size; every frame is compressed on its own, so a clip reads no other.

    Args:
        cache_dir: created when the first flow is written.
        method: one of ``METHODS``.
        bound: largest displacement kept, pixels per frame.
        weights: file of torchvision's raft_small weights, for "raft".

    Raises:
        ValueError: unknown method, no weights for "raft", a bound that is not above 0.
        ImportError: "dis" and "farneback" need OpenCV.
    """

    def __init__(self, cache_dir: str | Path, *, method: str = "dis", bound: float = 20.0, weights: str = ""):
        check_choice("FLOW.METHOD", method, METHODS)
        if not bound > 0:
            raise ValueError(f"FLOW.BOUND={bound}: must be above 0, in pixels per frame.")
        self.cache_dir, self.method, self.bound, self.weights = Path(cache_dir), method, bound, weights
        self._estimate: Callable | None = None
        self._network = ""  # which one estimates; no network in the names of the other methods' files
        if method == "raft":
            if not os.path.isfile(weights):
                raise ValueError(
                    f"FLOW.METHOD=raft needs FLOW.WEIGHTS, a file of torchvision's raft_small weights; {weights!r} is "
                    f"not. Download https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth."
                )
            self._network = hashlib.sha1(Path(weights).read_bytes()).hexdigest()
        else:
            _import_opencv()

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_estimate": None}  # OpenCV's objects do not travel to worker processes

    def flow_at(self, indices: Sequence[int] | Tensor, video: FrameReader, path: str | os.PathLike) -> Tensor:
        """uint8 (F, 2, H, W): flow of the frames ``indices`` of ``video``, whose file or folder is ``path``.

        Raises:
            VideoReadError: a frame needed for the flow cannot be read, or the flow file is damaged.
        """
        file = self.file_of(path, fps=video.fps)
        if not file.exists():
            self._write(file, video)
        numbers = torch.as_tensor(indices).tolist()
        try:
            with open_arrays(file) as frames:
                found = {number: torch.from_numpy(frames[str(number)]) for number in set(numbers)}
        except TensorFileError as error:
            raise VideoReadError(
                f"cannot read the flow of {path}: {error} Delete that file to recompute it."
            ) from error
        shapes = {(*flow.shape, flow.dtype) for flow in found.values()}
        if len(shapes) > 1 or not all(shape[:1] == (2,) and shape[3:] == (torch.uint8,) for shape in shapes):
            raise VideoReadError(f"cannot read the flow of {path}: {file} holds no flow. Delete it to recompute it.")
        return torch.stack([found[number] for number in numbers])

    def file_of(self, path: str | os.PathLike, *, fps: float) -> Path:
        """The file for the flow of a video, named after the video, its size and date, and how flow is computed: the
        frame rate, the method (and RAFT's weights) and the bound.

        Args:
            fps: frames per second at which it is read; a data set may read a file at a rate other than its own.
        """
        path = Path(os.path.abspath(path))
        status = path.stat()
        key = f"{os.fspath(path)}|{status.st_size}|{status.st_mtime_ns}|{fps}|{self.method}|{self.bound}"
        key += f"|{self._network}" if self._network else ""
        digest = hashlib.sha1(key.encode(errors="surrogateescape")).hexdigest()
        return self.cache_dir / digest[:2] / f"{digest}.npz"

    def _write(self, file: Path, video: FrameReader) -> None:
        """Compute the flow of all frames; the file is written atomically."""
        # Two workers may come to one video at once.
        with (
            atomic_write(file, concurrently=True) as draft,
            zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for number, flow in enumerate(self._flows(video)):
                with archive.open(f"{number}.npy", "w") as member:
                    np.lib.format.write_array(member, flow)

    def _flows(self, video: FrameReader):
        """Quantized flow, uint8 (2, H, W), frame by frame."""
        if self._estimate is None:
            self._estimate = _raft(self.weights) if self.method == "raft" else _opencv_flow(self.method)
        last, num_frames = None, video.num_frames
        for start in range(0, num_frames, CHUNK - 1):
            frames = video.frames_at(range(start, min(start + CHUNK, num_frames)))
            for first, second in itertools.pairwise(frames):
                last = quantize(self._estimate(first, second), self.bound)
                yield last
            if start + CHUNK >= num_frames:
                break
        yield np.full((2, *frames.shape[-2:]), ZERO, np.uint8) if last is None else last


class FlowReader(FrameReader):
    """A video whose frames have five channels: R, G, B and the flow in x and y."""

    def __init__(self, video: FrameReader, store: FlowStore, path: str | os.PathLike):
        self.video, self.store, self.path = video, store, path
        self.num_frames, self.fps = video.num_frames, video.fps

    def close(self) -> None:
        self.video.close()

    def frames_at(self, indices, short_side: int | None = None, *, apply=None) -> Tensor:
        """uint8 (F, 5, H, W); arguments as in ``FrameReader.frames_at``.

        Raises:
            ValueError: ``short_side`` is given: flow is computed from frames as stored.
        """
        if short_side is not None:
            raise ValueError("DATA.RESIZE_IN_DECODER does not go with SLOWFAST.FAST_INPUT flow: set it to False.")
        pixels = self.video.frames_at(indices)
        frames = torch.cat([pixels, self.store.flow_at(indices, self.video, self.path)], dim=1)
        return frames if apply is None else apply(frames)


def quantize(flow: np.ndarray, bound: float) -> np.ndarray:
    """float (2, H, W) in pixels -> uint8, 128 for none, 1 and 255 for -bound and bound or more."""
    levels = np.rint(np.clip(flow, -bound, bound) * (127 / bound)) + ZERO
    return levels.astype(np.uint8)


def scale_and_mirror(flow: Tensor, *, scale_x: float = 1.0, scale_y: float = 1.0, flip: bool = False) -> Tensor:
    """Quantized flow (F, 2, H, W) whose frame is scaled, and then mirrored, by as much."""
    factor = flow.new_tensor([-scale_x if flip else scale_x, scale_y], dtype=torch.float32).view(2, 1, 1)
    if (factor == 1).all():
        return flow
    return ((flow.float() - ZERO) * factor + ZERO).round_().clamp_(1, 255).to(torch.uint8)


def _import_opencv():
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "FLOW.METHOD dis and farneback need OpenCV, which is not installed: pip install 'slowfast[flow]' "
            "(opencv-python-headless)."
        ) from error
    return cv2


def _opencv_flow(method: str) -> Callable[[Tensor, Tensor], np.ndarray]:
    """DIS (Kroeger et al., ECCV 2016) or Farneback's (SCIA 2003) flow of two RGB frames (3, H, W): float (2, H, W)."""
    cv2 = _import_opencv()
    cv2.setNumThreads(1)  # workers run side by side already
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def gray(frame: Tensor) -> np.ndarray:
        return cv2.cvtColor(np.ascontiguousarray(frame.permute(1, 2, 0).numpy()), cv2.COLOR_RGB2GRAY)

    def estimate(first: Tensor, second: Tensor) -> np.ndarray:
        if method == "dis":
            flow = dis.calc(gray(first), gray(second), None)
        else:
            flow = cv2.calcOpticalFlowFarneback(gray(first), gray(second), None, 0.5, 3, 15, 3, 5, 1.2, 0)
        return flow.transpose(2, 0, 1)

    return estimate


def _raft(weights: str) -> Callable[[Tensor, Tensor], np.ndarray]:
    """RAFT-small (Teed & Deng, ECCV 2020) of torchvision; frames are enlarged to its minimum size."""
    from torchvision.models.optical_flow import raft_small

    model = raft_small(weights=None).eval()
    load_state(model, weights)

    @torch.inference_mode()
    def estimate(first: Tensor, second: Tensor) -> np.ndarray:
        height, width = first.shape[-2:]
        size = [max(RAFT_MIN_SIDE, -(-side // 8) * 8) for side in (height, width)]
        pair = torch.stack([first, second]).float() / 127.5 - 1
        pair = F.interpolate(pair, size=size, mode="bilinear", align_corners=False)
        flow = model(pair[:1], pair[1:])[-1]
        flow = F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=False)[0]
        return (flow * torch.tensor([width / size[1], height / size[0]]).view(2, 1, 1)).numpy()

    return estimate
