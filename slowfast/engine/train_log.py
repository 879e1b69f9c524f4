"""The output of a training: log lines, records of numbers, one line per epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from slowfast.utils import distributed
from slowfast.utils.logging import format_figures, format_seconds
from slowfast.utils.progress import Progress

logger = logging.getLogger(__name__)

_DATA_SHARE_TO_WARN = 0.2


class TrainMeter:
    """Mean loss, throughput, and the time spent waiting for data, over the steps since the last ``pop``."""

    def __init__(self):
        self._reset()
        self.start_clock()

    def _reset(self) -> None:
        self._sums: dict[str, Any] = {"losses": [], "num_clips": 0, "data_seconds": 0.0, "step_seconds": 0.0}

    def start_clock(self) -> None:
        """Restart the clock: earlier work does not count as part of a step."""
        self._clock = time.perf_counter()

    def _lap(self, name: str) -> None:
        now = time.perf_counter()
        self._sums[name] += now - self._clock
        self._clock = now

    def mark_data(self) -> None:
        """Call when the loader has returned a batch."""
        self._lap("data_seconds")

    def mark_step(self, *, loss: float, num_clips: int) -> None:
        """Call after the step, with its numbers."""
        self._lap("step_seconds")
        self._sums["losses"].append(loss)
        self._sums["num_clips"] += num_clips

    @property
    def seconds(self) -> float:
        """All the time of the steps so far."""
        return self._sums["data_seconds"] + self._sums["step_seconds"]

    def pop(self) -> dict[str, float]:
        """The record of the steps so far, and start over; every process must call it.

        Seconds are means over the steps of this process; the loss is the mean over all, and clips count all.
        """
        losses, data_seconds, total = self._sums["losses"], self._sums["data_seconds"], self.seconds
        steps = max(1, len(losses))
        record = {
            "train/loss": distributed.mean(sum(losses) / steps),
            "data_seconds": data_seconds / steps,
            "step_seconds": total / steps,
            "data_share": data_seconds / total if total else 0.0,
            "clips_per_second": distributed.world_size() * self._sums["num_clips"] / total if total else 0.0,
        }
        self._reset()
        return record

    def state_dict(self) -> dict[str, Any]:
        """Everything except the clock, which restarts."""
        return {**self._sums, "losses": list(self._sums["losses"])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums = {name: state[name] for name in self._sums} | {"losses": list(state["losses"])}

    def load_mean_state(self, states: Sequence[dict[str, Any]]) -> None:
        """Resume from the ``state_dict`` of each process, even if their number differed; ``pop`` gives the same."""
        self.load_state_dict(states[0])
        self._sums["losses"] = [sum(x) / len(states) for x in zip(*(s["losses"] for s in states), strict=True)]
        self._sums["num_clips"] = sum(s["num_clips"] for s in states) // distributed.world_size()


class RecordWriter(Protocol):
    """Anything that takes records of numbers, such as a ``MetricWriter``."""

    num_records: int

    def write(self, step: int, record: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class TrainLog:
    """Turns the events of the loop into log lines and records.

    Args:
        writer: for records of numbers, or None for none.
        period: steps between log lines and records.
        describe_epoch: epoch, from 0 -> what its batches are like, logged whenever it changes; or None.
    """

    def __init__(
        self,
        writer: RecordWriter | None = None,
        *,
        period: int = 10,
        describe_epoch: Callable[[int], str] | None = None,
    ):
        self.writer = writer
        self.period = period
        self.describe_epoch = describe_epoch
        self.meter = TrainMeter()  # since the last line
        self.epoch_meter = TrainMeter()
        self._meters = {"meter": self.meter, "epoch_meter": self.epoch_meter}
        self._warned_of_data = False
        self._described = ""
        self._epoch_line = ""

    @property
    def num_records(self) -> int:
        """Records written so far."""
        return 0 if self.writer is None else self.writer.num_records

    def begin_epoch(self, epoch: int) -> None:
        """Start the clocks of an epoch, from 0."""
        description = "" if self.describe_epoch is None else self.describe_epoch(epoch)
        if description != self._described:
            logger.info(description)
            self._described = description
        for meter in self._meters.values():
            meter.start_clock()

    def mark_data(self) -> None:
        """A batch has arrived."""
        for meter in self._meters.values():
            meter.mark_data()

    def mark_step(self, *, loss: float, num_clips: int) -> None:
        """The step on it is done."""
        for meter in self._meters.values():
            meter.mark_step(loss=loss, num_clips=num_clips)

    def line(
        self,
        *,
        step: int,
        batch: int,
        epoch: float,
        num_epochs: int,
        lr: float,
        steps_left: int,
        progress: Progress,
    ) -> None:
        """Write the numbers of the steps since the last line; every process must call it.

        Args:
            step: steps so far.
            batch: those of this epoch.
            epoch: epochs so far, with the fraction of the current one.
            num_epochs: of the whole training.
        """
        record = self.meter.pop()
        # In multigrid training too: a step costs about the same in every stage, by design.
        eta = format_seconds(steps_left * record["step_seconds"])
        loss, speed, data = record["train/loss"], record["clips_per_second"], 100 * record["data_share"]
        progress.note(loss=loss, lr=lr, clips_s=speed, data=f"{data:.0f}%", eta=eta)
        logger.info(
            "epoch %.2f/%d  loss %.4f  lr %.3g  %.1f clips/s  data %.0f%%  eta %s",
            *(epoch, num_epochs, loss, lr, speed, data, eta),
            extra={"is_shown_elsewhere": progress.is_shown},
        )
        if batch > self.period:  # the first batches of an epoch find no worker ready
            self._warn_of_data(record["data_share"])
        if self.writer is not None:
            self.writer.write(step, {"epoch": epoch, "lr": lr, **record})

    def _warn_of_data(self, share: float) -> None:
        if share > _DATA_SHARE_TO_WARN and not self._warned_of_data:
            self._warned_of_data = True  # once a run
            logger.warning(
                "%.0f%% of the time is spent waiting for data. Use more DATA_LOADER.NUM_WORKERS, or videos with a "
                "short side of 256 pixels and a keyframe every 16 to 32 frames; slowfast benchmark times the loading "
                "of a clip.",
                100 * share,
            )

    def end_epoch(self, epoch: int, *, num_epochs: int, lr: float) -> None:
        """Summarize the epoch for ``epoch_line``; every process must call it."""
        seconds = self.epoch_meter.seconds
        record = self.epoch_meter.pop()
        self._epoch_line = (
            f"epoch {epoch}/{num_epochs} done: loss {record['train/loss']:.4f}  lr {lr:.3g}  "
            f"{record['clips_per_second']:.1f} clips/s  {format_seconds(seconds)}"
        )

    def epoch_line(self, figures: Mapping[str, float]) -> None:
        """The one line of an epoch that stays on a terminal, with the figures of its evaluation, if there was one."""
        if self._epoch_line:
            logger.info("%s%s", self._epoch_line, f"  {format_figures(figures)}" if figures else "")
        self._epoch_line = ""

    def figures(self, step: int, epoch: int, figures: Mapping[str, float]) -> None:
        """Write the figures of an evaluation, by their names in the records."""
        if self.writer is not None:
            self.writer.write(step, {"epoch": epoch, **figures})

    def close(self) -> None:
        """Close the writer."""
        if self.writer is not None:
            self.writer.close()

    def state_dict(self) -> dict[str, Any]:
        """Of this process."""
        return {name: meter.state_dict() for name, meter in self._meters.items()} | {"epoch_line": self._epoch_line}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, meter in self._meters.items():
            meter.load_state_dict(state[name])
        self._epoch_line = state["epoch_line"]

    def load_mean_state(self, states: Sequence[dict[str, Any]]) -> None:
        """Resume from the ``state_dict`` of each process, even if their number differed."""
        for name, meter in self._meters.items():
            meter.load_mean_state([state[name] for state in states])
        self._epoch_line = states[0]["epoch_line"]
