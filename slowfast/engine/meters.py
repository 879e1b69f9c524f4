"""Figures of the steps between two log lines, and of an epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from slowfast.utils import distributed


class TrainMeter:
    """Mean loss, throughput, and the time spent waiting for data, over the steps since the last ``pop``."""

    def __init__(self):
        self._reset()
        self.start_clock()

    def _reset(self) -> None:
        self._losses: list[float] = []
        self._num_clips = 0
        self._data_seconds = 0.0
        self._step_seconds = 0.0

    def start_clock(self) -> None:
        """Work done until now does not count as part of a step."""
        self._clock = time.perf_counter()

    def _lap(self) -> float:
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        return seconds

    def mark_data(self) -> None:
        """Call when the loader has returned a batch."""
        self._data_seconds += self._lap()

    def mark_step(self, *, loss: float, num_clips: int) -> None:
        """Call after the step, with its numbers."""
        self._step_seconds += self._lap()
        self._losses.append(loss)
        self._num_clips += num_clips

    @property
    def seconds(self) -> float:
        """The means over the steps so far."""
        return self._data_seconds + self._step_seconds

    def pop(self) -> dict[str, float]:
        """The record of the steps so far, and start over; every process must call it.

        Seconds are means over the steps of this process; the loss is the mean over all, and clips count all.
        """
        steps = max(1, len(self._losses))
        total = self.seconds
        record = {
            "train/loss": distributed.mean(sum(self._losses) / steps),
            "data_seconds": self._data_seconds / steps,
            "step_seconds": total / steps,
            "data_share": self._data_seconds / total if total else 0.0,
            "clips_per_second": distributed.world_size() * self._num_clips / total if total else 0.0,
        }
        self._reset()
        return record

    def state_dict(self) -> dict[str, Any]:
        """Everything except the clock, which stands still while nothing runs."""
        return {
            "losses": list(self._losses),
            "num_clips": self._num_clips,
            "data_seconds": self._data_seconds,
            "step_seconds": self._step_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._losses = list(state["losses"])
        self._num_clips = state["num_clips"]
        self._data_seconds, self._step_seconds = state["data_seconds"], state["step_seconds"]

    def load_mean_state(self, states: Sequence[dict[str, Any]]) -> None:
        """Resume from the ``state_dict`` of each process, even if their number differed; ``pop`` gives the same."""
        self._losses = [sum(losses) / len(states) for losses in zip(*(s["losses"] for s in states), strict=True)]
        self._num_clips = sum(s["num_clips"] for s in states) // distributed.world_size()
        self._data_seconds, self._step_seconds = states[0]["data_seconds"], states[0]["step_seconds"]
