"""Videos to clips: lists, decoding, sampling, cropping, loading."""

from slowfast.datasets.ava import Ava
from slowfast.datasets.build import DATASET_REGISTRY, build_augment, build_dataset, build_loader
from slowfast.datasets.charades import Charades
from slowfast.datasets.kinetics import Kinetics
from slowfast.datasets.samples import ClipBatch, ClipSample, VideoViews
from slowfast.datasets.ssv2 import SomethingSomething
from slowfast.datasets.ucf_hmdb import HMDB51, UCF101
from slowfast.video.reader import FrameFolderReader, VideoReader, VideoReadError

__all__ = [
    "DATASET_REGISTRY",
    "HMDB51",
    "UCF101",
    "Ava",
    "Charades",
    "ClipBatch",
    "ClipSample",
    "FrameFolderReader",
    "Kinetics",
    "SomethingSomething",
    "VideoReadError",
    "VideoReader",
    "VideoViews",
    "build_augment",
    "build_dataset",
    "build_loader",
]
