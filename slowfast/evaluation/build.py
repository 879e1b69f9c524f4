"""Evaluators by name. An evaluator takes the scores (N, K) and labels of all videos and returns named figures.

A registered evaluator is a class; its instances are called as ``evaluator(scores, labels)`` and return
``{name: value}``; ``primary`` names the figure by which models are ranked, and ``multi_label``, where present, says
whether a video has several labels.
"""

from __future__ import annotations

import numpy as np
from fvcore.common.config import CfgNode

from slowfast.evaluation.ensemble import ViewEnsemble
from slowfast.evaluation.metrics import mean_average_precision, topk_accuracy, ungrouped_average_precision
from slowfast.utils.imports import import_extensions
from slowfast.utils.registry import Registry

EVALUATOR_REGISTRY = Registry("evaluator", key="TEST.EVALUATOR")


@EVALUATOR_REGISTRY.register("topk")
class TopK:
    """Top-1 and top-5 accuracy in percent for integer labels (N,); no top-5 of less than five classes."""

    primary = "top1"
    multi_label = False

    def __call__(self, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return {f"top{k}": topk_accuracy(scores, labels, k) for k in (1, 5) if k == 1 or k <= scores.shape[1]}


@EVALUATOR_REGISTRY.register("multilabel_map")
class MultiLabelMeanAveragePrecision:
    """Mean average precision in percent for labels (N, K) of 0 and 1.

    Ties are grouped, and classes without a positive are skipped. A video without scores (NaN) ranks last in every
    class.
    """

    primary = "mAP"
    multi_label = True

    def __call__(self, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        mean, per_class = mean_average_precision(np.nan_to_num(scores, nan=-np.inf), labels)
        return {"mAP": 100.0 * mean, "num_classes_scored": int((~np.isnan(per_class)).sum())}


@EVALUATOR_REGISTRY.register("charades_map")
class CharadesMeanAveragePrecision:
    """The official Charades figures, in percent, for labels (N, K) of 0 and 1.

    Average precision does not group ties (``ungrouped_average_precision``). A video without any label ranks last in
    every class, as does one without scores (NaN). ``mAP`` is the plain mean over the classes that have a positive, all
    of them in the official test set, ``wAP`` weights classes by their positives.
    """

    primary = "mAP"
    multi_label = True

    def __call__(self, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        labels = np.asarray(labels).astype(bool)
        scores = np.where(labels.any(1, keepdims=True), np.nan_to_num(scores, nan=-np.inf), -np.inf)
        pairs = zip(scores.T, labels.T, strict=True)
        per_class = np.array([ungrouped_average_precision(*pair) for pair in pairs])
        kept = ~np.isnan(per_class)
        if not kept.any():
            return {"mAP": float("nan"), "wAP": float("nan"), "num_classes_scored": 0}
        weights = labels.sum(0)[kept]
        return {
            "mAP": 100.0 * float(per_class[kept].mean()),
            "wAP": 100.0 * float(np.average(per_class[kept], weights=weights)),
            "num_classes_scored": int(kept.sum()),
        }


def build_evaluator(cfg: CfgNode):
    """The evaluator of TEST.EVALUATOR; by default mean average precision for DATA.MULTI_LABEL, else top-k accuracy.

    Raises:
        ValueError: an unknown name, or an evaluator of other labels than the videos have.
    """
    import_extensions(cfg.IMPORTS)
    name = evaluator_name(cfg)
    evaluator_class = EVALUATOR_REGISTRY.get(name)
    wants_several = getattr(evaluator_class, "multi_label", cfg.DATA.MULTI_LABEL)
    if wants_several != cfg.DATA.MULTI_LABEL:
        raise ValueError(
            f"TEST.EVALUATOR={name!r} with DATA.MULTI_LABEL={cfg.DATA.MULTI_LABEL}: it is for videos "
            f"with {'several labels' if wants_several else 'one label'}. Change one, or leave TEST.EVALUATOR empty."
        )
    return evaluator_class()


def evaluator_name(cfg: CfgNode) -> str:
    """TEST.EVALUATOR, or the default instead; appears in the protocol of a report."""
    return cfg.TEST.EVALUATOR or ("multilabel_map" if cfg.DATA.MULTI_LABEL else "topk")


def build_ensemble(cfg: CfgNode, *, num_videos: int, num_views: int) -> ViewEnsemble:
    """A ``ViewEnsemble`` by ``DATA.ENSEMBLE_METHOD``."""
    return ViewEnsemble(
        num_videos=num_videos,
        num_views=num_views,
        num_classes=cfg.MODEL.NUM_CLASSES,
        method=cfg.DATA.ENSEMBLE_METHOD,
    )
