"""Charades from frame lists and from its own annotation files, on small real images and videos."""

import csv
import logging

import numpy as np
import pytest
import torch

from slowfast.datasets import Charades, build_dataset
from slowfast.datasets.lists.charades import TimedActions, read_charades_csv
from slowfast.datasets.lists.frame_lists import read_frame_lists
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.samplers import ClipShape
from slowfast.video.reader import VideoReadError
from tests.datasets.toys import small_config

COLUMNS = [
    "id", "subject", "scene", "quality", "relevance", "verified", "script", "objects", "descriptions", "actions",
    "length",
]  # fmt: skip
NUM_CLASSES = 5
# (class, start, end) in seconds, 24 frames per second; the last action of A1 ends behind the video, B2 has none.
ACTIONS = {
    "A1": [(0, 0.0, 0.25), (3, 0.2, 0.4), (1, 0.5, 0.5), (3, 0.9, 9.0), (4, 0.51, 0.52)],
    "B2": [],
    "C3": [(2, 0.1, 0.3)],
}
NUM_FRAMES = {"A1": 26, "B2": 12, "C3": 5}


def frame_labels(video_id: str, frame: int) -> set[int]:
    """PySlowFast's rule, frame by frame: time (n - 1) / 24 of file n, both ends included."""
    return {label for label, start, end in ACTIONS[video_id] if start <= frame / 24 <= end}


