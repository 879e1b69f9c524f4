"""AVA: people in movies and what they do, second by second; a sample is one key frame with a box, and its clip.

Train: a scaled, cropped, maybe mirrored clip. Val: the centre crop. Test: the whole frame, so that widths differ from
movie to movie. Boxes move with their pixels, in continuous coordinates and by the exact scale. PySlowFast clips boxes
to the last pixel's index, W - 1, and scales both axes by the ratio of the long sides: less than a pixel away.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from slowfast.datasets.ava_sources import FPS, FrameFolders, MovieFiles, check_movies, clip_offsets, find_movies
from slowfast.datasets.build import DATASET_REGISTRY, warn_of_unused
from slowfast.datasets.clips import class_names_from_config
from slowfast.datasets.lists.ava_boxes import KeyFrames, read_boxes
from slowfast.datasets.lists.frame_lists import check_frame_files, read_frame_lists
from slowfast.datasets.lists.path_labels import AnnotationError
from slowfast.datasets.replacement import first_readable
from slowfast.datasets.samplers import clip_rng
from slowfast.datasets.samples import ClipShape, DetectionSample, collate_detections
from slowfast.evaluation.ava.label_map import names_of_labels
from slowfast.video.color import ColorAugment
from slowfast.video.geometry import Crop, WholeFrame, centre_crop, random_crop, whole_frame
from slowfast.video.reader import VideoReadError

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

VAL_EVERY_SECONDS = 4  # validation while training looks at the seconds that this divides, as in PySlowFast
UNUSED_KEYS = (  # of clips that are labelled as a whole
    *("TEST.NUM_TEMPORAL_CLIPS", "TEST.SAVE_RESULTS_PATH", "TEST.EVALUATOR"),
    *("DATA.TARGET_FPS", "DATA.TRAIN_JITTER_FPS", "DATA.USE_OFFSET_SAMPLING", "DATA.RESIZE_IN_DECODER"),
    *("DATA.TRAIN_JITTER_SCALES_RELATIVE", "DATA.TRAIN_JITTER_ASPECT_RELATIVE"),
)


@DATASET_REGISTRY.register("ava")
class Ava(Dataset):
    """Key frames with boxes, and the clips around them, as ``DetectionSample``.

    The clip of second t holds the frames range(g - half, g + half, sampling_rate) at 30 a second, where g is the key
    frame and half = num_frames * sampling_rate / 2; at either end of the video the last frame repeats.

    A training clip that cannot be read is replaced by another one, drawn by the sample's own generator; the reason
    stands in ``failures``. A val or test clip that cannot be read is black and marked so; its boxes stay.

    Args:
        key_frames: seconds with their boxes and labels.
        source: where frames come from.
        split: "train", "val" or "test".
        num_frames: frames of a clip, T.
        sampling_rate: frames, at 30 a second, from one frame of a clip to the next; T * sampling_rate must be even.
        num_classes: width of the label rows, K.
        crop_size: side of a training or val crop, pixels.
        short_side_range: [min, max] pixels of the short side before a training crop; its reciprocal is drawn uniformly.
        flip_probability: of mirroring a training clip.
        short_side: of a test frame, pixels; default ``crop_size``.
        flip: mirror every val and test clip.
        drop_outside_boxes: leave out training boxes that lie wholly outside the crop, unless all do. Otherwise they
            stay, empty, on its border.
        color: changes the colors of training clips; None leaves them.
        class_names: in the order of labels, or None.
        seed: of the training clips.
        max_tries: clips that may fail in a row for one training sample.
    """

    collate = staticmethod(collate_detections)

    def __init__(
        self,
        key_frames: KeyFrames,
        source: FrameFolders | MovieFiles,
        *,
        split: str,
        num_frames: int,
        sampling_rate: int,
        num_classes: int,
        crop_size: int,
        short_side_range: Sequence[float] = (256, 320),
        flip_probability: float = 0.5,
        short_side: int | None = None,
        flip: bool = False,
        drop_outside_boxes: bool = False,
        color: ColorAugment | None = None,
        class_names: list[str] | None = None,
        seed: int = 0,
        max_tries: int = 10,
    ):
        if split not in ("train", "val", "test"):
            raise ValueError(f'split must be "train", "val" or "test", got {split!r}.')
        self.key_frames = key_frames
        self.source = source
        self.split = split
        self.num_frames = num_frames
        self.sampling_rate = sampling_rate
        self.offsets = clip_offsets(num_frames, sampling_rate)
        self.num_classes = num_classes
        self.crop_size = crop_size
        self.short_side_range = tuple(short_side_range)
        self.flip_probability = flip_probability
        self.short_side = crop_size if short_side is None else short_side
        self.flip = flip
        self.drop_outside_boxes = drop_outside_boxes
        self.color = color
        self.class_names = class_names
        self.seed = seed
        self.max_tries = max_tries

    @classmethod
    def from_config(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that the config describes; reads and checks the lists of ``split``.

        Raises:
            AnnotationError: a list, its files or the class names are not usable.
        """
        ava, data, is_train = cfg.AVA, cfg.DATA, split == "train"
        if split == ("train" if cfg.TRAIN.ENABLE else "test"):  # once, though a run builds all three
            warn_of_unused(cfg, UNUSED_KEYS, "key frames with boxes (DETECTION.ENABLE)")
        source = _source(cfg, is_train)
        return {
            "key_frames": _key_frames(cfg, split, source),
            "source": source,
            "split": split,
            "num_frames": data.NUM_FRAMES,
            "sampling_rate": data.SAMPLING_RATE,
            "num_classes": cfg.MODEL.NUM_CLASSES,
            "crop_size": data.TRAIN_CROP_SIZE if is_train else data.TEST_CROP_SIZE,
            "short_side_range": tuple(data.TRAIN_JITTER_SCALES),
            "flip_probability": 0.5 if data.RANDOM_FLIP else 0.0,
            "flip": ava.TEST_FORCE_FLIP,
            "drop_outside_boxes": ava.DROP_OUTSIDE_BOXES,
            "color": _color(cfg) if is_train and ava.TRAIN_USE_COLOR_AUGMENTATION else None,
            "class_names": _class_names(cfg),
            "seed": cfg.RNG_SEED,
        }

    @classmethod
    def describe_clips(cls, *, num_frames: int, sampling_rate: int, target_fps: float) -> dict[str, float | str]:
        """As of ``ClipDataset``; ``target_fps`` changes nothing."""
        return {
            "num_frames": num_frames,
            "sampling_rate": sampling_rate,
            "frames_per_second": FPS,
            "span_seconds": num_frames * sampling_rate / FPS,
            "of_a_video_file": "a clip is centred on the key frame g, on which the boxes lie: frames range(g - half, "
            "g + half, sampling_rate) of the video at frames_per_second, with half = num_frames * sampling_rate / 2; "
            "before the first and past the last frame of the video these repeat",
        }

    def with_view(self, *, short_side: int | None = None, flip: bool | None = None) -> Ava:
        """The same test set at another scale, or mirrored; lists and boxes are shared, so it costs nothing.

        Raises:
            ValueError: this is no test set.
        """
        if self.split != "test":
            raise ValueError(f'only a test set can be looked at otherwise; this is split "{self.split}".')
        other = copy.copy(self)
        other.short_side = self.short_side if short_side is None else short_side
        other.flip = self.flip if flip is None else flip
        return other

    def __len__(self) -> int:
        return len(self.key_frames)

    @property
    def num_videos(self) -> int:
        """Key frames: what a sampler counts."""
        return len(self.key_frames)

    @property
    def paths(self) -> list[str]:
        """``mvA_0-xyz12,0902`` of every key frame: its name in AVA's files."""
        return [_name(key_frame) for key_frame in self.key_frames]

    @property
    def labels(self) -> np.ndarray:
        """uint8 (N, K): which classes some box of a key frame has."""
        key_frames = self.key_frames
        num_labels = np.diff(key_frames.label_starts[key_frames.box_starts])
        labels = np.zeros((len(self), self.num_classes), dtype=np.uint8)
        labels[np.repeat(np.arange(len(self)), num_labels), key_frames.labels - 1] = 1
        return labels

    def __getitem__(self, key: int | tuple[int, int] | tuple[int, int, ClipShape]) -> DetectionSample:
        """The sample ``index``; in training ``(epoch, index)``, cropped anew every epoch, or with a ``ClipShape``."""
        epoch, index, *shape = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"key frame {index} of {len(self)}")
        if self.split != "train":
            return self._eval_sample(index)
        shape = shape[0] if shape else ClipShape(self.num_frames, self.crop_size, self.sampling_rate)
        return self._train_sample(index, clip_rng(self.seed, epoch, index), shape)

    def _train_sample(self, index: int, rng: np.random.Generator, shape: ClipShape) -> DetectionSample:
        sample, _, failures = first_readable(
            lambda index: self._train_clip(index, rng, shape),
            index,
            rng=rng,
            num_samples=len(self),
            max_tries=self.max_tries,
            reason=self._reason,
            unit="key frame",
            source="lists",
        )
        return replace(sample, failures=failures)

    def _train_clip(self, index: int, rng: np.random.Generator, shape: ClipShape) -> DetectionSample:
        offsets = clip_offsets(shape.num_frames, self._draw_sampling_rate(rng, shape))
        frames, view = self._read(index, offsets, partial(self._draw_crop, rng=rng, crop_size=shape.crop_size))
        if self.color is not None:
            frames = self.color(frames, rng)
        boxes = view.apply_to_boxes(self._boxes_in_pixels(index, *view.region[2:]))
        keep = torch.ones(len(boxes), dtype=torch.bool)
        if self.drop_outside_boxes:
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
            keep = inside if inside.any() else keep
        return DetectionSample(
            frames=frames,
            boxes=boxes[keep],
            labels=self._labels(index)[keep],
            boxes_normalized=self._boxes(index)[keep],
            sample_index=index,
        )

    def _eval_sample(self, index: int) -> DetectionSample:
        failures: tuple[str, ...] = ()
        try:
            frames, view = self._read(index, self.offsets, self._eval_view)
        except VideoReadError as error:
            failures = (self._reason(index, error),)
            side = self.crop_size if self.split == "val" else self.short_side
            frames = torch.zeros(3, self.num_frames, side, side, dtype=torch.uint8)
            view = whole_frame(height=side, width=side, short_side=side)
        return DetectionSample(
            frames=frames,
            boxes=view.apply_to_boxes(self._boxes_in_pixels(index, *view.region[2:])),
            labels=self._labels(index),
            boxes_normalized=self._boxes(index),
            sample_index=index,
            failures=failures,
            is_valid=not failures,
        )

    def _read(
        self, index: int, offsets: Tensor, view_for: Callable[..., Crop | WholeFrame]
    ) -> tuple[Tensor, Crop | WholeFrame]:
        """Frames uint8 (3, T, H, W) of a clip, and how they were cut, which is chosen when their size is known."""
        video_id, second = self.key_frames[index]
        view: Crop | WholeFrame | None = None

        def cut(frames: Tensor) -> Tensor:
            nonlocal view
            view = view or view_for(height=frames.shape[-2], width=frames.shape[-1])
            return view.apply_to_frames(frames)

        with self.source.open(video_id) as video:
            frames = video.frames_at(self.source.frame_numbers(video, second, offsets), apply=cut)
        return frames.permute(1, 0, 2, 3), view

    def _draw_crop(self, *, height: int, width: int, rng: np.random.Generator, crop_size: int) -> Crop:
        low, high = self.short_side_range
        if crop_size != self.crop_size:  # multigrid: a smaller crop is cut from a smaller frame
            low = round(low * crop_size / self.crop_size)
        return random_crop(
            height=height,
            width=width,
            size=crop_size,
            rng=rng,
            short_side_range=(low, high),
            inverse_uniform=True,  # whatever DATA.INV_UNIFORM_SAMPLE says, as in PySlowFast
            flip_probability=self.flip_probability,
        )

    def _draw_sampling_rate(self, rng: np.random.Generator, shape: ClipShape) -> int:
        """The data set's own rate, or in multigrid training one up to the shape's, with which a clip can be centred."""
        if shape.max_sampling_rate <= self.sampling_rate:
            return self.sampling_rate
        rates = np.arange(self.sampling_rate, shape.max_sampling_rate + 1)
        even = rates[shape.num_frames * rates % 2 == 0]
        return int(rng.choice(even if len(even) else rates))

    def _eval_view(self, *, height: int, width: int) -> Crop | WholeFrame:
        if self.split == "val":
            return replace(centre_crop(height=height, width=width, size=self.crop_size), flip=self.flip)
        return whole_frame(height=height, width=width, short_side=self.short_side, flip=self.flip)

    def _boxes(self, index: int) -> Tensor:
        return torch.from_numpy(self.key_frames.boxes_of(index).copy())

    def _boxes_in_pixels(self, index: int, height: int, width: int) -> Tensor:
        return self._boxes(index) * torch.tensor([width, height, width, height], dtype=torch.float32)

    def _labels(self, index: int) -> Tensor:
        return torch.from_numpy(self.key_frames.labels_of(index, self.num_classes))

    def _reason(self, index: int, error: VideoReadError) -> str:
        return f"{_name(self.key_frames[index])}: {error}"


