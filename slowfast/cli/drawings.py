"""What TENSORBOARD.* asks to be drawn after a test, for TensorBoard and every other writer of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from slowfast.config import CfgNode, ConfigError
from slowfast.config.rules.common import at_least, value_of
from slowfast.datasets import build_dataset
from slowfast.datasets.lists.path_labels import read_class_names
from slowfast.datasets.sample_kinds import BOXES, sample_kind
from slowfast.engine.build import build_device
from slowfast.engine.build_writers import build_writers
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import class_name
from slowfast.evaluation.analysis import confusion_matrix, predicted_classes
from slowfast.evaluation.late_fusion import find_predictions, read_prediction_arrays
from slowfast.utils import distributed
from slowfast.utils.run_writers import RunWriter
from slowfast.utils.suggest import did_you_mean
from slowfast.utils.untrusted import read_json, read_text
from slowfast.visualization.comparison import pyplot, read_metrics
from slowfast.visualization.figures import colormap, confusion_figure, prediction_figure
from slowfast.visualization.model_pictures import ModelPictures, center_view
from slowfast.visualization.report.contents import find_runs

logger = logging.getLogger(__name__)

NUM_VIDEOS = 8  # of the test list, on which a model is shown at work


def asked_drawings(cfg: CfgNode) -> list[str]:
    """The keys that ask for drawings."""
    if not (cfg.TENSORBOARD.ENABLE or cfg.LOG_WRITERS):
        return []
    asked = {
        "TENSORBOARD.CONFUSION_MATRIX.ENABLE": cfg.TENSORBOARD.CONFUSION_MATRIX.ENABLE,
        "TENSORBOARD.HISTOGRAM.ENABLE": cfg.TENSORBOARD.HISTOGRAM.ENABLE,
        "TENSORBOARD.WRONG_PRED_VIS.ENABLE": cfg.TENSORBOARD.WRONG_PRED_VIS.ENABLE,
        "TENSORBOARD.MODEL_VIS.ENABLE": cfg.TENSORBOARD.MODEL_VIS.ENABLE,
    }
    return [key for key, value in asked.items() if value]


def draws_alone(cfg: CfgNode) -> bool:
    """Whether there is something to draw without a test: of an earlier one, or a model at work."""
    return bool(asked_drawings(cfg)) and bool(cfg.TENSORBOARD.PREDICTIONS_PATH or cfg.TENSORBOARD.MODEL_VIS.ENABLE)


def check_drawings(cfg: CfgNode) -> None:
    """Return when all that is asked for can be drawn; before anything is trained.

    Raises:
        ConfigError: it cannot; the message says why.
    """
    asked = asked_drawings(cfg)
    if not asked:
        return
    has_boxes = sample_kind(cfg) is BOXES
    if has_boxes or cfg.DATA.MULTI_LABEL:
        kind = "boxes" if has_boxes else "several labels per video"
        raise ConfigError(
            f"{' and '.join(asked)}: these are drawn only for one label per video, but this test has {kind}. Turn "
            f"them off; `slowfast report` and `slowfast explain` show such a test."
        )
    problems = [
        *at_least(cfg, 1, "TENSORBOARD.HISTOGRAM.TOPK", "TENSORBOARD.MODEL_VIS.TOPK_PREDS"),
        *_size_problems(cfg, "TENSORBOARD.CONFUSION_MATRIX.FIGSIZE", "TENSORBOARD.HISTOGRAM.FIGSIZE"),
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    try:
        pyplot()
    except ImportError as error:
        raise ConfigError(f"{asked[0]}: {error}") from error
    for name in (cfg.TENSORBOARD.MODEL_VIS.COLORMAP, cfg.TENSORBOARD.MODEL_VIS.GRAD_CAM.COLORMAP):
        colormap(name)


def _size_problems(cfg: CfgNode, *names: str) -> Iterator[str]:
    for name in names:
        size = value_of(cfg, name)
        if len(size) != 2 or not all(isinstance(side, (int, float)) and 0 < side <= 100 for side in size):
            yield f"{name}={size!r}: must be width and height in inches, above 0 and at most 100, such as [8, 8]."


def draw_run(cfg: CfgNode) -> None:
    """Hand the figures of the test that the run made to its writers, and what TENSORBOARD.* asks to be drawn.

    Raises:
        ValueError: a file that the keys name cannot be used, or no layer has the name that they give.
    """
    if not distributed.is_main() or not (cfg.TENSORBOARD.ENABLE or cfg.LOG_WRITERS):
        return
    asked, path = asked_drawings(cfg), cfg.TENSORBOARD.PREDICTIONS_PATH
    if not (cfg.TEST.ENABLE or draws_alone(cfg)):
        return
    writers = build_writers(cfg)
    try:
        step = last_step(Path(cfg.OUTPUT_DIR))
        if cfg.TEST.ENABLE:
            for folder in find_runs(cfg.OUTPUT_DIR):
                _figures(writers, step, folder, several=folder != Path(cfg.OUTPUT_DIR))
        if asked and (path or cfg.TEST.ENABLE):
            predictions = find_predictions(path or find_runs(cfg.OUTPUT_DIR)[-1])
            _TestPictures(cfg, writers, step, predictions).draw()
        if cfg.TENSORBOARD.MODEL_VIS.ENABLE:
            _draw_model(cfg, writers, step)
    finally:
        for writer in writers:
            writer.close()


def last_step(output_dir: Path) -> int:
    """The last training step that metrics.jsonl tells of; 0 without one."""
    path = output_dir / "metrics.jsonl"
    return max((record["step"] for record in read_metrics(path)), default=0) if path.is_file() else 0


def _figures(writers: Sequence[RunWriter], step: int, folder: Path, *, several: bool) -> None:
    """``test/top1`` and so on; with several tests ``test/views_3/top1``."""
    prefix = f"test/{folder.name}/" if several else "test/"
    values = {f"{prefix}{k}": v for k, v in read_json(folder / "results.json")["figures"].items() if v is not None}
    analysis = folder / "analysis.json"
    calibration = read_json(analysis).get("calibration") if analysis.is_file() else None
    if calibration:
        values[f"{prefix}calibration_error"] = calibration["ece"]
    for writer in writers:
        writer.scalars(step, values)


class _TestPictures:
    """Pictures of the predictions of one test."""

    def __init__(self, cfg: CfgNode, writers: Sequence[RunWriter], step: int, predictions: Path):
        self.cfg, self.writers, self.step = cfg, writers, step
        scores, self.labels, _ = read_prediction_arrays(predictions)
        self.predicted = predicted_classes(scores)
        if self.labels.ndim != 1:
            raise ValueError(f"{predictions} has several labels per video, for which there is no confusion matrix.")
        self.folder = predictions.parent
        self.analysis: dict[str, Any] = {}
        if (self.folder / "analysis.json").is_file():
            self.analysis = read_json(self.folder / "analysis.json")
        self.names = self._class_names(scores.shape[1])
        self.matrix = confusion_matrix(self.labels, self.predicted, scores.shape[1])

    def _class_names(self, num_classes: int) -> list[str]:
        path = self.cfg.TENSORBOARD.CLASS_NAMES_PATH
        names = read_class_names(path) if path else self.analysis.get("class_names")
        if names is not None and len(names) != num_classes:
            raise ValueError(
                f"{path or self.folder / 'analysis.json'} names {len(names)} classes, but the test has {num_classes}."
            )
        return [class_name(k, names) for k in range(num_classes)]

    def draw(self) -> None:
        """All that is asked for."""
        if self.cfg.TENSORBOARD.CONFUSION_MATRIX.ENABLE:
            self._matrices()
        if self.cfg.TENSORBOARD.HISTOGRAM.ENABLE:
            self._histograms()
        if self.cfg.TENSORBOARD.WRONG_PRED_VIS.ENABLE:
            self._wrong()

    def _image(self, name: str, pixels: np.ndarray) -> None:
        for writer in self.writers:
            writer.image(self.step, name, pixels)

    def _matrices(self) -> None:
        subset = self._subset("CONFUSION_MATRIX.SUBSET_PATH", self.cfg.TENSORBOARD.CONFUSION_MATRIX.SUBSET_PATH)
        groups = {"Confusion matrix": subset}
        groups |= {f"Confusion matrix/{name}": classes for name, classes in self._categories().items()}
        for title, classes in groups.items():
            names = [self.names[k] for k in classes]
            size = self.cfg.TENSORBOARD.CONFUSION_MATRIX.FIGSIZE
            self._image(title, confusion_figure(self.matrix[np.ix_(classes, classes)], names, size=size, title=title))

    def _histograms(self) -> None:
        options = {"top": self.cfg.TENSORBOARD.HISTOGRAM.TOPK, "size": self.cfg.TENSORBOARD.HISTOGRAM.FIGSIZE}
        for k in self._subset("HISTOGRAM.SUBSET_PATH", self.cfg.TENSORBOARD.HISTOGRAM.SUBSET_PATH):
            if self.matrix[k].any():
                picture = prediction_figure(self.matrix[k], self.names, label=k, **options)
                self._image(f"Predictions by class/{self.names[k]}", picture)

    def _wrong(self) -> None:
        classes = set(self._subset("WRONG_PRED_VIS.SUBSET_PATH", self.cfg.TENSORBOARD.WRONG_PRED_VIS.SUBSET_PATH))
        rows = self.analysis.get("wrong_videos", [])
        if not rows and (self.labels != self.predicted).any():
            logger.warning(
                "there are no frames of misclassified videos in %s: set TEST.NUM_WRONG_VIDEOS and test again.",
                self.folder,
            )
        for row in rows:
            label, predicted = int(self.labels[row["index"]]), int(self.predicted[row["index"]])
            if label in classes:
                with Image.open(self.folder / row["frames"], formats=["JPEG"]) as strip:
                    pixels = np.asarray(strip.convert("RGB"))
                what = f"{self.names[label]} taken for {self.names[predicted]}/{row['index']}"
                self._image(f"{self.cfg.TENSORBOARD.WRONG_PRED_VIS.TAG}/{what}", pixels)

    def _subset(self, key: str, path: str) -> list[int]:
        """The classes that a file names, one per line; all without a file."""
        if not path:
            return list(range(len(self.names)))
        return self._ids([line.strip() for line in read_text(path).splitlines() if line.strip()], key, path)

    def _categories(self) -> dict[str, list[int]]:
        path = self.cfg.TENSORBOARD.CATEGORIES_PATH
        if not path:
            return {}
        content = read_json(path)
        if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
            raise ValueError(f'{path} (TENSORBOARD.CATEGORIES_PATH): expected {{"group": ["class", ...], ...}}.')
        return {str(group): self._ids(names, "CATEGORIES_PATH", path) for group, names in content.items()}

    def _ids(self, names: Sequence[object], key: str, path: str) -> list[int]:
        for name in names:
            if name not in self.names:
                hint = did_you_mean(str(name), self.names)
                raise ValueError(f"{path} (TENSORBOARD.{key}): {name!r} is not a class of the test.{hint}")
        return [self.names.index(str(name)) for name in names]


def _draw_model(cfg: CfgNode, writers: Sequence[RunWriter], step: int) -> None:
    """The network at work on the first videos of the test list."""
    vis = cfg.TENSORBOARD.MODEL_VIS
    cam = cfg.TENSORBOARD.MODEL_VIS.GRAD_CAM
    dataset = build_dataset(cfg, "test")
    pipeline = Pipeline.from_config(cfg, class_names=dataset.class_names, device=build_device(cfg))
    pictures = ModelPictures(pipeline, writers, step=step, fps=cfg.DATA.TARGET_FPS / cfg.DATA.SAMPLING_RATE)
    if vis.MODEL_WEIGHTS:
        pictures.weights(vis.LAYER_LIST)
    for index in range(min(NUM_VIDEOS, dataset.num_videos)):
        views = dataset[index]
        if views.failure:
            logger.warning("%s It is not shown.", views.failure)
            continue
        frames, name = center_view(views), Path(views.path).name
        scores = pipeline.scores(frames)[0].numpy()
        if vis.INPUT_VIDEO:
            pictures.clip(name, frames, scores, top=vis.TOPK_PREDS, colors=colormap(vis.COLORMAP))
        if vis.ACTIVATIONS:
            pictures.activations(name, frames, vis.LAYER_LIST, colormap(cam.COLORMAP))
        if cam.ENABLE:
            known = cam.USE_TRUE_LABEL and int(views.label) >= 0
            class_id = int(views.label) if known else int(scores.argmax())
            pictures.evidence(name, frames, class_id, cam.LAYER_LIST, colormap(cam.COLORMAP))
