"""How a model samples a video, as one value: data sets and pipelines execute it, files and logs print it.

The only definition of a test protocol. results.json, exports and checkpoints hold ``Protocol.as_dict()``, from which
``Protocol.from_dict`` makes an equal object; ``Protocol.describe()`` is the one sentence about it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from fvcore.common.config import CfgNode

from slowfast.datasets.clip_sampling import ClipSampling, sampling_from_dict
from slowfast.evaluation.ensemble import METHODS, ViewEnsemble
from slowfast.utils.signature import check_kwargs

CHANNEL_ORDERS = ("RGB", "BGR")


@dataclass(frozen=True)
class FlowInput:
    """Optical flow in addition to the pixels, as channels 3 and 4 of every frame (video/flow.py).

    Attributes:
        method: how it is computed.
        bound: largest displacement kept, pixels per frame.
    """

    method: str
    bound: float


@dataclass(frozen=True)
class Protocol:
    """How a model samples a video.

    A view is one clip, cropped, at one scale, mirrored or not; the scores of all views are fused.

    Attributes:
        sampling: which frames make a clip.
        num_clips: clips per video.
        num_crops: crops per clip: 3 along the longer side, or 1.
        single_crop: position of a single crop: "centre" or "first" (left, or top of a portrait frame).
        short_sides: pixels to which the shorter side is scaled; several are used in turn.
        crop_size: side of the crops, pixels, at the first of ``short_sides``, and in proportion at others; None: the
            whole frame.
        flips: whether clips are mirrored; (False, True) uses both.
        channel_order: of the model's input, "RGB" or "BGR".
        mean, std: of R, G, B in [0, 1]; subtracted, and divided by.
        activation: turns logits into scores (MODEL.HEAD_ACT).
        fusion: of the views' scores: "mean", "sum" or "max".
        decoder_short_side: pixels that the decoder scales the shorter side to; None leaves pixels as they are.
        flow: optical flow that the model also takes, or None.

    Raises:
        ValueError: a value that is not allowed.
    """

    sampling: ClipSampling
    num_clips: int = 1
    num_crops: int = 1
    single_crop: str = "centre"
    short_sides: tuple[int, ...] = (256,)
    crop_size: int | None = 256
    flips: tuple[bool, ...] = (False,)
    channel_order: str = "RGB"
    mean: tuple[float, ...] = (0.45, 0.45, 0.45)
    std: tuple[float, ...] = (0.225, 0.225, 0.225)
    activation: str = "softmax"
    fusion: str = "mean"
    decoder_short_side: int | None = None
    flow: FlowInput | None = None

    def __post_init__(self):
        for name in ("short_sides", "flips", "mean", "std"):  # lists of a config or a file
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.num_crops not in (1, 3):
            raise ValueError(f"num_crops must be 1 or 3 (along the longer side), got {self.num_crops}.")
        if self.num_clips < 1:
            raise ValueError(f"num_clips={self.num_clips}: must be at least 1.")
        choices = {
            "single_crop": ("centre", "first"),
            "channel_order": CHANNEL_ORDERS,
            "fusion": METHODS,
        }
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                named = " or ".join(f'"{value}"' for value in accepted)
                raise ValueError(f"{name} must be {named}, got {getattr(self, name)!r}.")
        if not self.short_sides or not self.flips:
            raise ValueError(f"short_sides={self.short_sides} and flips={self.flips}: name at least one of each.")

    @property
    def num_views(self) -> int:
        """Views of a video."""
        return self.num_clips * self.num_crops * len(self.short_sides) * len(self.flips)

    @property
    def short_side(self) -> int:
        """The one of ``short_sides``; ValueError if there are several."""
        return self._one_of("short_sides")

    @property
    def flip(self) -> bool:
        """The one of ``flips``; ValueError if there are several."""
        return self._one_of("flips")

    def _one_of(self, name: str) -> Any:
        values = getattr(self, name)
        if len(values) > 1:
            raise ValueError(f"{name}={values}: this needs one; go through ``variants()``.")
        return values[0]

    def variants(self) -> list[Protocol]:
        """The protocol at each of its scales, mirrored and not, one at a time."""
        variants = []
        for short_side, flip in itertools.product(self.short_sides, self.flips):
            size = None if self.crop_size is None else round(self.crop_size * short_side / self.short_sides[0])
            variants.append(replace(self, short_sides=(short_side,), flips=(flip,), crop_size=size))
        return variants

    def with_options(self, options: Mapping[str, Any]) -> Protocol:
        """With the fields that ``options`` names, those of the sampling among them; other names are skipped.

        ``short_side`` and ``flip`` stand for a single one of ``short_sides`` and ``flips``.
        """
        options = dict(options)
        for single, several in (("short_side", "short_sides"), ("flip", "flips")):
            if single in options:
                options[several] = (options.pop(single),)
        sampling = with_fields(self.sampling, options)
        return with_fields(replace(self, sampling=sampling), options)

    @classmethod
    def option_names(cls, sampling: ClipSampling) -> list[str]:
        """What ``with_options`` takes."""
        return [f.name for f in (*fields(sampling), *fields(cls)) if f.name != "sampling"] + ["short_side", "flip"]

    def fuse(self, view_scores: np.ndarray) -> np.ndarray:
        """The scores float32 (K,) of a video from the scores (V, K) of its views, exactly as a test fuses them."""
        ensemble = ViewEnsemble(
            num_videos=1, num_views=len(view_scores), num_classes=view_scores.shape[1], method=self.fusion
        )
        ensemble.update(0, range(len(view_scores)), view_scores)
        return ensemble.scores()[0]

    def mean_scores(self, scores: np.ndarray) -> np.ndarray:
        """Fused scores on the scale of a single view, so that people see probabilities even if the fusion sums."""
        return scores / self.num_views if self.fusion == "sum" else scores

    def describe(self) -> str:
        """The protocol in one sentence."""
        views = [f"{_counted(self.num_clips, 'clip')} x {_counted(self.num_crops, 'crop')}"]
        if len(self.short_sides) > 1:
            views.append(_counted(len(self.short_sides), "scale"))
        if len(self.flips) > 1:
            views.append("mirrored and not")
        grown = " (in proportion)" if self.crop_size is not None and len(self.short_sides) > 1 else ""
        window = "whole frames" if self.crop_size is None else f"{self.crop_size} x {self.crop_size} pixels"
        if self.num_crops == 1 and self.single_crop == "first":
            window += " at the left or top"
        parts = [
            f"{' x '.join(views)}, {self.fusion} of the scores",
            self.sampling.describe(),
            f"{window} at a short side of {', '.join(map(str, self.short_sides))}{grown}",
        ]
        if self.flips == (True,):
            parts.append("mirrored clips alone")
        if self.flow is not None:
            parts.append(f"with optical flow ({self.flow.method}, up to {self.flow.bound:g} pixels)")
        if self.decoder_short_side is not None:
            parts.append(f"decoded to a short side of {self.decoder_short_side}")
        return "; ".join([*parts, f"{self.channel_order}, {self.activation}"])

    def as_dict(self) -> dict[str, Any]:
        """Only plain values, for JSON and YAML."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return values | {
            "sampling": self.sampling.as_dict(),
            "flow": None if self.flow is None else asdict(self.flow),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Protocol:
        """The protocol that ``as_dict`` described.

        Raises:
            ValueError: fields that a protocol does not have, or invalid values.
        """
        values = dict(data)
        check_kwargs(cls, values, "protocol")
        if not isinstance(values.get("sampling"), Mapping):
            raise ValueError(f"protocol: no sampling in {sorted(values)}.")
        values["sampling"] = sampling_from_dict(values["sampling"])
        if values.get("flow") is not None:
            values["flow"] = FlowInput(**values["flow"])
        return cls(**values)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def input_options(cfg: CfgNode, *, reads_bgr: bool) -> dict[str, Any]:
    """The fields of a protocol that say what a model is fed, in the channel order that the config feeds in PySlowFast.

    Args:
        reads_bgr: PySlowFast's images of this set are BGR before DATA.REVERSE_INPUT_CHANNEL turns them around.
    """
    return {
        "channel_order": "BGR" if cfg.DATA.REVERSE_INPUT_CHANNEL != reads_bgr else "RGB",
        "mean": cfg.DATA.MEAN,
        "std": cfg.DATA.STD,
        "activation": cfg.MODEL.HEAD_ACT,
    }


def with_fields(value: Any, options: Mapping[str, Any]) -> Any:
    """``value`` with the fields that ``options`` names replaced."""
    names = {field.name for field in fields(value)}
    changed = {
        name: tuple(new) if isinstance(new, Sequence) and not isinstance(new, str) else new
        for name, new in options.items()
        if name in names
    }
    return replace(value, **changed) if changed else value
