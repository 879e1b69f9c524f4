"""Losses by name. A registered loss is a class; its instances take (logits, labels) and return the mean loss.

Its keyword arguments come from ``LOSS.ARGS``; one that takes ``class_weights`` gets those of ``LOSS.CLASS_WEIGHTS``.
Weights multiply the terms of a class, and the mean is still over clips: the loss of a batch is the mean over its parts,
however it is divided among processes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.utils.imports import import_extensions
from slowfast.utils.registry import Registry
from slowfast.utils.signature import check_kwargs
from slowfast.utils.untrusted import read_text

POWERS = {"inverse": 1.0, "inverse_sqrt": 0.5}  # of 1 / (videos of a class)


def class_weights(kind: str, *, labels: np.ndarray | None, num_classes: int) -> list[float]:
    """The weight of every class, (K,).

    Args:
        kind: "inverse" or "inverse_sqrt" of the number of a class's videos, or a file of K numbers, one per line. The
            first two are scaled so that the mean over the videos is 1: so the scale of the loss and the learning rate
            can stay the same.
        labels: of the training videos, int64 (N,), below 0 if there is none, or 0 and 1 (N, K); a file needs none.

    Raises:
        ValueError: a file that does not hold K finite numbers of at least 0.
    """
    if kind not in POWERS:
        return _from_file(kind, num_classes)
    assert labels is not None
    labels = np.asarray(labels)
    counts = labels.sum(0) if labels.ndim == 2 else np.bincount(labels[labels >= 0], minlength=num_classes)
    weights = np.maximum(counts, 1).astype(np.float64) ** -POWERS[kind]  # a class without videos never comes
    return (weights * counts.sum() / (weights * counts).sum()).tolist()


def _from_file(path: str, num_classes: int) -> list[float]:
    if not Path(path).is_file():
        choices = ", ".join(map(repr, POWERS))
        raise ValueError(f"LOSS.CLASS_WEIGHTS={path!r} is neither {choices} nor a file of numbers, one per line.")
    weights = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            weights.append(float(line))
        except ValueError:
            raise ValueError(f"{path}:{number}: expected one number, got {line!r}.") from None
        if not 0 <= weights[-1] < float("inf"):
            raise ValueError(f"{path}:{number}: the weight of a class must be finite and at least 0, got {line}.")
    if len(weights) != num_classes:
        raise ValueError(f"{path} holds {len(weights)} numbers, but MODEL.NUM_CLASSES is {num_classes}.")
    return weights


LOSS_REGISTRY = Registry("loss", key="MODEL.LOSS_FUNC")


def build_loss(cfg: CfgNode, *, labels: np.ndarray | None = None) -> nn.Module:
    """The loss of ``MODEL.LOSS_FUNC``.

    Args:
        labels: of the training videos, int64 (N,) or 0 and 1 (N, K); without them, weights that depend on class counts
            are not used.

    Raises:
        ValueError: an unknown name, arguments that the class does not take, a one-label loss for videos with several
            labels, or unusable class weights.
    """
    import_extensions(cfg.IMPORTS)
    loss_class = LOSS_REGISTRY.get(cfg.MODEL.LOSS_FUNC)
    _check_labels(cfg, loss_class)
    options = dict(cfg.LOSS.ARGS)
    check_kwargs(loss_class, options, "LOSS.ARGS")
    kind = cfg.LOSS.CLASS_WEIGHTS
    if kind and "class_weights" not in inspect.signature(loss_class).parameters:
        raise ValueError(f"LOSS.CLASS_WEIGHTS={kind!r}: the loss {cfg.MODEL.LOSS_FUNC} does not take class_weights.")
    if kind and (labels is not None or kind not in POWERS):
        options["class_weights"] = class_weights(kind, labels=labels, num_classes=cfg.MODEL.NUM_CLASSES)
    return loss_class(**options)


def _check_labels(cfg: CfgNode, loss_class: Any) -> None:
    """Raise unless the loss suits the labels. A user's own class need not say how many labels it expects."""
    if not getattr(loss_class, "one_label", False):
        return
    name = cfg.MODEL.LOSS_FUNC
    if cfg.DETECTION.ENABLE:
        raise ValueError(f"DETECTION.ENABLE with MODEL.LOSS_FUNC={name!r}: boxes have several labels. Set bce.")
    if cfg.DATA.MULTI_LABEL:
        raise ValueError(
            f"DATA.MULTI_LABEL with MODEL.LOSS_FUNC={name!r}: this loss needs one label per video. Set bce_logit."
        )


class WeightedLoss(nn.Module):
    """Base of the losses with class weights.

    Attributes:
        one_label: whether exactly one class is correct; such a loss refuses data with several labels.

    Args:
        class_weights: (K,), at least 0; None: equal weights.
    """

    one_label = False
    class_weights: Tensor | None

    def __init__(self, *, class_weights: Sequence[float] | None = None):
        super().__init__()
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def weights_for(self, logits: Tensor) -> Tensor | None:
        """The weights on the device and in the dtype of ``logits``; None: equal weights."""
        return None if self.class_weights is None else self.class_weights.to(logits)

    def weighted(self, terms: Tensor) -> Tensor:
        """The terms of decisions (B, K), each times the weight of its class."""
        weights = self.weights_for(terms)
        return terms if weights is None else terms * weights


