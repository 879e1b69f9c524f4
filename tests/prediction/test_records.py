import json
import os

import numpy as np
import pytest

from slowfast.engine.prediction import Prediction
from slowfast.prediction.records import failed_record, video_record


def prediction(scores, mean_scores=None, class_names=("a", "b", "c")) -> Prediction:
    scores = np.asarray(scores, dtype=np.float32)
    means = scores if mean_scores is None else np.asarray(mean_scores, dtype=np.float32)
    return Prediction(scores, scores[None], np.array([[0.0, 1.0]]), means, class_names)


def test_the_record_of_a_video_survives_json():
    """Scores as fused, exactly; the best classes with their mean scores, the best first."""
    made = prediction([0.5, 2.1, 0.4], [0.17, 0.7, 0.13])
    record = video_record("a b.mp4", made, seconds=0.123456, num_top=2)
    record = json.loads(json.dumps(record, allow_nan=False))
    assert list(record) == ["path", "seconds", "scores", "top", "segments", "failure"]
    assert record["path"] == "a b.mp4" and record["seconds"] == 0.1235
    assert record["segments"] == [] and record["failure"] is None
    assert np.array_equal(np.float32(record["scores"]), made.scores)
    assert [entry["name"] for entry in record["top"]] == ["b", "a"]
    assert [entry["score"] for entry in record["top"]] == pytest.approx([0.7, 0.17])


def test_boxes_have_a_list_each_and_classes_without_names_are_called_by_number():
    made = prediction([[0.1, 0.9, 0.0], [0.8, 0.2, 0.0]], class_names=None)
    record = video_record("a.mp4", made, seconds=0, num_top=1)
    assert [[entry["name"] for entry in box] for box in record["top"]] == [["1"], ["0"]]
    assert np.shape(record["scores"]) == (2, 3)


def test_a_failure_has_no_scores_and_odd_names_are_text():
    record = failed_record(os.fsdecode(b"caf\xe9.mp4"), "cannot open it.")
    assert record["scores"] is None and record["top"] == [] and record["failure"] == "cannot open it."
    assert json.dumps(record).encode("utf-8") and record["path"] == "caf\\xe9.mp4"
