"""The trainer that a config describes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from slowfast.config import config_as_data
from slowfast.datasets import build_augment, build_dataset, build_loader
from slowfast.datasets.build import build_protocol, protocol_of
from slowfast.datasets.fingerprint import fingerprint_of
from slowfast.engine.batch_sizes import BatchSizes
from slowfast.engine.build import build_device, train_dtype
from slowfast.engine.checkpoint import (
    CheckpointFolder,
    find_checkpoints,
    load_for_finetuning,
    read_training_state,
    training_differences,
)
from slowfast.engine.inputs import ClipPreprocessor, place_model
from slowfast.engine.multigrid import BatchShapes, check_batches, describe_plan, describe_stage, warn_of_statistics
from slowfast.engine.parallel import ParallelOptions
from slowfast.engine.parts import check_job
from slowfast.engine.step import StepOptions
from slowfast.engine.tasks import Evaluation, Task, task_of
from slowfast.engine.train_log import TrainLog
from slowfast.engine.trainer import TRAINER_REGISTRY, Trainer
from slowfast.engine.training_memory import StepMemory
from slowfast.engine.validation import Validation
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.models.complexity import measure
from slowfast.models.freezing import freeze
from slowfast.models.weights.load import CheckpointError, load_weights
from slowfast.solver import ShapeSchedule, build_optimizer, build_schedule, evaluation_epochs
from slowfast.utils import distributed
from slowfast.utils.environment import versions
from slowfast.utils.files import remove_drafts
from slowfast.utils.imports import import_extensions
from slowfast.utils.logging import MetricWriter, count
from slowfast.utils.run_writers import WRITER_REGISTRY, RunWriter, TensorBoardWriter
from slowfast.utils.signature import check_kwargs

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

    from slowfast.datasets.contract import VideoDataset

logger = logging.getLogger(__name__)


def build_trainer(cfg: CfgNode, *, trainer_class: type[Trainer] | None = None) -> Trainer:
    """The trainer, resumed from the newest intact checkpoint of OUTPUT_DIR if TRAIN.AUTO_RESUME is True.

    Args:
        trainer_class: default the one registered as TRAIN.TRAINER. TRAIN.TRAINER_ARGS are keyword arguments of it.
    """
    device = build_device(cfg)
    dataset = build_dataset(cfg, "train")
    trainer_class = trainer_class or TRAINER_REGISTRY.get(cfg.TRAIN.TRAINER)
    check_kwargs(trainer_class, cfg.TRAIN.TRAINER_ARGS, "TRAIN.TRAINER_ARGS")
    shapes = ShapeSchedule.from_config(cfg)
    train_loader = build_loader(
        cfg, "train", dataset=dataset, shapes=BatchShapes(shapes, sampling_rate=cfg.DATA.SAMPLING_RATE)
    )
    check_batches(shapes, train_loader.batch_sampler, batch_size=cfg.TRAIN.BATCH_SIZE)
    model = build_model(cfg)
    if cfg.LOG_MODEL_INFO:
        _log_model(cfg, model)
    model = place_model(model, device, channels_last=cfg.MODEL.CHANNELS_LAST, compiled=cfg.MODEL.COMPILE)
    state = _initial_state(cfg, model)
    if cfg.MODEL.FREEZE:
        logger.info("MODEL.FREEZE: %s", freeze(model, cfg.MODEL.FREEZE))
    protocol = protocol_of(cfg, dataset, "train")
    task = task_of(cfg)
    evaluate = task.validation(cfg, model) if cfg.TRAIN.EVAL_PERIOD > 0 else None
    sizes = BatchSizes.from_config(cfg)
    trainer = trainer_class(
        model=model,
        loss_fn=_on_device(build_loss(cfg, labels=dataset.labels), device),
        optimizer=build_optimizer(cfg, model),
        schedule=build_schedule(cfg, factor=sizes.lr_factor),
        train_loader=train_loader,
        preprocess=ClipPreprocessor.of(protocol, device, channels_last=cfg.MODEL.CHANNELS_LAST),
        num_epochs=shapes.max_epoch,
        augment=build_augment(cfg),
        step_options=_step_options(cfg, device, sizes),
        validation=None if evaluate is None else _validation(cfg, task, evaluate, shapes),
        checkpoints=_checkpoint_folder(cfg, dataset, evaluate, sizes),
        log=TrainLog(
            MetricWriter(
                cfg.OUTPUT_DIR,
                writers=build_writers(cfg),
                start=0 if state is None else state["training"]["num_records"],  # drops those after the checkpoint
            ),
            period=cfg.LOG_PERIOD,
            describe_epoch=partial(describe_stage, schedule=shapes, sampler=train_loader.batch_sampler),
        ),
        parallel=ParallelOptions.from_config(cfg),
        precise_bn_batches=cfg.BN.NUM_BATCHES_PRECISE if cfg.BN.USE_PRECISE_STATS else 0,
        max_bad_videos=cfg.DATA.MAX_BAD_VIDEOS,
        **cfg.TRAIN.TRAINER_ARGS,
    )
    if state is not None:
        trainer.resume(state)
    _log_start(trainer, shapes, unit=task.samples.unit)
    logger.info("%s", sizes)
    if not shapes.is_constant:
        logger.info(describe_plan(shapes))
        warn_of_statistics(shapes, train_loader.batch_sampler, wanted=cfg.MULTIGRID.BN_BASE_SIZE)
    return trainer


def _on_device(loss: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """``loss`` with its tensors on ``device``; a registered loss need not be a module."""
    return loss.to(device) if isinstance(loss, nn.Module) else loss


def _step_options(cfg: CfgNode, device: torch.device, sizes: BatchSizes) -> StepOptions:
    return StepOptions(
        amp_dtype=train_dtype(cfg, device),
        accumulate=cfg.TRAIN.ACCUMULATE,
        clip_grad_value=cfg.SOLVER.CLIP_GRAD_VAL,
        clip_grad_norm=cfg.SOLVER.CLIP_GRAD_L2NORM,
        loss_explosion_factor=cfg.TRAIN.KILL_LOSS_EXPLOSION_FACTOR,
        freeze_bn=cfg.MODEL.FROZEN_BN,
        ema_decay=cfg.TRAIN.EMA_DECAY,
        memory_advice=lambda: StepMemory.from_config(cfg, sizes).advice(),
    )


def _validation(cfg: CfgNode, task: Task, evaluate: Evaluation, shapes: ShapeSchedule) -> Validation:
    at_stages = evaluation_epochs(shapes.stages, per_stage=cfg.MULTIGRID.EVAL_FREQ)
    return Validation(
        evaluate,
        figure_prefix=task.figure_prefix,
        period=cfg.TRAIN.EVAL_PERIOD,
        epochs=at_stages if cfg.MULTIGRID.LONG_CYCLE else None,
        best_figure=cfg.TRAIN.BEST_FIGURE,
        patience=cfg.TRAIN.EARLY_STOPPING,
    )


def _checkpoint_folder(
    cfg: CfgNode, dataset: VideoDataset, evaluate: Evaluation | None, sizes: BatchSizes
) -> CheckpointFolder:
    """Checkpoints with what ``Pipeline.from_checkpoint`` needs, and what they were made of, beside the state."""
    lists = {"train": dataset} if evaluate is None else {"train": dataset, "val": evaluate.dataset}
    facts = {
        "cfg": cfg.dump(),
        "class_names": dataset.class_names,
        "protocol": build_protocol(cfg, "test").as_dict(),
        "lists": {split: fingerprint_of(of).as_dict() for split, of in lists.items()},
        "versions": versions(),
        "batch_sizes": sizes.as_dict(),
    }
    return CheckpointFolder(
        cfg.OUTPUT_DIR,
        period=cfg.TRAIN.CHECKPOINT_PERIOD,
        minutes=cfg.TRAIN.CHECKPOINT_MINUTES,
        keep=cfg.TRAIN.KEEP_CHECKPOINTS,
        facts=facts,
    )


def _log_start(trainer: Trainer, shapes: ShapeSchedule, *, unit: str) -> None:
    sampler = trainer.train_loader.batch_sampler
    steps = sorted({sampler.num_batches(start) for start, _, _ in shapes.spans()})
    place = f", batch {trainer.batch + 1}" if trainer.batch else ""
    logger.info(
        "training on %s in batches of %d (%s), %s per epoch, from epoch %d%s to %d",
        count(sampler.num_samples, unit.removesuffix("s")),
        sampler.batch_size * sampler.world_size,
        count(sampler.world_size, "process", "processes"),
        count(steps[0], "step") if len(steps) == 1 else f"{steps[0]} to {steps[-1]} steps",
        *(trainer.epoch + 1, place, trainer.num_epochs),
    )


def _log_model(cfg: CfgNode, model: nn.Module) -> None:
    """Log one line on the cost of the model. A model that does not run on the meta device only causes a warning."""
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
                state = read_training_state(path)
            except CheckpointError as error:
                logger.warning("%s Trying the previous one.", error)
                continue
            report = load_weights(model, state["model_state"], source=path)
            if not report.is_complete:
                raise CheckpointError(
                    f"{path} belongs to a different model than the config's: {report}. Choose another OUTPUT_DIR, or "
                    "set TRAIN.AUTO_RESUME False to begin anew (existing files will be overwritten)."
                )
            if "training" not in state:
                raise CheckpointError(
                    f"{path} was not written by this framework, so its training cannot be resumed. To use its "
                    f"weights, choose another OUTPUT_DIR and set TRAIN.CHECKPOINT_FILE_PATH to the file."
                )
            _check_same_training(cfg, path, state)
            logger.info("resuming from %s (%s)", path, report)
            return state
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
        state = load_for_finetuning(
            model,
            cfg.TRAIN.CHECKPOINT_FILE_PATH,
            clear_patterns=patterns,
            inflate=cfg.TRAIN.CHECKPOINT_INFLATE,
            min_match=cfg.TRAIN.CHECKPOINT_MIN_MATCH,
        )
        if "optimizer_state" in state and not cfg.TRAIN.CHECKPOINT_EPOCH_RESET:
            logger.info(
                "%s also holds a training state, which PySlowFast would resume: here only its weights are used, and "
                "training begins at epoch 1 (TRAIN.CHECKPOINT_EPOCH_RESET True silences this).",
                cfg.TRAIN.CHECKPOINT_FILE_PATH,
            )
        state.clear()
    return None


def _check_same_training(cfg: CfgNode, path: Path, state: dict[str, Any]) -> None:
    """Warn if a run resumes with different settings than it began with; refuse it if it is finished."""
    changed = training_differences(state.get("cfg", ""), cfg.dump())
    if not changed:
        return
    shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    if state["epoch"] + 1 >= cfg.SOLVER.MAX_EPOCH and not state.get("batch"):
        raise CheckpointError(
            f"{path} ends a training with different settings ({shown}), so its results would not be those of this "
            "config. Choose another OUTPUT_DIR, set TRAIN.AUTO_RESUME False to train anew, or TRAIN.ENABLE False to "
            "test it."
        )
    logger.warning("%s resumes with different settings than it began with: %s.", path, shown)


def train(cfg: CfgNode, *, prepare: Callable[[Trainer], None] | None = None) -> dict[str, float]:
    """Train as the config says; returns the figures of the last validation.

    Args:
        prepare: called with the trainer before it begins.
    """
    check_job(cfg)
    if distributed.is_main():
        remove_drafts(Path(cfg.OUTPUT_DIR, "checkpoints"))
    trainer = build_trainer(cfg)
    try:
        if prepare is not None:
            prepare(trainer)
        return trainer.train()
    finally:
        trainer.log.close()


def build_writers(cfg: CfgNode) -> list[RunWriter]:
    """The writers of LOG_WRITERS, and TensorBoard's if TENSORBOARD.ENABLE; none except on the main process.

    Raises:
        ValueError: a name is not registered.
    """
    import_extensions(cfg.IMPORTS)
    makers = [WRITER_REGISTRY.get(name) for name in dict.fromkeys(cfg.LOG_WRITERS)]  # all, before any is made
    if not distributed.is_main():
        return []
    given: dict[str, Any] = {"output_dir": Path(cfg.OUTPUT_DIR), "config": config_as_data(cfg)}
    writers = [make(**given) for make in makers]
    if cfg.TENSORBOARD.ENABLE:
        writers.append(TensorBoardWriter(**given, folder=cfg.TENSORBOARD.LOG_DIR or "tensorboard"))
    return writers
