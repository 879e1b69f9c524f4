"""RandAugment and AutoAugment of training clips, written as in timm ("rand-m9-mstd0.5-inc1", "v0").

RandAugment (Cubuk et al., 2020, arXiv 1909.13719) draws operations at random; AutoAugment (Cubuk et al., 2019,
arXiv 1805.09501) draws one of 25 learned pairs. A level from 0 to 10 sets their strength. All frames of a clip get the
same operations with the same arguments; operations that measure contrast or histograms measure each frame, as an image.
Kernels are torchvision's, except for operations that move pixels: torchvision has no bicubic kernel for tensors.
Letters: T frames, H W pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as kernels

from slowfast.utils.suggest import check_choice, not_one_of

MAX_LEVEL = 10.0
FILL = 128  # gray of pixels from outside of the frame
INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "random")

# What RandAugment draws from. Those with a "+" have a form whose effect grows with the level.
RAND_OPERATIONS = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize+", "Solarize+", "SolarizeAdd", "Color+", "Contrast+"),
    *("Brightness+", "Sharpness+", "ShearX", "ShearY", "TranslateX", "TranslateY"),
)
# Pairs of (operation, probability, level). "original": the paper's for ImageNet (table 9); "v0": that of TPU
# EfficientNet. "originalr" and "v0r" are the same with a Posterize that grows with the level.
POLICIES = {
    "original": """
        PosterizeKeep .4 8 Rotate .6 9 | Solarize .6 5 AutoContrast .6 5 | Equalize .8 8 Equalize .6 3
        PosterizeKeep .6 7 PosterizeKeep .6 6 | Equalize .4 7 Solarize .2 4 | Equalize .4 4 Rotate .8 8
        Solarize .6 3 Equalize .6 7 | PosterizeKeep .8 5 Equalize 1 2 | Rotate .2 3 Solarize .6 8
        Equalize .6 8 PosterizeKeep .4 6 | Rotate .8 8 Color .4 0 | Rotate .4 9 Equalize .6 2
        Equalize 0 7 Equalize .8 8 | Invert .6 4 Equalize 1 8 | Color .6 4 Contrast 1 8
        Rotate .8 8 Color 1 2 | Color .8 8 Solarize .8 7 | Sharpness .4 7 Invert .6 8
        ShearX .6 5 Equalize 1 9 | Color .4 0 Equalize .6 3 | Equalize .4 7 Solarize .2 4
        Solarize .6 5 AutoContrast .6 5 | Invert .6 4 Equalize 1 8 | Color .6 4 Contrast 1 8
        Equalize .8 8 Equalize .6 3""",
    "v0": """
        Equalize .8 1 ShearY .8 4 | Color .4 9 Equalize .6 3 | Color .4 1 Rotate .6 8
        Solarize .8 3 Equalize .4 7 | Solarize .4 2 Solarize .6 2 | Color .2 0 Equalize .8 8
        Equalize .4 8 SolarizeAdd .8 3 | ShearX .2 9 Rotate .6 8 | Color .6 1 Equalize 1 2
        Invert .4 9 Rotate .6 0 | Equalize 1 9 ShearY .6 3 | Color .4 7 Equalize .6 0
        Posterize .4 6 AutoContrast .4 7 | Solarize .6 8 Color .6 9 | Solarize .2 4 Rotate .8 9
        Rotate 1 7 TranslateY .8 9 | ShearX 0 0 Solarize .8 4 | ShearY .8 0 Color .6 4
        Color 1 0 Rotate .6 2 | Equalize .8 4 Equalize 0 8 | Equalize 1 4 AutoContrast .6 2
        ShearY .4 7 SolarizeAdd .6 7 | Posterize .8 2 Solarize .6 10 | Solarize .6 8 Equalize .6 1
        Color .8 6 Rotate .4 5""",
}


@dataclass(frozen=True)
class Operation:
    """One step: its name, the probability of doing it, and how strongly."""

    name: str
    probability: float
    level: float


@dataclass
class ClipPolicy:
    """Frames changed at random, all frames of a clip in the same way: ``policy(frames, rng)``, uint8 (3, T, H, W) to
    the same.

    Args:
        draw: generator -> the operations to try, in turn.
        level_std: of normal noise on every level; infinite: levels are uniform from 0.
        max_level: larger levels are clipped to it.
        interpolation: of operations that move pixels, one of ``INTERPOLATIONS``; "random" is bilinear or bicubic.
    """

    draw: Callable[[np.random.Generator], Sequence[Operation]]
    level_std: float = 0.0
    max_level: float = MAX_LEVEL
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        check_choice("interpolation (AUG.INTERPOLATION)", self.interpolation, INTERPOLATIONS)

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        images = frames.permute(1, 0, 2, 3)
        for operation in self.draw(rng):
            if rng.random() < operation.probability:
                level = self._noisy(operation.level, rng)
                images = apply(images, operation.name, level, rng, interpolation=self.interpolation)
        return images.permute(1, 0, 2, 3).contiguous()

    def _noisy(self, level: float, rng: np.random.Generator) -> float:
        if self.level_std == math.inf:
            level = rng.uniform(0, level)
        elif self.level_std > 0:
            level = rng.normal(level, self.level_std)
        return min(max(level, 0.0), self.max_level)


@dataclass(frozen=True)
class RandomOperations:
    """Draws ``number`` of ``names``, with replacement."""

    names: tuple[str, ...]
    number: int
    probability: float
    level: float

    def __call__(self, rng: np.random.Generator) -> list[Operation]:
        chosen = rng.integers(len(self.names), size=self.number)
        return [Operation(self.names[i], self.probability, self.level) for i in chosen]


@dataclass(frozen=True)
class OneOf:
    """Draws one of several programs."""

    programs: tuple[tuple[Operation, ...], ...]

    def __call__(self, rng: np.random.Generator) -> tuple[Operation, ...]:
        return self.programs[int(rng.integers(len(self.programs)))]


def parse_policy(text: str, *, interpolation: str = "bicubic") -> ClipPolicy:
    """The policy that timm's notation ``text`` describes.

    "rand" may be followed by -m LEVEL (10), -n OPERATIONS (2), -p PROBABILITY of each (0.5), -mstd (0; above 100:
    uniform levels), -mmax (10), -inc1 (operations that grow with the level); "original", "originalr", "v0" and "v0r"
    by -mstd.

    Raises:
        ValueError: no such policy, or a part that it does not have.
    """
    name, *parts = text.split("-")
    names = ("rand", *POLICIES, *(f"{policy}r" for policy in POLICIES))
    if name not in names:
        raise ValueError(not_one_of("AUG.AA_TYPE", text, names))
    values = _values(text, parts, ("m", "n", "p", "mstd", "mmax", "inc") if name == "rand" else ("mstd",))
    level_std = values.get("mstd", 0.0)
    noise: dict[str, Any] = {"level_std": math.inf if level_std > 100 else level_std, "interpolation": interpolation}
    if name != "rand":
        return ClipPolicy(OneOf(_programs(name)), **noise)
    grows = bool(values.get("inc", 0))
    operations = tuple(operation if grows else operation.removesuffix("+") for operation in RAND_OPERATIONS)
    drawn = RandomOperations(operations, int(values.get("n", 2)), values.get("p", 0.5), values.get("m", MAX_LEVEL))
    return ClipPolicy(drawn, max_level=values.get("mmax", MAX_LEVEL), **noise)


def _values(text: str, parts: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    values = {}
    for part in parts:
        found = re.fullmatch(r"([a-z]+)([0-9]+(?:\.[0-9]+)?)", part)
        if found is None or found[1] not in names:
            raise ValueError(f"AUG.AA_TYPE={text!r}: {part!r} is not one of {', '.join(names)} followed by a number.")
        values[found[1]] = float(found[2])
    if not 0 <= values.get("p", 0.5) <= 1 or values.get("n", 2) < 1:
        raise ValueError(f"AUG.AA_TYPE={text!r}: p must lie between 0 and 1, and n be at least 1.")
    return values


def _programs(name: str) -> tuple[tuple[Operation, ...], ...]:
    text = POLICIES[name.removesuffix("r")]
    if name.endswith("r"):
        text = re.sub(r"Posterize(Keep)?", "Posterize+", text)
    programs = []
    for program in re.split(r"\||\n(?=\s*\S)", text.strip()):
        words = program.split()
        triples = zip(words[::3], words[1::3], words[2::3], strict=True)
        programs.append(tuple(Operation(word, float(chance), float(level)) for word, chance, level in triples))
    return tuple(programs)


def apply(images: Tensor, name: str, level: float, rng: np.random.Generator, *, interpolation: str) -> Tensor:
    """uint8 images (T, 3, H, W) after one operation at ``level``; the sign of a movement is drawn."""
    share = level / MAX_LEVEL
    if name in _PLAIN:
        return _PLAIN[name](images)
    if name in _BLENDS:
        grows = name.endswith("+")
        factor = max(0.1, 1 + _sign(rng) * 0.9 * share) if grows else 0.1 + 1.8 * share
        return _BLENDS[name](images, factor)
    if name in _LEVELS:
        return _LEVELS[name](images, share)
    if interpolation == "random":
        interpolation = ("bilinear", "bicubic")[int(rng.integers(2))]
    height, width = images.shape[-2:]
    return warp(images, _MOVES[name](_sign(rng) * share, height, width), mode=interpolation)


def _sign(rng: np.random.Generator) -> float:
    return -1.0 if rng.random() < 0.5 else 1.0


_PLAIN = {"AutoContrast": kernels.autocontrast, "Equalize": kernels.equalize, "Invert": kernels.invert}


def _sharpness(images: Tensor, factor: float) -> Tensor:
    # torchvision's changes borders of images of up to 2 pixels, for which there is no neighborhood
    return images if min(images.shape[-2:]) <= 2 else kernels.adjust_sharpness(images, factor)


_BLENDS = {f"{name}{form}": blend
           for name, blend in {"Color": kernels.adjust_saturation, "Contrast": kernels.adjust_contrast,
                               "Brightness": kernels.adjust_brightness, "Sharpness": _sharpness}.items()
           for form in ("", "+")}  # fmt: skip


def _keep_bits(images: Tensor, bits: int) -> Tensor:
    return images if bits >= 8 else kernels.posterize(images, bits)


def _invert_from(images: Tensor, threshold: int) -> Tensor:
    return images if threshold > 255 else kernels.solarize(images, threshold)


def _add_to_dark(images: Tensor, share: float) -> Tensor:
    brighter = (images.int() + int(share * 110)).clamp_(max=255).to(torch.uint8)
    return torch.where(images < 128, brighter, images)


_LEVELS = {
    "Posterize": lambda images, share: _keep_bits(images, int(share * 4)),
    "Posterize+": lambda images, share: _keep_bits(images, 4 - int(share * 4)),
    "PosterizeKeep": lambda images, share: _keep_bits(images, 4 + int(share * 4)),
    "Solarize": lambda images, share: _invert_from(images, int(share * 256)),
    "Solarize+": lambda images, share: _invert_from(images, 256 - int(share * 256)),
    "SolarizeAdd": _add_to_dark,
}

Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]


def _rotation(share: float, height: int, width: int) -> Matrix:
    """Counterclockwise around the center, by up to 30 degrees."""
    angle = math.radians(30 * share)
    cos, sin, x, y = math.cos(angle), math.sin(angle), width / 2, height / 2
    return (cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y)


# share in [-1, 1], height, width -> where the pixel at (x, y) of the result comes from. Shears leave the first row or
# column where it is.
_MOVES: dict[str, Callable[[float, int, int], Matrix]] = {
    "Rotate": _rotation,
    "ShearX": lambda share, height, width: ((1, 0.3 * share, 0), (0, 1, 0)),
    "ShearY": lambda share, height, width: ((1, 0, 0), (0.3 * share, 1, 0)),
    "TranslateX": lambda share, height, width: ((1, 0, 0.45 * share * width), (0, 1, 0)),
    "TranslateY": lambda share, height, width: ((1, 0, 0), (0, 1, 0.45 * share * height)),
}


def warp(images: Tensor, matrix: Matrix, *, mode: str) -> Tensor:
    """uint8 images (T, C, H, W) whose pixel at (x, y) comes from ``matrix`` @ (x, y, 1); gray from outside.

    Coordinates are of pixels' centers, continuous: the first is at (0.5, 0.5).
    """
    num_frames, channels, height, width = images.shape
    (a, b, c), (d, e, f) = matrix
    b, d = b * height / width, d * width / height  # in coordinates from -1 to 1 along both axes, as torch has them
    rows = [[a, b, a + b + 2 * c / width - 1], [d, e, d + e + 2 * f / height - 1]]
    grid = F.affine_grid(torch.tensor([rows]), [1, 1, height, width], align_corners=False)
    planes = images.reshape(1, num_frames * channels, height, width).float() - FILL  # one grid serves all
    moved = F.grid_sample(planes, grid, mode=mode, padding_mode="zeros", align_corners=False)
    return (moved + FILL).round_().clamp_(0, 255).to(torch.uint8).view_as(images)
