"""Losses by name. A registered loss is a class; its instances take (logits, labels) and give the mean loss.

Its keyword arguments come from ``LOSS.ARGS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.utils.imports import import_extensions
from slowfast.utils.registry import Registry
from slowfast.utils.signature import check_kwargs

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

LOSS_REGISTRY = Registry("loss", key="MODEL.LOSS_FUNC")


def build_loss(cfg: CfgNode) -> nn.Module:
    """The loss of ``MODEL.LOSS_FUNC``."""
    import_extensions(cfg.IMPORTS)
    loss_class = LOSS_REGISTRY.get(cfg.MODEL.LOSS_FUNC)
    options = dict(cfg.LOSS.ARGS)
    check_kwargs(loss_class, options, "LOSS.ARGS")
    return loss_class(**options)


def _widen(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Half-precision ``logits`` in float32, and class probabilities in the same type; class numbers stay."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits, labels.to(logits.dtype) if labels.is_floating_point() else labels


@LOSS_REGISTRY.register("cross_entropy")
class CrossEntropy(nn.Module):
    """Mean cross-entropy of softmax(logits); labels int64 (B,), or class probabilities float (B, K) as from mixup.

    Args:
        label_smoothing: share of the target spread over all classes, in [0, 1).
    """

    def __init__(self, *, label_smoothing: float = 0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(*_widen(logits, labels), label_smoothing=self.label_smoothing)


@LOSS_REGISTRY.register("soft_cross_entropy")
class SoftCrossEntropy(nn.Module):
    """Mean cross-entropy against class weights float (B, K), scaled to sum to one; int64 (B,) labels count as one-hot.

    Args:
        normalize_targets: divide each row of labels by its sum (PySlowFast's default).
    """

    def __init__(self, *, normalize_targets: bool = True):
        super().__init__()
        self.normalize_targets = normalize_targets

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim == 2 and self.normalize_targets:
            labels = labels / labels.sum(1, keepdim=True)
        return F.cross_entropy(*_widen(logits, labels))


@LOSS_REGISTRY.register("bce_logit")
class BinaryCrossEntropy(nn.Module):
    """Mean binary cross-entropy of sigmoid(logits) over all B x K decisions.

    Labels are float (B, K), or int64 (B,), which count as one-hot.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim == 1:
            labels = F.one_hot(labels, logits.shape[1])
        logits, _ = _widen(logits, labels)
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


# In train mode every head here gives logits, so PySlowFast's two names mean one loss.
LOSS_REGISTRY.register("bce")(BinaryCrossEntropy)
