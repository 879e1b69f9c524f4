"""What a model is trained and tested for: whole clips or boxes. A task knows its evaluation and the files that it
writes.

``task_of(cfg)`` makes the choice; ``Task.samples`` says how samples are batched and distributed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from slowfast.config import config_as_data
from slowfast.datasets import build_dataset, build_loader
from slowfast.datasets.ava import VAL_EVERY_SECONDS
from slowfast.datasets.build import build_protocol, protocol_of
from slowfast.datasets.fingerprint import Fingerprint, fingerprint_of
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.sample_kinds import BOXES, CLIPS, sample_kind
from slowfast.engine.build import build_device, check_loading, train_dtype
from slowfast.engine.detection import DetectionEvaluator
from slowfast.engine.partial_scores import PartialScores
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.results import write_detection_results, write_pyslowfast_results, write_results
from slowfast.engine.tester import ClipEvaluator, Tester, TestResult
from slowfast.evaluation import ava, build_ensemble, build_evaluator, evaluator_name
from slowfast.evaluation.ava.files import read_excluded_timestamps, read_groundtruth, read_label_map
from slowfast.evaluation.ava.protocols import protocol_called
from slowfast.evaluation.ava.table import BoxTable
from slowfast.evaluation.metrics import describe_figures
from slowfast.utils import distributed
from slowfast.utils.environment import versions
from slowfast.utils.logging import format_seconds

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

    from slowfast.datasets.contract import ClipsDataset, KeyFrameDataset, VideoDataset

logger = logging.getLogger(__name__)

Evaluation = ClipEvaluator | DetectionEvaluator


class ClipTask:
    """Classes of whole clips; a test sees several views of a video.

    Attributes:
        samples: how samples are counted, batched and distributed.
        figure_prefix: of the names of validation figures in metrics.jsonl.
    """

    samples = CLIPS
    figure_prefix = "val/clip_"  # of one clip per video, where a test sees several

    def validation(self, cfg: CfgNode, model: nn.Module) -> ClipEvaluator:
        """The evaluation of ``model``, or another of its kind, on the val split during training."""
        dataset: ClipsDataset = build_dataset(cfg, "val")
        return ClipEvaluator(
            validation_pipeline(cfg, model, dataset),
            loader=build_loader(cfg, "val", dataset=dataset),
            labels=np.asarray(dataset.labels),
            make_ensemble=partial(build_ensemble, cfg, num_videos=dataset.num_videos, num_views=1),
            evaluator=build_evaluator(cfg),
            partial=PartialScores(cfg.OUTPUT_DIR, name="val"),
        )

    def check_evaluation(self, cfg: CfgNode) -> None:
        """Check that the evaluator of a model can be built; no file is read.

        Raises:
            ValueError: an unknown name.
        """
        build_evaluator(cfg)
        build_ensemble(cfg, num_videos=1, num_views=1)

    def primary_figure(self, cfg: CfgNode) -> str:
        """The figure that represents a test where there is room for only one."""
        return build_evaluator(cfg).primary

    def check_test(self, cfg: CfgNode) -> None:
        """Check that ``test`` would find its lists and rules; nothing is decoded.

        Raises:
            ValueError: something is missing; the message names it.
        """
        build_dataset(cfg, "test", is_silent=True)
        build_evaluator(cfg)

    def test(self, cfg: CfgNode, *, model: nn.Module | None = None) -> dict[str, float]:
        """Test ``model``, or the weights that the config names, write the results, and return the figures.

        Once for each entry of TEST.NUM_TEMPORAL_CLIPS; the figures are the last's.
        """
        counts = list(cfg.TEST.NUM_TEMPORAL_CLIPS) or [cfg.TEST.NUM_ENSEMBLE_VIEWS]
        figures: dict[str, float] = {}
        for num_clips in counts:
            tester = build_tester(cfg, model=model, num_clips=num_clips)
            result = tester.test()
            figures = result.figures
            if distributed.is_main():
                folder = Path(cfg.OUTPUT_DIR) / (f"views_{num_clips}" if len(counts) > 1 else "")
                self._report(cfg, result, tester, folder, details(cfg, tester.pipeline, tester.loader.dataset))
            distributed.barrier()
        return figures

    def _report(self, cfg: CfgNode, result: TestResult, tester: Tester, folder: Path, facts: dict[str, Any]) -> None:
        name, protocol = evaluator_name(cfg), tester.pipeline.protocol
        write_results(
            folder,
            result,
            paths=tester.loader.dataset.paths,
            class_names=tester.pipeline.class_names,
            mean_scores=protocol.mean_scores,
            details={"evaluator": name, **facts},
        )
        if cfg.TEST.SAVE_RESULTS_PATH:
            write_pyslowfast_results(Path(cfg.OUTPUT_DIR) / cfg.TEST.SAVE_RESULTS_PATH, result)
        logger.info(
            "test (%s; %s): %s  (%d videos%s, %s)",
            protocol.describe(),
            name,
            describe_figures(result.figures, result.labels),
            len(result.labels),
            f", {len(result.failures)} not decodable" if result.failures else "",
            format_seconds(result.seconds),
        )


class BoxTask:
    """Classes of boxes on key frames, with the methods of ``ClipTask``; a test averages over scales and flips."""

    samples = BOXES
    figure_prefix = "val/"

    def validation(self, cfg: CfgNode, model: nn.Module) -> DetectionEvaluator:
        dataset: KeyFrameDataset = build_dataset(cfg, "val")
        pipeline = validation_pipeline(cfg, model, dataset)
        reduced = not cfg.AVA.FULL_TEST_ON_VAL
        name = f"validation, 1 in {VAL_EVERY_SECONDS} seconds" if reduced else "validation"
        return self._evaluator(cfg, pipeline, "val", [dataset], name=name, reduced=reduced)

    def check_evaluation(self, cfg: CfgNode) -> None:
        try:
            protocol_called(cfg.AVA.PROTOCOL)
        except ValueError as error:
            raise ValueError(f"AVA.PROTOCOL: {error}") from error

    def primary_figure(self, cfg: CfgNode) -> str:
        return "mAP"

    def check_test(self, cfg: CfgNode) -> None:
        build_dataset(cfg, "test", is_silent=True)
        build_box_evaluation(cfg, reduced=False)

    def test(self, cfg: CfgNode, *, model: nn.Module | None = None) -> dict[str, float]:
        dataset: KeyFrameDataset = build_dataset(cfg, "test")
        pipeline = test_pipeline(cfg, dataset, model, protocol=build_protocol(cfg, "test"))
        looks = tta_variants(dataset, pipeline.protocol)
        result = self._evaluator(cfg, pipeline, "test", looks, name="test", reduced=False).run(pipeline.model)
        if distributed.is_main():
            rules = {"evaluator": "frame mAP", "iou": 0.5, "ava_protocol": cfg.AVA.PROTOCOL}
            facts = {**rules, "min_box_score": cfg.AVA.DETECTION_SCORE_THRESH, **details(cfg, pipeline, dataset)}
            logger.info("test protocol: %s", pipeline.protocol.describe())
            write_detection_results(cfg.OUTPUT_DIR, result, details=facts)
        distributed.barrier()
        return result.figures

    def _evaluator(
        self,
        cfg: CfgNode,
        pipeline: Pipeline,
        split: str,
        looks: Sequence[KeyFrameDataset],
        *,
        name: str,
        reduced: bool,
    ) -> DetectionEvaluator:
        return DetectionEvaluator(
            pipeline,
            loaders=[build_loader(cfg, split, dataset=look) for look in looks],
            key_frames=looks[0].key_frames,
            num_classes=cfg.MODEL.NUM_CLASSES,
            evaluate=build_box_evaluation(cfg, reduced=reduced),
            name=name,
            partials=[PartialScores(cfg.OUTPUT_DIR, name=f"{split}-{number}") for number in range(len(looks))],
        )


Task = ClipTask | BoxTask  # what is to be learned, and how it is judged
TASKS: dict[str, Task] = {task.samples.name: task for task in (ClipTask(), BoxTask())}


def task_of(cfg: CfgNode) -> Task:
    """The task of a config."""
    return TASKS[sample_kind(cfg).name]


def test(cfg: CfgNode) -> dict[str, float]:
    """Test as the config says and write the results; returns the figures."""
    if not cfg.TRAIN.ENABLE:  # else looked at before the training
        check_loading(cfg)
    return task_of(cfg).test(cfg)


def validation_pipeline(cfg: CfgNode, model: nn.Module, dataset: VideoDataset) -> Pipeline:
    """``model`` as in training: in the training's precision, with its batch norms unfolded."""
    device = next(model.parameters()).device
    return Pipeline(
        model,
        protocol_of(cfg, dataset, "val"),
        dtype=train_dtype(cfg, device),
        channels_last=cfg.MODEL.CHANNELS_LAST,
    )


