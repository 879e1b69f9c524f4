"""An evaluation that is stopped goes on with what is left, and gives the same."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samplers import EvalBatches, EvalSampler
from slowfast.datasets.samples import ClipBatch, DetectionBatch, VideoViews
from slowfast.engine import partial_scores
from slowfast.engine.detection import score_boxes
from slowfast.engine.partial_scores import PartialScores, evaluation_key
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.tester import ClipEvaluator, Tester
from slowfast.evaluation import ViewEnsemble
from slowfast.evaluation.ensemble import NonFiniteScoresError
from slowfast.utils.errors import StoppedError, StorageError
from slowfast.utils.signals import stop_on_signals
from tests import faults
from tests.engine.toys import TinyNet, random_clips

NUM_VIDEOS = 7
PROTOCOL = Protocol(SecondsSampling(4, 1), crop_size=32, short_sides=(32,))


class Videos:
    """A data set of clips in memory: video 3 cannot be read. ``reads`` has the indices that were asked for."""

    class_names = None
    key_frames = [("a", second) for second in range(NUM_VIDEOS)]

    def __init__(self):
        self.frames, labels = random_clips(NUM_VIDEOS)
        self.labels = labels.numpy()
        self.paths = [f"v{i}.mp4" for i in range(NUM_VIDEOS)]
        self.reads = []
        self.stop_after = None

    def read(self, indices) -> torch.Tensor:
        self.reads += indices
        if self.stop_after is not None and len(self.reads) >= self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.frames[indices]


class Loader:
    """As a DataLoader of one split: ``make(indices)`` gives an item."""

    def __init__(self, dataset: Videos, make, *, batch_size: int = 0):
        self.dataset, self.make = dataset, make
        self.sampler = None if batch_size else EvalSampler(NUM_VIDEOS)
        self.batch_sampler = EvalBatches(NUM_VIDEOS, batch_size) if batch_size else None

    def __len__(self):
        return len(self.batch_sampler or self.sampler)

    def __iter__(self):
        for indices in self.batch_sampler or ([index] for index in self.sampler):
            yield self.make(indices)


def pipeline(model: nn.Module | None = None) -> Pipeline:
    if model is None:
        torch.manual_seed(0)
        model = TinyNet(norm=True)
    return Pipeline(model, PROTOCOL, dtype=None, channels_last=False)


def test_videos(folder, dataset: Videos, pipe: Pipeline | None = None):
    """Scores of a test of two views per video, and frames of two misclassified ones."""

    def views(indices) -> VideoViews:
        frames = dataset.read(indices)[0].transpose(0, 1)
        clips = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
        failure = "broken" if indices == [3] else ""
        return VideoViews(frames, clips, ((0, 0),), 32, torch.tensor(0), indices[0], "v", failure=failure)

    tester = Tester(
        pipe or pipeline(),
        loader=Loader(dataset, views),
        labels=dataset.labels,
        ensemble=ViewEnsemble(num_videos=NUM_VIDEOS, num_views=2, num_classes=4),
        evaluator=lambda scores, labels: {"mean": float(np.nanmean(scores))},
        partial=PartialScores(folder, name="test"),
        num_wrong_videos=2,
    )
    result = tester.test()
    assert len(result.wrong_strips) == 2
    return result.scores, result.figures, result.failures, tuple(result.wrong_strips.items())


test_videos.__test__ = False


def evaluate_clips(folder, dataset: Videos, pipe: Pipeline | None = None):
    """Scores of a validation in batches of two."""

    def batch(indices) -> ClipBatch:
        valid = torch.tensor([index != 3 for index in indices])
        frames, labels = dataset.read(indices), torch.from_numpy(dataset.labels[indices])
        return ClipBatch(frames, labels, torch.tensor(indices), valid, () if valid.all() else ("broken",))

    seen = []
    pipe = pipe or pipeline()
    evaluate = ClipEvaluator(
        pipe,
        loader=Loader(dataset, batch, batch_size=2),
        labels=dataset.labels,
        make_ensemble=lambda: ViewEnsemble(num_videos=NUM_VIDEOS, num_views=1, num_classes=4),
        evaluator=lambda scores, labels: seen.append(scores) or {"mean": float(np.nanmean(scores))},
        partial=PartialScores(folder, name="val"),
    )
    figures = evaluate(pipe.model)
    return seen[0], figures


class BoxNet(TinyNet):
    takes_boxes = True

    def forward(self, clip, boxes):
        return super().forward(clip)[boxes[:, 0].long()] * boxes[:, 1:2]


def score_all_boxes(folder, dataset: Videos, pipe: Pipeline | None = None):
    """Scores of two boxes per key frame."""

    def batch(indices) -> DetectionBatch:
        clip = torch.arange(len(indices)).repeat_interleave(2)
        boxes = torch.cat(
            [clip[:, None].float(), torch.rand(len(clip), 4, generator=torch.Generator().manual_seed(indices[0]))], 1
        )
        valid = torch.tensor([index != 3 for index in indices])
        return DetectionBatch(
            frames=dataset.read(indices), boxes=boxes, labels=torch.zeros(len(clip), 4), boxes_normalized=boxes[:, 1:],
            sample_indices=torch.tensor(indices)[clip], is_valid=valid, failures=() if valid.all() else ("broken",),
        )  # fmt: skip

    if pipe is None:
        torch.manual_seed(0)
        pipe = pipeline(BoxNet(norm=True))
    partial = PartialScores(folder, name="boxes")
    scored = score_boxes(pipe, Loader(dataset, batch, batch_size=2), num_classes=4, partial=partial)
    partial.finish()
    return scored.scores, scored.boxes, scored.sample_indices, scored.failures


EVALUATIONS = [test_videos, evaluate_clips, score_all_boxes]


def same(one, other) -> bool:
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one == other if not isinstance(one, tuple) else all(map(same, one, other))


def stopped_after(count: int, evaluate, folder) -> Videos:
    dataset = Videos()
    dataset.stop_after = count
    with stop_on_signals(), pytest.raises(StoppedError, match=r"stopped by SIGTERM in the .*finished videos are saved"):
        evaluate(folder, dataset)
    return dataset


@pytest.mark.parametrize("evaluate", EVALUATIONS)
@pytest.mark.parametrize("stops", [(1,), (4,), (2, 3)])
def test_a_stopped_evaluation_goes_on(tmp_path, evaluate, stops):
    straight = evaluate(None, Videos())
    done = []
    for count in stops:
        done += stopped_after(count, evaluate, tmp_path).reads
    rest = Videos()
    resumed = evaluate(tmp_path, rest)
    assert same(resumed, straight)
    assert sorted(done + rest.reads) == list(range(NUM_VIDEOS))  # each was read once
    assert not (tmp_path / partial_scores.FOLDER).exists()


def test_what_other_weights_or_lists_left_is_not_taken(tmp_path):
    for change in ("weights", "statistics", "lists", "protocol"):
        stopped_after(4, test_videos, tmp_path)
        torch.manual_seed(0)
        model, dataset = TinyNet(norm=True), Videos()
        if change == "weights":
            model.classifier.bias.data[0] += 1e-6
        if change == "statistics":
            model.bn.running_mean[0] += 1e-6
        if change == "lists":
            dataset.labels = dataset.labels.copy()
            dataset.labels[0] = 3
        pipe = pipeline(model)
        if change == "protocol":
            pipe = Pipeline(model, replace(PROTOCOL, num_clips=2), dtype=None, channels_last=False)
        test_videos(tmp_path, dataset, pipe)
        assert sorted(dataset.reads) == list(range(NUM_VIDEOS)), change
        assert not (tmp_path / partial_scores.FOLDER).exists()


@pytest.mark.parametrize("damage", ["torn", "empty", "other"])
def test_a_damaged_file_is_scored_again(tmp_path, monkeypatch, damage, caplog):
    monkeypatch.setattr(partial_scores, "_WRITE_SECONDS", 0.0)
    stopped_after(4, test_videos, tmp_path)
    files = sorted((tmp_path / partial_scores.FOLDER / "test").glob("*.pt"))
    assert len(files) == 4
    if damage == "other":
        files[1].write_bytes(b"no torch file")
    else:
        faults.tear(files[1], keep=0.5 * (damage == "torn"))
    dataset = Videos()
    assert same(test_videos(tmp_path, dataset), test_videos(None, Videos()))
    assert sorted(dataset.reads) == [1, 4, 5, 6]
    assert "its samples are scored again" in caplog.text


def test_a_short_evaluation_writes_nothing(tmp_path):
    test_videos(tmp_path, Videos())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(partial_scores, "_WRITE_SECONDS", 0.0)
    (tmp_path / partial_scores.FOLDER).write_text("a file")
    with pytest.raises(StorageError, match=r"partial_scores/test/.*cannot be written: a file stands where"):
        test_videos(tmp_path, Videos())


@pytest.mark.parametrize("evaluate", EVALUATIONS)
def test_scores_that_are_not_finite_are_an_error(evaluate):
    """As accuracy they would be 0 %."""
    torch.manual_seed(0)
    model = BoxNet(norm=True) if evaluate is score_all_boxes else TinyNet(norm=True)
    model.bn.running_var[0] = float("nan")
    with pytest.raises(NonFiniteScoresError, match=r"the scores of (video 0|key frames \[0, 1\]) are NaN or infinite"):
        evaluate(None, Videos(), pipeline(model))


def test_the_key_tells_precisions_apart():
    keys = set()
    for dtype in (None, torch.bfloat16):
        torch.manual_seed(0)
        pipe = Pipeline(TinyNet(), PROTOCOL, dtype=dtype, channels_last=False)
        keys |= {evaluation_key(pipe, Videos()), evaluation_key(pipe, Videos(), "more")}
    assert len(keys) == 4