def _name(key_frame: tuple[str, int]) -> str:
    video_id, second = key_frame
    return f"{video_id},{second:04d}"


def _source(cfg: CfgNode, is_train: bool) -> FrameFolders | MovieFiles:
    """Extracted frames if AVA.FRAME_DIR is set, or else the movies of AVA.MOVIE_DIR."""
    ava = cfg.AVA
    if ava.FRAME_DIR:
        key, names = ("TRAIN_LISTS", ava.TRAIN_LISTS) if is_train else ("TEST_LISTS", ava.TEST_LISTS)
        lists = read_frame_lists(_files(key, names, "FRAME_LIST_DIR", ava.FRAME_LIST_DIR), prefix=ava.FRAME_DIR)
        hint = "Paths in a frame list are relative to AVA.FRAME_DIR. DATA.CHECK_FILES none starts without looking."
        check_frame_files(lists, cfg.DATA.CHECK_FILES, hint=hint)
        return FrameFolders(lists)
    if not ava.MOVIE_DIR:
        raise AnnotationError(
            "AVA.FRAME_DIR and AVA.MOVIE_DIR are both empty. Set AVA.FRAME_DIR to the folder of extracted frames that "
            "the frame lists of AVA.FRAME_LIST_DIR name, or AVA.MOVIE_DIR to the folder of movie files."
        )
    movies = find_movies(ava.MOVIE_DIR)
    return MovieFiles(movies, start_seconds=ava.MOVIE_START_SECONDS, num_threads=cfg.DATA.DECODER_THREADS)


