"""Figures of the steps between two log lines."""

from __future__ import annotations

import time


class TrainMeter:
    """Mean loss, throughput, and the time spent waiting for data, over the steps since the last ``pop``."""

    def __init__(self, window: int):
        self.window = window
        self._clock = time.perf_counter()
        self._reset()

    def _reset(self) -> None:
        self._losses: list[float] = []
        self._num_clips = 0
        self._data_seconds = 0.0
        self._step_seconds = 0.0

    def _lap(self) -> float:
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        return seconds

    def mark_data(self) -> None:
        """Call when the loader has given a batch."""
        self._data_seconds += self._lap()

    def mark_step(self, *, loss: float, num_clips: int) -> None:
        """Call after the step, with what it was."""
        self._step_seconds += self._lap()
        self._losses.append(loss)
        self._num_clips += num_clips

    def pop(self, num_processes: int = 1) -> dict[str, float]:
        """The record of the steps so far, and begin anew; seconds are means over steps, clips count all processes."""
        steps = max(1, len(self._losses))
        total = self._data_seconds + self._step_seconds
        record = {
            "train/loss": sum(self._losses) / steps,
            "data_seconds": self._data_seconds / steps,
            "step_seconds": total / steps,
            "data_share": self._data_seconds / total if total else 0.0,
            "clips_per_second": num_processes * self._num_clips / total if total else 0.0,
        }
        self._reset()
        return record