def _widen(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Half-precision ``logits`` in float32, and class probabilities in the same type; class numbers stay."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits, labels.to(logits.dtype) if labels.is_floating_point() else labels


@LOSS_REGISTRY.register("cross_entropy")
class CrossEntropy(WeightedLoss):
    """Mean cross-entropy of softmax(logits); labels int64 (B,), or class probabilities float (B, K) as from mixup.

    Args:
        label_smoothing: share of the target spread over all classes, in [0, 1).
        class_weights: (K,); None: equal weights.
    """

    one_label = True

    def __init__(self, *, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None):
        super().__init__(class_weights=class_weights)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits, labels = _widen(logits, labels)
        weights = self.weights_for(logits)
        # Not torch's weighted mean, which divides by the weights of the clips that happen to be in the batch.
        options: dict[str, Any] = {} if weights is None else {"weight": weights, "reduction": "none"}
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, **options).mean()


@LOSS_REGISTRY.register("soft_cross_entropy")
class SoftCrossEntropy(CrossEntropy):
    """Mean cross-entropy against class weights float (B, K); int64 (B,) labels count as one-hot.

    Args:
        normalize_targets: divide each row of labels by its sum. PySlowFast does not.
        class_weights: (K,), the weight of each class; None: equal weights.
    """

    def __init__(self, *, normalize_targets: bool = False, class_weights: Sequence[float] | None = None):
        super().__init__(class_weights=class_weights)
        self.normalize_targets = normalize_targets

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim == 2 and self.normalize_targets:
            labels = labels / labels.sum(1, keepdim=True)
        return super().forward(logits, labels)


@LOSS_REGISTRY.register("bce_logit")
class BinaryCrossEntropy(WeightedLoss):
    """Mean binary cross-entropy of sigmoid(logits) over all B x K decisions.

    Labels are float (B, K), or int64 (B,), which count as one-hot.

    Args:
        class_weights: (K,), how much the decisions on each class count; None for all alike.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits, labels = _decisions(logits, labels)
        return F.binary_cross_entropy_with_logits(logits, labels, weight=self.weights_for(logits))


def _decisions(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """``logits`` at least in float32, and labels (B, K) in the same type."""
    if labels.ndim == 1:
        labels = F.one_hot(labels, logits.shape[1])
    logits, _ = _widen(logits, labels)
    return logits, labels.to(logits.dtype)


@LOSS_REGISTRY.register("softmax_focal")
class SoftmaxFocal(WeightedLoss):
    """Mean of -(1 - p)^gamma log p of the right class's softmax(logits): what is already learned counts less.

    The focal loss of Lin et al. (ICCV 2017, arXiv 1708.02002, eq. 4) for one label per clip. Labels are int64 (B,),
    or class probabilities float (B, K), over which the classes' terms are averaged.

    Args:
        gamma: 0 is the cross-entropy.
        class_weights: (K,), the paper's alpha; None: equal weights.
    """

    one_label = True

    def __init__(self, *, gamma: float = 2.0, class_weights: Sequence[float] | None = None):
        super().__init__(class_weights=class_weights)
        if gamma < 0:
            raise ValueError(f"gamma={gamma} must be at least 0.")
        self.gamma = gamma

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits, labels = _widen(logits, labels)
        log_p = logits.log_softmax(1)
        # Powers below 1 have no finite slope at 0, where a clip is learned to the last digit.
        terms = self.weighted(-((-torch.expm1(log_p)).clamp(min=1e-12) ** self.gamma) * log_p)
        if labels.ndim == 1:
            return terms.gather(1, labels[:, None]).mean()
        return (terms * labels).sum(1).mean()


@LOSS_REGISTRY.register("sigmoid_focal")
class SigmoidFocal(WeightedLoss):
    """Mean focal loss of sigmoid(logits) over all B x K decisions (Lin et al., ICCV 2017, equation 5).

    Labels are float (B, K), or int64 (B,), which count as one-hot.

    Args:
        gamma: 0 is binary cross-entropy, weighted by alpha.
        alpha: weight of the positives, in [0, 1]; 1 - alpha is that of the negatives. -1: both have weight 1.
        class_weights: (K,), how much the decisions on each class count; None for all alike.
    """

    def __init__(self, *, gamma: float = 2.0, alpha: float = 0.25, class_weights: Sequence[float] | None = None):
        super().__init__(class_weights=class_weights)
        if gamma < 0 or not (alpha == -1 or 0 <= alpha <= 1):
            raise ValueError(f"gamma={gamma} must be at least 0, and alpha={alpha} in [0, 1] or -1.")
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits, labels = _decisions(logits, labels)
        log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
        # (1 - p)^gamma as a power of e: torchvision's has a gradient of NaN where p is 1 and gamma below 1.
        if_true, if_not = -(self.gamma * log_not_p).exp() * log_p, -(self.gamma * log_p).exp() * log_not_p
        if self.alpha >= 0:
            if_true, if_not = self.alpha * if_true, (1 - self.alpha) * if_not
        return self.weighted(labels * if_true + (1 - labels) * if_not).mean()


# In train mode every head here gives logits, so PySlowFast's two names mean one loss.
LOSS_REGISTRY.register("bce")(BinaryCrossEntropy)
