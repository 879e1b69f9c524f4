"""What a report shows of one run: plain data, read from the files in its OUTPUT_DIR.

Those files may come from anywhere. They are read as data, checked, and reach the page only as text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejson

from slowfast.config.files import parse_yaml
from slowfast.config.merge import leaves
from slowfast.datasets.protocol import Protocol
from slowfast.evaluation.analysis import analyze, predicted_classes
from slowfast.evaluation.late_fusion import read_prediction_arrays
from slowfast.utils.untrusted import read_bytes, read_json, read_text
from slowfast.visualization.comparison import read_metrics, series

MAX_VIDEOS = 20_000  # rows of the table, which a browser still sorts at once
MAX_POINTS = 600  # of a curve
MAX_STRIP_BYTES = 2**20
NUM_TOP = 3


class ReportError(ValueError):
    """A folder that holds no run, or unusable files in it."""


def find_runs(folder: str | Path) -> list[Path]:
    """The folders of the tests of a run: itself, or its views_* where TEST.NUM_TEMPORAL_CLIPS asked for several.

    Raises:
        ReportError: there is neither a test nor a training in it.
    """
    folder = Path(folder)
    if (folder / "results.json").is_file():
        return [folder]
    several = sorted(path.parent for path in folder.glob("views_*/results.json"))
    if several:
        return several
    if (folder / "metrics.jsonl").is_file():
        return [folder]
    raise ReportError(
        f"{folder} holds neither results.json of a test nor metrics.jsonl of a training. Name the OUTPUT_DIR of a run."
    )


def read_run(folder: Path, *, name: str) -> dict[str, Any]:
    """Everything that the page shows of one run, ready for JSON. Missing parts (of a training without a test, say) are
    empty.

    Raises:
        ReportError, ValueError: a file cannot be read; the message names it.
    """
    results = _read_object(folder / "results.json")
    stored = _read_object(folder / "analysis.json")
    class_names = _class_names(stored.get("class_names"), folder)
    found: dict[str, Any] = {
        "name": name,
        "class_names": class_names,
        "figures": _figures(results, folder),
        **{key: results.get(key) for key in ("num_videos", "num_labelled", "num_failed", "seconds")},
        "protocol": _text(results.get("protocol_text", results.get("protocol"))),
        "evaluator": _text(results.get("evaluator")),
        "weights": _text(results.get("weights")),
        "list": _list_text(results.get("lists")),
        "versions": {str(key): str(value) for key, value in _mapping(results.get("versions")).items()},
        "config": _config(results, folder),
        "accuracy_by_views": _views(stored.get("accuracy_by_views")),
        **_training(folder),
        **_predictions(folder, results, stored),
    }
    if "average_precision_percent" in results:  # of boxes: by name, in the order of the label map
        precisions = _mapping(results["average_precision_percent"])
        found["class_names"] = list(precisions)
        found["classes"] = [{"class": i, "ap": value} for i, value in enumerate(precisions.values())]
    return found


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is no such file."""
    if not path.is_file():
        return {}
    content = read_json(path, error=ReportError)
    if not isinstance(content, dict):
        raise ReportError(f"{path} is not the {path.name} of a test: expected an object.")
    return content


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _figures(results: Mapping[str, Any], folder: Path) -> dict[str, float | None]:
    figures = _mapping(results.get("figures"))
    if not all(value is None or isinstance(value, (int, float)) for value in figures.values()):
        raise ReportError(f"{folder / 'results.json'}: figures holds values that are not numbers.")
    return dict(figures)


def _class_names(names: object, folder: Path) -> list[str] | None:
    if names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return names
    raise ReportError(f"{folder / 'analysis.json'}: class_names is not a list of strings.")


def _list_text(lists: object) -> str | None:
    test = _mapping(_mapping(lists).get("test"))
    if not test:
        return None
    return f"{test.get('file')}: {test.get('rows')} rows, sha256 {str(test.get('sha256'))[:8]}"


def _views(rows: object) -> list[dict[str, float]]:
    wanted = ("clips", "crops", "top1")
    rows = rows if isinstance(rows, list) else []
    kept: list[dict[str, Any]] = [{key: _mapping(row).get(key) for key in wanted} for row in rows]
    return [row for row in kept if all(isinstance(value, (int, float)) for value in row.values())]


