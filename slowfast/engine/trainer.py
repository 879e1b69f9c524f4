"""The training loop. ``Trainer.train`` reads in order; researchers override ``compute_loss`` or ``train_step``."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slowfast.engine import weight_average
from slowfast.engine.after_epoch import due_after_epoch, refresh_batch_norms
from slowfast.engine.agreement import Wish, in_agreement
from slowfast.engine.bad_videos import BadVideos
from slowfast.engine.best import BestFigure
from slowfast.engine.checkpoint import CheckpointFolder, find_checkpoints
from slowfast.engine.memory import explained, is_out_of_memory
from slowfast.engine.parallel import ParallelOptions, parallelize, without_exchange
from slowfast.engine.precision import autocast, grad_scaler, guard_small_inputs
from slowfast.engine.step_checks import LossExplosion, check_step, check_weights, largest_gradient
from slowfast.engine.train_log import RecordWriter, TrainLog
from slowfast.engine.training_state import collect_state, restore_state
from slowfast.engine.weight_average import WeightAverage
from slowfast.models.freezing import is_frozen
from slowfast.models.norm import SubBatchNorm3d
from slowfast.utils import distributed, liveness
from slowfast.utils.errors import StoppedError
from slowfast.utils.progress import Progress
from slowfast.utils.registry import Registry
from slowfast.utils.signals import stop_requested

logger = logging.getLogger(__name__)

TRAINER_REGISTRY = Registry("trainer", key="TRAIN.TRAINER")


@TRAINER_REGISTRY.register()
class Trainer:
    """Trains a model on a loader of ``ClipBatch``.

    Whatever else a subclass needs to go on (a teacher, an average of the weights) is saved and restored with
    ``add_state(name, thing)``.

    Args:
        model: on its device; wrapped here for several processes.
        loss_fn: (logits, labels) -> mean loss.
        schedule: learning rate of a fractional epoch.
        train_loader: its batch sampler has ``set_epoch(epoch, start_batch=0)``, the epoch's length, and
            ``num_batches(epoch)`` for that of any; see ``TrainSampler``.
        preprocess: uint8 frames -> normalized clip on the device.
        num_epochs: where training ends.
        augment: (clip, labels) -> (clip, labels), on the device, in train mode only; or None.
        evaluate: called with the model after every ``eval_period`` epochs, or after those numbers of epochs that
            ``eval_epochs`` has, and at the end; returns named figures.
        figure_prefix: of these figures' names in the records.
        output_dir: for checkpoints, or None for none.
        checkpoint_period: epochs from one checkpoint to the next.
        checkpoint_minutes: the longest that a crash may cost inside an epoch; 0 saves at the ends of epochs alone.
        keep_checkpoints: whole epochs of which the checkpoints stay; 0 for all.
        best: the figure whose best weights become best.pyth, and when training ends without a better one; or None.
        amp_dtype: autocast type, or None for full precision.
        ema_decay: of the average of the weights, which is evaluated and saved beside them; 0 for none.
        accumulate: parts that a batch is computed in, one after the other; its clips are a multiple of it.
        clip_grad_value, clip_grad_norm: limits of every gradient and of their L2 norm; None for none.
        loss_explosion_factor: stop when the loss exceeds this many times the mean of the five before it; 0 for never.
        precise_bn_batches: batches for precise batch norm statistics before evaluation; 0 for none.
        freeze_bn: batch norms keep their running statistics (their scale and shift still learn).
        describe_epoch: epoch, from 0 -> what its batches are like, logged whenever it changes; or None.
        max_bad_videos: undecodable videos after which training stops.
        parallel: how several processes exchange gradients.
        memory_advice: says what to change when a step does not fit into memory; or None.
        checkpoint_extra: further fields of every checkpoint (config, class names, versions).
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
        evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
        figure_prefix: str = "val/",
        eval_period: int = 1,
        eval_epochs: Container[int] | None = None,
        checkpoint_period: int = 1,
        checkpoint_minutes: float = 0.0,
        keep_checkpoints: int = 0,
        best: BestFigure | None = None,
        output_dir: str | Path | None = None,
        writer: RecordWriter | None = None,
        log_period: int = 10,
        amp_dtype: torch.dtype | None = None,
        ema_decay: float = 0.0,
        accumulate: int = 1,
        clip_grad_value: float | None = None,
        clip_grad_norm: float | None = None,
        loss_explosion_factor: float = 0.0,
        precise_bn_batches: int = 0,
        freeze_bn: bool = False,
        describe_epoch: Callable[[int], str] | None = None,
        max_bad_videos: int = 100,
        parallel: ParallelOptions | None = None,
        memory_advice: Callable[[], str] | None = None,
        checkpoint_extra: dict[str, Any] | None = None,
    ):
        self.device = next(model.parameters()).device
        self.model = model
        self.parallel_model = parallelize(model, self.device, parallel or ParallelOptions())
        self.loss_fn = loss_fn
        self.optimizer = optimizer
        self.schedule = schedule
        self.train_loader = train_loader
        self.preprocess = preprocess
        self.augment = augment
        self.evaluate = evaluate
        self.figure_prefix = figure_prefix
        self.num_epochs = num_epochs
        self.eval_period = eval_period
        self.eval_epochs = eval_epochs
        self.checkpoint_period = checkpoint_period
        self.checkpoint_minutes = checkpoint_minutes
        self.checkpoints = None if output_dir is None else CheckpointFolder(output_dir, keep=keep_checkpoints)
        self.amp_dtype = amp_dtype
        guard_small_inputs(model, self.device, amp_dtype)
        self.scaler = grad_scaler(self.device, amp_dtype)
        self.accumulate = accumulate
        self.clip_grad_value = clip_grad_value
        self.clip_grad_norm = clip_grad_norm
        self.precise_bn_batches = precise_bn_batches
        self.freeze_bn = freeze_bn
        self.describe_epoch = describe_epoch
        self.memory_advice = memory_advice
        self.checkpoint_extra = checkpoint_extra or {}
        self.epoch = 0  # the next one to run
        self.batch = 0  # the next one of that epoch
        self.step = 0  # batches trained on in all
        self.due: set[str] = set()  # what is left to do after the last epoch
        self.figures: dict[str, float] = {}  # of the last evaluation
        self.figures_epoch = 0  # epochs trained before it
        self.log = TrainLog(writer=writer, period=log_period, num_epochs=num_epochs)
        self.best = best or BestFigure()
        self.bad_videos = BadVideos(max_bad_videos)
        self.loss_explosion = LossExplosion(loss_explosion_factor)
        self.states: dict[str, Any] = {}
        for name in ("best", "bad_videos", "loss_explosion"):
            self.add_state(name, getattr(self, name))
        self.ema = WeightAverage(model, ema_decay) if ema_decay else None
        if self.ema is not None:
            self.add_state(weight_average.NAME, self.ema)
        self.on_evaluation: Callable[[Trainer], None] | None = None  # called after the figures of the present weights
        self._lr = schedule(0.0)
        self._is_first_step = True  # of this process
        self._last_save = time.monotonic()

    def add_state(self, name: str, thing: Any) -> None:
        """Have ``thing`` (anything with ``state_dict`` and ``load_state_dict``) saved and restored under ``name``."""
        if name in self.states:
            raise ValueError(f"add_state({name!r}): this name is taken. Taken names: {', '.join(self.states)}.")
        self.states[name] = thing

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the epoch that the loader is set to: in multigrid training they differ from stage to stage."""
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
        """Run what is left of the training, in this order; the figures of the last evaluation."""
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
        """Train on the rest of the present epoch; afterwards ``epoch`` counts it, and ``due`` is what follows it."""
        self.set_train_mode()
        self.train_loader.batch_sampler.set_epoch(self.epoch, start_batch=self.batch)
        self.log.begin_epoch("" if self.describe_epoch is None else self.describe_epoch(self.epoch))
        num_left, name = self.steps_per_epoch - self.batch, f"epoch {self.epoch + 1}/{self.num_epochs}"
        with Progress(self.train_loader, total=num_left, name=name) as progress:
            for batch, wish in in_agreement(progress, bad_videos=self.bad_videos, wish=self.wish):
                if wish is not Wish.GO_ON:
                    self.interrupt(wish)
                self.log.mark_data()
                self._set_lr(self._fractional_epoch)
                loss = self._step_within_memory(batch)
                if self.ema is not None:
                    self.ema.update(self.model)
                self.log.mark_step(loss=loss, num_clips=len(batch))
                self.batch, self.step = self.batch + 1, self.step + 1
                if self.batch % self.log.period == 0 or self.batch == self.steps_per_epoch:
                    self._log_line(progress)
        self.log.end_epoch(self.epoch + 1, lr=self._lr)
        self.epoch, self.batch = self.epoch + 1, 0
        self.due = due_after_epoch(self)
        for model in self.models():
            distributed.share_buffers(model)  # the main process's are evaluated and saved

    # --- a step ---

    def train_step(self, batch) -> float:
        """Forward, backward and update on one ``ClipBatch``; its mean loss.

        Raises:
            NonFiniteLossError: before the weights move.
            LossExplosionError: before the weights move.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._accumulate_gradients(batch)
        if self.clip_grad_value is not None or self.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
        largest = largest_gradient(self.model.parameters(), self.device)
        # Queued behind the backward pass: the one wait of a step.
        mean_loss, largest_gradient_value = torch.stack([loss, largest]).tolist()
        check_step(self, batch, loss=mean_loss, largest_gradient=largest_gradient_value)
        if self.clip_grad_value is not None:
            nn.utils.clip_grad_value_(self.model.parameters(), self.clip_grad_value)
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return mean_loss

    def _step_within_memory(self, batch) -> float:
        """``train_step``, whose lack of memory is explained."""
        try:
            return self.train_step(batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise explained(error, self.position, self.memory_advice) from error

    def compute_loss(self, batch) -> Tensor:
        """The loss of one ``ClipBatch``, a scalar to differentiate."""
        clip, labels = self.inputs(batch)
        return self.loss_fn(self.forward(clip, batch), labels)

    def inputs(self, batch) -> tuple[Tensor, Tensor]:
        """Normalized clip and labels of a batch, on the device, augmented."""
        clip, labels = self.preprocess(batch.frames), batch.labels.to(self.device, non_blocking=True)
        return (clip, labels) if self.augment is None else self.augment(clip, labels)

    def forward(self, clip: Tensor, batch) -> Tensor:
        """Logits of a normalized clip, in the precision of the training; ``batch`` has what goes in beside it."""
        with autocast(self.device, self.amp_dtype):
            return self.parallel_model(clip, *self.extra_inputs(batch))

    def extra_inputs(self, batch) -> list[Tensor]:
        """What the model takes beside the clip, on the device: the boxes of a ``DetectionBatch``."""
        return [x.to(self.device, non_blocking=True) for x in batch.extra_inputs]

    def _accumulate_gradients(self, batch) -> Tensor:
        """Add up the gradients of the batch's mean loss, part by part; that loss, float32."""
        parts = batch.split(self.accumulate) if self.accumulate > 1 else [batch]
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

    def update_precise_bn(self) -> None:
        """Replace the running statistics of the batch norms by those of some batches under the present weights.

        Raises:
            StoppedError: a signal asked for the end; the state is saved as before the first of these batches.
        """
        refresh_batch_norms(self)
        self.due.discard("precise_bn")

    def run_evaluation(self) -> None:
        """Evaluate the present weights and write the figures; a run that ends in here goes on in here."""
        assert self.evaluate is not None  # else no evaluation is due
        self._save_inside()
        self.figures, self.figures_epoch = {}, self.epoch
        self._take_figures(self.evaluate(self.model))
        if self.on_evaluation is not None:
            self.on_evaluation(self)
        self._after_evaluation("evaluate")

    def run_ema_evaluation(self) -> None:
        """The same for the average of the weights; its figures have "ema_" in front."""
        assert self.evaluate is not None and self.ema is not None
        self._save_inside()
        figures = self.evaluate(self.ema.model)
        self._take_figures({f"{weight_average.NAME}_{name}": value for name, value in figures.items()})
        self._after_evaluation("evaluate_ema")

    def _take_figures(self, figures: dict[str, float]) -> None:
        self.figures = {**self.figures, **figures}
        named = {self.figure_prefix + name: value for name, value in figures.items()}
        self.log.figures(self.step, self.epoch, named)

    def _after_evaluation(self, done: str) -> None:
        """See what the figures mean for the best weights, when all of them are there."""
        self.due.discard(done)
        if "evaluate_ema" in self.due:
            return
        if self.best.update(self.figures, self.epoch):
            self.due.add("keep_best")
        if self.best.is_exhausted:
            logger.info("training ends early: %s", self.best)
            self.due.add("save")
        if "save" not in self.due:
            self._save_inside()

    def save(self) -> None:
        """Write the checkpoint of the epochs so far; every process has to call it."""
        self.due.discard("save")
        if self.checkpoints is not None:
            logger.info("saved %s", self._save(self.checkpoints, None))

    def keep_best(self) -> None:
        """Have best.pyth hold the newest checkpoint."""
        folder = self.checkpoints
        if folder is not None:
            distributed.on_main(lambda: folder.keep_best(find_checkpoints(folder.output_dir)[0]))
        self.due.discard("keep_best")

    # --- stopping, saving and going on ---

    def wish(self) -> Wish:
        """What this process wants before the next step."""
        if stop_requested():
            return Wish.STOP
        minutes = (time.monotonic() - self._last_save) / 60
        is_due = self.checkpoints is not None and 0 < self.checkpoint_minutes <= minutes
        return Wish.SAVE if is_due else Wish.GO_ON

    def interrupt(self, wish: Wish) -> None:
        """Save where the training is and, if asked to, stop."""
        path = self._save_inside()
        if wish is Wish.STOP:
            saved = "nothing is saved" if path is None else f"saved {path}; the same command resumes from there"
            raise StoppedError(f"stopped by {stop_requested() or 'a signal to another process'}: {saved}.")

    def _save_inside(self) -> Path | None:
        """Write a state that the next one makes superfluous; every process has to call it."""
        return None if self.checkpoints is None else self._save(self.checkpoints, self.batch)

    def _save(self, folder: CheckpointFolder, batch: int | None) -> Path:
        state = self.state_dict()
        check_weights(state["model_state"], self.step)
        liveness.mark("saving")
        path = distributed.on_main(lambda: folder.save(state, epochs=self.epoch, batch=batch))
        self._last_save = time.monotonic()
        return path

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on needs; ``epoch`` is the last finished one, from 0, as in PySlowFast.

        Every process has to call it.
        """
        return collect_state(self)

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict()``; the weights are loaded already.

        Raises:
            CheckpointError: the state does not fit.
        """
        restore_state(self, state)

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
            lr=self._lr,
            steps_left=self.steps_per_epoch - self.batch + later,
            progress=progress,
        )

    def models(self) -> list[nn.Module]:
        """The model, and the average of its weights where there is one."""
        return [self.model] if self.ema is None else [self.model, self.ema.model]

    def set_train_mode(self) -> None:
        """Put the model into train mode, but for what stays as it is."""
        self.parallel_model.train()
        for module in self.model.modules():
            is_norm = isinstance(module, (nn.modules.batchnorm._BatchNorm, SubBatchNorm3d))
            if is_norm and (self.freeze_bn or is_frozen(module)):
                module.eval()

    def _set_lr(self, epoch: float) -> None:
        self._lr = self.schedule(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr * group.get("lr_scale", 1.0)
