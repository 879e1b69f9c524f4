"""AVA's data set on small frame folders: clips, crops, boxes, labels, what is checked, and bad clips."""

import logging
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.config import find, load_cfg
from slowfast.config.files import recipe_names
from slowfast.datasets import Ava, build_dataset
from slowfast.datasets.ava import UNUSED_KEYS
from slowfast.datasets.build import warn_of_unused
from slowfast.datasets.clip_sampling import KeyFrameSampling
from slowfast.datasets.lists.frame_lists import HEADER
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.protocol import Protocol
from slowfast.datasets.samplers import clip_rng
from slowfast.datasets.samples import ClipShape
from slowfast.video.reader import VideoReadError
from tests.datasets.toys import small_config

NUM_FRAMES = 130  # of a video: seconds 902 to 904
ACTOR = "0.25,0.25,0.5,0.75"  # painted white in every frame: x 16 to 32, y 12 to 36
LEFT_EDGE = "0.0,0.0,0.03125,0.1"  # two pixels wide
TRUE_BOXES = [
    f"vidA,0902,{ACTOR},1,0",
    f"vidA,0902,{ACTOR},3,0",
    f"vidA,0902,{LEFT_EDGE},,1",
    f"vidA,0904,{ACTOR},2,0",
    f"vidB,0903,{ACTOR},4,0",
]
DETECTED_BOXES = [
    f"vidA,0902,{ACTOR},,0.95",
    f"vidA,0904,{ACTOR},,0.9",
    f"vidA,0904,{LEFT_EDGE},,0.91",
    "vidA,0904,0.5,0.5,0.9,0.9,,0.89",
    f"vidB,0904,{ACTOR},,1.0",
]


def write_frames(folder, video_id: str) -> list:
    """Images whose gray is the frame's number from 0, and one painted actor; the rows that list them."""
    (folder / video_id).mkdir(parents=True)
    rows = []
    for i in range(NUM_FRAMES):
        pixels = np.full((48, 64, 3), i, dtype=np.uint8)
        pixels[12:36, 16:32] = 255
        name = f"{video_id}/{video_id}_{i + 1:06d}.jpg"
        Image.fromarray(pixels).save(folder / name, quality=95, subsampling=0)
        rows.append(f'{video_id} 0 {i} {name} ""')
    return rows


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ava")
    rows = [row for video_id in ("vidA", "vidB") for row in write_frames(folder / "frames", video_id)]
    for name in ("frame_lists", "annotations"):
        (folder / name).mkdir()
    for name in ("train.csv", "val.csv"):
        (folder / "frame_lists" / name).write_text("\n".join([HEADER, *rows]))
    (folder / "annotations" / "true.csv").write_text("\n".join(TRUE_BOXES))
    (folder / "annotations" / "detected.csv").write_text("\n".join(DETECTED_BOXES))
    (folder / "annotations" / "map.pbtxt").write_text('item { name: "stand" id: 1 }\nitem { name: "sit" id: 3 }')
    return folder


@pytest.fixture
def cfg(root):
    settings = {
        "DETECTION.ENABLE": True,
        "AVA.FRAME_DIR": str(root / "frames"),
        "AVA.FRAME_LIST_DIR": str(root / "frame_lists"),
        "AVA.ANNOTATION_DIR": str(root / "annotations"),
        "AVA.TRAIN_GT_BOX_LISTS": ["true.csv"],
        "AVA.TEST_PREDICT_BOX_LISTS": ["detected.csv"],
        "AVA.LABEL_MAP_FILE": "map.pbtxt",
        "DATA.SAMPLING_RATE": 6,
        "DATA.TRAIN_JITTER_SCALES": [48, 48],
    }
    return small_config("ava", root, 5, settings)


def painted_box(frames: torch.Tensor) -> list[int]:
    """x1 y1 x2 y2 of the white pixels of a clip."""
    rows, cols = torch.nonzero(frames[0, 0] > 191, as_tuple=True)
    return [cols.min().item(), rows.min().item(), cols.max().item() + 1, rows.max().item() + 1]


