"""The test that a config describes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from slowfast.datasets import build_dataset, build_loader
from slowfast.engine.build import build_device, build_preprocessor, place_model, weights_for_test
from slowfast.engine.build_detection import build_detection_evaluator, protocol_of, write_detection_results
from slowfast.engine.checkpoint import load_for_test
from slowfast.engine.precision import autocast_dtype
from slowfast.engine.results import write_pyslowfast_results, write_results
from slowfast.engine.tester import Tester, TestResult
from slowfast.evaluation import build_ensemble, build_evaluator, evaluator_name
from slowfast.models import build_model
from slowfast.models.folding import fold_batch_norms
from slowfast.utils import distributed
from slowfast.utils.environment import versions
from slowfast.utils.logging import format_figures, format_seconds

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

logger = logging.getLogger(__name__)


def build_tester(cfg: CfgNode, *, model: nn.Module | None = None, num_clips: int | None = None) -> Tester:
    """A ``Tester`` of ``model``, or of the weights that the config names.

    Args:
        num_clips: clips a video; default TEST.NUM_ENSEMBLE_VIEWS.
    """
    device = build_device(cfg)
    dataset = build_dataset(cfg, "test", num_clips=num_clips)
    model = _model_to_test(cfg, model, dataset, device)
    return Tester(
        model=model,
        loader=build_loader(cfg, "test", dataset=dataset),
        labels=np.asarray(dataset.labels),
        ensemble=build_ensemble(cfg, num_videos=dataset.num_videos, num_views=dataset.num_views),
        evaluator=build_evaluator(cfg),
        preprocess=build_preprocessor(cfg, device, dataset),
        views_per_forward=max(1, cfg.TEST.BATCH_SIZE // max(1, cfg.NUM_GPUS)),
        amp_dtype=_test_dtype(cfg, device),
    )


def _model_to_test(cfg: CfgNode, model: nn.Module | None, dataset, device: torch.device) -> nn.Module:
    """``model``, or else the one whose weights the config names, ready on ``device``."""
    if model is None:
        model = build_model(cfg)
        content = load_for_test(model, weights_for_test(cfg))
        if dataset.class_names is None and content.get("class_names"):
            dataset.class_names = content["class_names"]
    return place_model(cfg, fold_batch_norms(model) if cfg.TEST.FOLD_BN else model, device)


def _test_dtype(cfg: CfgNode, device: torch.device) -> torch.dtype | None:
    return autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TEST.MIXED_PRECISION else None


def run_detection_test(cfg: CfgNode, *, model: nn.Module | None = None) -> dict[str, float]:
    """Test the detection model of the config on all key frames and write the results; ``{"mAP": percent}``."""
    device = build_device(cfg)
    dataset = build_dataset(cfg, "test")
    weights = weights_for_test(cfg) if model is None else "a model that was given"
    model = _model_to_test(cfg, model, dataset, device)
    preprocess = build_preprocessor(cfg, device, dataset)
    evaluator = build_detection_evaluator(cfg, "test", dataset, preprocess, _test_dtype(cfg, device))
    result = evaluator.run(model)
    if distributed.is_main():
        details = {"protocol": protocol_of(cfg), "weights": weights, **_details(cfg)}
        write_detection_results(cfg.OUTPUT_DIR, result, details=details)
    distributed.barrier()
    return result.figures


def _details(cfg: CfgNode) -> dict[str, Any]:
    """What every results.json says of how it came about."""
    return {"versions": versions(), "config": cfg.dump()}


def test(cfg: CfgNode) -> dict[str, float]:
    """Test as the config says, once for each entry of TEST.NUM_TEMPORAL_CLIPS; the figures of the last."""
    if cfg.DETECTION.ENABLE:
        return run_detection_test(cfg)
    counts = list(cfg.TEST.NUM_TEMPORAL_CLIPS) or [cfg.TEST.NUM_ENSEMBLE_VIEWS]
    figures: dict[str, float] = {}
    for num_clips in counts:
        tester = build_tester(cfg, num_clips=num_clips)
        result = tester.test()
        figures = result.figures
        if distributed.is_main():
            folder = Path(cfg.OUTPUT_DIR) / (f"views_{num_clips}" if len(counts) > 1 else "")
            _report(cfg, result, tester, folder, num_clips)
        distributed.barrier()
    return figures


def _report(cfg: CfgNode, result: TestResult, tester: Tester, folder: Path, num_clips: int) -> None:
    dataset = tester.loader.dataset
    num_clips = getattr(dataset, "num_clips", num_clips)  # DATA.ARGS may say else than TEST
    num_crops = getattr(dataset, "num_crops", cfg.TEST.NUM_SPATIAL_CROPS)
    views = f"{num_clips} clips x {num_crops} crops, {cfg.DATA.ENSEMBLE_METHOD} of the scores"
    protocol = f"{views}, {evaluator_name(cfg)}"
    write_results(
        folder,
        result,
        paths=dataset.paths,
        class_names=dataset.class_names,
        details={
            "protocol": protocol,
            "evaluator": evaluator_name(cfg),
            "weights": weights_for_test(cfg),
            **_details(cfg),
        },
    )
    if cfg.TEST.SAVE_RESULTS_PATH:
        write_pyslowfast_results(Path(cfg.OUTPUT_DIR) / cfg.TEST.SAVE_RESULTS_PATH, result)
    text = format_figures(result.figures)
    failed = f", {len(result.failures)} not decodable" if result.failures else ""
    logger.info(
        "test (%s): %s  (%d videos%s, %s)", protocol, text, len(result.labels), failed, format_seconds(result.seconds)
    )
