"""What TENSORBOARD.* asks to be drawn: of validations and after a test, for all writers of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from slowfast.config import CfgNode, ConfigError
from slowfast.config.rules.common import at_least, value_of
from slowfast.datasets import build_dataset
from slowfast.datasets.lists.path_labels import read_class_names
from slowfast.datasets.sample_kinds import BOXES, sample_kind
from slowfast.engine.build import build_device
from slowfast.engine.build_trainer import build_writers, train
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import class_name
from slowfast.engine.tester import ClipEvaluator
from slowfast.engine.trainer import Trainer
from slowfast.evaluation.analysis import confusion_matrix, predicted_classes
from slowfast.evaluation.late_fusion import find_predictions, read_prediction_arrays
from slowfast.utils import distributed
from slowfast.utils.logging import MetricWriter
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
    groups = ("CONFUSION_MATRIX", "HISTOGRAM", "WRONG_PRED_VIS", "MODEL_VIS")
    return [f"TENSORBOARD.{group}.ENABLE" for group in groups if cfg.TENSORBOARD[group].ENABLE]


def draws_alone(cfg: CfgNode) -> bool:
    """Whether there is something to draw without a test: an earlier test, or a model at work."""
    return bool(asked_drawings(cfg)) and bool(cfg.TENSORBOARD.PREDICTIONS_PATH or cfg.TENSORBOARD.MODEL_VIS.ENABLE)


def check_drawings(cfg: CfgNode) -> None:
    """Check that all that is asked for can be drawn; before anything is trained.

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
    problems = list(at_least(cfg, 1, "TENSORBOARD.HISTOGRAM.TOPK", "TENSORBOARD.MODEL_VIS.TOPK_PREDS"))
    for name in ("TENSORBOARD.CONFUSION_MATRIX.FIGSIZE", "TENSORBOARD.HISTOGRAM.FIGSIZE"):
        size = value_of(cfg, name)
        if len(size) != 2 or not all(isinstance(side, (int, float)) and 0 < side <= 100 for side in size):
            problems.append(
                f"{name}={size!r}: must be width and height in inches, above 0 and at most 100, such as [8, 8]."
            )
    if problems:
        raise ConfigError("\n".join(problems))
    try:
        pyplot()
    except ImportError as error:
        raise ConfigError(f"{asked[0]}: {error}") from error
    for name in (cfg.TENSORBOARD.MODEL_VIS.COLORMAP, cfg.TENSORBOARD.MODEL_VIS.GRAD_CAM.COLORMAP):
        colormap(name)


