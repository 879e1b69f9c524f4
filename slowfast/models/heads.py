"""From the features of the last stage to class logits and scores: of a clip, or of boxes in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from slowfast.models.checks import check_whole, shape_text
from slowfast.models.options import DetectionHeadOptions, HeadOptions
from slowfast.utils.suggest import check_choice

# fx.wrap: one node in a traced graph, for functions that look at shapes and types.


@fx.wrap
def activate(logits: Tensor, activation: str) -> Tensor:
    """Scores of ``logits`` (..., K), over the last dimension; half precision is widened to float32 first."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if activation == "softmax":
        return logits.softmax(-1)
    if activation == "sigmoid":
        return logits.sigmoid()
    return logits


def mean_over_windows(logits: Tensor, activation: str, average: str, training: bool) -> Tensor:
    """What a head gives for the logits (B, windows, K) of all windows: logits (B, K) to train, else scores (B, K)."""
    if training:
        return logits.mean(1)
    if average == "logits":
        return activate(logits.mean(1), activation)
    return activate(logits, activation).mean(1)


@fx.wrap
def window_means(x: Tensor, size: int | None) -> Tensor:
    """Means of (B, C, T, H, W) over all of time and every window of ``size`` pixels: (B, C, h, w).

    A smaller map is one window, and so is any map when ``size`` is None.
    """
    x = x.mean(2)
    if size is None:
        return x.mean((2, 3), keepdim=True)
    return F.avg_pool2d(x, (min(size, x.shape[2]), min(size, x.shape[3])), stride=1)


@fx.wrap
def match_windows(pooled: Sequence[Tensor]) -> Tensor:
    """Pathways (B, C_p, h, w) as one (B, C, h, w); a Fast pathway at half resolution has fewer windows, which are
    repeated."""
    first, *others = pooled
    others = [x if x.shape[2:] == first.shape[2:] else F.interpolate(x, size=first.shape[2:]) for x in others]
    return torch.cat([first, *others], dim=1)


class ClipHead(nn.Module):
    """Average pool, concatenate the pathways, dropout, linear.

    Train mode gives logits. Eval mode gives scores: the head runs fully convolutionally, i.e. a pooling window of the
    training size slides over a larger map, the activation is applied at every position and the scores averaged (or
    the logits before it, see ``HeadOptions.average``). Should a training map leave several windows (a crop that is no
    multiple of 32), their logits are averaged.

    Args:
        in_channels: channels of every pathway.
    """

    def __init__(self, in_channels: Sequence[int], options: HeadOptions):
        super().__init__()
        self.pool_size = options.pool_size
        self.average = options.average
        self.activation = options.activation
        self.detach = options.detach_features
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(sum(in_channels), options.num_classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of every pathway, (B, C_p, T_p, H, W) -> (B, K)."""
        pooled = match_windows([window_means(x, self.pool_size) for x in features])  # (B, C, h, w)
        if self.detach:
            pooled = pooled.detach()
        logits = self.classifier(self.dropout(pooled.flatten(2).transpose(1, 2)))  # (B, h * w, K)
        return mean_over_windows(logits, self.activation, self.average, self.training)


@fx.wrap
def check_boxes(boxes: Tensor | None) -> Tensor:
    """``boxes`` unchanged, if their shape is (R, 5)."""
    if not isinstance(boxes, Tensor) or boxes.ndim != 2 or boxes.shape[1] != 5:
        found = "none" if boxes is None else shape_text(boxes)
        raise ValueError(
            f"this is a detection model: call model(clip, boxes) with boxes (R, 5) = clip index, x1, y1, x2, y2 in "
            f"pixels; got {found}. For scores of whole clips set DETECTION.ENABLE False."
        )
    return boxes


@fx.wrap
def box_maxima(x: Tensor, boxes: Tensor, resolution: int, spatial_scale: float, aligned: bool) -> Tensor:
    """Largest value of every channel of (B, C, T, H, W), averaged over time, in every box: (R, C)."""
    from torchvision.ops import roi_align  # a second of imports that networks of whole clips do without

    x = x.mean(2)
    x = x.to(torch.promote_types(x.dtype, torch.float32))  # in half precision, boxes would be rounded to pixels
    sampled = roi_align(
        x.contiguous(),
        boxes.to(x.dtype),
        output_size=resolution,
        spatial_scale=spatial_scale,
        sampling_ratio=0,  # as many samples as a bin has pixels
        aligned=aligned,
    )
    return sampled.amax((2, 3))


class RoIHead(nn.Module):
    """Scores for the people in boxes (paper, section 4.2): RoIAlign on the mean over time, max pool, dropout, linear.

    A box on the key frame stands for the whole clip, which makes it a box in space and time. Train mode gives logits,
    eval mode scores.

    Args:
        in_channels: channels of every pathway.
        resolution: side of an aligned box, in samples.
        spatial_scale: feature-map pixels per pixel of the clip, the same for every pathway.
        aligned: half-pixel centers; the converted Caffe2 weights were trained without.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        options: HeadOptions,
        *,
        resolution: int = 7,
        spatial_scale: float = 1 / 16,
        aligned: bool = True,
    ):
        super().__init__()
        check_whole("resolution", resolution)
        self.resolution = resolution
        self.spatial_scale = spatial_scale
        self.aligned = aligned
        self.activation = options.activation
        self.detach = options.detach_features
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(sum(in_channels), options.num_classes)

    def forward(self, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Features of every pathway, (B, C_p, T_p, H, W), and boxes (R, 5) -> (R, K).

        Args:
            boxes: float, index of the clip in the batch, then x1 y1 x2 y2 in pixels of the clip.

        Raises:
            ValueError: boxes of another shape.
        """
        boxes = check_boxes(boxes)
        maxima = [box_maxima(x, boxes, self.resolution, self.spatial_scale, self.aligned) for x in features]
        pooled = torch.cat(maxima, dim=1)  # (R, C)
        if self.detach:
            pooled = pooled.detach()
        logits = self.classifier(self.dropout(pooled))
        return logits if self.training else activate(logits, self.activation)


def make_head(in_channels: Sequence[int], options: DetectionHeadOptions) -> ClipHead | RoIHead:
    """The head for whole clips, or the one for boxes if ``options.roi_head`` holds its arguments."""
    if options.roi_head is None:
        return ClipHead(in_channels, options)
    for name in options.roi_head:
        check_choice("an argument of roi_head", name, ("resolution", "spatial_scale", "aligned"))
    return RoIHead(in_channels, options, **options.roi_head)
