"""The whole frame as a view: scaled, maybe mirrored, nothing cut off. What detection is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from slowfast.datasets.geometry import resize
from slowfast.datasets.sampling import scaled_size


@dataclass(frozen=True)
class WholeFrame:
    """A scaled frame, for pixels and boxes alike, as ``geometry.Crop`` is for a window.

    Attributes:
        height, width: of the frame, pixels.
        scaled_height, scaled_width: after scaling.
        flip: whether it is mirrored left to right.
    """

    height: int
    width: int
    scaled_height: int
    scaled_width: int
    flip: bool = False

    @property
    def region(self) -> tuple[int, int, int, int]:
        """(top, left, height, width) of what is scaled, as ``Crop.region``: all of the frame."""
        return (0, 0, self.height, self.width)

    def apply_to_frames(self, frames: Tensor) -> Tensor:
        """(T, C, height, width) to (T, C, scaled_height, scaled_width), same dtype. May be a view of ``frames``."""
        frames = resize(frames, self.scaled_height, self.scaled_width)
        return frames.flip(-1) if self.flip else frames

    def apply_to_boxes(self, boxes: Tensor) -> Tensor:
        """Boxes (R, 4), x1 y1 x2 y2 in pixels of the frame, in pixels of the scaled frame; clipped to it."""
        scale = boxes.new_tensor([self.scaled_width / self.width, self.scaled_height / self.height]).repeat(2)
        x1, y1, x2, y2 = (boxes * scale).unbind(-1)
        if self.flip:
            x1, x2 = self.scaled_width - x2, self.scaled_width - x1
        corners = [x1.clamp(0, self.scaled_width), y1.clamp(0, self.scaled_height)]
        corners += [x2.clamp(0, self.scaled_width), y2.clamp(0, self.scaled_height)]
        return torch.stack(corners, dim=-1)


def whole_frame(*, height: int, width: int, short_side: int, flip: bool = False) -> WholeFrame:
    """A frame of height x width whose short side is scaled to ``short_side`` pixels."""
    return WholeFrame(height, width, *scaled_size(height, width, short_side), flip)
