"""What follows the last batch of an epoch: which of it is due, and precise batch norm."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from torch import nn

from slowfast.engine.agreement import Wish, in_agreement
from slowfast.engine.pipeline import run_model
from slowfast.engine.precise_bn import update_precise_statistics
from slowfast.utils.errors import StoppedError
from slowfast.utils.logging import count, format_seconds
from slowfast.utils.progress import Progress
from slowfast.utils.seeding import generator_states, restore_generators

if TYPE_CHECKING:
    from slowfast.engine.trainer import Trainer

logger = logging.getLogger(__name__)

# Precise BN reads clips of its own: an epoch that no training reaches seeds their augmentation.
_PRECISE_BN_EPOCH = 1_000_000


def due_after_epoch(trainer: Trainer) -> set[str]:
    """What follows the epochs so far; ``training_state.DUE`` has the order."""
    evaluates = trainer.evaluate is not None and _evaluation_is_due(trainer)
    saves = trainer.checkpoints is not None and _is_due(trainer, trainer.checkpoint_period)
    precise = trainer.precise_bn_batches and (evaluates or saves)
    averages = evaluates and trainer.ema is not None
    names = {"precise_bn": precise, "evaluate": evaluates, "evaluate_ema": averages, "save": saves}
    return {name for name, is_due in names.items() if is_due}


def _evaluation_is_due(trainer: Trainer) -> bool:
    if trainer.eval_epochs is None:
        return _is_due(trainer, trainer.eval_period)
    return trainer.epoch == trainer.num_epochs or trainer.epoch in trainer.eval_epochs


def _is_due(trainer: Trainer, period: int) -> bool:
    return trainer.epoch == trainer.num_epochs or (period > 0 and trainer.epoch % period == 0)


def refresh_batch_norms(trainer: Trainer) -> None:
    """Give the batch norms, those of the averaged weights too, the statistics of some batches of their own.

    Raises:
        StoppedError: a signal asked for the end; the state is saved as before the first of these batches.
    """
    trainer.set_train_mode()
    models = trainer.models()
    if trainer.ema is not None:
        trainer.ema.imitate_mode(trainer.model)
    trainer.train_loader.batch_sampler.set_epoch(_PRECISE_BN_EPOCH + trainer.epoch)
    num_batches = min(trainer.precise_bn_batches, trainer.steps_per_epoch)
    start, generators = time.perf_counter(), generator_states()

    def forward(batch) -> None:
        for model in models:
            run_model(model, trainer.preprocess, batch.frames, batch.extra_inputs, dtype=trainer.amp_dtype)

    batches = itertools.islice(trainer.train_loader, num_batches)
    try:
        with Progress(batches, total=num_batches, name="precise BN") as progress:
            done = update_precise_statistics(nn.ModuleList(models), _until_stopped(trainer, progress), forward)
    except StoppedError:
        restore_generators(generators)
        trainer.interrupt(Wish.STOP)
    finally:
        for average in models[1:]:
            average.eval()
    logger.info("precise batch norm over %s in %s", count(done, "batch"), format_seconds(time.perf_counter() - start))


def _until_stopped(trainer: Trainer, batches: Iterable) -> Iterator:
    for batch, wish in in_agreement(batches, bad_videos=trainer.bad_videos, wish=trainer.wish):
        if wish is Wish.STOP:
            raise StoppedError
        yield batch
