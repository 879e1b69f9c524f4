"""Videos to clips: lists, decoding, sampling, cropping, loading."""

from slowfast.datasets.ava import Ava
from slowfast.datasets.build import DATASET_REGISTRY, build_augment, build_dataset, build_loader, count_classes
from slowfast.datasets.charades import Charades
from slowfast.datasets.clip_sampling import (
    CLIP_SAMPLING_REGISTRY,
    ClipSampling,
    KeyFrameSampling,
    SecondsSampling,
    SegmentSampling,
    StridedSampling,
)
from slowfast.datasets.kinetics import Kinetics
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samples import ClipBatch, ClipSample, VideoViews
from slowfast.datasets.ssv2 import SomethingSomething
from slowfast.datasets.train_crop import TrainCrop
from slowfast.datasets.ucf_hmdb import HMDB51, UCF101
from slowfast.video.reader import FrameFolderReader, VideoReader, VideoReadError

__all__ = [
    "CLIP_SAMPLING_REGISTRY",
    "DATASET_REGISTRY",
    "HMDB51",
    "UCF101",
    "Ava",
    "Charades",
    "ClipBatch",
    "ClipSample",
    "ClipSampling",
    "FrameFolderReader",
    "KeyFrameSampling",
    "Kinetics",
    "Protocol",
    "SecondsSampling",
    "SegmentSampling",
    "SomethingSomething",
    "StridedSampling",
    "TrainCrop",
    "VideoReadError",
    "VideoReader",
    "VideoViews",
    "build_augment",
    "build_dataset",
    "build_loader",
    "count_classes",
]
