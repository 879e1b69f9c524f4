"""AVA: people in movies and what they do, second by second; a sample is one key frame with a box, and its clip.

Train: a scaled, cropped, maybe mirrored clip. Val: the center crop. Test: the whole frame, so that widths differ from
movie to movie. Boxes move with their pixels, in continuous coordinates and by the exact scale. PySlowFast clips boxes
to the last pixel's index, W - 1, and scales both axes by the ratio of the long sides, which is off by up to a pixel.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor
from torch.utils.data import Dataset

from slowfast.datasets.ava_sources import FrameFolders, MovieFiles, check_extraction, check_movies, find_movies
from slowfast.datasets.build import DATASET_REGISTRY, warn_of_unused
from slowfast.datasets.clip_sampling import KeyFrameSampling
from slowfast.datasets.clips import class_list_from_config, class_names_from_config, decoder_threads
from slowfast.datasets.contract import check_split
from slowfast.datasets.fingerprint import Fingerprint, of_rows
from slowfast.datasets.lists.ava_boxes import KeyFrames, read_boxes
from slowfast.datasets.lists.frame_lists import check_frame_files, read_frame_lists
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.protocol import Protocol, input_options, with_fields
from slowfast.datasets.replacement import first_readable
from slowfast.datasets.samplers import clip_rng
from slowfast.datasets.samples import ClipShape, DetectionSample
from slowfast.datasets.train_crop import TrainCrop
from slowfast.datasets.views import black_clip, cut_clips, place_boxes, read_key_frame
from slowfast.evaluation.ava.label_map import names_of_labels, read_label_map
from slowfast.video.color import ColorAugment
from slowfast.video.geometry import whole_frame
from slowfast.video.reader import VideoReadError

VAL_EVERY_SECONDS = 4  # validation while training looks at the seconds that this divides, as in PySlowFast
UNUSED_KEYS = (  # of clips that are labeled as a whole
    *("TEST.NUM_TEMPORAL_CLIPS", "TEST.SAVE_RESULTS_PATH", "TEST.EVALUATOR"),
    *("DATA.TARGET_FPS", "DATA.TRAIN_JITTER_FPS", "DATA.USE_OFFSET_SAMPLING", "DATA.RESIZE_IN_DECODER"),
    *("DATA.TRAIN_JITTER_SCALES_RELATIVE", "DATA.TRAIN_JITTER_ASPECT_RELATIVE"),
)


@DATASET_REGISTRY.register("ava")
@dataclass(eq=False, repr=False)
class Ava(Dataset):
    """Key frames with boxes, and the clips around them, as ``DetectionSample``.

    A training clip that cannot be read is replaced by another one, drawn by the sample's own generator; ``failures``
    holds the reason. A val or test clip that cannot be read is black and marked as invalid; its boxes stay.

    Args:
        key_frames: seconds with their boxes and labels.
        source: the source of the frames.
        split: "train", "val" or "test".
        protocol: how val and test sample clips, at one scale, mirrored or not; training uses its ``KeyFrameSampling``,
            too.
        num_classes: width of the label rows, K.
        train_crop: windows of training clips.
        drop_outside_boxes: drop training boxes that lie entirely outside the crop, unless all do. Otherwise they
            stay, empty, on its border.
        color: changes the colors of training clips; None keeps them.
        class_names: in the order of labels, or None.
        seed: of the training clips.
        max_tries: clips that may fail in a row for one training sample.
    """

    key_frames: KeyFrames
    source: FrameFolders | MovieFiles
    _: KW_ONLY
    split: str
    protocol: Protocol
    num_classes: int
    train_crop: TrainCrop = field(default_factory=TrainCrop)
    drop_outside_boxes: bool = False
    color: ColorAugment | None = None
    class_names: list[str] | None = None
    seed: int = 0
    max_tries: int = 10

    def __post_init__(self) -> None:
        check_split(self.split)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.split}: {self.key_frames!r}; {self.protocol.describe()})"

    @classmethod
    def from_config(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that the config describes; reads and checks the lists of ``split``.

        Raises:
            AnnotationError: a list, its files or the class names are not usable.
        """
        ava, is_train = cfg.AVA, split == "train"
        if split == ("train" if cfg.TRAIN.ENABLE else "test"):  # once, though a run builds all three
            warn_of_unused(cfg, UNUSED_KEYS, "key frames with boxes (DETECTION.ENABLE)")
        source = _source(cfg, is_train)
        return {
            "key_frames": _key_frames(cfg, split, source),
            "source": source,
            "split": split,
            "protocol": cls.protocol_from_config(cfg, split).variants()[0],
            "num_classes": cfg.MODEL.NUM_CLASSES,
            # The reciprocal of the short side is drawn whatever DATA.INV_UNIFORM_SAMPLE says, as in PySlowFast.
            "train_crop": replace(
                TrainCrop.from_config(cfg),
                inverse_uniform=True,
                area_fractions=None,
                aspect_ratios=None,
                decoder_short_side=None,
                drifts=False,
            ),
            "drop_outside_boxes": ava.DROP_OUTSIDE_BOXES,
            "color": _color(cfg) if is_train and ava.TRAIN_USE_COLOR_AUGMENTATION else None,
            "class_names": _class_names(cfg),
            "seed": cfg.RNG_SEED,
        }

    @classmethod
    def class_list(cls, cfg: CfgNode) -> tuple[Path, list[str]] | None:
        """(file, names of the labels 1 to the highest) of the label map, or of DATA.CLASS_NAMES; None without one."""
        if cfg.DATA.CLASS_NAMES:
            return class_list_from_config(cfg)
        path = Path(cfg.AVA.ANNOTATION_DIR, cfg.AVA.LABEL_MAP_FILE)
        if not path.is_file():
            return None
        num_classes = max(read_label_map(path))
        return path, names_of_labels(path, num_classes) or []

    @classmethod
    def protocol_from_config(cls, cfg: CfgNode, split: str = "test") -> Protocol:
        """The protocol of a split, without reading its lists: for a test, with all scales and flips of the config.

        If AVA.TEST_SCALES and AVA.TEST_FLIP are not set, DATA.ARGS may set ``short_side`` and ``flip``.
        """
        ava, data, args, is_test = cfg.AVA, cfg.DATA, cfg.DATA.ARGS, split == "test"
        crop_size = args.get("crop_size", data.TEST_CROP_SIZE)
        short_side, flip = args.get("short_side", crop_size), args.get("flip", ava.TEST_FORCE_FLIP)
        return Protocol(
            sampling=with_fields(KeyFrameSampling(data.NUM_FRAMES, data.SAMPLING_RATE, ava.FPS), args),
            short_sides=(tuple(ava.TEST_SCALES) or (short_side,)) if is_test else (crop_size,),
            crop_size=None if is_test else crop_size,
            flips=(False, True) if is_test and ava.TEST_FLIP else (flip,),
            **input_options(cfg, reads_bgr=ava.BGR),
            fusion="mean",
        )

    def with_view(self, *, short_side: int | None = None, flip: bool | None = None) -> Ava:
        """The same test set at another scale, or mirrored; lists and boxes are shared, so it costs nothing.

        Raises:
            ValueError: this is not a test set.
        """
        if self.split != "test":
            raise ValueError(f'only a test set can be looked at otherwise; this is split "{self.split}".')
        options = {"short_side": short_side, "flip": flip}
        other = copy.copy(self)
        other.protocol = self.protocol.with_options({k: v for k, v in options.items() if v is not None})
        return other

    def __len__(self) -> int:
        return len(self.key_frames)

    @property
    def num_videos(self) -> int:
        """The number of key frames, which a sampler counts."""
        return len(self.key_frames)

    @property
    def paths(self) -> list[str]:
        """``mvA_0-xyz12,0902`` of every key frame: its name in AVA's files."""
        return [_name(key_frame) for key_frame in self.key_frames]

    @property
    def labels(self) -> np.ndarray:
        """uint8 (N, K): the classes that any box of a key frame has."""
        key_frames = self.key_frames
        num_labels = np.diff(key_frames.label_starts[key_frames.box_starts])
        labels = np.zeros((len(self), self.num_classes), dtype=np.uint8)
        labels[np.repeat(np.arange(len(self)), num_labels), key_frames.labels - 1] = 1
        return labels

    def fingerprint(self) -> Fingerprint:
        """What the lists hold, boxes included."""
        found = self.key_frames
        arrays = (found.boxes, found.box_starts, found.labels, found.label_starts)
        more = [np.ascontiguousarray(array).tobytes() for array in arrays]
        return of_rows("lists of boxes", self.paths, self.labels, missing=len(found.missing_videos), more=more)

    def __getitem__(self, key: int | tuple[int, int] | tuple[int, int, ClipShape]) -> DetectionSample:
        """The sample ``index``; in training ``(epoch, index)``, with a new crop every epoch, or with a
        ``ClipShape``."""
        epoch, index, *shape = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"key frame {index} of {len(self)}")
        if self.split != "train":
            return self._eval_sample(index)
        return self._train_sample(index, clip_rng(self.seed, epoch, index), shape[0] if shape else None)

    def _train_sample(self, index: int, rng: np.random.Generator, shape: ClipShape | None) -> DetectionSample:
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

    def _train_clip(self, index: int, rng: np.random.Generator, shape: ClipShape | None) -> DetectionSample:
        sampling = self.protocol.sampling if shape is None else self.protocol.sampling.shaped(shape, rng)
        crop: Any = partial(self.train_crop.draw, rng=rng, crop_size=None if shape is None else shape.crop_size)
        video_id, seconds = self._where(index)
        with self.source.open(video_id) as video:
            indices = sampling.indices_at(video.num_frames, video.fps, seconds)
            (frames,), (window,) = cut_clips(video, indices, crop)
        if self.color is not None:
            frames = self.color(frames, rng)
        boxes = place_boxes(self._boxes(index), window)
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
        video_id, seconds = self._where(index)
        try:
            with self.source.open(video_id) as video:
                frames, boxes = read_key_frame(video, self.protocol, seconds, self._boxes(index))
        except VideoReadError as error:
            failures = (self._reason(index, error),)
            frames = black_clip(self.protocol)
            side = frames.shape[-1]
            boxes = place_boxes(self._boxes(index), whole_frame(height=side, width=side, short_side=side))
        return DetectionSample(
            frames=frames,
            boxes=boxes,
            labels=self._labels(index),
            boxes_normalized=self._boxes(index),
            sample_index=index,
            failures=failures,
            is_valid=not failures,
        )

    def _where(self, index: int) -> tuple[str, float]:
        """The video of a key frame, and the seconds from its first frame on."""
        video_id, second = self.key_frames[index]
        return video_id, second - self.source.start_seconds

    def _boxes(self, index: int) -> Tensor:
        return torch.from_numpy(self.key_frames.boxes_of(index).copy())

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
        if cfg.DATA.CHECK_FILES != "none":
            check_extraction(ava.FRAME_DIR, fps=ava.FPS)
        return FrameFolders(lists, fps=ava.FPS, start_seconds=ava.FRAMES_START_SECONDS)
    if not ava.MOVIE_DIR:
        raise AnnotationError(
            "AVA.FRAME_DIR and AVA.MOVIE_DIR are both empty. Set AVA.FRAME_DIR to the folder of extracted frames that "
            "the frame lists of AVA.FRAME_LIST_DIR name, or AVA.MOVIE_DIR to the folder of movie files."
        )
    movies = find_movies(ava.MOVIE_DIR)
    return MovieFiles(movies, start_seconds=ava.MOVIE_START_SECONDS, num_threads=decoder_threads(cfg))


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
        first_second=ava.FIRST_SECOND,
        last_second=ava.LAST_SECOND,
    )
    if cfg.DATA.CHECK_FILES == "none":
        return key_frames
    if isinstance(source, MovieFiles):
        check_movies(ava.MOVIE_DIR, key_frames.missing_videos, num_found=len(np.unique(key_frames.videos)))
    source.check_lengths(key_frames)
    return key_frames


def _files(key: str, names: Sequence[str], folder_key: str, folder: str, *, required: bool = True) -> list[Path]:
    """The files that the list AVA.<key> names, in AVA.<folder_key> unless their paths are absolute."""
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
