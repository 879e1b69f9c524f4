"""From the features of the last stage to class logits and scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        window: side of the pooling window in feature-map pixels (training crop // 32), or None for the whole map.
            In time the window is always the pathway's whole length.
        activation: "softmax", "sigmoid" or "none"; used in eval mode only.
        detach: only the classifier learns.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        num_classes: int,
        window: int | None = 7,
        dropout: float = 0.5,
        activation: str = "softmax",
        detach: bool = False,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"MODEL.HEAD_ACT={activation!r} is not one of {', '.join(ACTIVATIONS)}.")
        self.window = window
        self.activation = activation
        self.detach = detach
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sum(in_channels), num_classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of every pathway, (B, C_p, T_p, H, W) -> (B, K)."""
        pooled = torch.cat([self._pool(x) for x in features], dim=1)  # (B, C, h, w)
        if self.detach:
            pooled = pooled.detach()
        logits = self.classifier(self.dropout(pooled.flatten(2).transpose(1, 2)))  # (B, h * w, K)
        return logits.mean(1) if self.training else activate(logits, self.activation).mean(1)

    def _pool(self, x: Tensor) -> Tensor:
        x = x.mean(2)  # over time
        if self.window is None:
            return x.mean((2, 3), keepdim=True)
        window = (min(self.window, x.shape[2]), min(self.window, x.shape[3]))
        return F.avg_pool2d(x, window, stride=1)
