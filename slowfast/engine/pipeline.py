"""All inference: from a video to scores, exactly as a test computes them.

A ``Pipeline`` is a model with everything that its scores depend on. Its parts can be used one by one: ``open`` a
video, ``read_views`` of it (datasets/views.py), ``scores`` of frames or ``scores_of`` views, ``Protocol.fuse``.
Validation, tests, sliding windows and the check of an export go through ``scores``.

Letters: B clips, T frames of a clip, H W pixels, V views, K classes, R boxes.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from slowfast.config import load_cfg
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samples import VideoViews
from slowfast.datasets.views import clip_seconds, open_video, read_key_frame, read_views
from slowfast.engine.build import PLAIN_NORM, parts_of_checkpoint, pipeline_parts, published_parts, tells_its_model
from slowfast.engine.inputs import ClipPreprocessor, place_model
from slowfast.engine.precision import forward
from slowfast.engine.prediction import Prediction
from slowfast.models.folding import fold_batch_norms
from slowfast.models.weights.load import CheckpointError, read_checkpoint
from slowfast.models.weights.zoo import recognize
from slowfast.models.weights.zoo_table import find_entry
from slowfast.video.flow import FlowStore
from slowfast.video.reader import FrameReader

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

logger = logging.getLogger(__name__)

VideoPath = str | os.PathLike


def takes_boxes(model: nn.Module) -> bool:
    """Whether ``model`` is a detection model, i.e. is called with clip and boxes."""
    return getattr(model, "takes_boxes", False)


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """``model`` in eval mode inside a with statement; afterwards the mode of every part is restored."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


