"""The Kinetics loader on small video files: what each split gives, what happens to bad videos, and what is checked."""

import json
import pickle
import re
from dataclasses import replace

import pytest
import torch

from slowfast.datasets import Kinetics, build_dataset
from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.lists.path_labels import read_path_label_list
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.train_crop import TrainCrop
from slowfast.video.reader import VideoReader, VideoReadError
from slowfast.video.sampling import eval_clip_indices
from tests.datasets.toys import small_config

NUM_VIDEOS = 6


@pytest.fixture(scope="module")
def root(tmp_path_factory, helpers):
    """A data set: six videos, landscape and portrait, and one that is none."""
    folder = tmp_path_factory.mktemp("kinetics")
    for i in range(NUM_VIDEOS):
        height, width = (48, 64) if i % 2 == 0 else (64, 48)
        path = folder / f"class {i % 2}" / f"{i}.mp4"
        path.parent.mkdir(exist_ok=True)
        helpers.write_video(path, num_frames=30 + i, height=height, width=width, options={"bf": "2", "g": "12"})
    rows = "".join(f"class {i % 2}/{i}.mp4 {i % 2}\n" for i in range(NUM_VIDEOS))
    for split in ("train", "val", "test"):
        (folder / f"{split}.csv").write_text(rows)
    (folder / "bad.mp4").write_text("no video")
    (folder / "classids.json").write_text(json.dumps({"zero": 0, "one": 1}))
    return folder


@pytest.fixture
def cfg(root):
    return small_config("kinetics", root, 2, {"DATA.TRAIN_JITTER_SCALES": [36, 44], "DATA.TEST_CROP_SIZE": 40})


def with_rows(cfg, tmp_path, rows: str, split: str = "train", **settings):
    """A data set over a list of its own."""
    (tmp_path / f"{split}.csv").write_text(rows)
    cfg.DATA.PATH_PREFIX = cfg.DATA.PATH_TO_DATA_DIR
    cfg.DATA.PATH_TO_DATA_DIR = str(tmp_path)
    cfg.DATA.CHECK_FILES = "none"
    for key, value in settings.items():
        setattr(cfg.DATA, key, value)
    return build_dataset(cfg, split)


def test_a_training_clip(cfg):
    dataset = build_dataset(cfg, "train")
    sample = dataset[0, 3]
    assert sample.frames.shape == (3, 4, 32, 32) and sample.frames.dtype == torch.uint8
    assert sample.frames.is_contiguous()
    assert (sample.label.item(), sample.video_index, sample.failures, sample.is_valid) == (1, 3, (), True)
    assert dataset.num_videos == len(dataset) == NUM_VIDEOS
    assert dataset.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert dataset.class_names == ["zero", "one"]
    assert dataset.paths[3].endswith("class 1/3.mp4")


