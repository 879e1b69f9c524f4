"""Scoring boxes: order, failures, several looks, and what is written."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from slowfast.datasets.clip_sampling import KeyFrameSampling
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samples import DetectionSample, collate_detections
from slowfast.engine.detection import DetectionEvaluator, mean_scores, score_boxes
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.results import write_detection_results
from slowfast.evaluation import ava
from slowfast.evaluation.ava.files import read_detections
from slowfast.evaluation.ava.table import BoxTable

KEY_FRAMES = [("a", 902), ("a", 903), ("b", 902)]
BOXES = {0: [[0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 0.9, 0.9]], 1: [[0.2, 0.2, 0.6, 0.6]], 2: [[0.0, 0.0, 1.0, 1.0]]}
CLASSES = {1: "stand", 2: "sit"}


class CornerModel(nn.Module):
    """Scores of a box are its left and its top edge, in units of the frame's side: easy to foresee."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, clip, boxes):
        return boxes[:, 1:3] / clip.shape[-1] * self.one


def sample(index: int, *, is_valid: bool = True) -> DetectionSample:
    boxes = torch.tensor(BOXES[index])
    return DetectionSample(
        frames=torch.zeros(3, 2, 10, 10, dtype=torch.uint8),
        boxes=boxes * 10,
        labels=torch.zeros(len(boxes), 2),
        boxes_normalized=boxes,
        sample_index=index,
        failures=() if is_valid else (f"cannot decode {KEY_FRAMES[index]}.",),
        is_valid=is_valid,
    )


def loader(*batches: list[DetectionSample]) -> list:
    return [collate_detections(batch) for batch in batches]


PROTOCOL = Protocol(KeyFrameSampling(2, 1), crop_size=None, short_sides=(10,))
score = partial(score_boxes, Pipeline(CornerModel(), PROTOCOL), num_classes=2)


def test_scores_come_in_the_order_of_key_frames_whatever_the_batches():
    whole = score(loader([sample(0), sample(1), sample(2)]))
    assert whole.sample_indices.tolist() == [0, 0, 1, 2]
    assert np.allclose(whole.scores, [[0.1, 0.1], [0.5, 0.5], [0.2, 0.2], [0, 0]])
    cut = score(loader([sample(2)], [sample(1), sample(0)]))
    for name in ("sample_indices", "boxes", "scores"):
        assert np.array_equal(getattr(cut, name), getattr(whole, name))


def test_boxes_of_a_clip_that_cannot_be_read_are_not_scored(caplog):
    scored = score(loader([sample(0), sample(1, is_valid=False), sample(2)]))
    assert scored.sample_indices.tolist() == [0, 0, 2]
    assert scored.failures == {1: "cannot decode ('a', 903)."}
    assert "cannot decode ('a', 903). Its boxes count as not detected." in caplog.text


def test_no_key_frame_gives_no_score():
    scored = score([])
    assert scored.boxes.shape == (0, 4) and scored.scores.shape == (0, 2)


def test_looks_are_averaged_box_by_box():
    first, second = score(loader([sample(0), sample(1)])), score(loader([sample(1)], [sample(0)]))
    second.scores = second.scores + 1
    assert np.allclose(mean_scores([first, second]).scores, first.scores + 0.5)
    with pytest.raises(ValueError, match="passes of 3 and 1 boxes cannot be averaged"):
        mean_scores([first, score(loader([sample(1)]))])


def test_a_key_frame_that_one_look_could_not_read_is_left_out_of_all():
    whole = score(loader([sample(0), sample(1), sample(2)]))
    first = score(loader([sample(0), sample(1, is_valid=False), sample(2)]))
    second = score(loader([sample(0, is_valid=False), sample(1, is_valid=False), sample(2)]))
    mean = mean_scores([whole, first, second])
    assert mean.sample_indices.tolist() == [2] and mean.boxes.tolist() == BOXES[2]
    assert mean.failures == {0: "cannot decode ('a', 902).", 1: "cannot decode ('a', 903)."}
    assert np.allclose(mean_scores([whole, first]).scores, whole.scores[[0, 1, 3]])
    assert (whole.sample_indices.tolist(), whole.failures) == ([0, 0, 1, 2], {})  # as it was


def evaluator(groundtruth: BoxTable, *loaders) -> DetectionEvaluator:
    return DetectionEvaluator(
        Pipeline(CornerModel(), PROTOCOL),
        loaders=loaders,
        key_frames=KEY_FRAMES,
        num_classes=2,
        evaluate=partial(ava.evaluate, groundtruth, class_names=CLASSES),
    )


@pytest.fixture
def groundtruth() -> BoxTable:
    """The better of the two boxes of (a, 902) stands; b sits, with the worst score of all."""
    return BoxTable([("a", 902), ("b", 902)], [0, 1], [[0.5, 0.5, 0.9, 0.9], [0, 0, 1, 1]], [1, 2])


def test_evaluation_gives_percent_and_leaves_the_model_as_it_was(groundtruth):
    model = CornerModel().train()
    figures = evaluator(groundtruth, loader([sample(0), sample(1), sample(2)]))(model)
    # stand: its box has the best score of four; sit: its box has the worst of four
    assert figures == {"mAP": pytest.approx(100 * (1 + 1 / 4) / 2)}
    assert model.training


def test_results_hold_every_class_every_failure_and_all_detections(groundtruth, tmp_path):
    run = evaluator(groundtruth, loader([sample(0), sample(1, is_valid=False)], [sample(2)]))
    result = run.run(CornerModel())
    write_detection_results(tmp_path, result, details={"protocol": "one", "config": "A: 1"})
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["average_precision_percent"] == {"stand": 100.0, "sit": pytest.approx(33.3333)}
    assert content["figures"] == {"mAP": pytest.approx(66.6667, abs=1e-4)}
    assert content["num_key_frames"] == 3 and content["num_failed"] == 1
    assert content["failures"] == [{"key_frame": "a,0903", "reason": "cannot decode ('a', 903)."}]
    assert content["protocol"] == "one" and content["config"] == "A: 1"
    table = read_detections(tmp_path / "detections.csv")
    assert len(table) == 2 * 3
    again = ava.evaluate(groundtruth, table, class_names=CLASSES)
    assert again["mAP"] == pytest.approx(result.report["mAP"], abs=1e-12)


def test_several_loaders_are_several_looks(groundtruth):
    once = loader([sample(0), sample(1), sample(2)])
    assert evaluator(groundtruth, once, once)(CornerModel()) == evaluator(groundtruth, once)(CornerModel())
