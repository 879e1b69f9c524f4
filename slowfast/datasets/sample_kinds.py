"""The two kinds of samples, whole clips and boxes: how they are counted, batched, and dealt out for a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fvcore.common.config import CfgNode

from slowfast.datasets.contract import KeyFrameDataset, VideoDataset
from slowfast.datasets.samplers import EvalBatches, EvalSampler
from slowfast.datasets.samples import collate_clips, collate_detections


@dataclass(frozen=True)
class SampleKind:
    """The samples of one kind of data sets.

    Attributes:
        name: "clips" or "boxes".
        unit: what a data set counts, in words.
        collate: samples -> batch.
        test_order: (data set, samples at a time, rank, world size) -> keyword arguments of a loader that give every
            test sample to exactly one process.
    """

    name: str
    unit: str
    collate: Callable[[list], Any]
    test_order: Callable[[Any, int, int, int], dict[str, Any]]


def _one_video_at_a_time(dataset: VideoDataset, batch_size: int, rank: int, world_size: int) -> dict[str, Any]:
    return {"sampler": EvalSampler(len(dataset), rank, world_size), "batch_size": None}


def _key_frames_of_a_video(dataset: KeyFrameDataset, batch_size: int, rank: int, world_size: int) -> dict[str, Any]:
    key_frames = dataset.key_frames
    batches = EvalBatches(len(key_frames), batch_size, rank, world_size, video_of=lambda index: key_frames[index][0])
    return {"batch_sampler": batches}


CLIPS = SampleKind("clips", "videos", collate_clips, _one_video_at_a_time)
BOXES = SampleKind("boxes", "key frames", collate_detections, _key_frames_of_a_video)


def sample_kind(cfg: CfgNode) -> SampleKind:
    """The kind of samples for a config: the only place of this choice, which ``engine/tasks.py`` follows."""
    return BOXES if cfg.DETECTION.ENABLE else CLIPS
