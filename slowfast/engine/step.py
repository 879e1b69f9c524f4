"""A training step: how it is taken, which numbers it must not have, and what is said if it does not fit into memory."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from slowfast.utils import distributed
from slowfast.utils.errors import RunError


@dataclass(frozen=True)
class StepOptions:
    """How ``Trainer.train_step`` moves the weights.

    Attributes:
        amp_dtype: autocast type, or None for full precision.
        accumulate: parts that a batch is computed in, one after the other; its clips are a multiple of it.
        clip_grad_value, clip_grad_norm: limits of every gradient and of their L2 norm; None for none.
        loss_explosion_factor: stop when the loss exceeds this many times the mean of the five before it; 0 for never.
        freeze_bn: batch norms keep their running statistics (their scale and shift still learn).
        ema_decay: of the average of the weights, which is evaluated and saved beside them; 0 for none.
        memory_advice: says what to change when a step does not fit into memory; or None.
    """

    amp_dtype: torch.dtype | None = None
    accumulate: int = 1
    clip_grad_value: float | None = None
    clip_grad_norm: float | None = None
    loss_explosion_factor: float = 0.0
    freeze_bn: bool = False
    ema_decay: float = 0.0
    memory_advice: Callable[[], str] | None = None

    @property
    def clips_gradients(self) -> bool:
        """Whether gradients have a limit."""
        return self.clip_grad_value is not None or self.clip_grad_norm is not None

    def clip_gradients(self, model: nn.Module) -> None:
        """Clip the unscaled gradients of ``model``."""
        if self.clip_grad_value is not None:
            nn.utils.clip_grad_value_(model.parameters(), self.clip_grad_value)
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.clip_grad_norm)


_NUM_BEFORE = 5  # losses that an exploding one is compared with, as in PySlowFast
_NUM_UNCHECKED = 6  # first losses that nothing is compared with
_ADVICE = "Try a lower SOLVER.BASE_LR, a longer SOLVER.WARMUP_EPOCHS, or SOLVER.CLIP_GRAD_L2NORM."


class NonFiniteLossError(RunError):
    """The loss is NaN or infinite. The weights are those from before the step."""


class NonFiniteGradientError(NonFiniteLossError):
    """The loss is finite, but its gradient is not. The weights are those from before the step."""


class NonFiniteWeightsError(NonFiniteLossError):
    """Weights or running statistics are NaN or infinite; they are not saved."""


class LossExplosionError(RunError):
    """The loss exceeds a multiple of the previous ones. The weights are those from before the step."""


class LossExplosion:
    """Compares every loss with the mean of the five before it, over all processes, from the seventh on.

    Args:
        factor: TRAIN.KILL_LOSS_EXPLOSION_FACTOR; 0 compares nothing.
    """

    def __init__(self, factor: float):
        self.factor = factor
        self._losses: deque[float] = deque(maxlen=_NUM_UNCHECKED)

    def check(self, loss: float, where: str) -> None:
        """Check one loss of this process; every process must call it.

        Raises:
            LossExplosionError: it is more than ``factor`` times the mean of the five before it.
        """
        if not self.factor:
            return
        loss = distributed.mean(loss)
        if len(self._losses) == _NUM_UNCHECKED:
            before = sum(list(self._losses)[-_NUM_BEFORE:]) / _NUM_BEFORE
            if loss > self.factor * before:
                raise LossExplosionError(
                    f"loss {loss:.4g} {where} is more than TRAIN.KILL_LOSS_EXPLOSION_FACTOR={self.factor:g} times "
                    f"{before:.4g}, the mean of the previous {_NUM_BEFORE}. The weights have not changed. Try a lower "
                    "SOLVER.BASE_LR, a longer SOLVER.WARMUP_EPOCHS, or a larger factor (0: none)."
                )
        self._losses.append(loss)

    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self._losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._losses = deque(state["losses"], maxlen=_NUM_UNCHECKED)


def check_step(
    batch,
    *,
    loss: float,
    largest_gradient: float,
    model: nn.Module,
    is_scaled: bool,
    run: Callable[[nn.Module, Any], tuple[Tensor, Tensor]],
    place: str,
) -> None:
    """Check that the loss and the gradients of ``batch`` are finite.

    Args:
        largest_gradient: the largest absolute value, NaN when any is.
        is_scaled: whether a scaler looks after the gradients: it skips the step and scales less from then on.
        run: model, batch -> its normalized clip, and its logits; called to find the cause.
        place: where the training is, and its learning rate, for the message.

    Raises:
        NonFiniteLossError: the loss or, if nothing scales them, a gradient is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise NonFiniteLossError(_refusal(f"loss {loss} {place}", _cause_of(model, batch, run), batch))
    if not math.isfinite(largest_gradient) and not is_scaled:
        names = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        cause = f"the loss is finite, but its gradient is not: {', '.join(names[:3])}{more}"
        raise NonFiniteGradientError(_refusal(f"loss {loss:.4g} {place}", cause, batch))


def _refusal(what: str, cause: str, batch) -> str:
    videos = batch.video_indices.tolist()[:8]
    return f"{what} ({cause}; videos number {videos} of the list). The weights have not changed. {_ADVICE}"


@torch.no_grad()
def _cause_of(model: nn.Module, batch, run: Callable[[nn.Module, Any], tuple[Tensor, Tensor]]) -> str:
    """Why the loss of ``batch`` is not finite."""
    broken = [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]
    if broken:
        return f"weights were already not finite: {', '.join(broken[:3])}"
    clip, logits = run(model, batch)
    if not torch.isfinite(clip).all():
        return "its input is not finite"
    return "the logits are finite, but the loss is not" if logits.isfinite().all() else "the logits are not"


def check_weights(state: dict[str, Tensor], step: int) -> None:
    """Check that all numbers of a state dict are finite.

    Raises:
        NonFiniteWeightsError: they are not; ``step`` says when.
    """
    broken = non_finite_tensors(state)
    if broken:
        raise NonFiniteWeightsError(
            f"NaN or infinity in {', '.join(broken[:3])} after step {step}: nothing was saved, and the last "
            f"checkpoint is intact. {_ADVICE}"
        )


def largest_gradient(parameters: Iterable[nn.Parameter], device: torch.device) -> Tensor:
    """The largest absolute value of all gradients, a scalar on ``device``; NaN when any is. Does not synchronize."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return nn.utils.get_total_norm(gradients, norm_type=math.inf).to(device, torch.float32, non_blocking=True)


def non_finite_tensors(state: dict[str, Tensor]) -> list[str]:
    """Names of a state dict whose numbers are not all finite."""
    return [name for name, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]


class TrainingMemoryError(RunError):
    """A training step does not fit into memory; the message has the arithmetic and what to change."""


@contextlib.contextmanager
def lack_explained(place: str, advice: Callable[[], str] | None) -> Iterator[None]:
    """Raise ``TrainingMemoryError`` if a GPU or the machine runs out of memory inside a with statement.

    Args:
        place: where the training is, for the message.
        advice: says what to change; or None.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)):
            raise
        cause = str(error).partition("\n")[0].partition(" See documentation")[0]
        more = ""
        with contextlib.suppress(Exception):  # any: somebody's own model may not run on the meta device
            more = "" if advice is None else f"\n{advice()}"
        raise TrainingMemoryError(f"out of memory at {place}: {cause}{more}") from error
