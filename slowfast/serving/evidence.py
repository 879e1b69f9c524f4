"""Where a model finds its evidence in a video, as an overlay that a browser plays."""

from __future__ import annotations

import copy
import logging
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from slowfast.datasets.views import read_views
from slowfast.engine.grad_cam import default_layers, grad_cam, normalized
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import class_name
from slowfast.utils.text import printable
from slowfast.visualization.heatmaps import with_heat, write_overlay

logger = logging.getLogger(__name__)

MOST_CLIPS = 4  # that heat is drawn over


class Evidence:
    """Draws the heatmaps of each pathway over the clips with the strongest evidence for the best class.

    Maps are computed with a copy of the model, one video at a time: this switches modules to train mode for a moment,
    which must not happen to a model that scores in another thread.
    """

    def __init__(self, pipeline: Pipeline):
        self._pipeline = pipeline.with_model(copy.deepcopy(pipeline.model))
        self._lock = threading.Lock()

    def __call__(self, video: str, path: Path) -> bool:
        """Write the overlay of ``video``; False if no layer of the network has a map."""
        with self._lock:
            return self._write(video, path)

    def _write(self, video: str, path: Path) -> bool:
        pipeline = self._pipeline
        protocol = replace(pipeline.protocol, num_crops=1, single_crop="centre")
        with pipeline.open(video) as reader:
            views = read_views(reader, protocol)
        scores = pipeline.scores_of(views)
        best = int(scores.mean(0).argmax())
        ranked = np.argsort(-scores[:, best], kind="stable")[:MOST_CLIPS]
        chosen = np.sort(ranked[scores[ranked, best] >= scores[ranked[0], best] / 2])  # not where the class is not
        frames, seconds = views.views(chosen.tolist()), views.view_seconds.numpy()[chosen]
        try:
            maps = grad_cam(pipeline, frames, [best] * len(chosen), default_layers(pipeline, frames))
        except ValueError as error:
            logger.warning("no overlay: %s", error)
            return False
        pixels = frames[:, :3].permute(0, 2, 3, 4, 1).numpy()
        columns = {"frames": pixels}
        columns |= {title: with_heat(pixels, normalized(found).numpy()) for title, found in maps.items()}
        name = printable(class_name(best, pipeline.class_names))
        titles = [
            f"{name}: {score[best]:.2f}, {start:.1f} to {end:.1f} s"
            for score, (start, end) in zip(scores[chosen], seconds.tolist(), strict=True)
        ]
        begin, end = seconds[0]
        write_overlay(path, columns, titles=titles, fps=pixels.shape[1] / max(end - begin, 1e-3))
        return True