def write_annotations(folder, splits: dict[str, list[str]], newline: str = "\r\n") -> None:
    for split, ids in splits.items():
        with open(folder / f"Charades_v1_{split}.csv", "w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator=newline)
            writer.writeheader()
            for video_id in ids:
                row = dict.fromkeys(COLUMNS, "7") | {"id": video_id, "script": 'He says "go",\nthen sits.'}
                row["actions"] = ";".join(f"c{c:03d} {start} {end}" for c, start, end in ACTIONS[video_id])
                writer.writerow(row)


def write_frame_lists(folder, splits: dict[str, list[str]]) -> None:
    folder.mkdir(exist_ok=True)
    for split, ids in splits.items():
        rows = ["original_vido_id video_id frame_id path labels"]
        for i, video_id in enumerate(ids):
            for n in range(NUM_FRAMES[video_id]):
                labels = ",".join(map(str, sorted(frame_labels(video_id, n))))
                rows.append(f'{video_id} {i} {n + 1} {video_id}/{video_id}-{n + 1:06d}.jpg "{labels}"')
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def root(tmp_path_factory, helpers):
    """Three videos as images and as files, the annotations, and frame lists in a folder of their own."""
    folder = tmp_path_factory.mktemp("charades")
    for video_id, num_frames in NUM_FRAMES.items():
        pattern = video_id + "-{:06d}.jpg"
        helpers.write_gray_images(folder / "Charades_v1_rgb" / video_id, num_frames=num_frames, pattern=pattern)
    write_annotations(folder, {"train": ["A1", "B2", "C3"], "test": ["C3", "A1"]})
    write_frame_lists(folder / "lists", {"train": ["A1", "B2", "C3"], "val": ["C3", "A1"]})
    (folder / "Charades_v1_classes.txt").write_text("".join(f"c{i:03d} Doing {i}\n" for i in range(NUM_CLASSES)))
    return folder


@pytest.fixture
def cfg(root):
    settings = {
        "DATA.MULTI_LABEL": True,
        "DATA.ENSEMBLE_METHOD": "max",
        "DATA.SAMPLING_RATE": 2,
        "DATA.TRAIN_JITTER_SCALES": [20, 24],
        "DATA.TRAIN_CROP_SIZE": 16,
        "DATA.TEST_CROP_SIZE": 24,
        "TEST.NUM_ENSEMBLE_VIEWS": 3,
    }
    return small_config("charades", root, NUM_CLASSES, settings)


@pytest.fixture(params=["frame lists", "annotations"])
def either(request, cfg, root):
    """The config of each form."""
    if request.param == "frame lists":
        cfg.DATA.PATH_TO_DATA_DIR, cfg.DATA.PATH_PREFIX = str(root / "lists"), str(root / "Charades_v1_rgb")
        cfg.DATA.CLASS_NAMES = str(root / "Charades_v1_classes.txt")
    return cfg


def slow_label(video_id: str, frames: range) -> list[int]:
    """All labels of the frames, one after the other."""
    names = set().union(*(frame_labels(video_id, n) for n in frames))
    return [int(label in names) for label in range(NUM_CLASSES)]


def test_what_is_there(either):
    dataset = build_dataset(either, "train")
    assert isinstance(dataset, Charades) and dataset.pyslowfast_reads_bgr
    assert dataset.num_videos == 3
    assert [path.rpartition("/")[2] for path in dataset.paths] == ["A1", "B2", "C3"]
    assert dataset.labels.dtype == np.uint8
    assert dataset.class_names == [f"Doing {i}" for i in range(NUM_CLASSES)]
    for split in ("val", "test"):
        assert [path.rpartition("/")[2] for path in build_dataset(either, split).paths] == ["C3", "A1"]


def test_training_clips_have_an_exact_stride_and_the_labels_of_their_window(either, helpers):
    either.DATA.TRAIN_JITTER_SCALES = [24, 24]
    dataset = build_dataset(either, "train")
    starts = set()
    for epoch in range(60):
        sample = dataset[epoch, 0]
        assert sample.frames.shape == (3, 4, 16, 16) and sample.label.dtype == torch.float32
        shown = helpers.gray_frame_numbers(sample.frames)
        assert np.diff(shown).tolist() == [2, 2, 2]
        starts.add(shown[0])
        assert sample.label.tolist() == slow_label("A1", range(shown[0], shown[-1] + 1))
    assert starts <= set(range(20)) and {0, 19} <= starts  # L = 7, N = 26
    assert dataset[0, 1].label.tolist() == [0] * NUM_CLASSES


def test_a_video_shorter_than_the_clip_repeats_frames_at_either_end(either, helpers):
    dataset = build_dataset(either, "train")  # C3: N = 5, L = 7, starts -2 to 0
    shown = {tuple(helpers.gray_frame_numbers(dataset[epoch, 2].frames)) for epoch in range(30)}
    assert shown == {(0, 0, 2, 4), (0, 1, 3, 4), (0, 2, 4, 4)}


def test_labels_of_every_window_agree_in_both_forms(root):
    listed = read_frame_lists([root / "lists" / "train.csv"])
    timed = TimedActions([ACTIONS[video_id] for video_id in NUM_FRAMES], 24)
    for index, (video_id, num_frames) in enumerate(NUM_FRAMES.items()):
        for first in range(num_frames):
            for last in range(first, num_frames):
                expected = set().union(*(frame_labels(video_id, n) for n in range(first, last + 1)))
                assert listed.between(index, first, last) == timed.between(index, first, last) == expected


def test_val_and_test_have_all_labels_of_the_video(either, root):
    dataset = build_dataset(either, "val")
    named = [[0, 0, 1, 0, 0], [1, 1, 0, 1, 1]]
    if "lists" in either.DATA.PATH_TO_DATA_DIR:
        named[1][4] = 0  # it lies between two frames: no frame of the list has it
    assert dataset.labels.tolist() == named
    assert [dataset[i].label.tolist() for i in range(2)] == named
    assert [build_dataset(either, "test")[i].label.tolist() for i in range(2)] == named


def test_the_val_clip_is_the_middle_one(either, helpers):
    sample = build_dataset(either, "val")[1]
    assert helpers.gray_frame_numbers(sample.frames) == [10, 12, 14, 16]  # 19 / 2 = 9.5 to even
    assert torch.equal(sample.frames, build_dataset(either, "val")[1].frames)


def test_the_test_clips_go_from_the_first_frame_to_the_last(either, helpers):
    views = build_dataset(either, "test")[1]
    assert views.num_views == 9
    shown = [helpers.gray_frame_numbers(views.view(3 * k)) for k in range(3)]
    assert shown == [[0, 2, 4, 6], [10, 12, 14, 16], [19, 21, 23, 25]]
    assert views.crops == ((0, 0), (0, 4), (0, 8))


def test_one_test_crop_is_the_left_one(cfg):
    cfg.TEST.NUM_SPATIAL_CROPS, cfg.DATA.TRAIN_JITTER_SCALES = 1, [24, 24]
    cfg.DATA.TEST_CROP_SIZE = 16
    views = build_dataset(cfg, "test")[0]
    assert views.frames.shape[-2:] == (16, 21) and views.crops == ((0, 0),)
    cfg.DATA.ARGS.single_crop = "centre"
    assert build_dataset(cfg, "test")[0].crops == ((0, 3),)


def test_multigrid_shapes(cfg, helpers):
    dataset = build_dataset(cfg, "train")
    strides = set()
    for epoch in range(30):
        sample = dataset[epoch, 0, ClipShape(num_frames=3, crop_size=8, max_sampling_rate=4)]
        assert sample.frames.shape == (3, 3, 8, 8)
        shown = helpers.gray_frame_numbers(sample.frames)
        strides |= set(np.diff(shown).tolist())
        assert sample.label.tolist() == slow_label("A1", range(shown[0], shown[-1] + 1))
    assert strides == {2, 3, 4}


def test_video_files_of_another_rate_are_taken_at_24(cfg, tmp_path, helpers):
    for video_id, (fps, num_frames) in {"A1": (12, 13), "C3": (30, 8)}.items():
        helpers.write_gray_video(tmp_path / f"{video_id}.mp4", num_frames=num_frames, fps=fps)
    cfg.DATA.PATH_PREFIX = str(tmp_path)
    dataset = build_dataset(cfg, "test")
    assert [path.rpartition("/")[2] for path in dataset.paths] == ["C3.mp4", "A1.mp4"]
    # A1: 13 frames at 12 a second are 26 at 24, each twice.
    shown = [helpers.gray_frame_numbers(dataset[1].view(3 * k)) for k in range(3)]
    assert shown == [[0, 1, 2, 3], [5, 6, 7, 8], [9, 10, 11, 12]]


def test_frame_lists_win_over_annotations_and_the_choice_is_logged(cfg, root, tmp_path, caplog):
    for name in ("Charades_v1_train.csv", "Charades_v1_classes.txt"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    cfg.DATA.PATH_TO_DATA_DIR, cfg.DATA.PATH_PREFIX = str(tmp_path), str(root)
    with caplog.at_level(logging.INFO, logger="slowfast"):
        build_dataset(cfg, "train")
    assert f"Charades_v1_train.csv: 3 folders of images in {root / 'Charades_v1_rgb'}" in caplog.text
    caplog.clear()
    (tmp_path / "train.csv").write_bytes((root / "lists" / "train.csv").read_bytes())
    cfg.DATA.PATH_PREFIX = str(root / "Charades_v1_rgb")
    with caplog.at_level(logging.INFO, logger="slowfast"):
        build_dataset(cfg, "train")
    assert "train.csv: 43 frames of 3 videos" in caplog.text


def test_videos_that_are_not_there_are_passed_over(cfg, root, tmp_path, caplog):
    (tmp_path / "C3").symlink_to(root / "Charades_v1_rgb" / "C3")
    cfg.DATA.PATH_PREFIX = str(tmp_path)
    dataset = build_dataset(cfg, "train")
    assert "Charades_v1_train.csv: 2 of its videos are not in" in caplog.text and ": A1, B2." in caplog.text
    assert dataset.num_videos == 1 and dataset.labels.tolist() == [[0, 0, 1, 0, 0]]
    sample = dataset[0, 0]
    assert sample.label.tolist() == [0, 0, 1, 0, 0] and sample.video_index == 0
    cfg.DATA.CHECK_FILES = "all"
    with pytest.raises(AnnotationError, match=r"Charades_v1_train\.csv: 2 of its 3 videos are not in"):
        build_dataset(cfg, "train")


def test_a_list_longer_than_its_folder_names_row_and_file(cfg, root, tmp_path, helpers):
    helpers.write_gray_images(tmp_path / "C3", num_frames=4, pattern="C3-{:06d}.jpg")
    write_frame_lists(tmp_path, {"val": ["C3"], "train": ["C3"]})
    cfg.DATA.PATH_TO_DATA_DIR = str(tmp_path)
    cfg.DATA.CHECK_FILES = "all"
    with pytest.raises(AnnotationError, match=r"val\.csv: 1 of 5 frames checked .*\n  val\.csv:2: .*C3-000005\.jpg"):
        build_dataset(cfg, "val")
    cfg.DATA.CHECK_FILES = "sample"
    views = build_dataset(cfg, "test")[0]
    assert views.failure.startswith("val.csv:2: cannot decode") and "C3-000005.jpg: No such file" in views.failure
    with pytest.raises(VideoReadError, match=r"no video of the list could be read; the first: train\.csv:2: .*000005"):
        build_dataset(cfg, "train")[0, 0]


def test_several_labels_must_be_asked_for(cfg):
    cfg.DATA.MULTI_LABEL = False
    with pytest.raises(ValueError, match=r"DATA\.MULTI_LABEL is False.*MODEL\.LOSS_FUNC bce_logit"):
        build_dataset(cfg, "train")


def test_a_folder_without_either_form(cfg, tmp_path):
    cfg.DATA.PATH_TO_DATA_DIR = str(tmp_path)
    message = r"holds neither the frame list val\.csv nor the annotations Charades_v1_test\.csv"
    with pytest.raises(AnnotationError, match=message):
        build_dataset(cfg, "test")


def test_labels_of_a_list_must_fit_the_model(either):
    either.MODEL.NUM_CLASSES = 3
    message = r"train\.csv:2: video A1, which begins here, has label 3, not in 0-2"
    if "lists" not in either.DATA.PATH_TO_DATA_DIR:
        message = r"Charades_v1_train\.csv:2: class c003 is not in c000-c002 \(MODEL\.NUM_CLASSES 3\)"
    with pytest.raises(AnnotationError, match=message):
        build_dataset(either, "train")


def test_settings_without_effect_are_warned_of(cfg, caplog):
    cfg.DATA.USE_OFFSET_SAMPLING, cfg.DATA.TARGET_FPS = True, 24
    build_dataset(cfg, "test")
    assert "DATA.TARGET_FPS=24 has no effect on Charades: its clips count frames." in caplog.text
    assert "DATA.USE_OFFSET_SAMPLING=True has no effect on Charades" in caplog.text


# ---- The annotation file ----


def read_rows(tmp_path, *rows: str, header: str = "id,actions,length"):
    path = tmp_path / "Charades_v1_train.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return read_charades_csv(path, 157)


def test_the_example_row_of_the_format(tmp_path):
    """The end of the second action is no limit of the video."""
    row = 'Q7ZZ1,AB12,Kitchen,6,7,Yes,"A person pours, then sits.",cup;chair,Someone pours.,'
    found = read_rows(tmp_path, row + "c015 0.00 7.30;c061 5.10 12.90,13.50", header=",".join(COLUMNS))
    assert found.video_ids == ["Q7ZZ1"]
    assert found.actions == [[(15, 0.0, 7.3), (61, 5.1, 12.9)]]
    assert np.flatnonzero(found.labels(157)[0]).tolist() == [15, 61]


def test_lines_are_those_of_the_file_with_crlf_and_line_breaks_in_fields(root):
    assert read_charades_csv(root / "Charades_v1_train.csv", 5).line_numbers.tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    "rows, message",
    [
        (["A,c157 0 1,9"], r":2: class c157 is not in c000-c156"),
        (["A,,9", "B,c001 0,9"], r":3: no action: 'c001 0'"),
        (["A,15 0 1,9"], r":2: no action: '15 0 1'"),
        (["A,c001 0 soon,9"], r":2: start and end of 'c001 0 soon' are not both numbers"),
        (["A,c001 nan 1,9"], r":2: start and end of 'c001 nan 1' are not both numbers"),
        ([",,9"], r":2: no id"),
        (["A,,9", "", "A,,9"], r":4: video A is already listed on line 2"),
        (["A"], r":2: the row ends before the column actions"),
    ],
)
def test_bad_rows_are_named(tmp_path, rows, message):
    with pytest.raises(AnnotationError, match=message):
        read_rows(tmp_path, *rows)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"train\.csv:1: expected a header .* found `Q7ZZ1,c001 0 1`"):
        read_rows(tmp_path, header="Q7ZZ1,c001 0 1")
    with pytest.raises(AnnotationError, match=r"names no video: it has only a header"):
        read_rows(tmp_path)
    with pytest.raises(AnnotationError, match=r"cannot read the annotations .*absent\.csv: No such file"):
        read_charades_csv(tmp_path / "absent.csv", 157)


def test_actions_that_end_before_they_begin_are_counted(tmp_path, caplog):
    found = read_rows(tmp_path, "A,c003 5 4;c004 1 2,9")
    assert "1 actions end before they begin (first: Charades_v1_train.csv:2)" in caplog.text
    assert np.flatnonzero(found.labels(157)[0]).tolist() == [3, 4]
    assert TimedActions(found.actions, 24).between(0, 0, 999) == {4}