def draw_run(cfg: CfgNode) -> None:
    """Pass the figures of the run's test, and the drawings that TENSORBOARD.* requests, to its writers.

    Raises:
        ValueError: a file that the keys name cannot be used, or no layer has the given name.
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
            _draw_test(cfg, writers, step, predictions)
        if cfg.TENSORBOARD.MODEL_VIS.ENABLE:
            _draw_model(cfg, writers, step)
    finally:
        for writer in writers:
            writer.close()


def train_and_draw(cfg: CfgNode) -> dict[str, float]:
    """Train as the config says, with pictures of every validation; the figures of the last one.

    Raises:
        ValueError: a file that the keys name cannot be used.
    """
    return train(cfg, prepare=partial(_draw_validations, cfg=cfg))


def _draw_validations(trainer: Trainer, *, cfg: CfgNode) -> None:
    """Have ``trainer`` draw what the keys ask of each validation, of the scores that it has anyway."""
    validation, writer = trainer.validation, trainer.log.writer
    evaluation = None if validation is None else validation.evaluate
    if not (isinstance(evaluation, ClipEvaluator) and isinstance(writer, MetricWriter) and distributed.is_main()):
        return
    if not asked_drawings(cfg):
        return
    found = {"num_classes": cfg.MODEL.NUM_CLASSES, "source": "the list of classes"}
    pictures = _Pictures(cfg, writer.writers, _class_names(cfg, evaluation.dataset.class_names, **found), prefix="val/")

    def draw(trainer: Trainer) -> None:
        assert evaluation.scores is not None  # one has just been
        pictures.draw(trainer.step, evaluation.scores, evaluation.labels)

    trainer.on_evaluation = draw


def last_step(output_dir: Path) -> int:
    """The last training step in metrics.jsonl; 0 without one."""
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


class _Pictures:
    """Pictures of the predictions for a list of videos.

    Args:
        names: of all classes.
        prefix: of the pictures' names.

    Raises:
        ValueError: a file that the keys name cannot be used.
    """

    def __init__(self, cfg: CfgNode, writers: Sequence[RunWriter], names: Sequence[str], *, prefix: str = ""):
        self.writers, self.names, self.prefix = writers, list(names), prefix
        matrix, histogram = cfg.TENSORBOARD.CONFUSION_MATRIX, cfg.TENSORBOARD.HISTOGRAM
        self.matrix_size, self.histogram_options = matrix.FIGSIZE, {"top": histogram.TOPK, "size": histogram.FIGSIZE}
        subset = self.subset("CONFUSION_MATRIX.SUBSET_PATH", matrix.SUBSET_PATH)
        groups = {f"/{name}": classes for name, classes in self._categories(cfg.TENSORBOARD.CATEGORIES_PATH).items()}
        self.groups = {"": subset, **groups} if matrix.ENABLE else {}
        bars = self.subset("HISTOGRAM.SUBSET_PATH", histogram.SUBSET_PATH)
        self.histograms = bars if histogram.ENABLE else []

    def draw(self, step: int, scores: np.ndarray, labels: np.ndarray) -> None:
        """Matrices and histograms of scores (N, K) and labels (N,), as far as they are asked for."""
        matrix = confusion_matrix(labels, predicted_classes(scores), len(self.names))
        for group, classes in self.groups.items():
            title, names = f"Confusion matrix{group}", [self.names[k] for k in classes]
            part = matrix[np.ix_(classes, classes)]
            self.image(step, title, confusion_figure(part, names, size=self.matrix_size, title=title))
        for k in self.histograms:
            if matrix[k].any():
                picture = prediction_figure(matrix[k], self.names, label=k, **self.histogram_options)
                self.image(step, f"Predictions by class/{self.names[k]}", picture)

    def draw_wrong(
        self, step: int, frames: Mapping[int, Path], labels: np.ndarray, predicted: np.ndarray, options: CfgNode
    ) -> None:
        """The pictures of ``frames`` (index of a video -> file) whose classes ``options`` select."""
        classes = self.subset("WRONG_PRED_VIS.SUBSET_PATH", options.SUBSET_PATH)
        for index, path in frames.items():
            if int(labels[index]) in classes:
                with Image.open(path, formats=["JPEG"]) as strip:
                    pixels = np.asarray(strip.convert("RGB"))
                what = f"{self.names[labels[index]]} taken for {self.names[predicted[index]]}/{index}"
                self.image(step, f"{options.TAG}/{what}", pixels)

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Hand a picture to all writers."""
        for writer in self.writers:
            writer.image(step, f"{self.prefix}{name}", pixels)

    def subset(self, key: str, path: str) -> list[int]:
        """The classes that a file names, one a line; all without a file."""
        if not path:
            return list(range(len(self.names)))
        return self._ids([line.strip() for line in read_text(path).splitlines() if line.strip()], key, path)

    def _categories(self, path: str) -> dict[str, list[int]]:
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


def _class_names(cfg: CfgNode, names: Sequence[str] | None, *, num_classes: int, source: object) -> list[str]:
    """Names of all classes: those of TENSORBOARD.CLASS_NAMES_PATH, or else ``names``, which ``source`` holds."""
    path = cfg.TENSORBOARD.CLASS_NAMES_PATH
    names = read_class_names(path) if path else names
    if names is not None and len(names) != num_classes:
        raise ValueError(f"{path or source} names {len(names)} classes, and there are {num_classes}.")
    return [class_name(k, names) for k in range(num_classes)]


def _draw_test(cfg: CfgNode, writers: Sequence[RunWriter], step: int, predictions: Path) -> None:
    """Pictures of one test, and frames of the videos that it got wrong."""
    scores, labels, _ = read_prediction_arrays(predictions)
    if labels.ndim != 1:
        raise ValueError(f"{predictions} has several labels a video, of which no confusion matrix is drawn.")
    path = predictions.parent / "analysis.json"
    analysis = read_json(path) if path.is_file() else {}
    names = _class_names(cfg, analysis.get("class_names"), num_classes=scores.shape[1], source=path)
    pictures = _Pictures(cfg, writers, names)
    pictures.draw(step, scores, labels)
    options = cfg.TENSORBOARD.WRONG_PRED_VIS
    if options.ENABLE:
        rows, predicted = analysis.get("wrong_videos", []), predicted_classes(scores)
        if not rows and (labels != predicted).any():
            logger.warning("no frames of wrong videos lie in %s: set TEST.NUM_WRONG_VIDEOS, and test.", path.parent)
        wrong = {row["index"]: path.parent / row["frames"] for row in rows}
        pictures.draw_wrong(step, wrong, labels, predicted, options)


def _draw_model(cfg: CfgNode, writers: Sequence[RunWriter], step: int) -> None:
    """The network at work on the first videos of the test list."""
    vis, cam = cfg.TENSORBOARD.MODEL_VIS, cfg.TENSORBOARD.MODEL_VIS.GRAD_CAM
    dataset = build_dataset(cfg, "test", is_silent=cfg.TEST.ENABLE)
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
