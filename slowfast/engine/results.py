"""What a test leaves behind: results.json, predictions.csv, predictions.npz."""

from __future__ import annotations

import csv
import json
import logging
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slowfast.engine.tester import TestResult

logger = logging.getLogger(__name__)


def write_results(
    output_dir: str | Path,
    result: TestResult,
    *,
    paths: Sequence[str],
    class_names: Sequence[str] | None,
    details: dict[str, Any],
) -> None:
    """Write the files of one test into ``output_dir``.

    - results.json: figures, counts, failures, and ``details`` (protocol, config, versions, weights).
    - predictions.csv: one row a video: path, label, the five best classes by name, or the reason of a failure.
    - predictions.npz: scores float32 (N, K), labels, paths, for fusion with other models.
    """
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    failures = [{"video": str(paths[i]), "reason": reason} for i, reason in sorted(result.failures.items())]
    content = {
        "figures": {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in result.figures.items()},
        "num_videos": len(paths),
        "num_failed": len(failures),
        "seconds": round(result.seconds, 2),
        **details,
        "failures": failures,
    }
    (output_dir / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    np.savez_compressed(
        output_dir / "predictions.npz",
        scores=result.scores,
        labels=result.labels,
        paths=np.asarray(paths, dtype=np.str_),
    )
    _write_predictions(output_dir / "predictions.csv", result, paths, class_names)
    logger.info("wrote results.json, predictions.csv and predictions.npz into %s", output_dir)


def _write_predictions(path: Path, result: TestResult, paths: Sequence[str], class_names: Sequence[str] | None) -> None:
    k = min(5, result.scores.shape[1])
    header = ["video", "label", "label_name"]
    header += [f"{what}{i}" for i in range(1, k + 1) for what in ("top", "score")] + ["failure"]
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for i, video in enumerate(paths):
            label = _label_ids(result.labels[i])
            row: list[Any] = [video, ";".join(map(str, label)), ";".join(_name(c, class_names) for c in label)]
            if i in result.failures:
                row += [""] * (2 * k) + [result.failures[i]]
            else:
                best = np.argsort(-result.scores[i], kind="stable")[:k]
                row += [x for c in best for x in (_name(int(c), class_names), f"{result.scores[i, c]:.6g}")] + [""]
            writer.writerow(row)


def _label_ids(label: np.ndarray) -> list[int]:
    return [int(label)] if np.ndim(label) == 0 else np.flatnonzero(label).tolist()


def _name(class_id: int, class_names: Sequence[str] | None) -> str:
    return class_names[class_id] if class_names else str(class_id)


def write_pyslowfast_results(path: str | Path, result: TestResult) -> None:
    """Write the pickle of TEST.SAVE_RESULTS_PATH as PySlowFast does: ``[scores (N, K), labels]`` as tensors."""
    import torch

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump([torch.from_numpy(result.scores), torch.from_numpy(np.asarray(result.labels))], file)
