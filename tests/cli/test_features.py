"""``slowfast features``: arrays against hooks by hand; it goes on where it stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import slowfast
from slowfast.cli.main import main
from slowfast.config import load_cfg
from slowfast.datasets.views import read_views
from slowfast.prediction import features as module
from tests.cli.runs import RECIPE, UNTRAINED, untrained
from tests.video_files import write_video


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("features")
    (root / "videos").mkdir()
    for name, fps in (("a", 15), ("b", 30), ("c", 25)):
        write_video(root / f"videos/{name}.mp4", num_frames=30, fps=fps)
    untrained(load_cfg(RECIPE, [*UNTRAINED, "TEST.DATASET=kinetics"]), root / "weights.pyth")
    return root


@pytest.fixture
def extract(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = ["--checkpoint", str(place / "weights.pyth"), "--output", "out.npz"]

    def run(*words: str) -> int:
        more = [words[0]] if words[0].endswith(".mp4") else []
        return main(["features", str(place / "videos"), *more, *base, *words[len(more) :]])

    return run


def by_hand(place, name: str):
    """Maps of both pathways of all 6 views (2 clips x 3 crops) of a video."""
    pipeline = slowfast.load(place / "weights.pyth", device="cpu")
    with pipeline.open(place / f"videos/{name}.mp4") as reader:
        views = read_views(reader, pipeline.protocol)
    with torch.no_grad():
        return pipeline.model.eval().forward_features(pipeline.prepare(views.views(range(6))))


def test_pooled_features_of_both_pathways(place, extract, tmp_path):
    assert extract("--layer", "both") == 0
    saved = np.load("out.npz")
    assert sorted(saved.files) == ["fast", "paths", "slow"]
    assert [path.rpartition("/")[2] for path in saved["paths"]] == ["a.mp4", "b.mp4", "c.mp4"]
    slow, fast = by_hand(place, "b")
    np.testing.assert_allclose(saved["slow"][1], slow.mean((0, 2, 3, 4)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(saved["fast"][1], fast.mean((0, 2, 3, 4)), rtol=1e-4, atol=1e-6)
    assert not (tmp_path / "out.npz.parts").exists()


def test_per_clip_and_maps_per_view(place, extract):
    slow, fast = by_hand(place, "c")
    assert extract("--layer", "slow", "--per", "clip") == 0
    expected = slow.mean((2, 3, 4)).reshape(2, 3, -1).mean(1)
    np.testing.assert_allclose(np.load("out.npz")["slow"][2], expected, rtol=1e-4, atol=1e-6)
    assert extract("--layer", "fast.res5", "--map", "--per", "view") == 0
    saved = np.load("out.npz")["fast.res5"]
    assert saved.shape == (3, *fast.shape)
    np.testing.assert_allclose(saved[2], fast, rtol=1e-4, atol=1e-6)


def test_it_goes_on_where_it_stopped(extract, monkeypatch, capsys):
    """Stopped before the third video: the first two are not looked at again, and the file is the same."""
    assert extract("--layer", "fast") == 0
    whole = np.load("out.npz")["fast"]
    original, calls = module.video_features, []

    def stops(pipeline, path, choice):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(pipeline, path, choice)

    monkeypatch.setattr("slowfast.cli.features.video_features", stops)
    assert extract("--layer", "fast") == 130
    assert extract("--layer", "slow") == 2  # of other settings
    assert "was started with different settings" in capsys.readouterr().err
    assert extract("--layer", "fast") == 0
    assert len(calls) == 4 and capsys.readouterr().out.count("there already") == 2
    np.testing.assert_array_equal(np.load("out.npz")["fast"], whole)


def test_unreadable_videos_are_left_out_and_said(extract, tmp_path, capsys):
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    assert extract("bad.mp4", "--layer", "fast") == 1
    assert "bad.mp4  failed" in capsys.readouterr().out
    assert len(np.load("out.npz")["paths"]) == 3


@pytest.mark.parametrize(
    "words, message",
    [
        (["--layer", "slow.res6"], "the model has no layer 'slow.res6'. Did you mean slow.res5"),
        (["--layer", "head.classifier", "--map"], "a map per video"),
        (["--layer", "slow.stem", "--map", "--per", "clip"], "maps per clip need one crop"),
    ],
)
def test_what_cannot_be_asked(extract, refused, words, message):
    assert message in refused(extract, *words)
