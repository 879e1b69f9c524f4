"""Multi-view testing and mid-training evaluation on frames in memory."""

import csv
import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samples import ClipBatch, VideoViews
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.results import write_pyslowfast_results, write_results
from slowfast.engine.tester import ClipEvaluator, Tester
from slowfast.engine.wrong_videos import WrongVideos
from slowfast.evaluation import MissingViewsError, ViewEnsemble
from slowfast.evaluation.build import TopK
from tests.engine.toys import TinyNet, random_clips

PROTOCOL = Protocol(SecondsSampling(4, 1), num_clips=2, num_crops=3, crop_size=32, short_sides=(32,))
PREPROCESS = ClipPreprocessor(device=torch.device("cpu"))


def video_views(index: int, *, failure: str = "") -> VideoViews:
    """A video of 12 frames, 40 x 32 pixels, with 2 clips of 4 frames and 3 crops."""
    frames = torch.randint(0, 256, (12, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
    return VideoViews(
        frames=frames[:0] if failure else frames,
        clip_indices=torch.tensor([[0, 1, 2, 3], [8, 9, 10, 11]]),
        crops=((0, 0), (0, 4), (0, 8)),
        crop_size=32,
        label=torch.tensor(index % 4),
        video_index=index,
        path=f"v{index}.mp4",
        failure=failure,
    )


def make_tester(loader, *, num_videos=4, method="mean", **options) -> Tester:
    torch.manual_seed(0)
    return Tester(
        Pipeline(TinyNet(), PROTOCOL, **options),
        loader=loader,
        labels=np.arange(num_videos) % 4,
        ensemble=ViewEnsemble(num_videos=num_videos, num_views=6, num_classes=4, method=method),
        evaluator=TopK(),
    )


@pytest.mark.parametrize("views_per_forward", [1, 4, 6, 100])
@pytest.mark.parametrize("method", ["mean", "sum", "max"])
def test_scores_are_those_of_every_view_alone(views_per_forward, method):
    loader = [video_views(i) for i in range(4)]
    tester = make_tester(loader, method=method, views_per_forward=views_per_forward)
    result = tester.test()
    fuse = {"mean": torch.mean, "sum": torch.sum, "max": torch.amax}[method]
    for video in loader:
        with torch.no_grad():
            views = torch.cat([tester.pipeline.model.eval()(PREPROCESS(video.view(i)[None])) for i in range(6)])
        torch.testing.assert_close(torch.from_numpy(result.scores[video.video_index]), fuse(views, 0))
    assert result.figures == {"top1": 100.0 * (result.scores.argmax(1) == result.labels).mean()}


def test_a_video_that_cannot_be_decoded_counts_as_wrong_and_is_listed(tmp_path):
    loader = [
        video_views(0),
        video_views(1, failure="test.csv:2: cannot decode v1.mp4."),
        video_views(2),
        video_views(3),
    ]
    result = make_tester(loader).test()
    assert result.failures == {1: "test.csv:2: cannot decode v1.mp4."}
    assert np.isnan(result.scores[1]).all()
    right = sum(result.scores[i].argmax() == i for i in (0, 2, 3))
    assert result.figures["top1"] == 25.0 * right

    write_results(
        tmp_path, result, paths=[f"v{i}.mp4" for i in range(4)], class_names=list("abcd"), details={"protocol": "2 x 3"}
    )
    content = json.loads((tmp_path / "results.json").read_text())
    assert (content["num_videos"], content["num_failed"], content["protocol"]) == (4, 1, "2 x 3")
    assert content["failures"] == [{"video": "v1.mp4", "reason": "test.csv:2: cannot decode v1.mp4."}]
    rows = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert [row["label_name"] for row in rows] == list("abcd")
    assert rows[0]["top1"] == "abcd"[result.scores[0].argmax()]
    assert float(rows[0]["score1"]) == pytest.approx(result.scores[0].max(), rel=1e-5)
    assert rows[1]["top1"] == "" and "cannot decode" in rows[1]["failure"]
    saved = np.load(tmp_path / "predictions.npz")
    assert np.array_equal(saved["scores"], result.scores, equal_nan=True)
    assert saved["paths"].tolist() == [f"v{i}.mp4" for i in range(4)]


def test_a_video_that_never_came_is_an_error():
    with pytest.raises(MissingViewsError, match=r"1 of 4 videos .*6 views once \(video 3: missing: 0, 1, 2, 3, 4, 5\)"):
        make_tester([video_views(i) for i in range(3)]).test()


def test_pyslowfast_results_are_a_pickle_of_scores_and_labels(tmp_path):
    result = make_tester([video_views(i) for i in range(4)]).test()
    write_pyslowfast_results(tmp_path / "out" / "results.pkl", result)
    import pickle

    with (tmp_path / "out" / "results.pkl").open("rb") as file:
        scores, labels = pickle.load(file)
    assert scores.shape == (4, 4) and labels.tolist() == [0, 1, 2, 3]


def test_clip_evaluation_counts_every_video_once_and_leaves_the_mode_alone():
    frames, labels = random_clips(5)
    batches = [
        ClipBatch(
            frames=frames[rows],
            labels=labels[rows],
            video_indices=torch.tensor(rows),
            is_valid=torch.tensor([row != 3 for row in rows]),
        )
        for rows in ([0, 1], [2, 3], [4])
    ]
    torch.manual_seed(0)
    model = TinyNet(dropout=0.5).train()
    evaluate = ClipEvaluator(
        Pipeline(TinyNet(), PROTOCOL),
        loader=batches,
        labels=labels.numpy(),
        make_ensemble=lambda: ViewEnsemble(num_videos=5, num_views=1, num_classes=4),
        evaluator=TopK(),
    )
    figures = evaluate(model)
    assert model.training
    predicted = model.eval()(PREPROCESS(frames)).argmax(1)
    right = sum(int(predicted[i] == labels[i]) for i in (0, 1, 2, 4))  # number 3 could not be decoded
    assert figures["top1"] == pytest.approx(20.0 * right)
    assert evaluate(model) == figures  # a second time: nothing is carried over


def test_the_same_wrong_videos_are_kept_in_any_order():
    """Also among equally confident ones."""
    confidence = [0.5, 0.9, 0.5, 0.7, 0.5]
    kept = set()
    for order in itertools.permutations(range(5)):
        wrong = WrongVideos(np.zeros(5, int), limit=3)
        for video in order:
            wrong.update(video_views(video), np.array([0.0, confidence[video]], np.float32))
        kept.add(tuple(wrong.strips()))
    assert kept == {(1, 3, 0)}


def test_a_test_leaves_its_analysis_and_frames_of_wrong_videos(tmp_path):
    """The most confident wrong ones; a second test's files replace the first one's."""
    tester = make_tester([video_views(i, failure="torn" if i == 5 else "") for i in range(8)], num_videos=8)
    tester.wrong_videos.limit = 2
    result = tester.test()
    wrong = [i for i in range(8) if i != 5 and result.scores[i].argmax() != i % 4]
    assert len(wrong) > 2, "the toy must be wrong now and then"
    best = sorted(wrong, key=lambda i: -result.scores[i].max())[:2]
    assert list(result.wrong_strips) == best
    assert [row["views"] for row in result.accuracy_by_views] == [1, 2, 3, 6]
    assert result.accuracy_by_views[-1]["top1"] == result.figures["top1"]

    (tmp_path / "wrong_videos").mkdir()
    for name in ("000099.jpg", "mine.jpg"):
        (tmp_path / "wrong_videos" / name).touch()
    paths = [f"v{i}.mp4" for i in range(8)]
    write_results(tmp_path, result, paths=paths, class_names=list("abcd"), details={})
    analysis = json.loads((tmp_path / "analysis.json").read_text())
    assert [entry["video"] for entry in analysis["wrong_videos"]] == [paths[i] for i in best]
    with Image.open(tmp_path / analysis["wrong_videos"][0]["frames"]) as strip:
        assert strip.size == (4 * 140, 112)
    assert sum(row[2] for row in analysis["confusion"]) == 7 and analysis["class_names"] == list("abcd")
    names = {path.name for path in (tmp_path / "wrong_videos").iterdir()}
    assert names == {f"{i:06d}.jpg" for i in best} | {"mine.jpg"}
