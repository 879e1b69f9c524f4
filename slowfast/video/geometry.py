"""Where a crop lies, drawn once as a value, and then applied to pixels and boxes alike.

Order: a region of the frame (mostly all of it) is scaled, a square window of the result is cut out, maybe mirrored.
Resizing is bilinear with half-pixel centers and no antialiasing, as in PySlowFast; frames stay uint8.
Randomness comes from the ``numpy.random.Generator`` that is passed in. Letters: T frames, H W pixels, R boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from slowfast.video.flow import scale_and_mirror
from slowfast.video.sampling import scaled_size


@dataclass(frozen=True)
class Crop:
    """One spatial window of a video, the same for all its frames.

    Attributes:
        region: (top, left, height, width) in pixels of the frame: what is scaled.
        scaled_height, scaled_width: size of the region after scaling.
        top, left: corner of the window in the scaled region.
        size: side of the square window, pixels; None: the window is all of the scaled region.
        flip: whether the window is mirrored left to right.

    Raises:
        ValueError: the window leaves the scaled region.
    """

    region: tuple[int, int, int, int]
    scaled_height: int
    scaled_width: int
    top: int
    left: int
    size: int | None
    flip: bool = False

    @property
    def _sides(self) -> tuple[int, int]:
        """Height and width of the window."""
        return (self.scaled_height, self.scaled_width) if self.size is None else (self.size, self.size)

    def __post_init__(self):
        bottom, right = self.top + self._sides[0], self.left + self._sides[1]
        if self.top < 0 or self.left < 0 or bottom > self.scaled_height or right > self.scaled_width:
            raise ValueError(
                f"a crop of {self.size}x{self.size} pixels at (y, x) = ({self.top}, {self.left}) leaves the frame, "
                f"scaled to {self.scaled_height}x{self.scaled_width} (height x width). Scale it to a larger short side."
            )

    def apply_to_frames(self, frames: Tensor, *, has_flow: bool = False) -> Tensor:
        """The window of every frame: (T, 3, H, W) to (T, 3, h, w), same dtype; h and w are ``size``, if that is set.

        uint8 frames stay uint8; they are fast in channels-last memory. May be a view of ``frames``.

        Args:
            has_flow: frames are (T, 5, H, W), with optical flow (flow.py) whose vectors are scaled and mirrored too.
        """
        top, left, height, width = self.region
        frames = frames[..., top : top + height, left : left + width]
        frames = resize(frames, self.scaled_height, self.scaled_width, has_flow=has_flow)
        frames = frames[..., self.top : self.top + self._sides[0], self.left : self.left + self._sides[1]]
        return mirror(frames, has_flow=has_flow) if self.flip else frames

    def apply_to_boxes(self, boxes: Tensor) -> Tensor:
        """Boxes (R, 4), x1 y1 x2 y2 in pixels of the frame, in pixels of the window; clipped to it.

        Coordinates are continuous: a box around pixel 0 alone is 0 0 1 1. One outside the window ends up empty, on
        its border.
        """
        top, left, height, width = self.region
        scale = boxes.new_tensor([self.scaled_width / width, self.scaled_height / height]).repeat(2)
        shift = boxes.new_tensor([left, top]).repeat(2)
        moved = (boxes - shift) * scale - boxes.new_tensor([self.left, self.top]).repeat(2)
        height, width = self._sides
        if self.flip:
            x1, y1, x2, y2 = moved.unbind(-1)
            moved = torch.stack([width - x2, y1, width - x1, y2], dim=-1)
        return moved.clamp(min=0).minimum(moved.new_tensor([width, height]).repeat(2))


@dataclass(frozen=True)
class DriftingCrop:
    """A window whose region moves, frame by frame, from that of one crop to that of another.

    Attributes:
        first, last: crops of one size, each the whole of its scaled region (``random_resized_crop``). The first says
            whether the window is mirrored.
    """

    first: Crop
    last: Crop

    def apply_to_frames(self, frames: Tensor) -> Tensor:
        """All frames of a clip, (T, 3, H, W), to (T, 3, size, size), same dtype."""
        regions = np.linspace(self.first.region, self.last.region, len(frames)).round().astype(int).tolist()
        crops = [replace(self.first, region=tuple(region)) for region in regions]
        return torch.cat([crop.apply_to_frames(frames[t : t + 1]) for t, crop in enumerate(crops)])


def resize(frames: Tensor, height: int, width: int, *, has_flow: bool = False) -> Tensor:
    """(..., C, H, W) frames at another size, same dtype; untouched if they have it.

    uint8 is rounded (once along each axis), about one level at most from the float result.
    """
    if frames.shape[-2:] == (height, width):
        return frames
    resized = F.interpolate(frames, size=(height, width), mode="bilinear", align_corners=False, antialias=False)
    if not has_flow:
        return resized
    return _with_flow(resized, scale_x=width / frames.shape[-1], scale_y=height / frames.shape[-2])


def mirror(frames: Tensor, *, has_flow: bool = False) -> Tensor:
    """(T, C, H, W) frames mirrored left to right, the vectors of optical flow with them."""
    frames = frames.flip(-1)
    return _with_flow(frames, flip=True) if has_flow else frames


def _with_flow(frames: Tensor, **change) -> Tensor:
    """(T, 5, H, W) frames whose flow, channels 3 and 4, is scaled or mirrored (arguments of ``scale_and_mirror``)."""
    return torch.cat([frames[:, :3], scale_and_mirror(frames[:, 3:], **change)], dim=1)


def random_crop(
    *,
    height: int,
    width: int,
    size: int,
    rng: np.random.Generator,
    short_side_range: Sequence[float] | None = None,
    inverse_uniform: bool = False,
    flip_probability: float = 0.5,
) -> Crop:
    """A window of size x size anywhere in a frame of height x width, after its short side was scaled.

    Args:
        short_side_range: [min, max] in pixels that the scaled short side is drawn from; None leaves the frame as it is.
        inverse_uniform: draw the reciprocal of the short side uniformly: favors the small.
        flip_probability: of mirroring, in [0, 1].

    Raises:
        ValueError: the scaled frame does not hold the window.
    """
    short_side = min(height, width)
    if short_side_range is not None:
        low, high = short_side_range
        drawn = 1 / rng.uniform(1 / high, 1 / low) if inverse_uniform else rng.uniform(low, high)
        short_side = round(drawn)
    scaled_height, scaled_width = scaled_size(height, width, short_side)
    # The last position may come, too; PySlowFast leaves it out.
    top = int(rng.integers(0, max(scaled_height - size, 0), endpoint=True))
    left = int(rng.integers(0, max(scaled_width - size, 0), endpoint=True))
    flip = bool(rng.random() < flip_probability)
    return Crop((0, 0, height, width), scaled_height, scaled_width, top, left, size, flip)


def random_resized_crop(
    *,
    height: int,
    width: int,
    size: int,
    rng: np.random.Generator,
    area_fractions: Sequence[float],
    aspect_ratios: Sequence[float],
    flip_probability: float = 0.5,
) -> Crop:
    """A region of random area and shape, scaled to size x size: the Inception networks' crop.

    Args:
        area_fractions: [min, max] share of the frame's area, in (0, 1].
        aspect_ratios: [min, max] width / height, drawn uniformly in its logarithm.
    """
    region = None
    for _ in range(10):
        area = rng.uniform(area_fractions[0], area_fractions[1]) * height * width
        ratio = math.exp(rng.uniform(math.log(aspect_ratios[0]), math.log(aspect_ratios[1])))
        region_width, region_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < region_width <= width and 0 < region_height <= height:
            top = int(rng.integers(0, height - region_height, endpoint=True))
            left = int(rng.integers(0, width - region_width, endpoint=True))
            region = (top, left, region_height, region_width)
            break
    if region is None:
        region = _centered_region(height, width, aspect_ratios)
    return Crop(region, size, size, 0, 0, size, bool(rng.random() < flip_probability))


def _centered_region(height: int, width: int, aspect_ratios: Sequence[float]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest centered region whose width / height is within ``aspect_ratios``."""
    ratio = min(max(width / height, aspect_ratios[0]), aspect_ratios[1])
    region_height = max(1, min(height, round(width / ratio)))
    region_width = max(1, min(width, round(height * ratio)))
    return (height - region_height) // 2, (width - region_width) // 2, region_height, region_width