def _key_frames(cfg: CfgNode, split: str, source: FrameFolders | MovieFiles) -> KeyFrames:
    """The boxes of a split: true and detected ones to train on, detected ones otherwise."""
    ava, is_train = cfg.AVA, split == "train"
    annotations = partial(_files, folder_key="ANNOTATION_DIR", folder=ava.ANNOTATION_DIR)
    if is_train:
        true_lists = annotations("TRAIN_GT_BOX_LISTS", ava.TRAIN_GT_BOX_LISTS, required=False)
        detected_lists = annotations(
            "TRAIN_PREDICT_BOX_LISTS", ava.TRAIN_PREDICT_BOX_LISTS, required=not ava.TRAIN_GT_BOX_LISTS
        )
    else:
        true_lists, detected_lists = [], annotations("TEST_PREDICT_BOX_LISTS", ava.TEST_PREDICT_BOX_LISTS)
    reduced = split == "val" and not ava.FULL_TEST_ON_VAL
    key_frames = read_boxes(
        true_lists,
        detected_lists,
        video_ids=source.video_ids,
        num_classes=cfg.MODEL.NUM_CLASSES,
        score_threshold=ava.DETECTION_SCORE_THRESH,
        every_seconds=VAL_EVERY_SECONDS if reduced else 1,
    )
    if isinstance(source, FrameFolders):
        source.warn_of_short_videos(key_frames)
    elif cfg.DATA.CHECK_FILES != "none":
        check_movies(ava.MOVIE_DIR, key_frames.missing_videos, num_found=len(np.unique(key_frames.videos)))
        source.check_lengths(key_frames)
    return key_frames


