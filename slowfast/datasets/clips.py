"""Clips of listed videos: what Kinetics, Charades, Something-Something and the other sets of clips share.

Train: a random clip, scaled, cropped and mirrored at random. Val: the clip in the middle and its center crop, always
the same. Test: all views of a video as one sample, decoded once. Pixels stay uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor
from torch.utils.data import Dataset

from slowfast.datasets.clip_sampling import ClipSampling, SecondsSampling
from slowfast.datasets.contract import check_split
from slowfast.datasets.fingerprint import Fingerprint, of_rows
from slowfast.datasets.lists.path_labels import VideoList, find_class_names, read_class_names
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.protocol import FlowInput, Protocol, input_options
from slowfast.datasets.replacement import first_readable
from slowfast.datasets.samplers import clip_rng
from slowfast.datasets.samples import ClipSample, ClipShape, VideoViews
from slowfast.datasets.train_crop import TrainCrop
from slowfast.datasets.views import black_clip, cut_clips, failed_views, read_views, with_flow
from slowfast.video.color import ColorAugment
from slowfast.video.flow import FlowStore
from slowfast.video.reader import FrameReader, VideoReadError, open_video_file

ClipAugment = Callable[[Tensor, np.random.Generator], Tensor]  # of the pixels of a training clip, after the crop
_TEST_ALONE = ("num_clips", "num_crops", "single_crop")  # options of the protocol that validation does not have


@dataclass(eq=False, repr=False)
class ClipDataset(Dataset):
    """Videos of a list, as clips (train, val) or with all their test views.

    A data set with another layout overrides ``_open`` (frames of a video), ``clip_sampling`` (which frames make a clip)
    or ``_label``.

    A training video that cannot be read is replaced by another one, drawn by the sample's own generator;
    ``ClipSample.failures`` holds the reason. A val or test video that cannot be read is marked as invalid and never
    replaced.

    Args:
        videos: the content of the list.
        split: "train", "val" or "test".
        protocol: how val and test sample clips; training uses its sampling, too.
        train_crop: windows of training clips.
        target_fps_jitter: a training clip's target frame rate is raised by up to this; only for clips with a duration.
        class_names: in the order of labels, or None.
        seed: of the training clips.
        decoder_threads: of one video's decoder.
        flow: source of optical flow, as channels 3 and 4 of every frame; None: only RGB.
        augment: changes a training clip once it is cut out: (frames, generator) -> frames; or None.
        num_train_clips: clips, each with its own frames, that one training sample gives. With more than one clip in
            total, the sample is a list, whose entries ``collate_clips`` puts next to each other.
        num_train_crops: windows of each of these clips.
        max_tries: videos that may fail in a row for one training sample.
    """

    # Whether PySlowFast reads this set's images as BGR (see ``input_options``); frames are always RGB here.
    pyslowfast_reads_bgr = False
    single_crop = "centre"  # where the one crop of a test lies

    videos: VideoList
    _: KW_ONLY
    split: str
    protocol: Protocol
    train_crop: TrainCrop = field(default_factory=TrainCrop)
    target_fps_jitter: float = 0.0
    class_names: list[str] | None = None
    seed: int = 0
    decoder_threads: int = 1
    flow: FlowStore | None = None
    augment: ClipAugment | None = None
    num_train_clips: int = 1
    num_train_crops: int = 1
    max_tries: int = 10

    def __post_init__(self) -> None:
        check_split(self.split)
        protocol = self.protocol
        if self.split != "test" and (len(protocol.short_sides) > 1 or protocol.flips != (False,)):
            raise ValueError(
                f"{self.split} clips are read once, at one scale and not mirrored; the protocol differs: "
                f"{protocol.describe()}."
            )
        if (self.flow is None) != (protocol.flow is None):
            raise ValueError(f"flow={self.flow} does not go with a protocol that has flow={protocol.flow}.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.split}: {self.videos!r}; {self.protocol.describe()})"

    @classmethod
    def clip_options(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that do not depend on the layout: all except ``videos`` and ``class_names``."""
        return {
            "split": split,
            "protocol": cls.protocol_from_config(cfg, split),
            "train_crop": TrainCrop.from_config(cfg),
            "target_fps_jitter": cfg.DATA.TRAIN_JITTER_FPS,
            "seed": cfg.RNG_SEED,
            "decoder_threads": decoder_threads(cfg),
            "flow": flow_store(cfg),
            "augment": build_clip_augment(cfg) if split == "train" else None,
            "num_train_clips": cfg.DATA.TRAIN_CROP_NUM_TEMPORAL,
            "num_train_crops": cfg.DATA.TRAIN_CROP_NUM_SPATIAL * cfg.AUG.NUM_SAMPLE,
        }

    @classmethod
    def clip_sampling(cls, cfg: CfgNode) -> ClipSampling:
        """Which frames make a clip."""
        data = cfg.DATA
        return SecondsSampling(data.NUM_FRAMES, data.SAMPLING_RATE, data.TARGET_FPS, data.USE_OFFSET_SAMPLING)

    @classmethod
    def class_list(cls, cfg: CfgNode) -> tuple[Path, list[str]] | None:
        """(file, names) of the class list, which MODEL.NUM_CLASSES follows unless it is set; None without one."""
        return class_list_from_config(cfg)

    @classmethod
    def protocol_from_config(cls, cfg: CfgNode, split: str = "test") -> Protocol:
        """The protocol of a split, without reading its list; DATA.ARGS may name fields of it."""
        data, is_test = cfg.DATA, split == "test"
        args = {name: value for name, value in data.ARGS.items() if is_test or name not in _TEST_ALONE}
        num_crops = args.get("num_crops", cfg.TEST.NUM_SPATIAL_CROPS) if is_test else 1
        crop_size = args.get("crop_size", data.TEST_CROP_SIZE if is_test else data.TRAIN_CROP_SIZE)
        short_side = max(round(args.get("short_side_range", data.TRAIN_JITTER_SCALES)[0]), crop_size)
        if is_test and cls._crops_cover_the_frame(num_crops):
            short_side = crop_size
        short_sides = (short_side,)
        if is_test and cfg.TEST.SCALES:
            short_sides = tuple(cfg.TEST.SCALES)
            crop_size = round(crop_size * short_sides[0] / short_side)
        decoder_short_side = max(short_sides) if is_test else data.DECODING_SHORT_SIZE
        sampling = cls.clip_sampling(cfg)
        protocol = Protocol(
            sampling=sampling if is_test else sampling.centered(),
            num_clips=cfg.TEST.NUM_ENSEMBLE_VIEWS if is_test else 1,
            num_crops=num_crops,
            single_crop=cls.single_crop if is_test else "centre",
            short_sides=short_sides,
            flips=(False, True) if is_test and cfg.TEST.FLIP else (False,),
            crop_size=crop_size,
            **input_options(cfg, reads_bgr=cls.pyslowfast_reads_bgr),
            fusion=data.ENSEMBLE_METHOD,
            decoder_short_side=decoder_short_side if data.RESIZE_IN_DECODER else None,
            flow=FlowInput(cfg.FLOW.METHOD, cfg.FLOW.BOUND) if cfg.SLOWFAST.FAST_INPUT == "flow" else None,
        )
        return protocol.with_options(args)

    @classmethod
    def _crops_cover_the_frame(cls, num_crops: int) -> bool:
        """Whether test crops are as high as the frame; otherwise it has the smallest scale of training."""
        return num_crops == 3

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def num_videos(self) -> int:
        """Rows of the list."""
        return len(self.videos)

    @property
    def paths(self) -> Sequence[str]:
        """The video files."""
        return self.videos.paths

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,), or uint8 (N, K) if a video has several; -1 if the list gives none."""
        return self.videos.labels

    def fingerprint(self) -> Fingerprint:
        """The content of the list."""
        return of_rows(self.videos.source, list(self.paths), self.labels, missing=self.videos.num_missing)

    @property
    def num_views(self) -> int:
        """Test views of a video."""
        return self.protocol.num_views

    def __getitem__(
        self, key: int | tuple[int, int] | tuple[int, int, ClipShape]
    ) -> ClipSample | list[ClipSample] | VideoViews:
        """The sample ``index``; in training ``(epoch, index)``, another clip every epoch, or with a ``ClipShape``."""
        epoch, index, *shape = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)} in {self.videos.source}")
        if self.split == "train":
            return self._train_sample(index, clip_rng(self.seed, epoch, index), shape[0] if shape else None)
        return self._val_sample(index) if self.split == "val" else self._test_views(index)

    def _train_sample(
        self, index: int, rng: np.random.Generator, shape: ClipShape | None
    ) -> ClipSample | list[ClipSample]:
        clips, index, failures = first_readable(
            lambda index: self._train_clips(index, rng, shape),
            index,
            rng=rng,
            num_samples=len(self),
            max_tries=self.max_tries,
            reason=self._reason,
        )
        first, *others = clips
        sample = ClipSample(*first, index, failures)
        return [sample, *(ClipSample(*clip, index) for clip in others)] if others else sample

    def _train_clips(
        self, index: int, rng: np.random.Generator, shape: ClipShape | None
    ) -> list[tuple[Tensor, Tensor]]:
        """(frames, label) of every clip that a sample of the video gives."""
        draw = partial(self.train_crop.draw, rng=rng, crop_size=None if shape is None else shape.crop_size)
        options = {"has_flow": True} if self.flow is not None else {}
        clips = []
        with self._open_with_flow(index) as video:
            for _ in range(self.num_train_clips):
                indices = self._train_sampling(rng, shape).train_indices(video.num_frames, video.fps, rng)
                crops, _ = cut_clips(
                    video,
                    indices,
                    draw,
                    self.num_train_crops,
                    at_once=self.train_crop.drifts,
                    short_side=self.train_crop.decoder_short_side,
                    **options,
                )
                label = self._label(index, indices)
                clips += [(crop if self.augment is None else self.augment(crop, rng), label) for crop in crops]
        return clips

    def _train_sampling(self, rng: np.random.Generator, shape: ClipShape | None) -> ClipSampling:
        sampling: Any = self.protocol.sampling
        if self.target_fps_jitter:  # of a sampling that counts in target_fps
            sampling = replace(sampling, target_fps=sampling.target_fps + rng.uniform(0, self.target_fps_jitter))
        return sampling if shape is None else sampling.shaped(shape, rng)

    def _val_sample(self, index: int) -> ClipSample:
        views = self._test_views(index)
        if views.failure:
            return ClipSample(black_clip(self.protocol), views.label, index, (views.failure,), is_valid=False)
        return ClipSample(views.view(0), views.label, index)

    def _test_views(self, index: int) -> VideoViews:
        facts: dict[str, Any] = {"label": self._label(index), "video_index": index, "path": self.paths[index]}
        try:
            with self._open_with_flow(index) as video:
                return read_views(video, self.protocol, **facts)
        except VideoReadError as error:
            return failed_views(self.protocol, self._reason(index, error), **facts)

    def _open(self, index: int) -> FrameReader:
        """The frames of a video."""
        return open_video_file(self.paths[index], num_threads=self.decoder_threads)

    def _open_with_flow(self, index: int) -> FrameReader:
        return with_flow(self._open(index), self.flow, self.paths[index])

    def _label(self, index: int, indices: Tensor | None = None) -> Tensor:
        """Label of a video; ``indices`` are the source frames of a training clip, for labels that are valid for a
        while."""
        label = self.labels[index]
        return torch.tensor(int(label)) if label.ndim == 0 else torch.from_numpy(label.astype(np.float32))

    def _reason(self, index: int, error: VideoReadError) -> str:
        return f"{self.videos.location(index)}: {error}"


def class_names_from_config(cfg: CfgNode, *, default: Path | None = None) -> list[str] | None:
    """The names that DATA.CLASS_NAMES holds, or else a file with the lists, or else ``default``; None without any."""
    found = class_list_from_config(cfg, default=default)
    return check_num_classes(*found, cfg.MODEL.NUM_CLASSES) if found else None


def class_list_from_config(cfg: CfgNode, *, default: Path | None = None) -> tuple[Path, list[str]] | None:
    """(file, names) of the class list that ``class_names_from_config`` reads, however many classes the model has."""
    path = cfg.DATA.CLASS_NAMES or find_class_names(cfg.DATA.PATH_TO_DATA_DIR)
    if not path and default is not None and default.is_file():
        path = default
    return (Path(path), read_class_names(path)) if path else None


def check_num_classes(path: str | Path, names: list[str], num_classes: int) -> list[str]:
    """``names``, read from ``path``, if there are as many as the model has classes.

    Raises:
        AnnotationError: there are not.
    """
    if len(names) != num_classes:
        raise AnnotationError(
            f"{path} names {len(names)} classes, but MODEL.NUM_CLASSES is {num_classes}. "
            f"Set MODEL.NUM_CLASSES to {len(names)}, or DATA.CLASS_NAMES to the right file."
        )
    return names


def decoder_threads(cfg: CfgNode) -> int:
    """Threads of one video's decoder; 0 for one a core."""
    is_left = cfg.DATA.DECODER_THREADS == 1
    return 0 if is_left and cfg.DATA_LOADER.ENABLE_MULTI_THREAD_DECODE else cfg.DATA.DECODER_THREADS