def test_pipeline(
    cfg: CfgNode, dataset: VideoDataset, model: nn.Module | None, *, protocol: Protocol | None = None
) -> Pipeline:
    """``model``, or that of the weights that the config names, on this process's device.

    If the list has no class names, those with which the weights were trained are used.
    """
    return Pipeline.from_config(
        cfg,
        model=model,
        protocol=protocol or protocol_of(cfg, dataset, "test"),
        class_names=dataset.class_names,
        device=build_device(cfg),
    )


def build_tester(cfg: CfgNode, *, model: nn.Module | None = None, num_clips: int | None = None) -> Tester:
    """A ``Tester`` of ``model``, or of the weights that the config names.

    Args:
        num_clips: clips per video; default TEST.NUM_ENSEMBLE_VIEWS.
    """
    dataset: ClipsDataset = build_dataset(cfg, "test", num_clips=num_clips)
    return Tester(
        test_pipeline(cfg, dataset, model),
        loader=build_loader(cfg, "test", dataset=dataset),
        labels=np.asarray(dataset.labels),
        ensemble=build_ensemble(cfg, num_videos=dataset.num_videos, num_views=dataset.num_views),
        evaluator=build_evaluator(cfg),
        partial=PartialScores(cfg.OUTPUT_DIR, name=f"test-{dataset.num_views}"),
        num_wrong_videos=cfg.TEST.NUM_WRONG_VIDEOS,
    )