def _files(key: str, names: Sequence[str], folder_key: str, folder: str, *, required: bool = True) -> list[Path]:
    """The files that the list AVA.<key> names, in AVA.<folder_key> unless their paths are absolute.

    Raises:
        AnnotationError: one does not exist, or the list is empty.
    """
    if required and not names:
        raise AnnotationError(f"AVA.{key} is empty: name at least one file, relative to AVA.{folder_key}.")
    paths = [Path(folder, name) for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise AnnotationError(
            f"AVA.{key}: there is no file {', '.join(map(str, missing))}. "
            f"Relative names start in AVA.{folder_key}, which is {folder!r}."
        )
    return paths


def _class_names(cfg: CfgNode) -> list[str] | None:
    """The names that DATA.CLASS_NAMES holds, or else those of AVA.LABEL_MAP_FILE; None without either."""
    if cfg.DATA.CLASS_NAMES:
        return class_names_from_config(cfg)
    return names_of_labels(Path(cfg.AVA.ANNOTATION_DIR, cfg.AVA.LABEL_MAP_FILE), cfg.MODEL.NUM_CLASSES)


def _color(cfg: CfgNode) -> ColorAugment:
    return ColorAugment(
        strength=0.0 if cfg.AVA.TRAIN_PCA_JITTER_ONLY else 0.4,
        eigenvalues=cfg.DATA.TRAIN_PCA_EIGVAL,
        eigenvectors=cfg.DATA.TRAIN_PCA_EIGVEC,
    )