def flow_store(cfg: CfgNode) -> FlowStore | None:
    """The flow of the config's FLOW keys, kept in OUTPUT_DIR unless they name a folder; None: only RGB."""
    if cfg.SLOWFAST.FAST_INPUT != "flow":
        return None
    return FlowStore(
        cache_dir=cfg.FLOW.CACHE_DIR or Path(cfg.OUTPUT_DIR) / "flow",
        method=cfg.FLOW.METHOD,
        bound=cfg.FLOW.BOUND,
        weights=cfg.FLOW.WEIGHTS,
    )


def build_clip_augment(cfg: CfgNode) -> ClipAugment | None:
    """``augment(frames, rng)``, uint8 (3, T, S, S) to the same, of the config's AUG keys; None for nothing.

    AUG.AA_TYPE, or else AUG.COLOR_JITTER: as in timm, a policy replaces the jitter, which is among its operations.

    Raises:
        ValueError: an unknown policy or interpolation.
    """
    aug = cfg.AUG
    if not aug.ENABLE:
        return None
    if aug.AA_TYPE:
        from slowfast.video.auto_augment import parse_policy  # imports torchvision, which takes a second

        return parse_policy(aug.AA_TYPE, interpolation=aug.INTERPOLATION)
    if not aug.COLOR_JITTER:
        return None
    return partial(_jittered, colors=ColorAugment(strength=aug.COLOR_JITTER, lighting_std=0.0))


def _jittered(frames: Tensor, rng: np.random.Generator, *, colors: ColorAugment) -> Tensor:
    """uint8 (3, T, H, W) to the same; colors beyond black or white are cut off."""
    return colors(frames, rng).clamp_(0, 255).to(torch.uint8)
