"""The protocol as a value: what it refuses, what it says of itself, and that files give it back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml

from slowfast.config import load_cfg
from slowfast.datasets.build import build_protocol
from slowfast.datasets.clip_sampling import (
    KeyFrameSampling,
    OwnSampling,
    SecondsSampling,
    SegmentSampling,
    StridedSampling,
)
from slowfast.datasets.protocol import FlowInput, Protocol
from slowfast.datasets.samples import ClipShape
from slowfast.datasets.views import clip_seconds

SAMPLINGS = [
    SecondsSampling(32, 2, 29.97, True),
    StridedSampling(64, 2, 24.0),
    SegmentSampling(8, 30.0),
    KeyFrameSampling(32, 2),
    OwnSampling(4, "mine"),
]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda sampling: sampling.kind)
def test_a_protocol_comes_back_from_json_and_yaml(sampling):
    protocol = Protocol(
        sampling,
        num_clips=10,
        num_crops=3,
        short_sides=[224, 256],
        crop_size=None,
        flips=(False, True),
        channel_order="BGR",
        mean=(0.1, 0.2, 1 / 3),
        decoder_short_side=256,
        flow=FlowInput("dis", 20.0),
    )
    for written in (json.dumps(protocol.as_dict()), yaml.safe_dump(protocol.as_dict())):
        again = Protocol.from_dict(yaml.safe_load(written))
        assert again == protocol and again.as_dict() == protocol.as_dict() and hash(again) == hash(protocol)


@pytest.mark.parametrize(
    "recipe, overrides, text",
    [
        (
            "Kinetics/SLOWFAST_8x8_R50",
            [],
            "10 clips x 3 crops, sum of the scores; 32 frames over 2.133 s (every 2 frames at 30 a second); "
            "256 x 256 pixels at a short side of 256; RGB, softmax",
        ),
        (
            "Kinetics/SLOWFAST_8x8_R50",
            ["TEST.NUM_ENSEMBLE_VIEWS", 1, "TEST.NUM_SPATIAL_CROPS", 1, "DATA.TEST_CROP_SIZE", 224],
            "1 clip x 1 crop, sum of the scores; 32 frames over 2.133 s (every 2 frames at 30 a second); "
            "224 x 224 pixels at a short side of 256; RGB, softmax",
        ),
        (
            "Charades/SLOWFAST_16x8_R50",
            [],
            "10 clips x 3 crops, max of the scores; 64 frames, exactly every 2 frames at 24 a second; "
            "256 x 256 pixels at a short side of 256; RGB, sigmoid",
        ),
        (
            "SSv2/SLOWFAST_16x8_R50",
            [],
            "1 clip x 1 crop, sum of the scores; 64 frames, one from each of as many segments of the video at 30 a "
            "second; 256 x 256 pixels at the left or top at a short side of 256; RGB, softmax",
        ),
        (
            "AVA/SLOWFAST_32x2_R101",
            ["AVA.TEST_SCALES", [224, 256], "AVA.TEST_FLIP", True],
            "1 clip x 1 crop x 2 scales x mirrored and not, mean of the scores; 32 frames around a key frame, every 2 "
            "frames at 30 a second; whole frames at a short side of 224, 256; RGB, sigmoid",
        ),
    ],
)
def test_it_says_itself_in_a_sentence(recipe, overrides, text):
    assert build_protocol(load_cfg(recipe, overrides)).describe() == text


def test_variants_are_looked_at_one_by_one():
    protocol = Protocol(KeyFrameSampling(4, 2), short_sides=(32, 40), flips=(False, True), crop_size=None)
    looks = [(look.short_side, look.flip) for look in protocol.variants()]
    assert looks == [(32, False), (32, True), (40, False), (40, True)] and protocol.num_views == 4
    with pytest.raises(ValueError, match=r"short_sides=\(32, 40\): this needs one"):
        _ = protocol.short_side


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_crops": 2}, r"num_crops must be 1 or 3 .*, got 2"),
        ({"num_clips": 0}, r"num_clips=0: must be at least 1"),
        ({"single_crop": "left"}, r'single_crop must be "centre" or "first", got \'left\''),
        ({"channel_order": "rgb"}, r'channel_order must be "RGB" or "BGR"'),
        ({"fusion": "median"}, r'fusion must be "mean" or "sum" or "max"'),
        ({"flips": ()}, r"name at least one of each"),
    ],
)
def test_values_that_are_none_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Protocol(SecondsSampling(8, 8), **changes)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda data: data.update(num_klips=3),
            r"protocol: Protocol takes no argument 'num_klips'. Did you mean num_cl",
        ),
        (lambda data: data.pop("sampling"), r"no sampling"),
        (lambda data: data["sampling"].update(kind="minutes"), r"there is no clip sampling 'minutes'"),
        (lambda data: data["sampling"].update(stride=2), r"sampling: SecondsSampling takes no argument 'stride'"),
    ],
)
def test_a_dict_of_something_else_is_refused(change, message):
    data = Protocol(SecondsSampling(8, 8)).as_dict()
    change(data)
    with pytest.raises(ValueError, match=message):
        Protocol.from_dict(data)


def test_fusing_and_means():
    views = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    sums = Protocol(SecondsSampling(8, 8), num_clips=2, fusion="sum")
    assert sums.fuse(views).tolist() == pytest.approx([0.8, 1.2])
    assert sums.mean_scores(sums.fuse(views)).tolist() == pytest.approx([0.4, 0.6])
    largest = Protocol(SecondsSampling(8, 8), num_clips=2, fusion="max")
    assert largest.mean_scores(largest.fuse(views)).tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("sampling", SAMPLINGS[:3], ids=lambda sampling: sampling.kind)
@pytest.mark.parametrize("num_video_frames", [1, 7, 300])
def test_clips_lie_in_their_video_and_the_middle_one_in_its_middle(sampling, num_video_frames):
    clips = sampling.eval_indices(num_video_frames, 30.0, 3)
    assert clips.shape == (3, sampling.num_frames) and clips.dtype == torch.int64
    assert 0 <= clips.min() and clips.max() < num_video_frames
    (middle,) = sampling.centered().eval_indices(num_video_frames, 30.0, 1)
    if num_video_frames == 300:  # longer than a clip
        assert middle.double().mean() == pytest.approx((num_video_frames - 1) / 2, abs=1.5)


def test_a_multigrid_shape_is_drawn_up_to_its_rate():
    rng = np.random.default_rng(0)
    drawn = {SecondsSampling(8, 2).shaped(ClipShape(4, 16, 5), rng) for _ in range(100)}
    assert {sampling.sampling_rate for sampling in drawn} == {2, 3, 4, 5}
    assert {sampling.num_frames for sampling in drawn} == {4}


def test_times_of_clips():
    assert clip_seconds(torch.tensor([[0, 5, 9], [30, 30, 30]]), 10.0).tolist() == [[0, 1], [3, 3.1]]


def test_what_a_data_set_does_not_tell_cannot_be_executed():
    with pytest.raises(ValueError, match=r"the data set mine does not say which frames .*protocol_from_config"):
        OwnSampling(4, "mine").eval_indices(10, 30.0, 1)
