"""The only function that infers: batches, memory, modes, boxes, and where a pipeline comes from."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

import slowfast
from slowfast.config import load_cfg
from slowfast.datasets.build import build_protocol
from slowfast.datasets.clip_sampling import KeyFrameSampling, OwnSampling, SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine import pipeline as module
from slowfast.engine.checkpoint import save_checkpoint
from slowfast.engine.inputs import place_model
from slowfast.engine.pipeline import Pipeline, eval_mode
from slowfast.models import build_model
from slowfast.models.weights.load import CheckpointError
from slowfast.video.reader import VideoReader, VideoReadError
from tests.engine.toys import TinyNet, random_clips

PROTOCOL = Protocol(SecondsSampling(4, 2), num_clips=3, num_crops=3, short_sides=(32,), crop_size=32)
RECIPE = "Motion/SLOWFAST_4x4_R18"
TINY = ["DATA.NUM_FRAMES", 8, "DATA.TEST_CROP_SIZE", 32, "RESNET.WIDTH_PER_GROUP", 4, "MODEL.NUM_CLASSES", 3]


class ShortOfMemory(TinyNet):
    """Runs out of a GPU's memory with more than ``most`` clips."""

    def __init__(self, most: int):
        super().__init__()
        self.most, self.batches = most, []

    def forward(self, clip):
        self.batches.append(len(clip))
        if len(clip) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().forward(clip)


class Corners(nn.Module):
    """Scores of a box: its left edge, its top edge, and the first pixel of its clip."""

    takes_boxes = True

    def forward(self, clip, boxes):
        return torch.cat([boxes[:, 1:3], clip[boxes[:, 0].long(), 0, 0, 0, :1]], dim=1)


def test_scores_are_the_models_of_normalized_clips():
    frames, _ = random_clips(5)
    pipeline = Pipeline(TinyNet(norm=True), PROTOCOL)
    with torch.no_grad():
        expected = pipeline.model.eval()((frames / 255 - 0.45) / 0.225)
    pipeline.model.train()
    torch.testing.assert_close(pipeline.scores(frames), expected)
    assert pipeline.model.training  # as it was


def test_channels_come_in_the_order_of_the_protocol():
    frames, _ = random_clips(2)
    net = TinyNet()
    bgr = Pipeline(net, Protocol(SecondsSampling(4, 2), channel_order="BGR"))
    torch.testing.assert_close(bgr.scores(frames), Pipeline(net, PROTOCOL).scores(frames.flip(1)))


def test_every_part_of_a_model_keeps_its_mode():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout()).train()
    net[0].eval()
    with eval_mode(net):
        assert not any(part.training for part in net.modules())
    assert [part.training for part in net.modules()] == [True, False, True]


def test_where_memory_is_short_batches_are_halved_and_stay_so(caplog):
    frames, _ = random_clips(7)
    net = ShortOfMemory(most=2)
    pipeline = Pipeline(net, PROTOCOL, views_per_forward=7)
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        scores = pipeline.scores(frames)
    assert net.batches == [7, 3, 1, 1, 1, 1, 1, 1, 1] and pipeline.views_per_forward == 1
    assert "GPU memory is short: now 3 views at a time." in caplog.text
    net.most = 7
    torch.testing.assert_close(scores, pipeline.scores(frames))
    net.most = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        pipeline.scores(frames)


