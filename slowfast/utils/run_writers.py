"""Where the numbers and pictures of a run go besides its files: TensorBoard, or any registered writer.

Your own class can send them elsewhere, to Weights & Biases for example; name its file in IMPORTS and the class in
LOG_WRITERS.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from slowfast.utils.registry import Registry

WRITER_REGISTRY = Registry("writer", key="LOG_WRITERS")


class RunWriter:
    """Base class of writers; methods that a writer does not define do nothing. Only the main process creates one.

    It is created once for a training, and once more for the drawings after the test.

    Args:
        output_dir: of the run.
        config: the run's, as plain data.
    """

    def __init__(self, *, output_dir: Path, config: Mapping[str, Any]):
        self.output_dir, self.config = Path(output_dir), config

    def begin(self, step: int) -> None:
        """A training begins or resumes with this step: anything written for it or later steps is obsolete."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers, by name, of a training step."""

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Write a picture, uint8 (H, W, 3)."""

    def video(self, step: int, name: str, frames: np.ndarray, *, fps: float) -> None:
        """Write a video, uint8 (T, H, W, 3)."""

    def histogram(self, step: int, name: str, values: np.ndarray) -> None:
        """Write the distribution of some numbers."""

    def close(self) -> None:
        """Nothing more will be written."""


class TensorBoardWriter(RunWriter):
    """Event files in a folder of OUTPUT_DIR.

    Args:
        folder: its name.
    """

    def __init__(self, *, output_dir: Path, config: Mapping[str, Any], folder: str = "tensorboard"):
        super().__init__(output_dir=output_dir, config=config)
        self.folder = self.output_dir / folder
        self._summary: Any = None

    def begin(self, step: int) -> None:
        self._open(purge_step=step)

    def _open(self, purge_step: int | None = None) -> Any:
        if self._summary is None:
            from torch.utils.tensorboard import SummaryWriter

            self._summary = SummaryWriter(str(self.folder), purge_step=purge_step)
        return self._summary

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        summary = self._open()
        for name, value in values.items():
            summary.add_scalar(name, value, step)

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        self._open().add_image(name, pixels, step, dataformats="HWC")

    def video(self, step: int, name: str, frames: np.ndarray, *, fps: float) -> None:
        """As an animated GIF in an image summary: SummaryWriter.add_video would need moviepy."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        file = io.BytesIO()
        first, *rest = [Image.fromarray(frame) for frame in frames]
        first.save(file, "GIF", save_all=True, append_images=rest, duration=max(20, round(1000 / fps)), loop=0)
        image = Summary.Image(
            height=first.height, width=first.width, colorspace=3, encoded_image_string=file.getvalue()
        )
        content = Summary(value=[Summary.Value(tag=name, image=image)])
        self._open()._get_file_writer().add_summary(content, step)

    def histogram(self, step: int, name: str, values: np.ndarray) -> None:
        self._open().add_histogram(name, values, step)

    def close(self) -> None:
        if self._summary is not None:
            self._summary.close()
