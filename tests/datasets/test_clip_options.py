"""Training clips changed by policies, several clips of a video, and windows that move."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slowfast.config import load_cfg
from slowfast.datasets import build_dataset, build_loader
from slowfast.engine.batch_sizes import BatchSizes
from slowfast.engine.parts import check_parts
from slowfast.video.frame_reader import FrameReader
from slowfast.video.geometry import Crop, DriftingCrop


@pytest.fixture
def config(tiny_opts):
    def make(*overrides):
        return load_cfg("Motion/SLOWFAST_4x4_R18", [*tiny_opts, "NUM_GPUS", 0, *overrides])

    return make


def samples(dataset, keys=((0, 0), (0, 1), (3, 0))):
    return [dataset[key] for key in keys]


@pytest.mark.parametrize("policy", ["rand-m9-mstd0.5-inc1", "v0", ""])
def test_clips_are_changed_by_the_samples_own_draws(config, policy):
    """After the window is drawn, so that windows stay; alike at every reading; and in training alone."""
    changed = build_dataset(config("AUG.ENABLE", True, "AUG.AA_TYPE", policy), "train")
    plain = build_dataset(config(), "train")
    keys = [(epoch, index) for epoch in range(2) for index in range(3)]
    same = [
        torch.equal(one.frames, other.frames)
        for one, other in zip(samples(changed, keys), samples(plain, keys), strict=True)
    ]
    assert not all(same)
    assert all(torch.equal(changed[key].frames, changed[key].frames) for key in keys)
    val = build_dataset(config("AUG.ENABLE", True), "val")
    assert val.augment is None and torch.equal(val[0].frames, build_dataset(config(), "val")[0].frames)


def test_neither_policy_nor_jitter_is_erasing_alone(config):
    cfg = config("AUG.ENABLE", True, "AUG.AA_TYPE", "", "AUG.COLOR_JITTER", 0.0)
    assert build_dataset(cfg, "train").augment is None


def test_a_policy_that_there_is_not_is_said_before_the_start(config):
    with pytest.raises(ValueError, match=r"AUG\.AA_TYPE.*'randaugment'"):
        check_parts(config("AUG.ENABLE", True, "AUG.AA_TYPE", "randaugment"))


def test_several_clips_of_a_video_lie_side_by_side_in_a_batch(config):
    several = ["DATA.TRAIN_CROP_NUM_TEMPORAL", 2, "DATA.TRAIN_CROP_NUM_SPATIAL", 2, "AUG.NUM_SAMPLE", 2]
    cfg = config(*several)
    batch = next(iter(build_loader(cfg, "train")))
    assert batch.frames.shape == (32, 3, 8, 32, 32)
    assert batch.video_indices.view(4, 8).unique(dim=1).shape == (4, 1)
    assert batch.labels.tolist() == [build_dataset(cfg, "train").labels[i] for i in batch.video_indices.tolist()]
    assert len({tuple(clip.flatten().tolist()) for clip in batch.frames}) == 32
    sizes, alone = BatchSizes.from_config(cfg), BatchSizes.from_config(config())
    assert (sizes.whole, sizes.at_once, sizes.lr_batch) == (32, 32, 8 * alone.lr_batch)


def test_the_first_of_them_is_the_one_there_is_alone(config):
    alone, several = (build_dataset(config("AUG.NUM_SAMPLE", number), "train") for number in (1, 3))
    for one, group in zip(samples(alone), samples(several), strict=True):
        assert len(group) == 3 and torch.equal(one.frames, group[0].frames)


def test_windows_of_one_clip_are_decoded_once(config, monkeypatch):
    reads = []
    read = FrameReader.frames_at
    monkeypatch.setattr(FrameReader, "frames_at", lambda *args, **kwargs: reads.append(1) or read(*args, **kwargs))
    build_dataset(config("AUG.NUM_SAMPLE", 4, "DATA.TRAIN_CROP_NUM_TEMPORAL", 2), "train")[(0, 0)]
    assert len(reads) == 2


def test_a_data_set_of_ones_own_gives_one_clip(config):
    class Own(torch.utils.data.Dataset):
        labels = np.zeros(8)

        def __len__(self):
            return 8

    with pytest.raises(ValueError, match="ask for 2 clips per video, but Own is not a ClipDataset"):
        build_loader(config("AUG.NUM_SAMPLE", 2), "train", dataset=Own())


# ---- windows that move ----


def test_a_window_moves_evenly_from_the_first_region_to_the_last():
    columns = torch.arange(60, dtype=torch.uint8).expand(5, 3, 40, 60)
    crops = [Crop(region, 10, 10, 0, 0, 10) for region in ((0, 0, 10, 10), (20, 40, 10, 10))]
    window = DriftingCrop(*crops)
    assert window.apply_to_frames(columns)[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
    mirrored = DriftingCrop(Crop((0, 0, 10, 10), 10, 10, 0, 0, 10, flip=True), crops[1])
    assert mirrored.apply_to_frames(columns)[:, 0, 0, -1].tolist() == [0, 10, 20, 30, 40]
    assert torch.equal(window.apply_to_frames(columns[:1]), crops[0].apply_to_frames(columns[:1]))


def test_moving_windows_from_the_config(config):
    relative = ["DATA.TRAIN_JITTER_SCALES_RELATIVE", [0.3, 0.5], "DATA.TRAIN_JITTER_ASPECT_RELATIVE", [0.75, 1.33]]
    still = build_dataset(config(*relative), "train")
    moving = build_dataset(config(*relative, "DATA.TRAIN_JITTER_MOTION_SHIFT", True), "train")
    for one, other in zip(samples(still), samples(moving), strict=True):
        assert one.frames.shape == other.frames.shape
        assert torch.equal(one.frames[:, 0], other.frames[:, 0])  # it begins where the still one is
        assert not torch.equal(one.frames[:, -1], other.frames[:, -1])


@pytest.mark.parametrize("enabled, threads, expected", [(False, 1, 1), (True, 1, 0), (True, 3, 3)])
def test_threads_of_a_decoder(config, enabled, threads, expected):
    """PySlowFast's switch means one per core."""
    keys = ["DATA_LOADER.ENABLE_MULTI_THREAD_DECODE", enabled, "DATA.DECODER_THREADS", threads]
    assert build_dataset(config(*keys), "train").decoder_threads == expected
