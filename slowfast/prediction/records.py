"""The entries of ``videos`` in the JSON of predictions (docs/PREDICT.md)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import Prediction


def video_record(
    path: str | os.PathLike,
    prediction: Prediction,
    *,
    seconds: float,
    num_top: int = 5,
    segments: Iterable[Mapping[str, Any]] = (),
    failure: str | None = None,
) -> dict[str, Any]:
    """The entry of one video, with plain values for JSON.

    ``{"path", "seconds", "scores": [K], "top": [{"name", "score"}], "segments", "failure": None}``; "scores" are fused
    as a test fuses them, the scores in "top" are on the scale of one view (probabilities). Entries with boxes have one
    list of scores and one of the best classes per box.

    Args:
        seconds: that reading and scoring took.
        num_top: best classes named.
        segments: parts of the video with their label, as ``Segment.as_dict`` gives them.
        failure: why not all of the video could be read.
    """
    top = prediction.top(num_top)
    of_boxes = prediction.scores.ndim > 1
    return _record(
        path,
        seconds,
        scores=prediction.scores.tolist(),
        top=[named_scores(row) for row in top] if of_boxes else named_scores(top),
        segments=[dict(segment) for segment in segments],
        failure=failure,
    )


def failed_record(path: str | os.PathLike, failure: str, *, seconds: float = 0.0) -> dict[str, Any]:
    """The entry of a video that could not be read: ``failure`` says why, and there are no scores (None)."""
    return _record(path, seconds, failure=failure)


def boxes_record(
    path: str | os.PathLike,
    key_frames: Sequence[Mapping[str, Any]],
    *,
    seconds: float,
    segments: Iterable[Mapping[str, Any]] = (),
    failure: str | None = None,
) -> dict[str, Any]:
    """The entry of a video for a detection model: scores and best classes are with the boxes, in "key_frames".

    Args:
        key_frames: as ``KeyFramePrediction.as_dict`` gives them.
    """
    record = _record(path, seconds, segments=[dict(segment) for segment in segments], failure=failure)
    return record | {"key_frames": list(key_frames)}


def _record(path, seconds: float, *, scores=None, top=(), segments=(), failure: str | None = None) -> dict[str, Any]:
    return {
        # a name of bytes that are no UTF-8 holds surrogates, which no JSON file does
        "path": os.fsencode(path).decode("utf-8", errors="backslashreplace"),
        "seconds": round(seconds, 4),
        "scores": scores,
        "top": list(top),
        "segments": list(segments),
        "failure": failure,
    }


def named_scores(best: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """``[{"name", "score"}]`` from the result of ``Prediction.top``."""
    return [{"name": name, "score": score} for name, score in best]


def predictions_document(pipeline: Pipeline, records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON document around the entries of all videos: ``{"protocol", "class_names", "videos"}``."""
    return {
        "protocol": pipeline.protocol.as_dict(),
        "class_names": None if pipeline.class_names is None else list(pipeline.class_names),
        "videos": list(records),
    }
