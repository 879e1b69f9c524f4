"""A training as data: everything needed to resume it, and how to restore it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from typing import Any

import torch

from slowfast.engine.train_log import TrainLog
from slowfast.models.weights.load import CheckpointError
from slowfast.utils import distributed
from slowfast.utils.logging import count
from slowfast.utils.seeding import generator_states, restore_generators, seed_all

logger = logging.getLogger(__name__)

# What may be left to do after an epoch, in this order.
DUE = ("precise_bn", "evaluate", "evaluate_ema", "save", "keep_best")


def state_problem(state: dict[str, Any]) -> str:
    """What is wrong with the fields of a training; "" for nothing."""
    training, processes = state.get("training"), state.get("processes")
    if not isinstance(training, dict) or not isinstance(state.get("optimizer_state"), dict):
        return "it has no training state"
    due, steps, records = (training.get(name) for name in ("due", "steps_per_epoch", "num_records"))
    if not isinstance(due, list) or not set(due) <= set(DUE):
        return f"due={due!r} is not a list of {', '.join(DUE)}"
    if not isinstance(steps, int) or not isinstance(records, int) or records < 0:
        return f"steps_per_epoch={steps!r} or num_records={records!r} is not a valid number"
    if not 0 <= state["batch"] <= max(steps, 0):
        return f"batch={state['batch']} of an epoch of {steps}"
    if not isinstance(training.get("figures"), dict) or not isinstance(state.get("states"), dict):
        return "its figures or states are not mappings"
    if not isinstance(processes, list) or not all(isinstance(p, dict) and {"generators", "log"} <= p.keys()
                                                  for p in processes or [None]):  # fmt: skip
        return "it has no states of the processes"
    return ""


@contextlib.contextmanager
def restoring(state: dict[str, Any]) -> Iterator[None]:
    """Raise ``CheckpointError`` for whatever in ``state`` does not fit, inside a with statement that restores it."""
    try:
        problem = state_problem(state)
        if problem:
            raise ValueError(problem)
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint's training cannot be resumed: {error}. Choose another OUTPUT_DIR, or set "
            "TRAIN.AUTO_RESUME False to begin anew."
        ) from error


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give ``optimizer`` a saved state, but not the saved choice of kernels: the device may have changed.

    Torch moves the step counts to where the flags of the state say.
    """
    groups = state["param_groups"]
    if len(groups) == len(optimizer.param_groups):  # else torch says what does not fit
        own = [
            {name: group[name] for name in ("fused", "foreach") if name in group} for group in optimizer.param_groups
        ]
        groups = [saved | flags for saved, flags in zip(groups, own, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})


def batch_to_resume(state: dict[str, Any], *, num_batches: int) -> int:
    """The batch to resume at, from 0, even if the epoch now has a different number of batches."""
    then, now = state["training"]["steps_per_epoch"], num_batches
    if state["batch"] == 0 or then == now:
        return state["batch"]
    batch = state["batch"] * now // then
    logger.warning(
        "an epoch now has %d steps instead of %d: the batch size or the videos changed. Epoch %d resumes at batch %d "
        "(it was at %d), so a few videos may appear in it twice or not at all.",
        *(now, then, state["epoch"] + 2, batch + 1, state["batch"] + 1),
    )
    return batch


def restore_named(things: dict[str, Any], states: dict[str, Any]) -> None:
    """Restore the state of each of ``things``; warn of one that is missing or left over."""
    for name, thing in things.items():
        if name in states:
            thing.load_state_dict(states[name])
        else:
            logger.warning("the checkpoint has no %s: it starts afresh", name)
    for name in states.keys() - things.keys():
        logger.warning("the checkpoint has %s, which this training does not use", name)


def process_state(log: TrainLog) -> dict[str, Any]:
    """The state of this process alone: its random number generators and its timings."""
    return {"generators": generator_states(), "log": log.state_dict()}


def restore_process(log: TrainLog, processes: list[dict[str, Any]]) -> None:
    """Restore what ``process_state`` returned on every process, even if their number has changed."""
    rank = distributed.rank()
    if len(processes) == distributed.world_size():
        restore_generators(processes[rank]["generators"])
        log.load_state_dict(processes[rank]["log"])
        return
    logger.warning(
        "a training of %s resumes with %s: the order of videos stays the same, but dropout and mixup draw differently",
        *(count(number, "process", "processes") for number in (len(processes), distributed.world_size())),
    )
    if rank < len(processes):
        restore_generators(processes[rank]["generators"])
    else:  # a stream of its own, and the same one however often this is tried
        digest = hashlib.blake2b(processes[0]["generators"]["cpu"].numpy().tobytes() + bytes([rank % 256, rank // 256]))
        seed_all(int.from_bytes(digest.digest()[:7], "big"))
    log.load_mean_state([process["log"] for process in processes])