def test_boxes_in_any_order_get_their_own_scores():
    frames = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1, 1).expand(3, 3, 2, 8, 8) * 100
    boxes = torch.tensor([[2, 1.0, 2, 5, 5], [0, 3, 4, 5, 5], [1, 5, 6, 7, 8], [0, 7, 0, 8, 8]])
    scores = Pipeline(Corners(), PROTOCOL).scores(frames, boxes)
    assert scores[:, :2].tolist() == [[1, 2], [3, 4], [5, 6], [7, 0]]
    pixels = (scores[:, 2] * 0.225 + 0.45) * 255
    torch.testing.assert_close(pixels, torch.tensor([200.0, 0, 100, 0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "frames, message",
    [
        (torch.zeros(1, 3, 4, 8, 8), r"frames must be uint8 \(B, 3, T, H, W\).*got torch.float32 \(1, 3, 4, 8, 8\)"),
        (torch.zeros(3, 4, 8, 8, dtype=torch.uint8), r"got torch.uint8 \(3, 4, 8, 8\)"),
        (torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8), r"got torch.uint8 \(1, 4, 3, 8, 8\)"),
        (torch.zeros(0, 3, 4, 8, 8, dtype=torch.uint8), r"got torch.uint8 \(0, 3, 4, 8, 8\)"),
    ],
)
def test_other_tensors_are_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        Pipeline(TinyNet(), PROTOCOL).scores(frames)


def test_a_video_is_opened_or_comes_open(make_video):
    path = make_video(num_frames=40)
    pipeline = Pipeline(TinyNet(), PROTOCOL, class_names=list("abcd"))
    prediction = pipeline(path)
    assert prediction.scores.shape == (4,) and prediction.view_scores.shape == (9, 4)
    assert prediction.seconds.shape == (9, 2) and prediction.seconds[0].tolist() == [0, 8 / 30]
    best, second = prediction.top(2)
    assert best[0] == "abcd"[prediction.scores.argmax()] and best[1] >= second[1]
    assert repr(prediction).startswith("Prediction(scores (4,), 9 views, best ")
    with VideoReader(path) as video:
        assert np.array_equal(pipeline(video).scores, prediction.scores)
        video.frames_at([0])  # still open
    with pytest.raises(VideoReadError, match=r"none\.mp4"):
        pipeline(path.with_name("none.mp4"))


def test_a_folder_of_images_has_no_seconds(tmp_path):
    with pytest.raises(VideoReadError, match="a folder of images has no frame rate"):
        Pipeline(TinyNet(), PROTOCOL)(tmp_path)


def test_boxes_and_models_belong_together(make_video):
    path = make_video(num_frames=40)
    with pytest.raises(ValueError, match="scores whole clips: it takes neither boxes nor seconds"):
        Pipeline(TinyNet(), PROTOCOL)(path, boxes=[[0, 0, 1, 1]], seconds=1)
    boxes = Pipeline(Corners(), Protocol(KeyFrameSampling(4, 2), crop_size=None, short_sides=(24, 48), flips=(True,)))
    with pytest.raises(ValueError, match=r"detection model: call pipeline\(video, boxes=\.\.\., seconds=\.\.\.\)"):
        boxes(path)
    prediction = boxes(path, boxes=[[0.25, 0.5, 0.5, 1.0], [0, 0, 1, 1]], seconds=0.5)
    # 64 x 48 pixels at 24 and 48: mirrored, the box reaches from half the width on
    assert prediction.view_scores[:, 0, :2].tolist() == [[16, 12], [32, 24]]
    assert prediction.scores[0, :2].tolist() == [24, 18] and len(prediction.top(1)) == 2
    assert prediction.seconds.tolist() == [[11 / 30, 18 / 30]] * 2
    for wrong, message in (
        ([[10, 10, 30, 40]], "boxes go up to 40: give fractions"),
        ([[0.5, 0, 0.5, 1]], "x2 > x1"),
        ([], "at least one box"),
    ):
        with pytest.raises(ValueError, match=message):
            boxes(path, boxes=wrong, seconds=0.5)


def test_kernels_of_other_ranks_stay_as_they_are():
    net = nn.Module()
    net.gate = nn.Parameter(torch.zeros(8, 2, 3, 3))
    net.kernel = nn.Parameter(torch.zeros(8, 2, 3, 3, 3))
    place_model(net, "cpu")
    assert net.gate.is_contiguous() and net.kernel.is_contiguous(memory_format=torch.channels_last_3d)


# ---- Where it comes from ----


@pytest.fixture
def weights(tmp_path):
    """Writes a checkpoint such as a training leaves."""

    def write(*overrides, **fields):
        cfg = load_cfg(RECIPE, [*TINY, *overrides])
        torch.manual_seed(0)
        state = {"model_state": build_model(cfg).state_dict(), "cfg": cfg.dump(), "class_names": ["x", "y", "z"]}
        save_checkpoint(tmp_path / "weights.pyth", {**state, **fields})
        return tmp_path / "weights.pyth"

    return write


def test_a_checkpoint_is_enough(weights):
    pipeline = slowfast.load(weights("NUM_GPUS", 8, "BN.NORM_TYPE", "sync_batchnorm"), device="cpu")
    assert pipeline.class_names == ("x", "y", "z") and not pipeline.model.training
    assert pipeline.protocol.sampling.num_frames == 8
    assert pipeline.origin["weights"].endswith("weights.pyth")
    assert pipeline.scores(random_clips(2, num_frames=8)[0]).shape == (2, 3)


def test_its_protocol_stands_unless_the_config_is_overridden(weights):
    path = weights(protocol=PROTOCOL.as_dict())
    assert Pipeline.from_checkpoint(path).protocol == PROTOCOL
    one = Pipeline.from_checkpoint(path, overrides=["TEST.NUM_ENSEMBLE_VIEWS", 1, "TEST.FOLD_BN", True])
    assert one.protocol.num_clips == 1 and one.protocol.sampling.num_frames == 8
    assert not any(isinstance(part, nn.BatchNorm3d) for part in one.model.modules())


def test_weights_without_a_config_want_a_recipe(weights):
    path = weights(cfg="")
    with pytest.raises(CheckpointError, match=r'fits none of the published networks\. Name .*config="FILE\.yaml"'):
        slowfast.load(path)
    assert slowfast.load(path, config=RECIPE, overrides=TINY).class_names == ("x", "y", "z")


def test_a_config_of_another_framework_is_no_traceback(weights):
    with pytest.raises(CheckpointError, match=r"cannot be used here: .*CONTRASTIVE.*\nName the matching recipe"):
        slowfast.load(weights(cfg="CONTRASTIVE: {T: 0.07}"))


def test_code_that_a_file_names_runs_when_it_is_allowed(weights, tmp_path):
    own = tmp_path / "own.py"
    own.write_text("raise RuntimeError('this ran')\n")
    path = weights("IMPORTS", [])
    content = torch.load(path, weights_only=True)
    content["cfg"] = load_cfg(RECIPE, [*TINY, "IMPORTS", [str(own)]]).dump()
    save_checkpoint(path, content)
    with pytest.raises(CheckpointError, match=r"trained with IMPORTS \['.*own\.py'\].*allow_imports=True"):
        slowfast.load(path)
    with pytest.raises(RuntimeError, match="this ran"):
        slowfast.load(path, allow_imports=True)


def test_a_name_that_is_neither_file_nor_published():
    with pytest.raises(CheckpointError, match=r"no file 'SLOWFAST_8x8_R5', and there are no published weights"):
        slowfast.load("SLOWFAST_8x8_R5")


def test_published_weights_by_name(monkeypatch):
    """The download is the zoo's; here a small network stands for the published one."""
    seen = []
    protocol = build_protocol(load_cfg("Kinetics/c2/SLOWFAST_8x8_R50"))

    def parts(entry, weights, **_):
        seen.append((entry.name, weights))
        return {"model": TinyNet(400).eval(), "protocol": protocol}

    monkeypatch.setattr(module, "published_parts", parts)
    pipeline = slowfast.load("Kinetics/c2/SLOWFAST_8x8_R50", device="cpu")
    assert seen == [("Kinetics/c2/SLOWFAST_8x8_R50", "Kinetics/c2/SLOWFAST_8x8_R50")]
    assert pipeline.protocol.describe().startswith("10 clips x 3 crops")


def test_frames_can_be_scored_where_the_data_set_does_not_tell_its_clips(make_video):
    pipeline = Pipeline(TinyNet(), Protocol(OwnSampling(4, "mine"), crop_size=32, short_sides=(32,)))
    assert pipeline.scores(random_clips(1)[0]).shape == (1, 4)
    with pytest.raises(ValueError, match="the data set mine does not say which frames make a clip"):
        pipeline(make_video(num_frames=10))
