"""The trainer that a config describes."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from slowfast.datasets import build_augment, build_dataset, build_loader
from slowfast.engine.build import build_device, build_preprocessor, place_model
from slowfast.engine.build_detection import build_detection_evaluator
from slowfast.engine.checkpoint import find_checkpoints, load_for_finetuning, training_differences
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.engine.multigrid import BatchShapes, check_batches, describe_plan, describe_stage, warn_of_statistics
from slowfast.engine.precision import autocast_dtype
from slowfast.engine.tester import ClipEvaluator
from slowfast.engine.trainer import Trainer
from slowfast.evaluation import build_ensemble, build_evaluator
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.models.weights.load import CheckpointError, load_weights, read_checkpoint
from slowfast.solver import ShapeSchedule, build_optimizer, build_schedule, evaluation_epochs
from slowfast.utils.environment import versions
from slowfast.utils.logging import MetricWriter

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

logger = logging.getLogger(__name__)


def build_trainer(cfg: CfgNode) -> Trainer:
    """A ``Trainer``, resumed from the newest readable checkpoint of OUTPUT_DIR if TRAIN.AUTO_RESUME says so."""
    device = build_device(cfg)
    dataset = build_dataset(cfg, "train")
    shapes = ShapeSchedule.from_config(cfg)
    train_loader = build_loader(
        cfg, "train", dataset=dataset, shapes=BatchShapes(shapes, sampling_rate=cfg.DATA.SAMPLING_RATE)
    )
    check_batches(shapes, train_loader.batch_sampler, batch_size=cfg.TRAIN.BATCH_SIZE)
    model = build_model(cfg)
    if cfg.LOG_MODEL_INFO:
        _log_model(cfg, model)
    model = place_model(cfg, model, device)
    state = _initial_state(cfg, model)
    preprocess = build_preprocessor(cfg, device, dataset)
    amp_dtype = autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TRAIN.MIXED_PRECISION else None
    trainer = Trainer(
        model=model,
        loss_fn=build_loss(cfg),
        optimizer=build_optimizer(cfg, model),
        schedule=build_schedule(cfg),
        train_loader=train_loader,
        preprocess=preprocess,
        num_epochs=shapes.max_epoch,
        augment=build_augment(cfg),
        evaluate=_build_evaluation(cfg, preprocess, amp_dtype),
        eval_period=cfg.TRAIN.EVAL_PERIOD,
        eval_epochs=_evaluation_epochs(cfg, shapes),
        checkpoint_period=cfg.TRAIN.CHECKPOINT_PERIOD,
        output_dir=cfg.OUTPUT_DIR,
        writer=build_writer(cfg),
        log_period=cfg.LOG_PERIOD,
        amp_dtype=amp_dtype,
        clip_grad_value=cfg.SOLVER.CLIP_GRAD_VAL,
        clip_grad_norm=cfg.SOLVER.CLIP_GRAD_L2NORM,
        precise_bn_batches=cfg.BN.NUM_BATCHES_PRECISE if cfg.BN.USE_PRECISE_STATS else 0,
        freeze_bn=cfg.MODEL.FROZEN_BN,
        describe_epoch=partial(describe_stage, schedule=shapes, sampler=train_loader.batch_sampler),
        max_bad_videos=cfg.DATA.MAX_BAD_VIDEOS,
        checkpoint_extra={"cfg": cfg.dump(), "class_names": dataset.class_names, "versions": versions()},
    )
    if state is not None:
        trainer.resume(state)
    _log_start(trainer, shapes)
    if not shapes.is_constant:
        logger.info(describe_plan(shapes))
        warn_of_statistics(shapes, train_loader.batch_sampler, wanted=cfg.MULTIGRID.BN_BASE_SIZE)
    return trainer


def _evaluation_epochs(cfg: CfgNode, shapes: ShapeSchedule) -> set[int] | None:
    """Epochs to evaluate after, where a long cycle says so; None where TRAIN.EVAL_PERIOD does."""
    if not cfg.MULTIGRID.LONG_CYCLE:
        return None
    return evaluation_epochs(shapes.stages, per_stage=cfg.MULTIGRID.EVAL_FREQ)


def _log_start(trainer: Trainer, shapes: ShapeSchedule) -> None:
    sampler = trainer.train_loader.batch_sampler
    steps = sorted({sampler.num_batches(start) for start, _, _ in shapes.spans()})
    logger.info(
        "training on %d %s in batches of %d (%d processes), %s steps an epoch, from epoch %d to %d",
        sampler.num_samples,
        "key frames" if hasattr(trainer.train_loader.dataset, "key_frames") else "videos",
        sampler.batch_size * sampler.world_size,
        sampler.world_size,
        steps[0] if len(steps) == 1 else f"{steps[0]} to {steps[-1]}",
        trainer.epoch + 1,
        trainer.num_epochs,
    )


def _log_model(cfg: CfgNode, model: nn.Module) -> None:
    """One line on what the model costs. A model that does not run on the meta device costs a warning, not the run."""
    crop = cfg.DATA.TRAIN_CROP_SIZE
    try:
        cost = measure(model, (cfg.DATA.NUM_FRAMES, crop, crop))
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
            report = load_weights(model, state["model_state"], source=path)
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
            _check_same_training(cfg, path, state)
            logger.info("resuming from %s (%s)", path, report)
            return state
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
        state = load_for_finetuning(
            model, cfg.TRAIN.CHECKPOINT_FILE_PATH, clear_patterns=patterns, inflate=cfg.TRAIN.CHECKPOINT_INFLATE
        )
        state.clear()
    return None


def _check_same_training(cfg: CfgNode, path: Path, state: dict[str, Any]) -> None:
    """Warn when a run goes on under other settings than it began with.

    Raises:
        CheckpointError: it is finished, so nothing at all would be trained under the present ones.
    """
    changed = training_differences(state.get("cfg", ""), cfg.dump())
    if not changed:
        return
    shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    if state["epoch"] + 1 >= cfg.SOLVER.MAX_EPOCH and not state.get("batch"):
        raise CheckpointError(
            f"{path} ends a training with other settings ({shown}), and its results would not be those of this config. "
            "Choose another OUTPUT_DIR, set TRAIN.AUTO_RESUME False to train anew, or TRAIN.ENABLE False to test it."
        )
    logger.warning("%s goes on with other settings than it began with: %s.", path, shown)


def build_writer(cfg: CfgNode) -> MetricWriter:
    """metrics.jsonl in OUTPUT_DIR, and TensorBoard if TENSORBOARD.ENABLE."""
    folder = None
    if cfg.TENSORBOARD.ENABLE:
        folder = Path(cfg.OUTPUT_DIR) / (cfg.TENSORBOARD.LOG_DIR or "tensorboard")
    return MetricWriter(cfg.OUTPUT_DIR, tensorboard_dir=folder)


def _build_evaluation(cfg: CfgNode, preprocess: ClipPreprocessor, amp_dtype: torch.dtype | None):
    """Validation during training, or None when TRAIN.EVAL_PERIOD asks for none."""
    if cfg.TRAIN.EVAL_PERIOD <= 0:
        return None
    dataset = build_dataset(cfg, "val")
    if cfg.DETECTION.ENABLE:
        return build_detection_evaluator(cfg, "val", dataset, preprocess, amp_dtype)
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
        prefix = "val/" if cfg.DETECTION.ENABLE else "val/clip_"  # of one clip a video, where a test sees several

        def evaluate_and_write(model: nn.Module) -> dict[str, float]:
            figures = evaluate(model)
            record = {"epoch": trainer.epoch, **{prefix + name: value for name, value in figures.items()}}
            trainer.writer.write(trainer.step, record)
            return figures

        trainer.evaluate = evaluate_and_write
    try:
        return trainer.train()
    finally:
        trainer.writer.close()