def details(cfg: CfgNode, pipeline: Pipeline, dataset: VideoDataset) -> dict[str, Any]:
    """The provenance in every results.json; differences from what the weights were trained on are logged."""
    lists = fingerprint_of(dataset)
    _compare_with_training(pipeline.origin, lists, dataset.class_names)
    return {
        "protocol": pipeline.protocol.as_dict(),
        "protocol_text": pipeline.protocol.describe(),
        "weights": pipeline.origin.get("weights", "a model that was given"),
        **({"trained_in": pipeline.origin["batch_sizes"]} if "batch_sizes" in pipeline.origin else {}),
        "lists": {"test": lists.as_dict()},
        "versions": versions(),
        "config": config_as_data(cfg),
    }


def _compare_with_training(origin: dict[str, Any], lists: Fingerprint, class_names: Sequence[str] | None) -> None:
    """Log one line if the test's data has different classes, or differs from what the weights were validated on."""
    trained_names = origin.get("class_names")
    if trained_names and class_names and list(trained_names) != list(class_names):
        differing = next(
            (i for i, names in enumerate(zip(trained_names, class_names, strict=False)) if names[0] != names[1]),
            min(len(trained_names), len(class_names)),
        )
        logger.warning(
            "%s was trained with different class names (%d, here %d; the first difference is at number %d).",
            *(origin["weights"], len(trained_names), len(class_names), differing),
        )
    stored = origin.get("lists", {}).get("val")
    changes = Fingerprint.from_dict(stored).differences(lists) if stored else []
    if changes:
        level = logging.WARNING if stored["classes"] != lists.classes else logging.INFO
        told = f"validated on {stored['file']}, but this test reads {lists.file}"
        logger.log(level, "%s was %s: %s.", origin["weights"], told, ", ".join(changes))


def tta_variants(dataset: KeyFrameDataset, protocol: Protocol) -> list[KeyFrameDataset]:
    """A test set of boxes at every scale of a protocol, mirrored and not."""
    looks = protocol.variants()
    if len(looks) == 1:
        return [dataset]  # it looks so already
    return [dataset.with_view(short_side=look.short_side, flip=look.flip) for look in looks]


def build_box_evaluation(cfg: CfgNode, *, reduced: bool) -> Callable[[BoxTable], dict]:
    """A function from detections to the report of ``slowfast.evaluation.ava.protocols.evaluate``.

    Args:
        reduced: use only every fourth second, as PySlowFast's validation during training does.

    Raises:
        ValueError: a file of AVA.ANNOTATION_DIR is missing or cannot be read; names the key.
    """
    groundtruth = read_groundtruth(_annotation_file(cfg, "GROUNDTRUTH_FILE", cfg.AVA.GROUNDTRUTH_FILE))
    groundtruth = _annotated(groundtruth, cfg.AVA.FIRST_SECOND, cfg.AVA.LAST_SECOND)
    if reduced:
        groundtruth = groundtruth.every_nth_second(VAL_EVERY_SECONDS)
    excluded = set()
    if cfg.AVA.EXCLUSION_FILE:
        excluded = read_excluded_timestamps(_annotation_file(cfg, "EXCLUSION_FILE", cfg.AVA.EXCLUSION_FILE))
    return partial(
        ava.evaluate,
        groundtruth,
        class_names=read_label_map(_annotation_file(cfg, "LABEL_MAP_FILE", cfg.AVA.LABEL_MAP_FILE)),
        excluded=excluded,
        protocol=cfg.AVA.PROTOCOL,
    )


def _annotated(groundtruth: BoxTable, first: int, last: int) -> BoxTable:
    """The key frames of the annotated seconds; boxes are detected in no others."""
    kept = groundtruth.within_seconds(first, last)
    if len(kept.images) < len(groundtruth.images):
        logger.warning(
            "%s: %s of %s key frames lie outside the seconds %d to %d (AVA.FIRST_SECOND, AVA.LAST_SECOND) and are not "
            "evaluated.",
            *(groundtruth.source, f"{len(groundtruth.images) - len(kept.images):,}", f"{len(groundtruth.images):,}"),
            *(first, last),
        )
    return kept


def _annotation_file(cfg: CfgNode, key: str, name: str) -> Path:
    folder = cfg.AVA.ANNOTATION_DIR
    path = Path(folder) / name
    if not path.is_file():
        raise ValueError(f"there is no {path}: AVA.{key} names a file in AVA.ANNOTATION_DIR={folder!r}.")
    return path