class Pipeline:
    """A model ready to infer: ``pipeline("video.mp4").top(5)``.

    Args:
        model: moved to the device in place; a copy of it if batch norms are folded. ``pipeline.model`` stays a plain
            module.
        protocol: how it samples a video.
        class_names: in the order of scores, or None.
        device: default the model's.
        dtype: autocast type, or None for full precision.
        channels_last: memory format of kernels and clips, the faster one for convolutions.
        fold_bn: fold batch norms into the convolutions.
        compiled: run the model through torch.compile.
        views_per_forward: maximum number of views per forward pass; halved when GPU memory runs out.
        flow: source of optical flow, if the protocol has it.
        decoder_threads: of one video's decoder.
        origin: what the weights file says about them: its path as "weights", "lists", "class_names", "versions".
    """

    def __init__(
        self,
        model: nn.Module,
        protocol: Protocol,
        *,
        class_names: Sequence[str] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        channels_last: bool = True,
        fold_bn: bool = False,
        compiled: bool = False,
        views_per_forward: int = 8,
        flow: FlowStore | None = None,
        decoder_threads: int = 1,
        origin: Mapping[str, Any] | None = None,
    ):
        model = fold_batch_norms(model) if fold_bn else model
        self.model = place_model(model, device, channels_last=channels_last, compiled=compiled)
        self.protocol = protocol
        self.class_names = None if class_names is None else tuple(class_names)
        self.dtype = dtype
        self.views_per_forward = views_per_forward
        self.flow = flow
        self.decoder_threads = decoder_threads
        self.origin = dict(origin or {})
        self.device = next(model.parameters(), torch.empty(0)).device if device is None else torch.device(device)
        self.prepare = ClipPreprocessor.of(protocol, self.device, channels_last=channels_last)

    def __repr__(self) -> str:
        size = f"{sum(p.numel() for p in self.model.parameters()):,} parameters"
        return f"Pipeline({type(self.model).__name__}, {size}, on {self.device}; {self.protocol.describe()})"

    @classmethod
    def from_config(
        cls,
        cfg: CfgNode,
        *,
        weights: VideoPath | None = None,
        model: nn.Module | None = None,
        protocol: Protocol | None = None,
        class_names: Sequence[str] | None = None,
        device: torch.device | str | None = None,
    ) -> Pipeline:
        """The model of a config with its test settings (TEST, DATA, MODEL); the config's lists need not exist.

        Args:
            weights: file; default those that a test would take (see ``weights_for_test``).
            model: instead of one built and loaded from the config.
            protocol: default that of the config's test.
            class_names: default DATA.CLASS_NAMES, or those in the weights file.
            device: default the first GPU if there is one, else the CPU.

        Raises:
            ValueError: weights of a different model, or settings that contradict each other.
        """
        parts = pipeline_parts(
            cfg, weights=weights, model=model, protocol=protocol, class_names=class_names, device=device
        )
        return cls(**parts)

    @classmethod
    def from_checkpoint(
        cls,
        path: VideoPath,
        *,
        overrides: Sequence[Any] = (),
        device: torch.device | str | None = None,
        allow_imports: bool = False,
    ) -> Pipeline:
        """The model of one of our checkpoints, which holds its config, class names and protocol.

        Args:
            overrides: ``[KEY, value, ...]`` over the config of the file, such as ``["TEST.NUM_ENSEMBLE_VIEWS", 1]``.
            device: default the first GPU if there is one, else the CPU.
            allow_imports: import the modules that the file's config names (IMPORTS). This runs their code: allow it
                only for files that you trust.

        Raises:
            CheckpointError: no such file, or one without a config.
            ConfigError: a config that this version cannot use.
        """
        return cls(**parts_of_checkpoint(path, overrides=overrides, device=device, allow_imports=allow_imports))

    def with_model(self, model: nn.Module) -> Pipeline:
        """The same for another model of this kind, which is ready on the device."""
        other = copy.copy(self)
        other.model = model
        return other

    def __call__(self, video: VideoPath | FrameReader, *, boxes=None, seconds: float | None = None) -> Prediction:
        """The model's prediction for a video, sampled as the protocol says.

        Args:
            video: a file, a folder of images if the protocol counts frames, or an open reader of such frames.
            boxes: for a detection model (R, 4), x1 y1 x2 y2 as fractions of the frame, at ``seconds``.
            seconds: of the key frame, from the first frame of the video.

        Raises:
            VideoReadError: the video cannot be read.
            ValueError: boxes for a clip model, or none for a detection model.
        """
        if takes_boxes(self.model) != (boxes is not None) or (boxes is None) != (seconds is None):
            raise ValueError(
                "this is a detection model: call pipeline(video, boxes=..., seconds=...)."
                if takes_boxes(self.model)
                else "this model scores whole clips: it takes neither boxes nor seconds."
            )
        if boxes is not None and seconds is not None:
            (prediction,) = self.at_key_frames(video, [(seconds, boxes)])
            return prediction
        with self.open(video) as reader:
            views = read_views(reader, self.protocol)
        view_scores = self.scores_of(views)
        scores = self.protocol.fuse(view_scores)
        means = self.protocol.mean_scores(scores)
        return Prediction(scores, view_scores, views.view_seconds.numpy(), means, self.class_names)

    def at_key_frames(self, video: VideoPath | FrameReader, key_frames: Iterable[tuple[float, Any]]) -> Iterator:
        """A ``Prediction`` for each (seconds, boxes (R, 4)) of a video, which is opened once; see ``__call__``."""
        with self.open(video) as reader:
            for seconds, boxes in key_frames:
                yield self._key_frame(reader, seconds, _checked_boxes(boxes))

    def _key_frame(self, reader: FrameReader, seconds: float, boxes: Tensor) -> Prediction:
        looks = []
        for variant in self.protocol.variants():
            frames, placed = read_key_frame(reader, variant, seconds, boxes)
            looks.append(self.scores(frames[None], torch.cat([torch.zeros(len(placed), 1), placed], dim=1)).numpy())
        view_scores = np.stack(looks)
        scores = view_scores.mean(0, dtype=np.float64).astype(np.float32)
        indices = self.protocol.sampling.indices_at(reader.num_frames, reader.fps, seconds)
        times = clip_seconds(indices[None], reader.fps).numpy().repeat(len(looks), 0)
        return Prediction(scores, view_scores, times, scores, self.class_names)

    def open(self, video: VideoPath | FrameReader) -> contextlib.AbstractContextManager[FrameReader]:
        """The frames of a video as the protocol counts them; an open reader is used directly and stays open.

        Raises:
            VideoReadError: there are none.
        """
        if isinstance(video, FrameReader):
            return contextlib.nullcontext(video)
        return open_video(video, self.protocol, flow=self.flow, num_threads=self.decoder_threads)

    def scores_of(self, views: VideoViews) -> np.ndarray:
        """Scores float32 (V, K) of all views of one video, which are cut as needed."""
        parts = []
        for look in views.looks:
            first = 0
            while first < look.num_views:
                view_ids = range(first, min(first + self.views_per_forward, look.num_views))
                parts.append(self.scores(look.views(view_ids)).numpy())
                first = view_ids.stop
        return np.concatenate(parts)

    def scores(self, frames: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Scores float32 (B, K) on the CPU of clips; of boxes (R, K).

        The only function for inference: in eval mode, moved to the device, normalized, in the model's channel order,
            under autocast, and in smaller batches when GPU memory is short.

        Args:
            frames: uint8 (B, 3, T, H, W), RGB, scaled and cropped.
            boxes: float32 (R, 5) for a detection model: number of the clip, then x1 y1 x2 y2 in pixels of ``frames``.

        Raises:
            ValueError: frames of a different dtype or shape.
        """
        return self.infer(frames, boxes, self.model)

    @torch.inference_mode()
    def infer(self, frames: Tensor, boxes: Tensor | None, function: Callable[..., Tensor]) -> Tensor:
        """The output of ``function`` for clips (or clips and boxes), float32 on the CPU; otherwise as ``scores``.

        Args:
            function: of normalized clips on the device; a part of the model, such as its features.
        """
        _check_frames(frames)
        if boxes is not None and not len(boxes):
            raise ValueError("boxes is empty: there is nothing to score.")
        with eval_mode(self.model):
            parts: list[tuple[Tensor, Tensor]] = []
            first, limit = 0, len(frames)
            while first < len(frames):
                stop = min(first + limit, len(frames))
                try:
                    parts += self._infer_chunk(frames, boxes, function, first, stop)
                    first = stop
                except torch.cuda.OutOfMemoryError:
                    if limit == 1:
                        raise
                    limit = self._halve(limit)
        order = torch.cat([rows for rows, _ in parts]).argsort(stable=True)  # boxes may come in any order
        return torch.cat([values for _, values in parts])[order]

    def _infer_chunk(self, frames: Tensor, boxes: Tensor | None, function, first: int, stop: int):
        """Rows of the result, and their values, for the clips ``first`` to ``stop`` - 1."""
        rows, inputs = torch.arange(first, stop), list[Tensor]()
        if boxes is not None:
            rows = torch.nonzero((boxes[:, 0] >= first) & (boxes[:, 0] < stop)).flatten()
            inputs = [boxes[rows] - boxes.new_tensor([first, 0, 0, 0, 0])]
        if not len(rows):
            return []
        return [(rows, forward(function, self.prepare(frames[first:stop]), inputs, dtype=self.dtype).float().cpu())]

    def _halve(self, limit: int) -> int:
        """The next smaller number of clips at a time, also for later calls."""
        torch.cuda.empty_cache()
        limit = max(1, limit // 2)
        self.views_per_forward = min(self.views_per_forward, limit)
        logger.warning("GPU memory is short: now %d views at a time.", limit)
        return limit


def load_pipeline(
    path_or_name: VideoPath,
    *,
    model: str | None = None,
    config: VideoPath | None = None,
    device: torch.device | str | None = None,
    overrides: Sequence[Any] = (),
    allow_imports: bool = False,
) -> Pipeline:
    """The result of ``slowfast.load``, with the same arguments."""
    if config is not None:
        cfg = load_cfg(config, [*PLAIN_NORM, *overrides])
        return Pipeline.from_config(cfg, weights=path_or_name, device=device)
    if not (os.path.exists(path_or_name) or "://" in os.fspath(path_or_name)):
        model = model or _published_name(path_or_name)
    elif model is None:
        content = read_checkpoint(path_or_name)
        if tells_its_model(content):
            return Pipeline.from_checkpoint(
                path_or_name, overrides=overrides, device=device, allow_imports=allow_imports
            )
        entry = recognize(content["model_state"], file_name=os.fspath(path_or_name))
        logger.info("%s is used as %s", path_or_name, entry.name)
        model = entry.name
    entry = find_entry(model)
    return Pipeline(**published_parts(entry, path_or_name, overrides=overrides, device=device))


def _published_name(name: VideoPath) -> str:
    try:
        return find_entry(os.fspath(name)).name
    except ValueError as error:
        raise CheckpointError(f"there is no file {os.fspath(name)!r}, and {error}") from error


def _check_frames(frames: Tensor) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[1] not in (3, 5) or not len(frames):
        raise ValueError(
            f"frames must be uint8 (B, 3, T, H, W), RGB (5 channels with optical flow), got {frames.dtype} "
            f"{tuple(frames.shape)}."
        )


def _checked_boxes(boxes) -> Tensor:
    boxes = torch.as_tensor(boxes, dtype=torch.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        raise ValueError(f"boxes must be (R, 4), x1 y1 x2 y2, with at least one box, got {tuple(boxes.shape)}.")
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise ValueError("boxes must be x1 y1 x2 y2 with x2 > x1 and y2 > y1.")
    if boxes.max() > 1.5:  # lists of boxes reach a little beyond the frame, but never so far
        raise ValueError(f"boxes go up to {boxes.max():g}: give fractions of the frame, pixels / (width, height).")
    return boxes
