"""Data sets by name and their loaders: the same samples with any number of workers, and all of them."""

import pytest
import torch

from slowfast.datasets import DATASET_REGISTRY, build_augment, build_dataset, build_loader
from slowfast.datasets.samples import ClipBatch, VideoViews
from slowfast.video.augment import Mixup, RandomErasing
from tests.datasets.toys import small_config

NUM_VIDEOS = 7


@pytest.fixture(scope="module")
def root(tmp_path_factory, helpers):
    folder = tmp_path_factory.mktemp("videos")
    for i in range(NUM_VIDEOS):
        helpers.write_video(folder / f"{i}.mp4", num_frames=12 + i, height=32, width=40)
    rows = "".join(f"{i}.mp4 {i % 2}\n" for i in range(NUM_VIDEOS))
    for split in ("train", "val", "test"):
        (folder / f"{split}.csv").write_text(rows)
    return folder


@pytest.fixture
def cfg(root):
    settings = {"DATA.SAMPLING_RATE": 2, "DATA.TRAIN_JITTER_SCALES": [32, 40], "DATA.TEST_CROP_SIZE": 32}
    return small_config("kinetics", root, 2, settings | {"TRAIN.BATCH_SIZE": 3})


def read_all(cfg, split: str, epochs: int = 1) -> list:
    loader = build_loader(cfg, split)
    samples = []
    for epoch in range(epochs):
        if split == "train":
            loader.batch_sampler.set_epoch(epoch)
        samples += list(loader)
    return samples


@pytest.mark.parametrize("split, length", [("train", 2), ("val", 3), ("test", 7)])
def test_workers_change_nothing(cfg, split, length):
    alone = read_all(cfg, split, epochs=2)
    cfg.DATA_LOADER.NUM_WORKERS = 2
    together = read_all(cfg, split, epochs=2)
    assert len(alone) == len(together) == 2 * length
    for a, b in zip(alone, together, strict=True):
        assert repr(a) == repr(b)
        assert torch.equal(a.frames, b.frames)
    if split == "train":
        assert not torch.equal(alone[0].frames, alone[2].frames)  # another epoch
    else:
        assert torch.equal(alone[0].frames, alone[length].frames)


def test_what_each_split_gives(cfg):
    train, val, test = (read_all(cfg, split) for split in ("train", "val", "test"))
    assert [len(batch) for batch in train] == [3, 3]
    assert [len(batch) for batch in val] == [3, 3, 1]
    assert torch.cat([batch.video_indices for batch in val]).tolist() == list(range(NUM_VIDEOS))
    assert all(isinstance(batch, ClipBatch) and batch.frames.shape[1:] == (3, 4, 32, 32) for batch in train + val)
    assert all(isinstance(video, VideoViews) and video.num_views == 6 for video in test)
    assert [video.video_index for video in test] == list(range(NUM_VIDEOS))


@pytest.mark.parametrize("split", ["val", "test"])
def test_two_processes_evaluate_every_video_once(cfg, split):
    dataset = build_dataset(cfg, split)
    seen = []
    for rank in range(2):
        for sample in build_loader(cfg, split, dataset=dataset, rank=rank, world_size=2):
            seen += sample.video_indices.tolist() if split == "val" else [sample.video_index]
    assert sorted(seen) == list(range(NUM_VIDEOS))


def test_batches_of_several_gpus_are_shares(cfg):
    cfg.TRAIN.BATCH_SIZE, cfg.NUM_GPUS = 4, 2
    dataset = build_dataset(cfg, "train")
    loaders = [build_loader(cfg, "train", dataset=dataset, rank=rank, world_size=2) for rank in range(2)]
    assert [loader.batch_sampler.batch_size for loader in loaders] == [2, 2]
    batches = [next(iter(loader)) for loader in loaders]
    assert not set(batches[0].video_indices.tolist()) & set(batches[1].video_indices.tolist())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loading_leaves_the_global_generators_alone(cfg, num_workers):
    cfg.DATA_LOADER.NUM_WORKERS = num_workers
    torch.manual_seed(0)
    before = torch.get_rng_state()
    read_all(cfg, "train")
    assert torch.equal(torch.get_rng_state(), before)


def test_loaders_have_their_settings(cfg):
    cfg.DATA_LOADER.NUM_WORKERS = 2
    cfg.DATA_LOADER.PREFETCH_FACTOR = 3
    cfg.DATA.DECODE_TIMEOUT = 7.5
    loader = build_loader(cfg, "train")
    assert (loader.prefetch_factor, loader.persistent_workers, loader.pin_memory) == (3, True, False)
    assert loader.read_timeout == 7.5


# ---- Names and arguments ----


def test_unknown_names(cfg):
    cfg.TRAIN.DATASET = "kinetic"
    with pytest.raises(ValueError, match=r"there is no data set 'kinetic'\. Did you mean kinetics\?"):
        build_dataset(cfg, "train")
    with pytest.raises(ValueError, match='split must be "train", "val" or "test", got \'dev\''):
        build_dataset(cfg, "dev")
    for name in ("ptvkinetics", "ptvcharades", "ptvssv2"):  # PySlowFast's, with RGB
        assert not DATASET_REGISTRY.get(name).pyslowfast_reads_bgr
    cfg.TRAIN.DATASET = "Kinetics"  # names are matched without regard to case
    assert build_dataset(cfg, "train").num_videos == NUM_VIDEOS


def test_extra_arguments_come_from_the_config(cfg):
    cfg.DATA.ARGS.max_tries = 3
    assert build_dataset(cfg, "train").max_tries == 3
    cfg.DATA.ARGS.max_trys = 4
    with pytest.raises(ValueError, match=r"DATA.ARGS: Kinetics takes no argument 'max_trys'. Did you mean max_tries\?"):
        build_dataset(cfg, "train")


# ---- Augmentation ----


def test_augmentation_from_the_config(cfg):
    assert build_augment(cfg) is None
    cfg.AUG.ENABLE = cfg.MIXUP.ENABLE = True
    cfg.AUG.RE_COUNT = 2
    erasing, mixup = build_augment(cfg).steps
    assert isinstance(erasing, RandomErasing) and isinstance(mixup, Mixup)
    assert (erasing.probability, erasing.max_count, erasing.fill) == (0.25, 2, "pixel")
    assert (mixup.num_classes, mixup.mixup_alpha, mixup.label_smoothing) == (2, 0.8, 0.1)
    clip, labels = build_augment(cfg)(torch.randn(4, 3, 2, 8, 8), torch.tensor([0, 1, 0, 1]))
    assert clip.shape == (4, 3, 2, 8, 8) and labels.shape == (4, 2)