def _config(results: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Dotted key -> value as JSON; from the results, or from the run's config.yaml."""
    config = results.get("config")
    path = folder / "config.yaml"
    if config is None and path.is_file():
        config = parse_yaml(read_text(path), source=str(path))
    return {key: simplejson.dumps(value) for key, value in leaves(_mapping(config))}


def _training(folder: Path) -> dict[str, Any]:
    """Curves over epochs, and where the time went, of metrics.jsonl here or (for views_*) one folder up."""
    candidates = [folder / "metrics.jsonl", *([folder.parent / "metrics.jsonl"] * folder.name.startswith("views_"))]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        return {"curves": {}, "data_share": None, "train_seconds": None}
    records = [record for record in read_metrics(path) if _is_number(record.get("epoch"))]
    names = dict.fromkeys(name for record in records for name in record)
    curves = {name: _curve(records, name) for name in names if name not in ("step", "epoch")}
    return {"curves": {name: points for name, points in curves.items() if points}, **_times(records)}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _curve(records: Sequence[Mapping[str, Any]], name: str) -> list[list[float]]:
    """(epoch, value) of the numbers named ``name``; means of neighbors if there are more than a chart shows."""
    epochs, values = series([record for record in records if _is_number(record.get(name))], name)
    points = np.array([epochs, values], dtype=np.float64)
    if len(epochs) > MAX_POINTS:
        points = np.stack([part.mean(1) for part in np.array_split(points, MAX_POINTS, axis=1)], axis=1)
    return [[float(f"{number:.6g}") for number in point] for point in points.T]


def _times(records: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    waited = total = 0.0
    last = 0
    for record in records:
        if _is_number(record.get("step_seconds")) and _is_number(record.get("data_seconds")):
            steps, last = record["step"] - last, record["step"]
            waited += steps * record["data_seconds"]
            total += steps * record["step_seconds"]
    return {"data_share": waited / total if total > 0 else None, "train_seconds": total or None}


def _predictions(folder: Path, results: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The analysis and the rows of videos, of predictions.npz."""
    if not (folder / "predictions.npz").is_file():
        return {"analysis": None, "classes": [], "videos": []}
    scores, labels, paths = read_prediction_arrays(folder / "predictions.npz")
    if isinstance(results.get("protocol"), dict):
        scores = Protocol.from_dict(results["protocol"]).mean_scores(scores)
    analysis = analyze(scores, labels)
    classes = analysis.pop("per_class", [])
    rows = _videos(scores, labels, paths, _failures(results), _strips(folder, stored))
    return {"analysis": analysis or None, "classes": classes, "videos": rows}


def _failures(results: Mapping[str, Any]) -> dict[str, str]:
    rows = results.get("failures")
    rows = [_mapping(row) for row in rows] if isinstance(rows, list) else []
    return {str(row.get("video")): str(row.get("reason")) for row in rows}


def _strips(folder: Path, stored: Mapping[str, Any]) -> dict[int, str]:
    """Video number -> its frames as a data URI; files whose names a test would not write are skipped."""
    rows = stored.get("wrong_videos")
    strips = {}
    for row in map(_mapping, rows if isinstance(rows, list) else []):
        name, index = str(row.get("frames")), row.get("index")
        if not re.fullmatch(r"wrong_videos/\d{6,}\.jpg", name) or not isinstance(index, int):
            continue
        if (folder / name).is_file():
            content = read_bytes(folder / name, max_bytes=MAX_STRIP_BYTES)
            if content[:2] == b"\xff\xd8":
                strips[index] = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    return strips


def _videos(
    scores: np.ndarray, labels: np.ndarray, paths: np.ndarray, failures: Mapping[str, str], strips: Mapping[int, str]
) -> list[dict[str, Any]]:
    """One row per video: unreadable ones, then wrong ones by falling confidence, then right ones by rising
    confidence."""
    predicted = predicted_classes(scores)
    best = np.nan_to_num(scores, nan=-1.0).max(1)
    if labels.ndim == 1:
        right = np.where(labels < 0, -1, (predicted == labels).astype(int))  # -1: nobody knows
    else:
        right = np.full(len(labels), -1)
    rank = np.where(predicted < 0, 0, np.where(right == 0, 1, 2))
    order = np.lexsort((np.where(rank == 2, best, -best), rank))[:MAX_VIDEOS]
    rows = []
    for i in order.tolist():
        known = np.flatnonzero(labels[i])
        row = {
            "path": str(paths[i]),
            "label": known.tolist() if labels.ndim == 2 else int(labels[i]) if labels[i] >= 0 else None,
            "right": None if right[i] < 0 else bool(right[i]),
            "top": [] if predicted[i] < 0 else _top(scores[i]),
        }
        if predicted[i] < 0:
            row["failure"] = failures.get(str(paths[i]), "no scores")
        if i in strips:
            row["frames"] = strips[i]
        rows.append(row)
    return rows


def _top(scores: np.ndarray) -> list[list[float]]:
    best = np.argsort(-scores, kind="stable")[:NUM_TOP].tolist()
    return [[k, float(f"{scores[k]:.5g}")] for k in best]
