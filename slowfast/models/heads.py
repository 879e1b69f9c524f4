"""From the features of the last stage to class logits and scores: of a clip, or of boxes in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

ACTIVATIONS = ("softmax", "sigmoid", "none")


def activate(logits: Tensor, activation: str) -> Tensor:
    """Scores of ``logits`` (..., K), over the last dimension; half precision is widened to float32 first."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if activation == "softmax":
        return logits.softmax(-1)
    if activation == "sigmoid":
        return logits.sigmoid()
    return logits


class ClipHead(nn.Module):
    """Average pool, concatenate the pathways, dropout, linear.

    Train mode gives logits. Eval mode gives scores: the head runs fully convolutionally, i.e. a pooling window of the
    training size slides over a larger map, the activation is applied at every position and the scores averaged.
    Should a training map leave several windows (a crop that is no multiple of 32), their logits are averaged.

    Args:
        in_channels: channels of every pathway.
        pool_size: side of the pooling window in feature-map pixels (training crop // 32), or None for the whole map.
            In time the window is always the pathway's whole length.
        activation: "softmax", "sigmoid" or "none"; used in eval mode only.
        detach: only the classifier learns.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        num_classes: int,
        pool_size: int | None = 7,
        dropout: float = 0.5,
        activation: str = "softmax",
        detach: bool = False,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"MODEL.HEAD_ACT={activation!r} is not one of {', '.join(ACTIVATIONS)}.")
        self.pool_size = pool_size
        self.activation = activation
        self.detach = detach
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sum(in_channels), num_classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of every pathway, (B, C_p, T_p, H, W) -> (B, K)."""
        first, *others = [self._pool(x) for x in features]
        # A Fast pathway at half resolution has fewer windows; they are repeated.
        others = [x if x.shape[2:] == first.shape[2:] else F.interpolate(x, size=first.shape[2:]) for x in others]
        pooled = torch.cat([first, *others], dim=1)  # (B, C, h, w)
        if self.detach:
            pooled = pooled.detach()
        logits = self.classifier(self.dropout(pooled.flatten(2).transpose(1, 2)))  # (B, h * w, K)
        return logits.mean(1) if self.training else activate(logits, self.activation).mean(1)

    def _pool(self, x: Tensor) -> Tensor:
        x = x.mean(2)  # over time
        if self.pool_size is None:
            return x.mean((2, 3), keepdim=True)
        window = (min(self.pool_size, x.shape[2]), min(self.pool_size, x.shape[3]))
        return F.avg_pool2d(x, window, stride=1)


class RoIHead(nn.Module):
    """Scores of the people in boxes (paper, section 4.2): RoIAlign on the mean over time, max pool, dropout, linear.

    A box on the key frame stands for the whole clip, which makes it a box in space and time. Train mode gives logits,
    eval mode scores.

    Args:
        in_channels: channels of every pathway.
        resolution: side of an aligned box, in samples.
        spatial_scale: feature-map pixels per pixel of the clip, for every pathway alike.
        aligned: half-pixel centres; the converted Caffe2 weights were trained without.
        dropout, activation, detach: as for ``ClipHead``.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        num_classes: int,
        resolution: int = 7,
        spatial_scale: float = 1 / 16,
        aligned: bool = True,
        dropout: float = 0.5,
        activation: str = "sigmoid",
        detach: bool = False,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"MODEL.HEAD_ACT={activation!r} is not one of {', '.join(ACTIVATIONS)}.")
        self.resolution = resolution
        self.spatial_scale = spatial_scale
        self.aligned = aligned
        self.activation = activation
        self.detach = detach
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sum(in_channels), num_classes)

    def forward(self, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Features of every pathway, (B, C_p, T_p, H, W), and boxes (R, 5) -> (R, K).

        Args:
            boxes: float, place of the clip in the batch, then x1 y1 x2 y2 in pixels of the clip.

        Raises:
            ValueError: boxes of another shape.
        """
        if boxes is None or boxes.ndim != 2 or boxes.shape[1] != 5:
            found = "none" if boxes is None else tuple(boxes.shape)
            raise ValueError(
                f"this model scores boxes: model(clip, boxes) with boxes (R, 5) = clip index, x1, y1, x2, y2 in "
                f"pixels; got {found}. For scores of whole clips set DETECTION.ENABLE False."
            )
        pooled = torch.cat([self._pool(x, boxes) for x in features], dim=1)  # (R, C)
        if self.detach:
            pooled = pooled.detach()
        logits = self.classifier(self.dropout(pooled))
        return logits if self.training else activate(logits, self.activation)

    def _pool(self, x: Tensor, boxes: Tensor) -> Tensor:
        x = x.mean(2)  # over time
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # in half precision, boxes would be rounded to pixels
        aligned = roi_align(
            x.contiguous(),
            boxes.to(x.dtype),
            output_size=self.resolution,
            spatial_scale=self.spatial_scale,
            sampling_ratio=0,  # as many samples as a bin has pixels
            aligned=self.aligned,
        )
        return aligned.amax((2, 3))


def make_head(*, pool_size: int | None, roi: dict | None, **common) -> ClipHead | RoIHead:
    """The head for whole clips, or the one for boxes if ``roi`` holds its own arguments; ``common`` are of either."""
    return ClipHead(pool_size=pool_size, **common) if roi is None else RoIHead(**roi, **common)
