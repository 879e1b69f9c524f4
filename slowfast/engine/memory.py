"""What a training step needs of a device's memory, and what to change when that is too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from slowfast.utils.errors import RunError
from slowfast.utils.logging import count

GIB = 2**30
HALF_PRECISION = 0.6  # share of the activations' bytes in 16 bit (measured on a CPU): normalizations stay in float32
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "mt_adamw": 2}  # numbers that an optimizer remembers of each weight


class TrainingMemoryError(RunError):
    """A training step does not fit into memory; the message has the arithmetic and what to change."""


@dataclass(frozen=True)
class StepMemory:
    """What one process keeps in memory during a step.

    Attributes:
        clips: of the process in a step.
        parts: in which they are computed, one after the other.
        batch_size: TRAIN.BATCH_SIZE.
        clip_shape: T, H, W of a clip.
        clip_bytes: activations kept for the backward pass of a clip, in float32.
        recomputed_bytes: the same where blocks are computed again; None where there are no such blocks, or they are
            computed again already.
        half_precision: whether activations take ``HALF_PRECISION`` of that.
        state_bytes: weights, gradients, optimizer state and average of the weights.
    """

    clips: int
    parts: int
    batch_size: int
    clip_shape: tuple[int, int, int]
    clip_bytes: int
    recomputed_bytes: int | None
    half_precision: bool
    state_bytes: int

    @property
    def clips_at_once(self) -> int:
        return self.clips // self.parts

    def advice(self) -> str:
        """The arithmetic, and the keys that lower it, those that change the training least first."""
        size = "x".join(map(str, self.clip_shape))
        share = HALF_PRECISION if self.half_precision else 1.0
        now = share * self.clips_at_once * self.clip_bytes
        lines = [
            f"{count(self.clips_at_once, 'clip')} of {size} at once keep about {_gib(now)} of activations "
            f"({_gib(share * self.clip_bytes)} each), in addition to {_gib(self.state_bytes)} of weights, gradients "
            f"and optimizer state. What can help:"
        ]
        if not self.half_precision:
            lines.append(f"TRAIN.MIXED_PRECISION True: about {_gib(HALF_PRECISION * now)}")
        if self.recomputed_bytes is not None:
            recomputed = share * self.clips_at_once * self.recomputed_bytes
            lines.append(f"MODEL.ACT_CHECKPOINT True: about {_gib(recomputed)}, but a third more time")
        parts = next((n for n in range(self.parts + 1, self.clips + 1) if self.clips % n == 0), None)
        if parts is not None:
            clips, less = count(self.clips // parts, "clip"), _gib(now * self.parts / parts)
            lines.append(f"TRAIN.ACCUMULATE {parts}: {clips} at once, {less}; the same step, except for batch norm")
        if self.batch_size > 1 and self.clips > 1:
            lines.append(f"a smaller TRAIN.BATCH_SIZE (now {self.batch_size}), with SOLVER.SCALE_LR_TO_BATCH True")
        return "\n  ".join(lines)


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB / 10 else f"{num_bytes / 2**20:.0f} MiB"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's memory, or that of the machine, did not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def explained(error: BaseException, place: str, advice: Callable[[], str] | None) -> TrainingMemoryError:
    """The error that says so, with ``advice`` where it can be had."""
    cause = str(error).partition("\n")[0].partition(" See documentation")[0]
    try:
        more = "" if advice is None else f"\n{advice()}"
    except Exception:  # any: somebody's own model may not run on the meta device, and the cause is what counts
        more = ""
    return TrainingMemoryError(f"out of memory at {place}: {cause}{more}")
