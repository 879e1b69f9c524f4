"""Trainer and tester of a config: the one place that knows every part."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from slowfast.datasets import build_augment, build_dataset, build_loader
from slowfast.engine.checkpoint import (
    CheckpointError,
    find_checkpoints,
    load_for_finetuning,
    load_for_test,
    load_weights,
    read_checkpoint,
)
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.engine.precision import autocast_dtype
from slowfast.engine.results import write_pyslowfast_results, write_results
from slowfast.engine.tester import ClipEvaluator, Tester, TestResult
from slowfast.engine.trainer import Trainer
from slowfast.evaluation import build_ensemble, build_evaluator
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.models.folding import fold_batch_norms
from slowfast.solver import build_optimizer, build_schedule
from slowfast.utils import distributed
from slowfast.utils.environment import versions
from slowfast.utils.logging import MetricWriter, format_seconds

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

logger = logging.getLogger(__name__)


def refuse_unbuilt(cfg: CfgNode) -> None:
    """Return when the config asks for nothing whose absence would make a result wrong.

    Raises:
        ValueError: it asks for detection, or for training with a multigrid schedule.
    """
    if cfg.DETECTION.ENABLE:
        raise ValueError("DETECTION.ENABLE True: detection on AVA is not built yet.")
    if cfg.TRAIN.ENABLE and (cfg.MULTIGRID.LONG_CYCLE or cfg.MULTIGRID.SHORT_CYCLE):
        raise ValueError(
            "MULTIGRID: multigrid training is not built yet. Set MULTIGRID.LONG_CYCLE and MULTIGRID.SHORT_CYCLE False "
            "to train with the plain schedule, or TRAIN.ENABLE False to test weights."
        )


def build_device(cfg: CfgNode) -> torch.device:
    """The CPU for NUM_GPUS 0, else this process's GPU."""
    if cfg.NUM_GPUS == 0:
        return torch.device("cpu")
    device = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(device)
    return device


def build_preprocessor(cfg: CfgNode, device: torch.device) -> ClipPreprocessor:
    """From frames to clips by the config's DATA keys."""
    return ClipPreprocessor(
        device=device,
        mean=tuple(cfg.DATA.MEAN),
        std=tuple(cfg.DATA.STD),
        reverse_channels=cfg.DATA.REVERSE_INPUT_CHANNEL,
        channels_last=cfg.MODEL.CHANNELS_LAST,
    )