def frame_numbers(frames: torch.Tensor) -> list[int]:
    """Which frames a clip shows, told by the gray of their background."""
    background = [channel[channel < 191].float().median().item() for channel in frames[0]]
    return [round(gray) for gray in background]


def close(values, abs=1.01):
    return pytest.approx(values, abs=abs)  # JPEG and resizing move a level or an edge by one


# ---- What each split gives ----


def test_a_training_sample(cfg):
    dataset = build_dataset(cfg, "train")
    assert isinstance(dataset, Ava) and dataset.num_videos == len(dataset) == 3
    assert repr(dataset).startswith("Ava(train: KeyFrames(3 key frames, 4 boxes, 2 videos); ")
    assert dataset.train_crop.inverse_uniform
    assert list(dataset.key_frames) == [("vidA", 902), ("vidA", 904), ("vidB", 903)]
    assert dataset.paths == ["vidA,0902", "vidA,0904", "vidB,0903"]
    assert dataset.class_names == ["stand", "class 2", "sit", "class 4", "class 5"]
    assert dataset.labels.tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]
    sample = dataset[0, 0]
    assert sample.frames.shape == (3, 4, 32, 32) and sample.frames.dtype == torch.uint8
    assert sample.frames.is_contiguous()
    assert sample.boxes.shape == (2, 4) and sample.boxes.dtype == torch.float32
    assert sample.labels.tolist() == [[1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert sample.boxes_normalized.tolist() == [[0.25, 0.25, 0.5, 0.75], close([0, 0, 0.03125, 0.1], 1e-6)]
    assert (sample.sample_index, sample.failures, sample.is_valid) == (0, (), True)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_clip_lies_around_its_key_frame(cfg, split):
    """T = 4, tau = 6: g - 12, g - 6, g, g + 6; g = 30 * (t - 900); clamped to the 130 frames of the video."""
    cfg.AVA.FULL_TEST_ON_VAL = True
    dataset = build_dataset(cfg, split)
    for index, (_, second) in enumerate(dataset.key_frames):
        key_frame = 30 * (second - 900)
        expected = [min(key_frame + offset, NUM_FRAMES - 1) for offset in (-12, -6, 0, 6)]
        assert frame_numbers(dataset[index].frames) == close(expected)


@pytest.mark.parametrize("index", range(3))
def test_training_boxes_move_with_their_pixels(cfg, index):
    cfg.DATA.TRAIN_JITTER_SCALES = [40, 80]
    dataset = build_dataset(cfg, "train")
    seen = set()
    for epoch in range(25):
        sample = dataset[epoch, index]
        box = sample.boxes[0].tolist()
        if (box[2] - box[0]) * (box[3] - box[1]) < 9:
            assert (sample.frames[0, 0] > 191).sum() < 16  # (nearly) outside the crop
            continue
        assert painted_box(sample.frames) == close(box)
        seen.add((round(box[0]), round(box[1])))
    assert len(seen) > 10


def test_the_val_sample_is_the_center_crop_and_never_changes(cfg):
    dataset = build_dataset(cfg, "val")
    sample = dataset[0]
    assert sample.frames.shape == (3, 4, 48, 48)
    assert sample.boxes.tolist() == [[8, 12, 24, 36], [0, 0, 0, close(4.8, 1e-5)]]  # the edge is cut off, the box stays
    assert painted_box(sample.frames) == close(sample.boxes[0].tolist())
    assert torch.equal(sample.frames, build_dataset(cfg, "val")[0].frames)


def test_validation_looks_at_every_fourth_second_unless_told_otherwise(cfg):
    assert list(build_dataset(cfg, "val").key_frames) == [("vidA", 904), ("vidB", 904)]
    cfg.AVA.FULL_TEST_ON_VAL = True
    everything = [("vidA", 902), ("vidA", 904), ("vidB", 904)]
    assert list(build_dataset(cfg, "val").key_frames) == everything
    cfg.AVA.FULL_TEST_ON_VAL = False
    assert list(build_dataset(cfg, "test").key_frames) == everything


def test_the_test_sample_is_the_whole_frame(cfg):
    cfg.DATA.TEST_CROP_SIZE = 96
    sample = build_dataset(cfg, "test")[1]
    assert sample.frames.shape == (3, 4, 96, 128)
    assert sample.boxes.tolist() == [[32, 24, 64, 72], [0, 0, 4, close(9.6, 1e-5)]]
    assert painted_box(sample.frames) == close(sample.boxes[0].tolist())
    assert sample.labels.shape == (2, 5) and sample.labels.sum() == 0


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_forced_flip_mirrors_frames_and_boxes(cfg, split):
    plain = build_dataset(cfg, split)[0]
    cfg.AVA.TEST_FORCE_FLIP = True
    mirrored = build_dataset(cfg, split)[0]
    width = plain.frames.shape[-1]
    assert torch.equal(mirrored.frames, plain.frames.flip(-1))
    x1, y1, x2, y2 = plain.boxes.T
    assert torch.equal(mirrored.boxes.T, torch.stack([width - x2, y1, width - x1, y2]))
    assert torch.equal(mirrored.boxes_normalized, plain.boxes_normalized)


def test_a_test_set_at_other_scales_shares_its_lists(cfg):
    dataset = build_dataset(cfg, "test")
    other = dataset.with_view(short_side=24, flip=True)
    assert other.key_frames is dataset.key_frames and other.source is dataset.source
    sample = other[0]
    assert sample.frames.shape == (3, 4, 24, 32) and sample.boxes[0].tolist() == [16, 6, 24, 18]
    assert (dataset.protocol.short_side, dataset.protocol.flip) == (48, False)  # as it was
    assert dataset.with_view().protocol.short_side == 48
    assert other.with_view(flip=False).protocol.short_side == 24
    with pytest.raises(ValueError, match=r'only a test set .* this is split "train"'):
        build_dataset(cfg, "train").with_view(flip=True)


def test_the_data_set_travels_to_worker_processes(cfg):
    dataset = build_dataset(cfg, "train")
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[0, 0].frames, dataset[0, 0].frames)


def test_multigrid_shapes(cfg):
    dataset = build_dataset(cfg, "train")
    sample = dataset[0, 0, ClipShape(num_frames=2, crop_size=16, max_sampling_rate=6)]
    assert sample.frames.shape == (3, 2, 16, 16)
    gaps = set()
    for epoch in range(30):
        first, second = frame_numbers(dataset[epoch, 0, ClipShape(2, 32, 12)].frames)
        gaps.add(second - first)
    assert min(gaps) >= 5 and max(gaps) <= 13 and len(gaps) > 4
    sampling = dataset.protocol.sampling
    odd = [sampling.shaped(ClipShape(3, 32, 9), clip_rng(0, epoch, 0)) for epoch in range(30)]
    assert {drawn.sampling_rate for drawn in odd} == {6, 8}  # three frames can be centered with an even rate alone


def test_colors_change_in_training_when_asked(cfg):
    cfg.DATA.RANDOM_FLIP = False
    plain = build_dataset(cfg, "train")[0, 0]
    cfg.AVA.TRAIN_USE_COLOR_AUGMENTATION = True
    lighting = build_dataset(cfg, "train")[0, 0]
    cfg.AVA.TRAIN_PCA_JITTER_ONLY = False
    jitter = build_dataset(cfg, "train")[0, 0]
    assert torch.equal(plain.boxes, lighting.boxes) and torch.equal(plain.boxes, jitter.boxes)  # the same crop
    changes = [(other.frames.int() - plain.frames.int()).abs().float().mean().item() for other in (lighting, jitter)]
    assert 0 < changes[0] < changes[1]
    cfg.DATA.TRAIN_PCA_EIGVAL = [0.0, 0.0, 0.0]
    cfg.AVA.TRAIN_PCA_JITTER_ONLY = True
    assert torch.equal(build_dataset(cfg, "train")[0, 0].frames, plain.frames)


# ---- Boxes outside the crop ----


def outside(sample):
    return ~(sample.boxes[:, 2:] > sample.boxes[:, :2]).all(1)


def test_boxes_outside_the_crop_are_dropped_when_asked(cfg):
    compatible = build_dataset(cfg, "train")
    cfg.AVA.DROP_OUTSIDE_BOXES = True
    dropping = build_dataset(cfg, "train")
    num_dropped = 0
    for epoch in range(20):
        sample, whole = dropping[epoch, 0], compatible[epoch, 0]
        keep = ~outside(whole)
        assert torch.equal(sample.boxes, whole.boxes[keep]) and torch.equal(sample.labels, whole.labels[keep])
        assert torch.equal(sample.boxes_normalized, whole.boxes_normalized[keep])
        num_dropped += int((~keep).sum())
    assert num_dropped > 0


def test_a_sample_never_ends_without_a_box(cfg, tmp_path):
    (tmp_path / "edge.csv").write_text(f"vidA,0902,{LEFT_EDGE},2,0\n")
    cfg.AVA.TRAIN_GT_BOX_LISTS = [str(tmp_path / "edge.csv")]
    cfg.AVA.DROP_OUTSIDE_BOXES = True
    dataset = build_dataset(cfg, "train")
    samples = [dataset[epoch, 0] for epoch in range(20)]
    assert any(outside(sample).all() for sample in samples)
    assert all(sample.labels.tolist() == [[0, 1, 0, 0, 0]] for sample in samples)


# ---- Clips that cannot be read ----


@pytest.fixture
def with_a_missing_frame(cfg, root, tmp_path):
    """vidA lacks frame 61, which every clip of second 902 shows."""
    shutil.copytree(root / "frames", tmp_path / "frames")
    (tmp_path / "frames/vidA/vidA_000061.jpg").unlink()
    cfg.AVA.FRAME_DIR = str(tmp_path / "frames")
    return cfg


def test_in_training_another_key_frame_takes_the_place_of_a_bad_one(with_a_missing_frame):
    dataset = build_dataset(with_a_missing_frame, "train")
    sample = dataset[0, 0]
    (reason,) = sample.failures
    assert reason.startswith("vidA,0902: cannot decode ") and "vidA_000061.jpg: No such file" in reason
    assert sample.sample_index in (1, 2) and sample.is_valid
    assert torch.equal(sample.labels, dataset[0, sample.sample_index].labels)
    assert torch.equal(sample.frames, dataset[0, 0].frames)  # the replacement is drawn by the sample's generator
    assert {dataset[epoch, 0].sample_index for epoch in range(20)} == {1, 2}
    assert dataset[0, 1].failures == ()


def test_training_stops_when_nothing_can_be_read(cfg, tmp_path):
    cfg.AVA.FRAME_DIR = str(tmp_path)
    cfg.DATA.CHECK_FILES = "none"
    with pytest.raises(VideoReadError, match="no key frame of the lists could be read; the first: vidA,0904: cannot"):
        build_dataset(cfg, "train")[0, 1]


@pytest.mark.parametrize("split", ["val", "test"])
def test_in_val_and_test_a_bad_clip_is_marked_and_keeps_its_boxes(with_a_missing_frame, split):
    with_a_missing_frame.AVA.FULL_TEST_ON_VAL = True
    sample = build_dataset(with_a_missing_frame, split)[0]
    assert not sample.is_valid and sample.frames.shape == (3, 4, 48, 48) and sample.frames.eq(0).all()
    assert sample.boxes.tolist() == [[12, 12, 24, 36]]
    assert sample.boxes_normalized.tolist() == [[0.25, 0.25, 0.5, 0.75]]
    assert sample.failures[0].startswith("vidA,0902: cannot decode")


# ---- What is checked at the start ----


CLIP_KEYS = {
    "TEST.NUM_TEMPORAL_CLIPS": [1, 10],
    "TEST.SAVE_RESULTS_PATH": "scores.pkl",
    "TEST.EVALUATOR": "topk",
    "DATA.RESIZE_IN_DECODER": True,
    "DATA.TARGET_FPS": 25,
    "DATA.USE_OFFSET_SAMPLING": True,
    "DATA.TRAIN_JITTER_SCALES_RELATIVE": [0.1, 1.0],
    "DATA.TRAIN_JITTER_ASPECT_RELATIVE": [0.75, 1.25],
    "DATA.TRAIN_JITTER_FPS": 2.0,
}


@pytest.mark.parametrize("trains", [True, False])
def test_keys_of_labeled_clips_are_said_once_to_have_no_effect(cfg, caplog, trains):
    cfg.TRAIN.ENABLE = trains
    for split in ("train", "val", "test"):
        build_dataset(cfg, split)
    assert "No effect" not in caplog.text
    cfg.merge_from_list([item for pair in CLIP_KEYS.items() for item in pair])
    for split in ("train", "val", "test"):
        build_dataset(cfg, split)
    (message,) = (record.message for record in caplog.records if "No effect" in record.message)
    assert message.startswith("No effect on key frames with boxes (DETECTION.ENABLE): ")
    assert all(f"{key}={value!r}" in message for key, value in CLIP_KEYS.items())


@pytest.mark.parametrize("name", [name for name in recipe_names() if "AVA/" in name or "DETECTION" in name])
def test_recipes_set_no_key_without_effect(name, caplog):
    warn_of_unused(load_cfg(find(name)), UNUSED_KEYS, "boxes")
    assert not caplog.records


def test_a_subset_of_the_movies_is_enough(cfg, root, tmp_path, caplog):
    """PySlowFast asserts that frame lists and box lists name equally many videos."""
    caplog.set_level(logging.INFO)
    rows = (root / "frame_lists/train.csv").read_text().splitlines()
    (tmp_path / "half.csv").write_text("\n".join([HEADER, *(row for row in rows if row.startswith("vidA"))]))
    cfg.AVA.TRAIN_LISTS = [str(tmp_path / "half.csv")]
    dataset = build_dataset(cfg, "train")
    assert list(dataset.key_frames) == [("vidA", 902), ("vidA", 904)]
    assert "1 rows of 1 videos without frames (first: vidB)" in caplog.text


def test_missing_frames_stop_the_start(cfg, tmp_path):
    cfg.AVA.FRAME_DIR = str(tmp_path)
    with pytest.raises(AnnotationError, match=r"2 of 2 frames checked .*\n  train\.csv:2: .*\n(.*\n)*.*AVA\.FRAME_DIR"):
        build_dataset(cfg, "train")


@pytest.mark.parametrize(
    "key, value, message",
    [
        (
            "TRAIN_LISTS",
            ["none.csv"],
            r"AVA\.TRAIN_LISTS: there is no file .*frame_lists/none\.csv.*AVA\.FRAME_LIST_DIR",
        ),
        ("TRAIN_GT_BOX_LISTS", ["none.csv"], r"AVA\.TRAIN_GT_BOX_LISTS: there is no file .*annotations/none\.csv"),
        ("TRAIN_PREDICT_BOX_LISTS", ["a.csv", "b.csv"], r"AVA\.TRAIN_PREDICT_BOX_LISTS: .*/a\.csv, .*/b\.csv"),
        ("TRAIN_GT_BOX_LISTS", [], r"AVA\.TRAIN_PREDICT_BOX_LISTS is empty"),
        ("TRAIN_LISTS", [], r"AVA\.TRAIN_LISTS is empty: name at least one file, relative to AVA\.FRAME_LIST_DIR"),
        ("FRAME_DIR", "", r"AVA\.FRAME_DIR and AVA\.MOVIE_DIR are both empty"),
    ],
)
def test_files_that_are_not_there_are_named_with_their_key(cfg, key, value, message):
    cfg.AVA[key] = value
    with pytest.raises(AnnotationError, match=message):
        build_dataset(cfg, "train")


def test_absolute_paths_ignore_the_folders(cfg, root):
    cfg.AVA.TRAIN_GT_BOX_LISTS = [str(root / "annotations/true.csv")]
    cfg.AVA.TRAIN_LISTS = [str(root / "frame_lists/train.csv")]
    cfg.AVA.ANNOTATION_DIR = cfg.AVA.FRAME_LIST_DIR = "/nowhere"
    cfg.AVA.TRAIN_PREDICT_BOX_LISTS = [str(root / "annotations/detected.csv")]  # trained on together
    dataset = build_dataset(cfg, "train")
    assert len(dataset) == 4 and dataset.class_names is None


def test_splits_and_clips_that_do_not_exist_are_refused(cfg):
    dataset = build_dataset(cfg, "train")
    protocol = Protocol(KeyFrameSampling(4, 2), crop_size=32)
    with pytest.raises(ValueError, match=r"split must be .* got 'both'"):
        Ava(dataset.key_frames, dataset.source, split="both", protocol=protocol, num_classes=5)
    cfg.DATA.NUM_FRAMES, cfg.DATA.SAMPLING_RATE = 3, 5
    with pytest.raises(ValueError, match=r"num_frames=3 times sampling_rate=5 is odd"):
        build_dataset(cfg, "val")
    with pytest.raises(IndexError, match="key frame 3 of 3"):
        dataset[0, 3]


# ---- Movies ----


@pytest.fixture
def movies(cfg, tmp_path, helpers):
    """The config with movies, cut at second 900, in place of frames."""
    for name in ("vidA.mp4", "vidB.mkv"):
        helpers.write_video(tmp_path / name, num_frames=130, options={"g": "30"})
    cfg.AVA.FRAME_DIR, cfg.AVA.MOVIE_DIR, cfg.AVA.MOVIE_START_SECONDS = "", str(tmp_path), 900
    return tmp_path


def test_movies_are_read_by_time(cfg, movies, helpers):
    sample = build_dataset(cfg, "test")[0]
    assert sample.frames.shape == (3, 4, 48, 64)
    frames = helpers.decode_all(movies / "vidA.mp4")[[48, 54, 60, 66]]
    assert torch.equal(sample.frames.permute(1, 2, 3, 0), torch.from_numpy(frames))
    assert build_dataset(cfg, "train")[0, 2].frames.shape == (3, 4, 32, 32)


def test_missing_movies_stop_the_start_unless_nobody_looks(cfg, movies):
    (movies / "vidB.mkv").unlink()
    with pytest.raises(
        AnnotationError, match=r"1 of the 2 movies with boxes are missing:\n  .*/vidB\.\*\n.*CHECK_FILES"
    ):
        build_dataset(cfg, "train")
    cfg.DATA.CHECK_FILES = "none"
    assert list(build_dataset(cfg, "train").key_frames) == [("vidA", 902), ("vidA", 904)]


def test_frames_come_before_movies(cfg, root, movies):
    cfg.AVA.FRAME_DIR = str(root / "frames")
    assert frame_numbers(build_dataset(cfg, "test")[0].frames) == close([48, 54, 60, 66])


def test_class_names_may_come_from_a_file_of_their_own(cfg, tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    cfg.DATA.CLASS_NAMES = str(tmp_path / "names.txt")
    assert build_dataset(cfg, "train").class_names == ["a", "b", "c", "d", "e"]
