"""Boxes of the people in key frames, found by one of torchvision's detectors, in the format of AVA's detected boxes."""

from __future__ import annotations

import csv
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from slowfast.datasets.lists.ava_boxes import FIRST_SECOND, LAST_SECOND
from slowfast.preparation.files import TEXT
from slowfast.utils.files import atomic_write
from slowfast.utils.tensor_files import TensorFileError, load_state
from slowfast.video.index import video_index
from slowfast.video.reader import open_video_file
from slowfast.video.watch import VideoReadError

PERSON = 1  # label of a person in COCO, which the detectors were trained on
DETECTORS = ("fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn")  # torchvision's names


class PersonBox(NamedTuple):
    """A person in a key frame: corners as fractions of the frame's width and height, and the detector's score."""

    second: int
    x1: float
    y1: float
    x2: float
    y2: float
    score: float


def load_detector(name: str, weights: str | os.PathLike, device: torch.device | str = "cpu") -> nn.Module:
    """A detector in eval mode with the weights of torchvision's file, which must be on disk.

    Raises:
        ValueError: no such detector or file, or weights of another network.
    """
    if name not in DETECTORS:
        raise ValueError(f"detector {name!r} is not known. Known: {', '.join(DETECTORS)}.")
    from torchvision.models import get_model, get_model_weights  # a second of imports

    released = get_model_weights(name).COCO_V1
    weights = Path(weights)
    if not weights.is_file():
        raise ValueError(
            f"{weights} does not exist. The weights of {name} are torchvision's file {released.url} "
            "(trained on COCO): download it once and name it with --checkpoint."
        )
    model = get_model(name, weights=None, weights_backbone=None, num_classes=len(released.meta["categories"]))
    try:
        load_state(model, weights)
    except TensorFileError as error:
        raise ValueError(f"{weights} does not hold the weights of {name} ({released.url}): {error}") from error
    return model.to(device).eval()


def key_seconds(path: str, *, start_seconds: float, first: int = FIRST_SECOND, last: int = LAST_SECOND) -> range:
    """The seconds of AVA's clock, between ``first`` and ``last``, at which the file shows a frame.

    Args:
        start_seconds: time at the start of the file, in AVA's seconds.
    """
    index = video_index(path)
    end = start_seconds + (index.num_frames - 1) / index.fps
    return range(max(first, -int(-start_seconds // 1)), min(last, int(end)) + 1)


def read_key_frames(path: str, seconds: Sequence[int], *, start_seconds: float) -> Tensor:
    """uint8 (F, 3, H, W): the frames visible at these seconds, chosen as by the loader of movie files."""
    with open_video_file(path) as video:
        numbers = [int((second - start_seconds) * video.fps + 1e-6) for second in seconds]
        return video.frames_at([min(number, video.num_frames - 1) for number in numbers])


@torch.inference_mode()
def detect_people(
    model: nn.Module, frames: Tensor, seconds: Sequence[int], *, threshold: float, device: torch.device | str = "cpu"
) -> list[PersonBox]:
    """The people in some frames, in the order of these and, in each, of falling scores.

    Args:
        model: a detector of torchvision in eval mode, on ``device``.
        frames: uint8 (F, 3, H, W), RGB.
        seconds: of each frame.
        threshold: boxes with a lower score are dropped.
    """
    height, width = frames.shape[-2:]
    found = model([frame.to(device).float() / 255 for frame in frames])
    boxes = []
    for second, result in zip(seconds, found, strict=True):
        keep = (result["labels"] == PERSON) & (result["scores"] >= threshold)
        scores, order = result["scores"][keep].sort(descending=True, stable=True)
        corners = result["boxes"][keep][order] / result["boxes"].new_tensor([width, height, width, height])
        for (x1, y1, x2, y2), score in zip(corners.clamp(0, 1).tolist(), scores.tolist(), strict=True):
            boxes.append(PersonBox(second, x1, y1, x2, y2, score))
    return boxes


class KeyFrameJob(NamedTuple):
    """Some key frames of one video."""

    path: str
    seconds: range


def decoded_ahead(
    jobs: Iterable[KeyFrameJob], *, start_seconds: float, num_workers: int
) -> Iterator[tuple[KeyFrameJob, Tensor | VideoReadError]]:
    """The frames of every job in turn, or why there are none; ``num_workers`` threads decode the next ones."""

    def decode(job: KeyFrameJob) -> Tensor | VideoReadError:
        try:
            return read_key_frames(job.path, job.seconds, start_seconds=start_seconds)
        except VideoReadError as error:
            return error

    if num_workers == 0:
        yield from ((job, decode(job)) for job in jobs)
        return
    ahead: deque[tuple[KeyFrameJob, Future]] = deque()
    with ThreadPoolExecutor(num_workers) as pool:
        try:
            for job in jobs:
                ahead.append((job, pool.submit(decode, job)))
                if len(ahead) > num_workers:
                    done, future = ahead.popleft()
                    yield done, future.result()
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def write_boxes(path: str | os.PathLike, video_id: str, boxes: Iterable[PersonBox]) -> None:
    """Write ``video,second,x1,y1,x2,y2,,score`` rows atomically; boxes that rounding makes empty are dropped."""
    with atomic_write(path) as draft, open(draft, "w", **TEXT) as file:
        writer = csv.writer(file, lineterminator="\n")
        for box in sorted(boxes, key=lambda box: (box.second, -box.score)):
            corners = [f"{value:.4f}" for value in box[1:5]]
            if corners[0] < corners[2] and corners[1] < corners[3]:
                writer.writerow([video_id, f"{box.second:04d}", *corners, "", f"{box.score:.6f}"])


def merge_boxes(parts: Iterable[str | os.PathLike], path: str | os.PathLike) -> int:
    """Write the rows of all ``parts`` in sequence, atomically; returns their number."""
    num_rows = 0
    with atomic_write(path) as draft, open(draft, "wb") as file:
        for part in parts:
            data = Path(part).read_bytes()
            file.write(data)
            num_rows += data.count(b"\n")
    return num_rows
