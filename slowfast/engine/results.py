"""The files that a test writes: results.json with predictions and analysis.json, or with detections.csv."""

from __future__ import annotations

import csv
import json
import logging
import math
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slowfast.engine.detection import DetectionResult
from slowfast.engine.prediction import class_name
from slowfast.engine.tester import TestResult
from slowfast.engine.wrong_videos import write_strips
from slowfast.evaluation.analysis import analyze
from slowfast.evaluation.ava.merging import write_detections
from slowfast.evaluation.metrics import is_labeled
from slowfast.utils.text import spreadsheet_cell

logger = logging.getLogger(__name__)


def write_results(
    output_dir: str | Path,
    result: TestResult,
    *,
    paths: Sequence[str],
    class_names: Sequence[str] | None,
    details: dict[str, Any],
    mean_scores: Callable[[np.ndarray], np.ndarray] = lambda scores: scores,
) -> None:
    """Write the files of one test into ``output_dir``.

    - results.json: figures, counts, failures, and ``details`` (protocol, config, versions, weights).
    - predictions.csv: one row per video: path, label, the names and mean scores of the five best classes, or the reason
        of a failure. It is meant for people and spreadsheets: no cell is a formula, and control characters are escaped.
    - predictions.npz: scores float32 (N, K) as fused, labels, paths, for fusion with other models.
    - analysis.json: class names, the result of ``evaluation.analysis.analyze``, accuracy by the number of views, and
        the files in wrong_videos/ with frames of misclassified videos.

    Args:
        mean_scores: fused scores -> on the scale of one view's; see ``Protocol.mean_scores``.
    """
    failures = [{"video": str(paths[i]), "reason": reason} for i, reason in sorted(result.failures.items())]
    content = {
        "figures": _json_figures(result.figures),
        "num_videos": len(paths),
        "num_labelled": int(is_labeled(result.labels).sum()),
        "num_failed": len(failures),
        "seconds": round(result.seconds, 2),
        **details,
        "failures": failures,
    }
    output_dir = Path(output_dir)
    _write_json(output_dir / "results.json", content)
    np.savez_compressed(
        output_dir / "predictions.npz",
        scores=result.scores,
        labels=result.labels,
        paths=np.asarray(paths, dtype=np.str_),
    )
    scores = mean_scores(result.scores)
    _write_predictions(output_dir / "predictions.csv", result, scores, paths, class_names)
    strips = write_strips(output_dir, result.wrong_strips)
    analysis = {
        "class_names": None if class_names is None else list(class_names),
        **analyze(scores, result.labels),
        "accuracy_by_views": result.accuracy_by_views,
        "wrong_videos": [{"index": i, "video": str(paths[i]), "frames": file} for i, file in strips.items()],
    }
    _write_json(output_dir / "analysis.json", analysis)
    logger.info("wrote results.json, analysis.json, predictions.csv and predictions.npz into %s", output_dir)


def _json_figures(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in figures.items()}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_predictions(
    path: Path, result: TestResult, scores: np.ndarray, paths: Sequence[str], class_names: Sequence[str] | None
) -> None:
    k = min(5, scores.shape[1])
    header = ["video", "label", "label_name"]
    header += [f"{what}{i}" for i in range(1, k + 1) for what in ("top", "score")] + ["failure"]
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for i, video in enumerate(paths):
            label = _label_ids(result.labels[i])
            names = ";".join(class_name(c, class_names) for c in label)
            row = [spreadsheet_cell(str(video)), ";".join(map(str, label)), spreadsheet_cell(names)]
            if i in result.failures:
                row += [""] * (2 * k) + [spreadsheet_cell(result.failures[i])]
            else:
                for c in np.argsort(-scores[i], kind="stable")[:k].tolist():
                    row += [spreadsheet_cell(class_name(c, class_names)), f"{scores[i, c]:.6g}"]
                row.append("")
            writer.writerow(row)


def _label_ids(label: np.ndarray) -> list[int]:
    """The labels of a video; none for -1, which stands for an unknown label."""
    if np.ndim(label):
        return np.flatnonzero(label).tolist()
    return [int(label)] if label >= 0 else []


def write_detection_results(output_dir: str | Path, result: DetectionResult, *, details: dict[str, Any]) -> None:
    """Write detections.csv (``video,second,x1,y1,x2,y2,action_id,score``) and results.json into ``output_dir``."""
    output_dir = Path(output_dir)
    write_detections(output_dir / "detections.csv", result.table)
    percents = {name: None if math.isnan(ap) else round(100 * ap, 4) for name, ap in result.report["ap"].items()}
    content = {
        "figures": _json_figures(result.figures),
        "average_precision_percent": percents,
        "counts": result.report["counts"],
        "num_key_frames": result.num_key_frames,
        "num_failed": len(result.failures),
        "seconds": round(result.seconds, 2),
        **details,
        "failures": [{"key_frame": name, "reason": reason} for name, reason in result.failures.items()],
    }
    _write_json(output_dir / "results.json", content)
    logger.info("wrote detections.csv and results.json into %s", output_dir)


def write_pyslowfast_results(path: str | Path, result: TestResult) -> None:
    """Write the pickle of TEST.SAVE_RESULTS_PATH as PySlowFast does: ``[scores (N, K), labels]`` as tensors."""
    import torch

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump([torch.from_numpy(result.scores), torch.from_numpy(np.asarray(result.labels))], file)