def test_a_training_clip_depends_on_seed_epoch_and_video_alone(cfg):
    dataset = build_dataset(cfg, "train")
    first = [dataset[2, i].frames for i in range(NUM_VIDEOS)]
    again = [dataset[2, i].frames for i in reversed(range(NUM_VIDEOS))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other_epoch = [dataset[3, i].frames for i in range(NUM_VIDEOS)]
    cfg.RNG_SEED = 5
    other_seed = [build_dataset(cfg, "train")[2, i].frames for i in range(NUM_VIDEOS)]
    for others in (other_epoch, other_seed):
        assert not any(torch.equal(a, b) for a, b in zip(first, others, strict=True))
    assert torch.equal(dataset[0].frames, dataset[0, 0].frames)


def test_a_training_clip_is_a_window_of_the_video(cfg):
    """Without scaling, every frame of a clip must be found in the video, in order."""
    cfg.DATA.TRAIN_JITTER_SCALES = [48, 48]
    dataset = build_dataset(cfg, "train")
    with VideoReader(dataset.paths[0]) as video:
        frames = video.frames_at(range(video.num_frames))
    windows = frames[:, 0].unfold(1, 32, 1).unfold(2, 32, 1)  # (N, 17, 33, 32, 32)
    for epoch in range(2):
        clip = dataset[epoch, 0].frames
        found = []
        for t in range(4):
            equal = [(windows == c).all(-1).all(-1) for c in (clip[0, t], clip[0, t].flip(-1))]
            found.append(torch.nonzero(equal[0] | equal[1])[0].tolist())
        numbers = [number for number, _, _ in found]
        assert numbers == sorted(numbers) and len(set(numbers)) == 4
        assert len({(y, x) for _, y, x in found}) == 1  # the same place in all frames


def test_the_val_clip_is_the_center_and_never_changes(cfg):
    dataset = build_dataset(cfg, "val")
    sample = dataset[1]
    assert sample.frames.shape == (3, 4, 32, 32)
    assert torch.equal(sample.frames, build_dataset(cfg, "val")[1].frames)
    cfg.DATA.TRAIN_JITTER_SCALES = [48, 60]  # no scaling: compare with the video itself
    sample = build_dataset(cfg, "val")[1]
    with VideoReader(dataset.paths[1]) as video:
        frames = video.frames_at(eval_clip_indices(video.num_frames, video.fps, 4, 4, 30, 1, True)[0])
    assert torch.equal(sample.frames, frames[..., 16:48, 8:40].permute(1, 0, 2, 3))


@pytest.mark.parametrize("index", [0, 1])
def test_test_views(cfg, index):
    cfg.DATA.TEST_CROP_SIZE = 48  # the short side as it is: compare with the video itself
    dataset = build_dataset(cfg, "test")
    video = dataset[index]
    assert dataset.num_views == video.num_views == 6
    assert (video.video_index, video.label.item(), video.failure) == (index, index, "")
    assert video.path == dataset.paths[index]
    assert video.crops == (((0, 0), (0, 8), (0, 16)), ((0, 0), (8, 0), (16, 0)))[index]
    with VideoReader(dataset.paths[index]) as reader:
        clips = eval_clip_indices(reader.num_frames, reader.fps, 4, 4, 30, 2)
        frames = reader.frames_at(clips.flatten()).unflatten(0, (2, 4))
    assert len(video.frames) == len(clips.unique())
    for view_id in range(6):
        y, x = video.crops[view_id % 3]
        expected = frames[view_id // 3][..., y : y + 48, x : x + 48].permute(1, 0, 2, 3)
        assert torch.equal(video.view(view_id), expected)


def test_a_test_video_is_decoded_once(cfg, monkeypatch):
    calls = []
    read = VideoReader.frames_at
    monkeypatch.setattr(VideoReader, "frames_at", lambda self, *a, **k: calls.append(1) or read(self, *a, **k))
    build_dataset(cfg, "test")[0].views(range(6))
    assert len(calls) == 1


def test_one_test_crop_is_the_center_of_the_training_scale(cfg):
    cfg.TEST.NUM_SPATIAL_CROPS = 1
    cfg.DATA.TRAIN_JITTER_SCALES = [44, 60]
    video = build_dataset(cfg, "test")[0]
    assert video.frames.shape[-2:] == (44, 58)
    assert video.crops == ((2, 9),) and video.crop_size == 40
    assert video.num_views == 2


def test_training_crops_and_the_number_of_clips_follow_the_config(cfg):
    cfg.DATA.RANDOM_FLIP = False
    cfg.DATA.TRAIN_JITTER_SCALES_RELATIVE, cfg.DATA.TRAIN_JITTER_ASPECT_RELATIVE = [0.08, 1.0], [0.75, 1.3333]
    dataset = build_dataset(cfg, "train")
    assert (dataset.train_crop.flip_probability, dataset.train_crop.area_fractions) == (0, (0.08, 1.0))
    assert dataset[0, 0].frames.shape == (3, 4, 32, 32)
    cfg.DATA.USE_OFFSET_SAMPLING = True
    test = build_dataset(cfg, "test", num_clips=5)
    assert test[0].num_views == 15 and test.protocol.sampling.offset_sampling is True


def test_resizing_in_the_decoder_keeps_shapes(cfg):
    cfg.DATA.RESIZE_IN_DECODER = True
    cfg.DATA.DECODING_SHORT_SIZE = 40
    assert build_dataset(cfg, "train")[0, 0].frames.shape == (3, 4, 32, 32)
    plain_cfg = cfg.clone()
    plain_cfg.DATA.RESIZE_IN_DECODER = False
    quick, plain = (build_dataset(c, "test")[0].frames.float() for c in (cfg, plain_cfg))
    assert quick.shape == plain.shape
    assert not torch.equal(quick, plain) and (quick - plain).abs().mean() < 30


# ---- Videos that cannot be read ----


def test_in_training_another_video_takes_the_place_of_a_bad_one(cfg, tmp_path):
    dataset = with_rows(cfg, tmp_path, "bad.mp4 0\nclass 1/1.mp4 1\n")
    sample = dataset[0, 0]
    assert (sample.video_index, sample.label.item(), sample.is_valid) == (1, 1, True)
    (reason,) = sample.failures
    assert re.fullmatch(r"train\.csv:1: cannot open .*bad\.mp4: Invalid data .* \(it is a text file\)\.", reason)
    assert torch.equal(dataset[0, 0].frames, sample.frames)  # the replacement is drawn by the sample's generator
    assert dataset[0, 1].failures == ()


def test_training_stops_when_nothing_can_be_read(cfg, tmp_path):
    dataset = with_rows(cfg, tmp_path, "bad.mp4 0\nmissing.mp4 1\n")
    with pytest.raises(
        VideoReadError, match=r"no video of the list could be read; the first: train\.csv:1: cannot open"
    ):
        dataset[0, 0]
    many = with_rows(cfg, tmp_path, "bad.mp4 0\n" * 20)
    many.max_tries = 3
    with pytest.raises(VideoReadError, match=r"3 videos in a row could not be read; the first: train\.csv:8"):
        many[0, 7]


def test_in_val_and_test_a_bad_video_is_marked(cfg, tmp_path):
    val = with_rows(cfg, tmp_path, "class 1/1.mp4 1\nbad.mp4 1\n", split="val")
    sample = val[1]
    assert not sample.is_valid and sample.frames.eq(0).all() and sample.frames.shape == (3, 4, 32, 32)
    assert (sample.video_index, sample.label.item()) == (1, 1)
    assert sample.failures[0].startswith("val.csv:2: cannot open")
    cfg.DATA.PATH_TO_DATA_DIR = cfg.DATA.PATH_PREFIX
    test = with_rows(cfg, tmp_path, "class 1/1.mp4 1\nbad.mp4 1\n", split="test")
    views = test[1]
    assert views.failure.startswith("test.csv:2: cannot open") and len(views.frames) == 0
    assert (views.video_index, views.num_views) == (1, 6)


def test_programming_errors_are_not_taken_for_bad_videos(cfg, monkeypatch):
    dataset = build_dataset(cfg, "train")
    monkeypatch.setattr(TrainCrop, "draw", lambda *_, **window: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dataset[0, 0]


# ---- What is checked at the start ----


def test_missing_files_stop_the_start(cfg, tmp_path):
    rows = "class 1/1.mp4 1\nnone.mp4 0\n"
    (tmp_path / "train.csv").write_text(rows)
    cfg.DATA.PATH_PREFIX, cfg.DATA.PATH_TO_DATA_DIR = cfg.DATA.PATH_TO_DATA_DIR, str(tmp_path)
    with pytest.raises(AnnotationError, match=r"train.csv: 1 of 2 files are missing:\n  train.csv:2: .*none.mp4"):
        build_dataset(cfg, "train")
    cfg.DATA.CHECK_FILES = "none"
    assert len(build_dataset(cfg, "train")) == 2


def test_labels_must_fit_the_model(cfg):
    cfg.MODEL.NUM_CLASSES = 1
    with pytest.raises(AnnotationError, match=r"train\.csv:2: label 1 is not in 0-0.*"):
        build_dataset(cfg, "train")
    cfg.MODEL.NUM_CLASSES = 3
    with pytest.raises(AnnotationError, match=r"classids\.json names 2 classes, but MODEL\.NUM_CLASSES is 3"):
        build_dataset(cfg, "train")


def test_relative_paths_start_at_the_list_or_at_the_working_directory(cfg, tmp_path, root, monkeypatch):
    assert build_dataset(cfg, "train").paths[0] == str(root / "class 0/0.mp4")
    (tmp_path / "train.csv").write_text("class 1/1.mp4 1\n")
    cfg.DATA.PATH_TO_DATA_DIR = str(tmp_path)
    monkeypatch.chdir(root)  # PySlowFast's way
    assert build_dataset(cfg, "train").paths[0] == "class 1/1.mp4"


def test_class_names_are_optional_or_named(cfg, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    cfg.DATA.CLASS_NAMES = str(names)
    assert build_dataset(cfg, "train").class_names == ["a", "b"]
    cfg.DATA.CLASS_NAMES = ""
    assert with_rows(cfg, tmp_path, "class 1/1.mp4 1\n").class_names is None


def test_several_labels_a_video_and_none(cfg, tmp_path, caplog):
    dataset = with_rows(cfg, tmp_path, 'class 1/1.mp4 0,1\nclass 0/2.mp4 ""\n', MULTI_LABEL=True)
    assert dataset[0, 0].label.tolist() == [1, 1] and dataset[0, 1].label.tolist() == [0, 0]
    cfg.DATA.PATH_TO_DATA_DIR = cfg.DATA.PATH_PREFIX
    withheld = with_rows(cfg, tmp_path, "class 1/1.mp4\n", split="test", MULTI_LABEL=False)
    assert withheld[0].label == -1
    assert "test.csv gives no label for 1 of 1 videos: no figures." in caplog.text


def test_a_data_set_without_a_config(root):
    videos = read_path_label_list(root / "train.csv", prefix=str(root))
    protocol = Protocol(SecondsSampling(2, 1), crop_size=16, short_sides=(16,))
    dataset = Kinetics(videos, split="train", protocol=protocol, train_crop=TrainCrop(16, (16, 20)))
    assert dataset[0, 0].frames.shape == (3, 2, 16, 16)
    with pytest.raises(IndexError, match=r"video 6 of 6 in train\.csv"):
        dataset[6]
    with pytest.raises(ValueError, match=r'split must be "train", "val" or "test", got \'dev\''):
        Kinetics(videos, split="dev", protocol=protocol)
    with pytest.raises(ValueError, match=r"val clips are read once, .*2 scales, mean of the scores"):
        Kinetics(videos, split="val", protocol=replace(protocol, short_sides=(16, 20)))
    with pytest.raises(ValueError, match="belong together"):
        TrainCrop(16, area_fractions=(0.1, 1))


def test_a_data_set_travels_and_is_small(cfg):
    dataset = build_dataset(cfg, "train")
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[1, 2].frames, dataset[1, 2].frames)
    names = [f"some/folder/of/a/kinetics/copy/video_{i:011d}_000001_000011.mp4 {i % 400}" for i in range(2000)]
    list_file = cfg.DATA.PATH_TO_DATA_DIR + "/long.csv"
    with open(list_file, "w") as file:
        file.write("\n".join(names))
    videos = read_path_label_list(list_file)
    assert len(pickle.dumps(videos)) < 2000 * 100
