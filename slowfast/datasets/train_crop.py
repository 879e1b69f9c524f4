"""Which window of a clip a model trains on, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fvcore.common.config import CfgNode

from slowfast.datasets.protocol import with_fields
from slowfast.video.geometry import Crop, DriftingCrop, random_crop, random_resized_crop


@dataclass(frozen=True)
class TrainCrop:
    """Random windows of frames.

    Attributes:
        crop_size: side of the window, pixels.
        short_side_range: [min, max] pixels of the shorter side before the window is cut.
        inverse_uniform: draw the reciprocal of the shorter side uniformly.
        area_fractions, aspect_ratios: instead of ``short_side_range``, windows by ``random_resized_crop``.
        flip_probability: of mirroring.
        drifts: the region moves over the clip, from one ``random_resized_crop`` to another.
        decoder_short_side: pixels that the decoder scales the shorter side to; None leaves pixels as they are.

    Raises:
        ValueError: one of ``area_fractions`` and ``aspect_ratios`` without the other, or ``drifts`` without both.
    """

    crop_size: int = 224
    short_side_range: Sequence[float] = (256, 320)
    inverse_uniform: bool = False
    area_fractions: Sequence[float] | None = None
    aspect_ratios: Sequence[float] | None = None
    flip_probability: float = 0.5
    decoder_short_side: int | None = None
    drifts: bool = False

    def __post_init__(self):
        if (self.area_fractions is None) != (self.aspect_ratios is None):
            raise ValueError("area_fractions and aspect_ratios belong together: give both or neither.")
        if self.drifts and self.area_fractions is None:
            raise ValueError("drifts needs area_fractions and aspect_ratios: windows of a fixed scale do not move.")

    @classmethod
    def from_config(cls, cfg: CfgNode) -> TrainCrop:
        """By the config's DATA keys; DATA.ARGS may name fields."""
        data = cfg.DATA
        relative = bool(data.TRAIN_JITTER_SCALES_RELATIVE and data.TRAIN_JITTER_ASPECT_RELATIVE)
        crop = cls(
            crop_size=data.TRAIN_CROP_SIZE,
            short_side_range=tuple(data.TRAIN_JITTER_SCALES),
            inverse_uniform=data.INV_UNIFORM_SAMPLE,
            area_fractions=tuple(data.TRAIN_JITTER_SCALES_RELATIVE) if relative else None,
            aspect_ratios=tuple(data.TRAIN_JITTER_ASPECT_RELATIVE) if relative else None,
            flip_probability=0.5 if data.RANDOM_FLIP else 0.0,
            decoder_short_side=data.DECODING_SHORT_SIZE if data.RESIZE_IN_DECODER else None,
            drifts=data.TRAIN_JITTER_MOTION_SHIFT,
        )
        return with_fields(crop, data.ARGS)

    def draw(
        self, *, height: int, width: int, rng: np.random.Generator, crop_size: int | None = None
    ) -> Crop | DriftingCrop:
        """A window of a frame of height x width.

        Args:
            crop_size: in multigrid training a smaller one, which is cut from a smaller frame; default: its own.
        """
        size = self.crop_size if crop_size is None else crop_size
        window: dict[str, Any] = {"height": height, "width": width, "size": size, "rng": rng}
        window["flip_probability"] = self.flip_probability
        if self.area_fractions is not None and self.aspect_ratios is not None:
            window |= {"area_fractions": self.area_fractions, "aspect_ratios": self.aspect_ratios}
            crop = random_resized_crop(**window)
            return DriftingCrop(crop, random_resized_crop(**window)) if self.drifts else crop
        low, high = self.short_side_range
        if size != self.crop_size:
            low = round(low * size / self.crop_size)
        return random_crop(**window, short_side_range=(low, high), inverse_uniform=self.inverse_uniform)