def uniform_crops(*, height: int, width: int, size: int, num_crops: int, short_side: int | None = None) -> list[Crop]:
    """Test crops along the longer side: both ends and the center for ``num_crops`` 3, the center for 1.

    Args:
        short_side: pixels that the frame's short side is scaled to first; default: ``size``.
    """
    scaled = scaled_size(height, width, short_side or size)
    if min(scaled) < size:
        raise ValueError(f"a crop of {size} pixels does not fit into a side of {min(scaled)} pixels.")
    top, left = (math.ceil((side - size) / 2) for side in scaled)
    corners = [(top, left)]
    if num_crops == 3 and scaled[0] > scaled[1]:
        corners = [(0, left), (top, left), (scaled[0] - size, left)]
    elif num_crops == 3:
        corners = [(top, 0), (top, left), (top, scaled[1] - size)]
    return [Crop((0, 0, height, width), *scaled, *corner, size) for corner in corners]


def center_crop(*, height: int, width: int, size: int, short_side: int | None = None) -> Crop:
    """The window in the middle of the frame after its short side was scaled to ``short_side`` (default ``size``)."""
    return uniform_crops(height=height, width=width, size=size, num_crops=1, short_side=short_side)[0]


def whole_frame(*, height: int, width: int, short_side: int, flip: bool = False) -> Crop:
    """All of a frame of height x width whose short side is scaled to ``short_side`` pixels."""
    return Crop((0, 0, height, width), *scaled_size(height, width, short_side), 0, 0, None, flip)
