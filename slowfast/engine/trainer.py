"""The training loop. ``Trainer.train`` reads in order; researchers override ``train_step``."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from slowfast.engine.checkpoint import checkpoint_path, save_checkpoint
from slowfast.engine.meters import TrainMeter
from slowfast.engine.pipeline import run_model
from slowfast.engine.precise_bn import update_precise_statistics
from slowfast.engine.precision import autocast, grad_scaler
from slowfast.models.norm import SubBatchNorm3d
from slowfast.utils import distributed
from slowfast.utils.logging import MetricWriter, Progress, format_seconds

logger = logging.getLogger(__name__)

# Precise BN reads clips of its own: an epoch that no training reaches seeds their augmentation.
_PRECISE_BN_EPOCH = 1_000_000
_DATA_SHARE_TO_WARN = 0.2


class NonFiniteLossError(RuntimeError):
    """The loss is NaN or infinite. The weights are those of before the step."""


class TooManyBadVideosError(RuntimeError):
    """More videos than allowed could not be decoded."""


class Trainer:
    """Trains a model on a loader of ``ClipBatch``.

    Args:
        model: on its device; wrapped here for several processes.
        loss_fn: (logits, labels) -> mean loss.
        schedule: learning rate of a fractional epoch.
        train_loader: its batch sampler has ``set_epoch(epoch, start_batch=0)``, the epoch's length, and
            ``num_batches(epoch)`` for that of any; see ``TrainSampler``.
        preprocess: uint8 frames -> normalised clip on the device.
        num_epochs: where training ends.
        augment: (clip, labels) -> (clip, labels), on the device, in train mode only; or None.
        evaluate: called with the model after every ``eval_period`` epochs, or after those numbers of epochs that
            ``eval_epochs`` has, and at the end; returns named figures.
        figure_prefix: of these figures' names in the records.
        output_dir: for checkpoints, or None for none.
        amp_dtype: autocast type, or None for full precision.
        clip_grad_value, clip_grad_norm: limits of every gradient and of their L2 norm; None for none.
        precise_bn_batches: batches for precise batch norm statistics before evaluation; 0 for none.
        freeze_bn: batch norms keep their running statistics (their scale and shift still learn).
        describe_epoch: epoch, from 0 -> what its batches are like, logged whenever it changes; or None.
        max_bad_videos: undecodable videos after which training stops.
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
        output_dir: str | Path | None = None,
        writer: MetricWriter | None = None,
        log_period: int = 10,
        amp_dtype: torch.dtype | None = None,
        clip_grad_value: float | None = None,
        clip_grad_norm: float | None = None,
        precise_bn_batches: int = 0,
        freeze_bn: bool = False,
        describe_epoch: Callable[[int], str] | None = None,
        max_bad_videos: int = 100,
        checkpoint_extra: dict[str, Any] | None = None,
    ):
        self.device = next(model.parameters()).device
        self.model = model
        self.parallel_model = _wrap(model, self.device)
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
        self.output_dir = output_dir
        self.writer = writer
        self.log_period = log_period
        self.amp_dtype = amp_dtype
        self.scaler = grad_scaler(self.device, amp_dtype)
        self.clip_grad_value = clip_grad_value
        self.clip_grad_norm = clip_grad_norm
        self.precise_bn_batches = precise_bn_batches
        self.freeze_bn = freeze_bn
        self.describe_epoch = describe_epoch
        self.max_bad_videos = max_bad_videos
        self.checkpoint_extra = checkpoint_extra or {}
        self.epoch = 0  # the next one to run
        self.batch = 0  # the next one of that epoch
        self.step = 0  # batches trained on in all
        self.num_bad_videos = 0
        self._warned_of_data = False
        self._described = ""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the epoch that the loader is set to: in multigrid training they differ from stage to stage."""
        return len(self.train_loader.batch_sampler)

    def train(self) -> dict[str, float]:
        """Run the epochs that are left; the figures of the last evaluation."""
        figures: dict[str, float] = {}
        while self.epoch < self.num_epochs:
            self.train_epoch()
            evaluates = self.evaluate is not None and self._evaluation_is_due()
            saves = self.output_dir is not None and self._is_due(self.checkpoint_period)
            if self.precise_bn_batches and (evaluates or saves):
                self.update_precise_bn()
            if evaluates:
                figures = self.run_evaluation()
            if saves:
                self.save()
        return figures

    def run_evaluation(self) -> dict[str, float]:
        """Evaluate the present weights and write the figures."""
        figures = self.evaluate(self.model)
        if self.writer is not None:
            named = {self.figure_prefix + name: value for name, value in figures.items()}
            self.writer.write(self.step, {"epoch": self.epoch, **named})
        return figures

    def train_epoch(self) -> None:
        """Train on the rest of the present epoch; afterwards ``epoch`` counts it."""
        self._set_train_mode()
        self._describe_epoch()
        self.train_loader.batch_sampler.set_epoch(self.epoch, start_batch=self.batch)
        meter = TrainMeter(self.log_period)
        num_left = self.steps_per_epoch - self.batch
        with Progress(self.train_loader, total=num_left, name=f"epoch {self.epoch + 1}/{self.num_epochs}") as progress:
            for batch in progress:
                meter.mark_data()
                self._note_failures(batch.failures)
                progress_epoch = self.epoch + self.batch / self.steps_per_epoch
                lr = self._set_lr(progress_epoch)
                loss = self.train_step(batch)
                meter.mark_step(loss=loss, num_clips=len(batch))
                self.batch, self.step = self.batch + 1, self.step + 1
                if self.batch % self.log_period == 0 or self.batch == self.steps_per_epoch:
                    self._log(meter, lr=lr, progress=progress)
        self.epoch, self.batch = self.epoch + 1, 0

    def train_step(self, batch) -> float:
        """Forward, backward and update on one ``ClipBatch``; its loss.

        Raises:
            NonFiniteLossError: before the weights move.
        """
        clip, labels = self.preprocess(batch.frames), batch.labels.to(self.device, non_blocking=True)
        if self.augment is not None:
            clip, labels = self.augment(clip, labels)
        with autocast(self.device, self.amp_dtype):
            logits = self.parallel_model(clip, *self._extra_inputs(batch))
        loss = self.loss_fn(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        value = loss.item()  # queued behind the backward pass: the one wait of a step
        if not math.isfinite(value):
            self._raise_non_finite(value, batch, clip, logits)
        self._clip_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return value

    def update_precise_bn(self) -> None:
        """Replace the running statistics of the batch norms by those of some batches under the present weights."""
        self._set_train_mode()
        self.train_loader.batch_sampler.set_epoch(_PRECISE_BN_EPOCH + self.epoch)
        num_batches = min(self.precise_bn_batches, self.steps_per_epoch)
        start = time.perf_counter()

        def forward(batch) -> None:
            self._note_failures(batch.failures)
            run_model(self.model, self.preprocess, batch.frames, batch.extra_inputs, dtype=self.amp_dtype)

        with Progress(
            itertools.islice(self.train_loader, num_batches), total=num_batches, name="precise BN"
        ) as batches:
            done = update_precise_statistics(self.model, batches, forward)
        logger.info("precise batch norm over %d batches in %s", done, format_seconds(time.perf_counter() - start))

    def _extra_inputs(self, batch) -> list[Tensor]:
        """What the model takes beside the clip, on the device: the boxes of a ``DetectionBatch``."""
        return [x.to(self.device, non_blocking=True) for x in batch.extra_inputs]

    def save(self) -> None:
        """Write the state after the epochs so far, on the main process."""
        if distributed.is_main():
            path = checkpoint_path(self.output_dir, self.epoch)
            save_checkpoint(path, self.state_dict())
            logger.info("saved %s", path)
        distributed.barrier()

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on needs; ``epoch`` is the last finished one, from 0, as in PySlowFast."""
        return {
            **self.checkpoint_extra,
            "epoch": self.epoch - 1,
            "batch": self.batch,
            "step": self.step,
            "model_state": self.model.state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "scaler_state": self.scaler.state_dict(),
            "rng_state": torch.get_rng_state(),
            "num_bad_videos": self.num_bad_videos,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict()``; the weights are loaded already."""
        self.optimizer.load_state_dict(state["optimizer_state"])
        if state.get("scaler_state"):
            self.scaler.load_state_dict(state["scaler_state"])
        self.epoch, self.batch, self.step = state["epoch"] + 1, state["batch"], state["step"]
        self.num_bad_videos = state.get("num_bad_videos", 0)
        if "rng_state" in state and distributed.is_main():  # it is the main process's
            torch.set_rng_state(state["rng_state"])

    def _evaluation_is_due(self) -> bool:
        if self.eval_epochs is None:
            return self._is_due(self.eval_period)
        return self.epoch == self.num_epochs or self.epoch in self.eval_epochs

    def _is_due(self, period: int) -> bool:
        return self.epoch == self.num_epochs or (period > 0 and self.epoch % period == 0)

    def _describe_epoch(self) -> None:
        text = "" if self.describe_epoch is None else self.describe_epoch(self.epoch)
        if text != self._described:
            logger.info(text)
            self._described = text

    def _steps_left(self) -> int:
        sampler = self.train_loader.batch_sampler
        later = sum(sampler.num_batches(epoch) for epoch in range(self.epoch + 1, self.num_epochs))
        return self.steps_per_epoch - self.batch + later

    def _set_train_mode(self) -> None:
        self.parallel_model.train()
        if self.freeze_bn:
            for module in self.model.modules():
                if isinstance(module, (nn.modules.batchnorm._BatchNorm, SubBatchNorm3d)):
                    module.eval()

    def _set_lr(self, epoch: float) -> float:
        lr = self.schedule(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        return lr

    def _clip_gradients(self) -> None:
        if self.clip_grad_value is None and self.clip_grad_norm is None:
            return
        self.scaler.unscale_(self.optimizer)
        if self.clip_grad_value is not None:
            nn.utils.clip_grad_value_(self.model.parameters(), self.clip_grad_value)
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad_norm)

    def _raise_non_finite(self, loss: float, batch, clip: Tensor, logits: Tensor) -> None:
        broken = [name for name, p in self.model.named_parameters() if not torch.isfinite(p).all()]
        cause = "its input is not finite" if not torch.isfinite(clip).all() else "the logits are not finite"
        if torch.isfinite(logits).all() and torch.isfinite(clip).all():
            cause = "the logits are finite, the loss function is not"
        if broken:
            cause = f"weights are not finite already: {', '.join(broken[:3])}"
        lr = self.optimizer.param_groups[0]["lr"]
        raise NonFiniteLossError(
            f"loss {loss} at epoch {self.epoch + 1}, batch {self.batch + 1} of {self.steps_per_epoch} with lr {lr:.4g} "
            f"({cause}; videos number {batch.video_indices.tolist()[:8]} of the list). The weights have not moved. "
            "Try a lower SOLVER.BASE_LR, a longer SOLVER.WARMUP_EPOCHS, or SOLVER.CLIP_GRAD_L2NORM."
        )

    def _note_failures(self, failures: Sequence[str]) -> None:
        for reason in failures:
            self.num_bad_videos += 1
            logger.warning(
                "%s Another video took its place. %d so far, limit DATA.MAX_BAD_VIDEOS=%d.",
                reason,
                self.num_bad_videos,
                self.max_bad_videos,
            )
        if self.num_bad_videos > self.max_bad_videos:
            raise TooManyBadVideosError(
                f"{self.num_bad_videos} videos could not be decoded, more than DATA.MAX_BAD_VIDEOS="
                f"{self.max_bad_videos}; the last: {failures[-1]} Check the data, or raise the limit."
            )

    def _log(self, meter: TrainMeter, *, lr: float, progress: Progress) -> None:
        record = meter.pop(distributed.world_size())
        epoch = self.epoch + self.batch / self.steps_per_epoch
        # In multigrid training too: a step costs about the same in every stage, by design.
        eta = format_seconds(self._steps_left() * record["step_seconds"])
        if progress.is_shown:
            progress.note(
                loss=record["train/loss"],
                lr=lr,
                clips_s=record["clips_per_second"],
                data=f"{100 * record['data_share']:.0f}%",
                eta=eta,
            )
        logger.info(
            "epoch %.2f/%d  loss %.4f  lr %.3g  %.1f clips/s  data %.0f%%  eta %s",
            epoch,
            self.num_epochs,
            record["train/loss"],
            lr,
            record["clips_per_second"],
            100 * record["data_share"],
            eta,
            extra={"is_on_bar": progress.is_shown},
        )
        if record["data_share"] > _DATA_SHARE_TO_WARN and self.batch > self.log_period and not self._warned_of_data:
            self._warned_of_data = True  # once a run
            logger.warning(
                "%.0f%% of the time goes into waiting for data. More DATA_LOADER.NUM_WORKERS, videos with a short side "
                "of 256 pixels and a keyframe every 16 to 32 frames help; slowfast benchmark measures a clip.",
                100 * record["data_share"],
            )
        if self.writer is not None:
            self.writer.write(self.step, {"epoch": epoch, "lr": lr, **record})


def _wrap(model: nn.Module, device: torch.device) -> nn.Module:
    if distributed.world_size() == 1:
        return model
    # A head that detaches its features leaves the rest of the model without gradients.
    detaches = any(getattr(module, "detach", None) is True for module in model.modules())
    device_ids = [device] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=device_ids, find_unused_parameters=detaches)
