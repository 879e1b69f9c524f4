"""The training loop. ``Trainer.train`` reads in order; researchers override ``compute_loss`` or ``train_step``."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slowfast.engine import weight_average
from slowfast.engine.agreement import BadVideos, Wish, in_agreement, until_stopped
from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.engine.parallel import ParallelOptions, parallelize, without_exchange
from slowfast.engine.precise_bn import PRECISE_BN_EPOCH, refresh_batch_norms
from slowfast.engine.precision import forward, grad_scaler, guard_small_inputs
from slowfast.engine.step import LossExplosion, StepOptions, check_step, lack_explained, largest_gradient
from slowfast.engine.train_log import TrainLog
from slowfast.engine.training_state import (
    batch_to_resume,
    load_optimizer,
    process_state,
    restore_named,
    restore_process,
    restoring,
)
from slowfast.engine.validation import BestFigure, Validation
from slowfast.engine.weight_average import WeightAverage
from slowfast.models.freezing import hold_statistics
from slowfast.utils import distributed
from slowfast.utils.errors import StoppedError
from slowfast.utils.progress import Progress
from slowfast.utils.registry import Registry
from slowfast.utils.seeding import generator_states, restore_generators
from slowfast.utils.signals import stop_requested

logger = logging.getLogger(__name__)

TRAINER_REGISTRY = Registry("trainer", key="TRAIN.TRAINER")


@TRAINER_REGISTRY.register()
class Trainer:
    """Trains a model on a loader of ``ClipBatch``.

    ``add_state(name, thing)`` saves and restores whatever else a subclass needs to resume (a teacher, an average of the
    weights).

    Args:
        model: on its device; wrapped here if there are several processes.
        loss_fn: (logits, labels) -> mean loss.
        schedule: learning rate of a fractional epoch.
        train_loader: its batch sampler has ``set_epoch(epoch, start_batch=0)``, the epoch's length, and
            ``num_batches(epoch)`` for that of any; see ``TrainSampler``.
        preprocess: uint8 frames -> normalized clip on the device.
        num_epochs: total number of epochs.
        augment: (clip, labels) -> (clip, labels), on the device, in train mode only; or None.
        step_options: precision, accumulation, limits of gradients and the like.
        validation: what judges the weights, and when; or None.
        checkpoints: where and how often the training is saved; or None for not at all.
        log: takes lines and records; default lines alone.
        parallel: how several processes exchange gradients.
        precise_bn_batches: batches for precise batch norm statistics before evaluation; 0 for none.
        max_bad_videos: undecodable videos after which training stops.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        loss_fn: Callable[[Tensor, Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        schedule: Callable[[float], float],
        train_loader,
        preprocess: Callable[[Tensor], Tensor],
        num_epochs: int,
        augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        step_options: StepOptions | None = None,
        validation: Validation | None = None,
        checkpoints: CheckpointFolder | None = None,
        log: TrainLog | None = None,
        parallel: ParallelOptions | None = None,
        precise_bn_batches: int = 0,
        max_bad_videos: int = 100,
    ):
        self.device = next(model.parameters()).device
        self.model = model
        self.parallel_model = parallelize(model, self.device, parallel or ParallelOptions())
        self.loss_fn = loss_fn
        self.optimizer = optimizer
        self.schedule = schedule
        self.train_loader = train_loader
        self.preprocess = preprocess
        self.num_epochs = num_epochs
        self.augment = augment
        self.step_options = options = step_options or StepOptions()
        self.validation = validation
        self.checkpoints = checkpoints
        self.log = log or TrainLog()
        self.precise_bn_batches = precise_bn_batches
        guard_small_inputs(model, self.device, options.amp_dtype)
        self.scaler = grad_scaler(self.device, options.amp_dtype)
        self.epoch = 0  # the next one to run
        self.batch = 0  # the next one of that epoch
        self.step = 0  # batches trained on in all
        self.due: set[str] = set()  # what is left to do after the last epoch
        self.figures: dict[str, float] = {}  # of the last evaluation
        self.figures_epoch = 0  # epochs trained before it
        self.best = BestFigure() if validation is None else validation.best()
        self.bad_videos = BadVideos(max_bad_videos)
        self.loss_explosion = LossExplosion(options.loss_explosion_factor)
        self.ema = WeightAverage(model, options.ema_decay) if options.ema_decay else None
        self.states: dict[str, Any] = {}
        for name in ("best", "bad_videos", "loss_explosion"):
            self.add_state(name, getattr(self, name))
        if self.ema is not None:
            self.add_state(weight_average.NAME, self.ema)
        self.on_evaluation: Callable[[Trainer], None] | None = None  # called after the figures of the present weights
        self._lr = schedule(0.0)
        self._is_first_step = True  # of this process

    def add_state(self, name: str, thing: Any) -> None:
        """Save and restore ``thing`` (anything with ``state_dict`` and ``load_state_dict``) under ``name``."""
        if name in self.states:
            raise ValueError(f"add_state({name!r}): this name is taken. Taken names: {', '.join(self.states)}.")
        self.states[name] = thing

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the loader's current epoch: in multigrid training they differ from stage to stage."""
        return len(self.train_loader.batch_sampler)

    @property
    def position(self) -> str:
        """Where the training is, for messages."""
        return f"epoch {self.epoch + 1}, batch {self.batch + 1} of {self.steps_per_epoch}"

    @property
    def is_finished(self) -> bool:
        """Whether no epoch is left to train."""
        return self.epoch >= self.num_epochs or self.best.is_exhausted

    # --- the loop ---

    def train(self) -> dict[str, float]:
        """Run the rest of the training, in this order; returns the figures of the last evaluation."""
        while self.due or not self.is_finished:
            if not self.due:
                self.train_epoch()
            if "precise_bn" in self.due:
                self.update_precise_bn()
            if "evaluate" in self.due:
                self.run_evaluation()
            if "evaluate_ema" in self.due:
                self.run_ema_evaluation()
            if "save" in self.due:
                self.save()
            if "keep_best" in self.due:
                self.keep_best()
            self.log.epoch_line(self.figures if self.figures_epoch == self.epoch else {})
        return self.figures

    def train_epoch(self) -> None:
        """Train on the rest of the current epoch; afterwards ``epoch`` counts it, and ``due`` is what follows it."""
        self.set_train_mode()
        self.train_loader.batch_sampler.set_epoch(self.epoch, start_batch=self.batch)
        self.log.begin_epoch(self.epoch)
        num_left, name = self.steps_per_epoch - self.batch, f"epoch {self.epoch + 1}/{self.num_epochs}"
        with Progress(self.train_loader, total=num_left, name=name) as progress:
            for batch, wish in in_agreement(progress, bad_videos=self.bad_videos, wish=self.wish):
                if wish is not Wish.GO_ON:
                    self.interrupt(wish)
                self.log.mark_data()
                self._set_lr(self._fractional_epoch)
                with lack_explained(self.position, self.step_options.memory_advice):
                    loss = self.train_step(batch)
                if self.ema is not None:
                    self.ema.update(self.model)
                self.log.mark_step(loss=loss, num_clips=len(batch))
                self.batch, self.step = self.batch + 1, self.step + 1
                if self.batch % self.log.period == 0 or self.batch == self.steps_per_epoch:
                    self._log_line(progress)
        self.log.end_epoch(self.epoch + 1, num_epochs=self.num_epochs, lr=self._lr)
        self.epoch, self.batch = self.epoch + 1, 0
        self.due = self._due_after_epoch()
        for model in self.models():
            distributed.share_buffers(model)  # the main process's are evaluated and saved

    # --- a step ---

    def train_step(self, batch) -> float:
        """Forward, backward and update on one ``ClipBatch``; returns its mean loss.

        Raises:
            NonFiniteLossError: before the weights move.
            LossExplosionError: before the weights move.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._accumulate_gradients(batch)
        if self.step_options.clips_gradients:
            self.scaler.unscale_(self.optimizer)
        largest = largest_gradient(self.model.parameters(), self.device)
        # Queued behind the backward pass: the one wait of a step.
        mean_loss, gradient = torch.stack([loss, largest]).tolist()
        self._check_step(batch, mean_loss, gradient)
        self.step_options.clip_gradients(self.model)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return mean_loss

    def _check_step(self, batch, loss: float, largest_gradient: float) -> None:
        """Check that the step on ``batch`` may be taken; every process must call it."""
        check_step(
            batch,
            loss=loss,
            largest_gradient=largest_gradient,
            model=self.model,
            is_scaled=self.scaler.is_enabled(),
            run=self._run,
            place=f"at {self.position} with lr {self.optimizer.param_groups[0]['lr']:.4g}",
        )
        self.loss_explosion.check(loss, f"at {self.position}")

    def compute_loss(self, batch) -> Tensor:
        """The loss of one ``ClipBatch``, a scalar to differentiate."""
        clip, labels = self.inputs(batch)
        return self.loss_fn(self.forward(clip, batch), labels)

    def inputs(self, batch) -> tuple[Tensor, Tensor]:
        """Normalized clip and labels of a batch, on the device, augmented."""
        clip, labels = self.preprocess(batch.frames), batch.labels.to(self.device, non_blocking=True)
        return (clip, labels) if self.augment is None else self.augment(clip, labels)

    def forward(self, clip: Tensor, batch) -> Tensor:
        """Logits of a normalized clip, in the precision of the training; ``batch`` holds the other inputs."""
        return forward(self.parallel_model, clip, batch.extra_inputs, dtype=self.step_options.amp_dtype)

    def _run(self, model: nn.Module, batch) -> tuple[Tensor, Tensor]:
        """Normalized clip of a batch, not augmented, and what ``model`` gives for it, in the training's precision."""
        clip = self.preprocess(batch.frames)
        return clip, forward(model, clip, batch.extra_inputs, dtype=self.step_options.amp_dtype)

    def _accumulate_gradients(self, batch) -> Tensor:
        """Add up the gradients of the batch's mean loss, part by part; returns that loss, float32."""
        accumulate = self.step_options.accumulate
        parts = batch.split(accumulate) if accumulate > 1 else [batch]
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(parts, 1):
            exchange: contextlib.AbstractContextManager = contextlib.nullcontext()
            if number < len(parts):
                exchange = without_exchange(self.parallel_model, is_first_step=self._is_first_step)
            with exchange:
                loss = self.compute_loss(part)
                if len(parts) > 1:
                    loss = loss * (len(part.labels) / len(batch.labels))
                self.scaler.scale(loss).backward()
            total += loss.detach()
        self._is_first_step = False
        return total

    # --- after an epoch ---

    def _due_after_epoch(self) -> set[str]:
        """What follows the epochs so far; ``training_state.DUE`` has the order."""
        is_last = self.epoch == self.num_epochs
        evaluates = self.validation is not None and (is_last or self.validation.follows(self.epoch))
        saves = self.checkpoints is not None and (is_last or self.checkpoints.follows(self.epoch))
        due = {
            "precise_bn": self.precise_bn_batches and (evaluates or saves),
            "evaluate": evaluates,
            "evaluate_ema": evaluates and self.ema is not None,
            "save": saves,
        }
        return {name for name, is_due in due.items() if is_due}

    def update_precise_bn(self) -> None:
        """Replace the running statistics of the batch norms by those of some batches with the current weights.

        Raises:
            StoppedError: a signal asked for the end; the state is saved as before the first of these batches.
        """
        self.set_train_mode()
        if self.ema is not None:
            self.ema.imitate_mode(self.model)
        self.train_loader.batch_sampler.set_epoch(PRECISE_BN_EPOCH + self.epoch)
        num_batches = min(self.precise_bn_batches, self.steps_per_epoch)
        generators = generator_states()
        some = itertools.islice(self.train_loader, num_batches)
        batches = until_stopped(some, bad_videos=self.bad_videos, wish=self.wish)
        try:
            refresh_batch_norms(self.models(), batches, self._run, num_batches=num_batches)
        except StoppedError:
            restore_generators(generators)
            self.interrupt(Wish.STOP)
        finally:
            if self.ema is not None:
                self.ema.model.eval()
        self.due.discard("precise_bn")

    def run_evaluation(self) -> None:
        """Evaluate the current weights and write the figures; a run that is stopped in here resumes in here."""
        assert self.validation is not None  # else no evaluation is due
        self._save(self.batch)
        self.figures, self.figures_epoch = {}, self.epoch
        self._take_figures(self.validation, self.model)
        if self.on_evaluation is not None:
            self.on_evaluation(self)
        self._after_evaluation("evaluate")

    def run_ema_evaluation(self) -> None:
        """The same for the average of the weights; its figures have the prefix "ema_"."""
        assert self.validation is not None and self.ema is not None
        self._save(self.batch)
        self._take_figures(self.validation, self.ema.model, prefix=f"{weight_average.NAME}_")
        self._after_evaluation("evaluate_ema")

    def _take_figures(self, validation: Validation, model: nn.Module, *, prefix: str = "") -> None:
        figures = {prefix + name: value for name, value in validation.evaluate(model).items()}
        self.figures = {**self.figures, **figures}
        named = {validation.figure_prefix + name: value for name, value in figures.items()}
        self.log.figures(self.step, self.epoch, named)

    def _after_evaluation(self, done: str) -> None:
        """Update the best weights once all figures are available."""
        self.due.discard(done)
        if "evaluate_ema" in self.due:
            return
        if self.best.update(self.figures, self.epoch):
            self.due.add("keep_best")
        if self.best.is_exhausted:
            logger.info("training ends early: %s", self.best)
            self.due.add("save")
        if "save" not in self.due:
            self._save(self.batch)

    def save(self) -> None:
        """Write the checkpoint of the epochs so far; every process must call it."""
        self.due.discard("save")
        path = self._save(None)
        if path is not None:
            logger.info("saved %s", path)

    def keep_best(self) -> None:
        """Make best.pyth the newest checkpoint."""
        if self.checkpoints is not None:
            self.checkpoints.keep_best()
        self.due.discard("keep_best")

    # --- stopping, saving and going on ---

    def wish(self) -> Wish:
        """What this process wants before the next step."""
        if stop_requested():
            return Wish.STOP
        is_overdue = self.checkpoints is not None and self.checkpoints.is_overdue
        return Wish.SAVE if is_overdue else Wish.GO_ON

    def interrupt(self, wish: Wish) -> None:
        """Save the state of the training and, if requested, stop."""
        path = self._save(self.batch)
        if wish is Wish.STOP:
            saved = "nothing is saved" if path is None else f"saved {path}; the same command resumes from there"
            raise StoppedError(f"stopped by {stop_requested() or 'a signal to another process'}: {saved}.")

    def _save(self, batch: int | None) -> Path | None:
        """Write the state; one inside an epoch, after ``batch`` batches, is deleted once there are later ones."""
        if self.checkpoints is None:
            return None
        return self.checkpoints.save(self.state_dict(), epochs=self.epoch, batch=batch)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume; ``epoch`` is the last finished one, from 0, as in PySlowFast.

        Every process must call it. Weights and optimizer are the same on all of them.
        """
        return {
            "epoch": self.epoch - 1,
            "batch": self.batch,
            "step": self.step,
            "model_state": self.model.state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "scaler_state": self.scaler.state_dict(),
            "training": {
                "due": sorted(self.due),
                "figures": {name: float(value) for name, value in self.figures.items()},
                "figures_epoch": self.figures_epoch,
                "steps_per_epoch": self.train_loader.batch_sampler.num_batches(self.epoch),
                "num_records": self.log.num_records,
            },
            "states": {name: thing.state_dict() for name, thing in self.states.items()},
            "processes": distributed.all_gather_objects(process_state(self.log)),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Resume from ``state_dict()``; the weights are already loaded.

        Raises:
            CheckpointError: the state does not fit.
        """
        with restoring(state):
            load_optimizer(self.optimizer, state["optimizer_state"])
            if state.get("scaler_state"):
                self.scaler.load_state_dict(state["scaler_state"])
            training = state["training"]
            self.epoch, self.step = state["epoch"] + 1, state["step"]
            num_batches = self.train_loader.batch_sampler.num_batches(self.epoch)
            self.batch = batch_to_resume(state, num_batches=num_batches)
            self.due = set(training["due"]) - (set() if self.ema else {"evaluate_ema"})
            self.figures, self.figures_epoch = dict(training["figures"]), training["figures_epoch"]
            restore_named(self.states, state["states"])
            restore_process(self.log, state["processes"])

    # --- small things ---

    @property
    def _fractional_epoch(self) -> float:
        return self.epoch + self.batch / self.steps_per_epoch

    def _log_line(self, progress: Progress) -> None:
        sampler = self.train_loader.batch_sampler
        later = sum(sampler.num_batches(epoch) for epoch in range(self.epoch + 1, self.num_epochs))
        self.log.line(
            step=self.step,
            batch=self.batch,
            epoch=self._fractional_epoch,
            num_epochs=self.num_epochs,
            lr=self._lr,
            steps_left=self.steps_per_epoch - self.batch + later,
            progress=progress,
        )

    def models(self) -> list[nn.Module]:
        """The model, and the average of its weights if there is one."""
        return [self.model] if self.ema is None else [self.model, self.ema.model]

    def set_train_mode(self) -> None:
        """Put the model into train mode, except for frozen parts."""
        self.parallel_model.train()
        hold_statistics(self.model, of_all=self.step_options.freeze_bn)

    def _set_lr(self, epoch: float) -> None:
        self._lr = self.schedule(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr * group.get("lr_scale", 1.0)
