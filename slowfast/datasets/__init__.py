"""Videos to clips: lists, decoding, sampling, cropping, loading."""

from slowfast.datasets.build import DATASET_REGISTRY, build_augment, build_dataset, build_loader
from slowfast.datasets.kinetics import Kinetics
from slowfast.datasets.reader import FrameFolderReader, VideoReader, VideoReadError
from slowfast.datasets.samples import ClipBatch, ClipSample, VideoViews

__all__ = [
    "DATASET_REGISTRY",
    "ClipBatch",
    "ClipSample",
    "FrameFolderReader",
    "Kinetics",
    "VideoReadError",
    "VideoReader",
    "VideoViews",
    "build_augment",
    "build_dataset",
    "build_loader",
]
