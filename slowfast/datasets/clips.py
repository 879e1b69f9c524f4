"""Clips of listed videos: what Kinetics, Charades, Something-Something and the other sets of clips share.

Train: a random clip, scaled, cropped and mirrored at random. Val: the clip in the middle and its centre crop, always
the same. Test: all views of a video as one sample, decoded once. Pixels stay uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from slowfast.datasets.lists.path_labels import AnnotationError, VideoList, find_class_names, read_class_names
from slowfast.datasets.replacement import first_readable
from slowfast.datasets.samplers import clip_rng
from slowfast.datasets.samples import ClipSample, ClipShape, VideoViews
from slowfast.video.flow import FlowReader, FlowStore
from slowfast.video.geometry import Crop, centre_crop, random_crop, random_resized_crop, resize, uniform_crops
from slowfast.video.reader import FrameReader, VideoReader, VideoReadError
from slowfast.video.sampling import center_clip_indices, eval_clip_indices, scaled_size, train_clip_indices

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

SPLITS = ("train", "val", "test")


class ClipDataset(Dataset):
    """Videos of a list, as clips (train, val) or with all their test views.

    A data set of another layout overrides ``_open`` (frames of a video), ``_train_indices``, ``_centre_indices`` and
    ``_test_indices`` (which frames make a clip, with ``describe_clips``), or ``_label``.

    A training video that cannot be read is replaced by another one, drawn by the sample's own generator; the reason
    stands in ``ClipSample.failures``. A val or test video that cannot be read is marked so, and never replaced.

    Args:
        videos: what the list holds.
        split: "train", "val" or "test".
        num_frames: frames of a clip, T.
        sampling_rate: source frames from one frame of a clip to the next, at ``target_fps``.
        crop_size: side of the crops of this split, pixels.
        target_fps: rate that ``sampling_rate`` counts in; a training clip's is raised by up to ``target_fps_jitter``.
        short_side_range: [min, max] pixels of the shorter side before a training crop. Val, and test with one crop,
            scale to the first.
        inverse_uniform: draw the reciprocal of the shorter side uniformly.
        area_fractions, aspect_ratios: instead of ``short_side_range``, train on crops by ``random_resized_crop``.
        flip_probability: of mirroring a training clip.
        num_clips, num_crops: test views of a video; 3 crops lie along its longer side.
        single_crop: where the crop of ``num_crops`` 1 lies: "centre" or "first" (left, or top of a portrait frame).
        offset_sampling: test clips from the first frame to the last; see ``eval_clip_indices``.
        class_names: in the order of labels, or None.
        seed: of the training clips.
        decoder_threads: of one video's decoder.
        decoder_short_side: pixels that the decoder scales the shorter side to; None leaves pixels as they are.
        flow: where optical flow is had from, as channels 3 and 4 of every frame; None for RGB alone.
        max_tries: videos that may fail in a row for one training sample.
    """

    # Whether PySlowFast reads this set's images as BGR (see engine/build.py); frames are always RGB here.
    pyslowfast_reads_bgr = False

    def __init__(
        self,
        videos: VideoList,
        *,
        split: str,
        num_frames: int,
        sampling_rate: float,
        crop_size: int,
        target_fps: float = 30.0,
        target_fps_jitter: float = 0.0,
        short_side_range: Sequence[float] = (256, 320),
        inverse_uniform: bool = False,
        area_fractions: Sequence[float] | None = None,
        aspect_ratios: Sequence[float] | None = None,
        flip_probability: float = 0.5,
        num_clips: int = 10,
        num_crops: int = 3,
        single_crop: str = "centre",
        offset_sampling: bool = False,
        class_names: list[str] | None = None,
        seed: int = 0,
        decoder_threads: int = 1,
        decoder_short_side: int | None = None,
        flow: FlowStore | None = None,
        max_tries: int = 10,
    ):
        if split not in SPLITS:
            raise ValueError(f'split must be "train", "val" or "test", got {split!r}.')
        if num_crops not in (1, 3):
            raise ValueError(f"num_crops must be 1 or 3 (along the longer side), got {num_crops}.")
        if single_crop not in ("centre", "first"):
            raise ValueError(f'single_crop must be "centre" or "first", got {single_crop!r}.')
        if (area_fractions is None) != (aspect_ratios is None):
            raise ValueError("area_fractions and aspect_ratios belong together: give both or neither.")
        self.videos = videos
        self.split = split
        self.num_frames = num_frames
        self.sampling_rate = sampling_rate
        self.crop_size = crop_size
        self.target_fps = target_fps
        self.target_fps_jitter = target_fps_jitter
        self.short_side_range = tuple(short_side_range)
        self.inverse_uniform = inverse_uniform
        self.area_fractions = area_fractions
        self.aspect_ratios = aspect_ratios
        self.flip_probability = flip_probability
        self.num_clips = num_clips
        self.num_crops = num_crops
        self.single_crop = single_crop
        self.offset_sampling = offset_sampling
        self.class_names = class_names
        self.seed = seed
        self.decoder_threads = decoder_threads
        self.decoder_short_side = decoder_short_side
        self.flow = flow
        self.max_tries = max_tries

    @classmethod
    def clip_options(cls, cfg: CfgNode, split: str) -> dict:
        """The keyword arguments that do not depend on the layout: all but ``videos`` and ``class_names``."""
        data = cfg.DATA
        relative = bool(data.TRAIN_JITTER_SCALES_RELATIVE and data.TRAIN_JITTER_ASPECT_RELATIVE)
        is_test = split == "test"
        return {
            "split": split,
            "num_frames": data.NUM_FRAMES,
            "sampling_rate": data.SAMPLING_RATE,
            "crop_size": data.TEST_CROP_SIZE if is_test else data.TRAIN_CROP_SIZE,
            "target_fps": data.TARGET_FPS,
            "target_fps_jitter": data.TRAIN_JITTER_FPS,
            "short_side_range": tuple(data.TRAIN_JITTER_SCALES),
            "inverse_uniform": data.INV_UNIFORM_SAMPLE,
            "area_fractions": tuple(data.TRAIN_JITTER_SCALES_RELATIVE) if relative else None,
            "aspect_ratios": tuple(data.TRAIN_JITTER_ASPECT_RELATIVE) if relative else None,
            "flip_probability": 0.5 if data.RANDOM_FLIP else 0.0,
            "num_clips": cfg.TEST.NUM_ENSEMBLE_VIEWS,
            "num_crops": cfg.TEST.NUM_SPATIAL_CROPS,
            "offset_sampling": data.USE_OFFSET_SAMPLING,
            "seed": cfg.RNG_SEED,
            "decoder_threads": data.DECODER_THREADS,
            "decoder_short_side": data.DECODING_SHORT_SIZE if data.RESIZE_IN_DECODER else None,
            "flow": _flow_store(cfg) if cfg.SLOWFAST.FAST_INPUT == "flow" else None,
        }

    @classmethod
    def describe_clips(cls, *, num_frames: int, sampling_rate: float, target_fps: float) -> dict[str, float | str]:
        """Which frames make a clip, for programs that cut clips themselves (preprocessing.json); arguments as above."""
        return {
            "num_frames": num_frames,
            "sampling_rate": sampling_rate,
            "target_fps": target_fps,
            "span_seconds": num_frames * sampling_rate / target_fps,
            "of_a_video_file": "frame k of a clip is source frame floor(start + k * (span - 1) / (num_frames - 1)), "
            "with span = num_frames * sampling_rate * fps / target_fps",
        }

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
        """int64 (N,), or uint8 (N, K) when a video has several; -1 where the list gives none."""
        return self.videos.labels

    @property
    def num_views(self) -> int:
        """Test views of a video."""
        return self.num_clips * self.num_crops

    def __getitem__(self, key: int | tuple[int, int] | tuple[int, int, ClipShape]) -> ClipSample | VideoViews:
        """The sample ``index``; in training ``(epoch, index)``, another clip every epoch, or with a ``ClipShape``."""
        epoch, index, *shape = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)} in {self.videos.source}")
        if self.split == "train":
            shape = shape[0] if shape else ClipShape(self.num_frames, self.crop_size, self.sampling_rate)
            return self._train_sample(index, clip_rng(self.seed, epoch, index), shape)
        return self._val_sample(index) if self.split == "val" else self._test_views(index)

    def _train_sample(self, index: int, rng: np.random.Generator, shape: ClipShape) -> ClipSample:
        (frames, label), index, failures = first_readable(
            lambda index: self._train_clip(index, rng, shape),
            index,
            rng=rng,
            num_samples=len(self),
            max_tries=self.max_tries,
            reason=self._reason,
        )
        return ClipSample(frames, label, index, failures)

    def _val_sample(self, index: int) -> ClipSample:
        label = self._label(index)
        try:
            return ClipSample(self._centre_clip(index), label, index)
        except VideoReadError as error:
            channels = 3 if self.flow is None else 5
            black = torch.zeros(channels, self.num_frames, self.crop_size, self.crop_size, dtype=torch.uint8)
            return ClipSample(black, label, index, (self._reason(index, error),), is_valid=False)

    def _train_clip(self, index: int, rng: np.random.Generator, shape: ClipShape) -> tuple[Tensor, Tensor]:
        with self._open_with_flow(index) as video:
            indices = self._train_indices(video, rng, shape)
            frames = self._cut_clip(video, indices, partial(self._draw_crop, rng=rng, crop_size=shape.crop_size))
            return frames, self._label(index, indices)

    def _train_indices(self, video: FrameReader, rng: np.random.Generator, shape: ClipShape) -> Tensor:
        """Source frames, int64 (T,), of a random training clip."""
        target_fps = self.target_fps + (rng.uniform(0, self.target_fps_jitter) if self.target_fps_jitter else 0)
        rate = self._draw_sampling_rate(rng, shape)
        return train_clip_indices(video.num_frames, video.fps, shape.num_frames, rate, target_fps, rng)

    def _draw_sampling_rate(self, rng: np.random.Generator, shape: ClipShape) -> float:
        if shape.max_sampling_rate <= self.sampling_rate:
            return self.sampling_rate
        return int(rng.integers(self.sampling_rate, shape.max_sampling_rate, endpoint=True))

    def _centre_indices(self, video: FrameReader) -> Tensor:
        """Source frames, int64 (T,), of the clip that validation looks at."""
        return center_clip_indices(video.num_frames, video.fps, self.num_frames, self.sampling_rate, self.target_fps)

    def _test_indices(self, video: FrameReader) -> Tensor:
        """Source frames, int64 (num_clips, T), of all test clips."""
        clip = (video.num_frames, video.fps, self.num_frames, self.sampling_rate, self.target_fps)
        return eval_clip_indices(*clip, self.num_clips, self.offset_sampling)

    def _centre_clip(self, index: int) -> Tensor:
        with self._open_with_flow(index) as video:
            short_side = max(round(self.short_side_range[0]), self.crop_size)
            crop = partial(centre_crop, size=self.crop_size, short_side=short_side)
            return self._cut_clip(video, self._centre_indices(video), crop)

    def _cut_clip(self, video: VideoReader, indices: Tensor, crop_for: Callable[..., Crop]) -> Tensor:
        """uint8 (3, T, S, S): one crop of the frames ``indices``, chosen when their size is known."""
        crop: Crop | None = None

        def cut(frames: Tensor) -> Tensor:
            nonlocal crop
            crop = crop or crop_for(height=frames.shape[-2], width=frames.shape[-1])
            return crop.apply_to_frames(frames, has_flow=self.flow is not None)

        return video.frames_at(indices, self.decoder_short_side, apply=cut).permute(1, 0, 2, 3)

    def _draw_crop(self, *, height: int, width: int, rng: np.random.Generator, crop_size: int) -> Crop:
        window = {"height": height, "width": width, "size": crop_size, "rng": rng}
        window["flip_probability"] = self.flip_probability
        if self.area_fractions is not None:
            return random_resized_crop(**window, area_fractions=self.area_fractions, aspect_ratios=self.aspect_ratios)
        low, high = self.short_side_range
        if crop_size != self.crop_size:  # multigrid: a smaller crop is cut from a smaller frame
            low = round(low * crop_size / self.crop_size)
        return random_crop(**window, short_side_range=(low, high), inverse_uniform=self.inverse_uniform)

    def _test_views(self, index: int) -> VideoViews:
        label, path = self._label(index), self.paths[index]
        short_side = self._test_short_side()
        try:
            with self._open_with_flow(index) as video:
                clips = self._test_indices(video)
                wanted, positions = clips.unique(return_inverse=True)
                decoder_short_side = None if self.decoder_short_side is None else short_side
                frames = video.frames_at(
                    wanted,
                    decoder_short_side,
                    apply=partial(_scale, short_side=short_side, has_flow=self.flow is not None),
                )
        except VideoReadError as error:
            none = torch.zeros(0, 3, 0, 0, dtype=torch.uint8)
            clips = torch.zeros(self.num_clips, self.num_frames, dtype=torch.int64)
            corners, reason = ((0, 0),) * self.num_crops, self._reason(index, error)
            return VideoViews(none, clips, corners, self.crop_size, label, index, path, failure=reason)
        corners = self._crop_corners(*frames.shape[-2:], short_side)
        return VideoViews(frames, positions, corners, self.crop_size, label, index, path)

    def _test_short_side(self) -> int:
        """Pixels that frames are scaled to before test crops are cut."""
        # One crop is cut from a frame of the training scale, three from one that they cover, as in PySlowFast.
        return self.crop_size if self.num_crops == 3 else max(round(self.short_side_range[0]), self.crop_size)

    def _crop_corners(self, height: int, width: int, short_side: int) -> tuple[tuple[int, int], ...]:
        first_of_three = self.num_crops == 1 and self.single_crop == "first"
        num_crops = 3 if first_of_three else self.num_crops
        crops = uniform_crops(
            height=height, width=width, size=self.crop_size, num_crops=num_crops, short_side=short_side
        )
        return tuple((crop.top, crop.left) for crop in crops)[: self.num_crops]

    def _open(self, index: int) -> FrameReader:
        """The frames of a video."""
        return VideoReader(self.paths[index], num_threads=self.decoder_threads)

    def _open_with_flow(self, index: int) -> FrameReader:
        video = self._open(index)
        return video if self.flow is None else FlowReader(video, self.flow, self.paths[index])

    def _label(self, index: int, indices: Tensor | None = None) -> Tensor:
        """Label of a video; ``indices`` are the source frames of a training clip, for labels that hold for a while."""
        label = self.labels[index]
        return torch.tensor(int(label)) if label.ndim == 0 else torch.from_numpy(label.astype(np.float32))

    def _reason(self, index: int, error: VideoReadError) -> str:
        return f"{self.videos.place(index)}: {error}"


def _scale(frames: Tensor, *, short_side: int, has_flow: bool) -> Tensor:
    return resize(frames, *scaled_size(*frames.shape[-2:], short_side), has_flow=has_flow)


def class_names_from_config(cfg: CfgNode, *, default: Path | None = None) -> list[str] | None:
    """The names that DATA.CLASS_NAMES holds, or else a file with the lists, or else ``default``; None without any."""
    path = cfg.DATA.CLASS_NAMES or find_class_names(cfg.DATA.PATH_TO_DATA_DIR)
    if not path and default is not None and default.is_file():
        path = default
    return check_num_classes(path, read_class_names(path), cfg.MODEL.NUM_CLASSES) if path else None


def check_num_classes(path: str | Path, names: list[str], num_classes: int) -> list[str]:
    """``names``, which ``path`` holds, if they are as many as the model has classes.

    Raises:
        AnnotationError: they are not.
    """
    if len(names) != num_classes:
        raise AnnotationError(
            f"{path} names {len(names)} classes, but MODEL.NUM_CLASSES is {num_classes}. "
            f"Set MODEL.NUM_CLASSES to {len(names)}, or DATA.CLASS_NAMES to the right file."
        )
    return names


def _flow_store(cfg: CfgNode) -> FlowStore:
    """The flow of the config's FLOW keys, kept in OUTPUT_DIR unless they name a folder."""
    return FlowStore(
        cache_dir=cfg.FLOW.CACHE_DIR or Path(cfg.OUTPUT_DIR) / "flow",
        method=cfg.FLOW.METHOD,
        bound=cfg.FLOW.BOUND,
        weights=cfg.FLOW.WEIGHTS,
    )