def place_model(cfg: CfgNode, model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` on ``device``, in the memory format of the config, compiled if it says so."""
    memory_format = torch.channels_last_3d if cfg.MODEL.CHANNELS_LAST else torch.contiguous_format
    model = model.to(device, memory_format=memory_format)
    if cfg.MODEL.COMPILE:
        model.compile()  # in place: the names of the state dict stay
    return model


def build_trainer(cfg: CfgNode) -> Trainer:
    """A ``Trainer``, resumed from the newest readable checkpoint of OUTPUT_DIR if TRAIN.AUTO_RESUME says so."""
    refuse_unbuilt(cfg)
    device = build_device(cfg)
    dataset = build_dataset(cfg, "train")
    train_loader = build_loader(cfg, "train", dataset=dataset)
    model = build_model(cfg)
    if cfg.LOG_MODEL_INFO:
        _log_model(cfg, model)
    model = place_model(cfg, model, device)
    state = _initial_state(cfg, model)
    preprocess = build_preprocessor(cfg, device)
    amp_dtype = autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TRAIN.MIXED_PRECISION else None
    trainer = Trainer(
        model=model,
        loss_fn=build_loss(cfg),
        optimizer=build_optimizer(cfg, model),
        schedule=build_schedule(cfg),
        train_loader=train_loader,
        preprocess=preprocess,
        num_epochs=cfg.SOLVER.MAX_EPOCH,
        augment=build_augment(cfg),
        evaluate=_build_clip_evaluator(cfg, preprocess, amp_dtype),
        eval_period=cfg.TRAIN.EVAL_PERIOD,
        checkpoint_period=cfg.TRAIN.CHECKPOINT_PERIOD,
        output_dir=cfg.OUTPUT_DIR,
        writer=build_writer(cfg),
        log_period=cfg.LOG_PERIOD,
        amp_dtype=amp_dtype,
        clip_grad_value=cfg.SOLVER.CLIP_GRAD_VAL,
        clip_grad_norm=cfg.SOLVER.CLIP_GRAD_L2NORM,
        precise_bn_batches=cfg.BN.NUM_BATCHES_PRECISE if cfg.BN.USE_PRECISE_STATS else 0,
        freeze_bn=cfg.MODEL.FROZEN_BN,
        max_bad_videos=cfg.DATA.MAX_BAD_VIDEOS,
        checkpoint_extra={"cfg": cfg.dump(), "class_names": dataset.class_names, "versions": versions()},
    )
    if trainer.steps_per_epoch == 0:
        raise ValueError(
            f"{dataset.num_videos} training videos do not fill one batch of TRAIN.BATCH_SIZE={cfg.TRAIN.BATCH_SIZE}. "
            f"Set TRAIN.BATCH_SIZE to {dataset.num_videos} or less."
        )
    if state is not None:
        trainer.resume(state)
    logger.info(
        "training on %d videos in batches of %d (%d processes), %d steps an epoch, from epoch %d to %d",
        dataset.num_videos,
        train_loader.batch_sampler.batch_size * distributed.world_size(),
        distributed.world_size(),
        trainer.steps_per_epoch,
        trainer.epoch + 1,
        trainer.num_epochs,
    )
    return trainer


def _log_model(cfg: CfgNode, model: nn.Module) -> None:
    """One line on what the model costs. A model that does not run on the meta device costs a warning, not the run."""
    crop = cfg.DATA.TRAIN_CROP_SIZE
    try:
        cost = measure(model, (max(cfg.DATA.INPUT_CHANNEL_NUM), cfg.DATA.NUM_FRAMES, crop, crop))
    except Exception as error:  # any: the model may be anybody's
        logger.warning("the cost of %s cannot be measured on the meta device: %s", cfg.MODEL.MODEL_NAME, error)
        return
    logger.info(
        "%s: %s parameters, %.2f GFLOPs and %.2f GiB of activations a clip of %d frames at %d pixels",
        cfg.MODEL.MODEL_NAME,
        f"{cost.num_parameters:,}",
        cost.conv_macs / 1e9,
        cost.activation_bytes / 2**30,
        cfg.DATA.NUM_FRAMES,
        crop,
    )


def _initial_state(cfg: CfgNode, model: nn.Module) -> dict[str, Any] | None:
    """Load weights into ``model``; the state to resume from, or None for a fresh start."""
    if cfg.TRAIN.AUTO_RESUME:
        for path in find_checkpoints(cfg.OUTPUT_DIR):
            try:
                state = read_checkpoint(path)
            except CheckpointError as error:
                logger.warning("%s Trying the one before.", error)
                continue
            report = load_weights(model, state["model_state"])
            if not report.is_complete:
                raise CheckpointError(
                    f"{path} is of another model than the config's: {report}. Choose another OUTPUT_DIR, or set "
                    "TRAIN.AUTO_RESUME False to begin anew (existing files will be overwritten)."
                )
            if "optimizer_state" not in state or "versions" not in state:
                raise CheckpointError(
                    f"{path} was not written by this framework, so its training cannot be continued, but its weights "
                    "can be used: choose another OUTPUT_DIR and set TRAIN.CHECKPOINT_FILE_PATH to the file."
                )
            logger.info("resuming from %s (%s)", path, report)
            return state
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
        state = load_for_finetuning(model, cfg.TRAIN.CHECKPOINT_FILE_PATH, clear_patterns=patterns)
        state.clear()
    return None


def build_writer(cfg: CfgNode) -> MetricWriter:
    """metrics.jsonl in OUTPUT_DIR, and TensorBoard if TENSORBOARD.ENABLE."""
    folder = None
    if cfg.TENSORBOARD.ENABLE:
        folder = Path(cfg.OUTPUT_DIR) / (cfg.TENSORBOARD.LOG_DIR or "tensorboard")
    return MetricWriter(cfg.OUTPUT_DIR, tensorboard_dir=folder)


def _build_clip_evaluator(cfg: CfgNode, preprocess: ClipPreprocessor, amp_dtype: torch.dtype | None):
    """Validation during training, or None when TRAIN.EVAL_PERIOD asks for none."""
    if cfg.TRAIN.EVAL_PERIOD <= 0:
        return None
    dataset = build_dataset(cfg, "val")
    return ClipEvaluator(
        loader=build_loader(cfg, "val", dataset=dataset),
        labels=np.asarray(dataset.labels),
        make_ensemble=partial(build_ensemble, cfg, num_videos=dataset.num_videos, num_views=1),
        evaluator=build_evaluator(cfg),
        preprocess=preprocess,
        amp_dtype=amp_dtype,
    )


def train(cfg: CfgNode) -> dict[str, float]:
    """Train as the config says; the figures of the last validation."""
    trainer = build_trainer(cfg)
    evaluate = trainer.evaluate
    if evaluate is not None:

        def evaluate_and_write(model: nn.Module) -> dict[str, float]:
            figures = evaluate(model)
            step = trainer.epoch * trainer.steps_per_epoch
            trainer.writer.write(step, {"epoch": trainer.epoch, **{f"val/clip_{k}": v for k, v in figures.items()}})
            return figures

        trainer.evaluate = evaluate_and_write
    try:
        return trainer.train()
    finally:
        trainer.writer.close()


def weights_for_test(cfg: CfgNode) -> str:
    """The file to test: TEST.CHECKPOINT_FILE_PATH, else the newest of OUTPUT_DIR, else TRAIN.CHECKPOINT_FILE_PATH.

    Raises:
        CheckpointError: there is none.
    """
    if cfg.TEST.CHECKPOINT_FILE_PATH:
        return cfg.TEST.CHECKPOINT_FILE_PATH
    found = find_checkpoints(cfg.OUTPUT_DIR)
    if found:
        return str(found[0])
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        return cfg.TRAIN.CHECKPOINT_FILE_PATH
    raise CheckpointError(
        f"no weights to test: {Path(cfg.OUTPUT_DIR) / 'checkpoints'} holds none. "
        "Name a file with TEST.CHECKPOINT_FILE_PATH, or train first (TRAIN.ENABLE True)."
    )


def build_tester(cfg: CfgNode, *, model: nn.Module | None = None, num_clips: int | None = None) -> Tester:
    """A ``Tester`` of ``model``, or of the weights that the config names.

    Args:
        num_clips: clips a video; default TEST.NUM_ENSEMBLE_VIEWS.
    """
    refuse_unbuilt(cfg)
    device = build_device(cfg)
    dataset = build_dataset(cfg, "test", num_clips=num_clips)
    if model is None:
        model = build_model(cfg)
        content = load_for_test(model, weights_for_test(cfg))
        if dataset.class_names is None and content.get("class_names"):
            dataset.class_names = content["class_names"]
    model = place_model(cfg, fold_batch_norms(model) if cfg.TEST.FOLD_BN else model, device)
    return Tester(
        model=model,
        loader=build_loader(cfg, "test", dataset=dataset),
        labels=np.asarray(dataset.labels),
        ensemble=build_ensemble(cfg, num_videos=dataset.num_videos, num_views=dataset.num_views),
        evaluator=build_evaluator(cfg),
        preprocess=build_preprocessor(cfg, device),
        views_per_forward=max(1, cfg.TEST.BATCH_SIZE // max(1, cfg.NUM_GPUS)),
        amp_dtype=autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TEST.MIXED_PRECISION else None,
    )


def test(cfg: CfgNode) -> dict[str, float]:
    """Test as the config says, once for each entry of TEST.NUM_TEMPORAL_CLIPS; the figures of the last."""
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
    protocol = f"{num_clips} clips x {cfg.TEST.NUM_SPATIAL_CROPS} crops, {cfg.DATA.ENSEMBLE_METHOD} of the scores"
    dataset = tester.loader.dataset
    write_results(
        folder,
        result,
        paths=dataset.paths,
        class_names=dataset.class_names,
        details={
            "protocol": protocol,
            "weights": weights_for_test(cfg),
            "versions": versions(),
            "config": cfg.dump(),
        },
    )
    if cfg.TEST.SAVE_RESULTS_PATH:
        write_pyslowfast_results(Path(cfg.OUTPUT_DIR) / cfg.TEST.SAVE_RESULTS_PATH, result)
    text = "  ".join(f"{name} {value:.2f}" for name, value in result.figures.items())
    failed = f", {len(result.failures)} not decodable" if result.failures else ""
    logger.info(
        "test (%s): %s  (%d videos%s, %s)", protocol, text, len(result.labels), failed, format_seconds(result.seconds)
    )
