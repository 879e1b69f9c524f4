"""Something-Something V2 on its JSON files, with frame lists, folders of images and video files."""

import json
import logging

import pytest
import torch

from slowfast.datasets import SomethingSomething, build_dataset
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.lists.ssv2 import find_json, read_entries, read_labels, read_test_entries
from slowfast.datasets.samplers import ClipShape
from tests.datasets.toys import small_config

# Written out of order, as in the real file labels are: classes follow the numbers.
LABELS = {
    "Putting something near something": "1",
    "Closing something": "0",
    "Pushing something from left to right": "2",
}
TEMPLATES = {
    "901": "Putting [something] near [something]",
    "17": "Closing [something]",
    "30000": "Pushing [something] from left to right",
}
NUM_FRAMES = {"901": 20, "17": 5, "30000": 9}
UNKNOWN = "777"  # is in a frame list alone


def entry(video_id: str) -> dict:
    return {
        "id": video_id,
        "label": "putting lizard near cup",
        "template": TEMPLATES[video_id],
        "placeholders": ["cup"],
    }


def write_json(folder, prefix: str = "", indent: int | None = 4) -> None:
    def write(name, content):
        (folder / f"{prefix}{name}.json").write_text(json.dumps(content, indent=indent))

    write("labels", LABELS)
    write("train", [entry("901"), entry("17"), entry("30000")])
    write("validation", [entry("30000"), entry("901")])
    write("test", [{"id": "17"}, {"id": "901"}])


def write_frame_lists(folder, splits: dict[str, list[str]]) -> None:
    for split, ids in splits.items():
        rows = ["original_vido_id video_id frame_id path labels"]
        rows += [
            f'{video_id} {i} {n} {video_id}/{video_id}_{n + 1:06d}.jpg ""'
            for i, video_id in enumerate(ids)
            for n in range(NUM_FRAMES.get(video_id, 2))
        ]
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def frames(tmp_path_factory, helpers):
    """A folder of images per video."""
    folder = tmp_path_factory.mktemp("frames")
    for video_id, num_frames in NUM_FRAMES.items():
        helpers.write_gray_images(folder / video_id, num_frames=num_frames, pattern=video_id + "_{:06d}.jpg")
    return folder


@pytest.fixture
def cfg(tmp_path, frames):
    write_json(tmp_path)
    settings = {
        "DATA.PATH_PREFIX": str(frames),
        "DATA.RANDOM_FLIP": False,
        "DATA.NUM_FRAMES": 8,
        "DATA.TRAIN_JITTER_SCALES": [20, 24],
        "DATA.TRAIN_CROP_SIZE": 16,
        "DATA.TEST_CROP_SIZE": 24,
        "TEST.NUM_ENSEMBLE_VIEWS": 1,
        "TEST.NUM_SPATIAL_CROPS": 1,
    }
    return small_config("ssv2", tmp_path, 3, settings)


@pytest.fixture(params=["folders of images", "frame lists"])
def either(request, cfg, tmp_path):
    if request.param == "frame lists":
        write_frame_lists(tmp_path, {"train": ["17", "901", "30000"], "val": ["30000", "901"]})
    return cfg


def test_what_is_there(either):
    dataset = build_dataset(either, "train")
    assert isinstance(dataset, SomethingSomething) and dataset.pyslowfast_reads_bgr
    assert dataset.class_names == [
        "Closing something",
        "Putting something near something",
        "Pushing something from left to right",
    ]
    assert dataset.labels.tolist() == [1, 0, 2]
    assert [path.rpartition("/")[2] for path in dataset.paths] == ["901", "17", "30000"]
    for split in ("val", "test"):  # PySlowFast tests on the validation set
        assert build_dataset(either, split).labels.tolist() == [2, 1]


def test_a_training_clip_has_a_frame_of_every_segment(either, helpers):
    dataset = build_dataset(either, "train")
    borders = [round(19 / 8 * j) for j in range(9)]
    seen = [helpers.gray_frame_numbers(dataset[epoch, 0].frames) for epoch in range(20)]
    for shown in seen:
        assert all(borders[j] <= shown[j] <= borders[j + 1] for j in range(8))
    assert len(set(map(tuple, seen))) > 10


def test_val_and_test_show_the_middle_of_every_segment(either, helpers):
    """A video of 5 frames and 8 segments."""
    middle = [(round(19 / 8 * j) + round(19 / 8 * (j + 1))) // 2 for j in range(8)]
    assert helpers.gray_frame_numbers(build_dataset(either, "val")[1].frames) == middle
    views = build_dataset(either, "test")[1]
    assert views.num_views == 1 and helpers.gray_frame_numbers(views.view(0)) == middle
    assert views.frames.shape[-2:] == (24, 32) and views.crops == ((0, 0),)  # one crop is the left one
    training = build_dataset(either, "train")
    training.split = "val"
    assert helpers.gray_frame_numbers(training[1].frames) == [0, 0, 1, 2, 2, 2, 3, 4]


def test_more_clips_are_the_same_and_warned_of(cfg, caplog):
    cfg.TEST.NUM_ENSEMBLE_VIEWS = 2
    views = build_dataset(cfg, "test")[0]
    assert torch.equal(views.view(0), views.view(1))
    assert "TEST.NUM_ENSEMBLE_VIEWS=2: all clips of a Something-Something video are the same" in caplog.text


def test_a_flip_is_warned_of(cfg, caplog):
    build_dataset(cfg, "train")
    cfg.DATA.RANDOM_FLIP = True
    build_dataset(cfg, "val")
    assert "RANDOM_FLIP" not in caplog.text
    build_dataset(cfg, "train")
    assert "DATA.RANDOM_FLIP mirrors Something-Something, where left and right distinguish classes" in caplog.text


def test_multigrid_shapes(cfg, helpers):
    sample = build_dataset(cfg, "train")[0, 0, ClipShape(num_frames=4, crop_size=8, max_sampling_rate=4)]
    assert sample.frames.shape == (3, 4, 8, 8)
    shown = helpers.gray_frame_numbers(sample.frames)
    assert all(round(19 / 4 * j) <= shown[j] <= round(19 / 4 * (j + 1)) for j in range(4))


@pytest.mark.parametrize("ending", ["webm", "mp4"])
def test_video_files_are_seen_at_30_frames_a_second(cfg, tmp_path, helpers, ending):
    folder = tmp_path / "20bn-something-something-v2"
    for video_id in ("901", "30000"):
        helpers.write_gray_video(folder / f"{video_id}.{ending}", num_frames=12, fps=12)
    cfg.DATA.PATH_PREFIX = str(tmp_path)
    dataset = build_dataset(cfg, "val")
    assert [path.rpartition("/")[2] for path in dataset.paths] == [f"30000.{ending}", f"901.{ending}"]
    # 12 frames at 12 a second are 30 at 30: at k / 30 seconds, frame floor(12 / 30 k) is on the screen.
    middle = [(round(29 / 8 * j) + round(29 / 8 * (j + 1))) // 2 for j in range(8)]
    assert helpers.gray_frame_numbers(dataset[0].frames) == [k * 12 // 30 for k in middle]


def test_lists_and_annotations_of_different_videos(cfg, tmp_path, caplog):
    write_frame_lists(tmp_path, {"train": [UNKNOWN, "30000", "901"]})
    cfg.DATA.CHECK_FILES = "none"
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        dataset = build_dataset(cfg, "train")
    assert dataset.labels.tolist() == [1, 2]
    assert "train.json: 1 of its videos are not in train.csv and are skipped: 17." in caplog.text
    assert "train.csv: 1 of its videos are not in train.json and are skipped: 777." in caplog.text
    write_frame_lists(tmp_path, {"train": [UNKNOWN]})
    with pytest.raises(
        AnnotationError, match=r"train\.csv shares no video with train\.json: its first video is 777, theirs is 901"
    ):
        build_dataset(cfg, "train")


def test_the_official_test_set(cfg, tmp_path, caplog):
    cfg.TEST.DATASET = "ssv2_test"
    assert build_dataset(cfg, "test").labels.tolist() == [-1, -1]
    assert "test.json gives no labels" in caplog.text
    (tmp_path / "test-answers.csv").write_text("17;Closing something\r\n901;Putting something near something\r\n")
    dataset = build_dataset(cfg, "test")
    assert dataset.labels.tolist() == [0, 1]
    assert [path.rpartition("/")[2] for path in dataset.paths] == ["17", "901"]
    assert build_dataset(cfg, "val").labels.tolist() == [2, 1]


def test_settings_that_do_not_fit(cfg):
    cfg.MODEL.NUM_CLASSES = 174
    with pytest.raises(AnnotationError, match=r"labels\.json names 3 classes, but MODEL\.NUM_CLASSES is 174"):
        build_dataset(cfg, "train")
    cfg.DATA.MULTI_LABEL = True
    with pytest.raises(ValueError, match=r"one label per video: set DATA\.MULTI_LABEL False"):
        build_dataset(cfg, "train")


# ---- The JSON files ----


def test_both_generations_of_names(cfg, tmp_path):
    for path in tmp_path.glob("*.json"):
        path.unlink()
    with pytest.raises(AnnotationError, match=r"holds neither train\.json nor something-something-v2-train\.json"):
        find_json(tmp_path, "train")
    write_json(tmp_path, "something-something-v2-")
    assert build_dataset(cfg, "train").num_videos == 3


@pytest.mark.parametrize("indent, lines", [(4, [3, 11, 19]), (None, [1, 1, 1])])
def test_entries_know_their_lines(tmp_path, indent, lines):
    write_json(tmp_path, indent=indent)
    found = read_entries(tmp_path / "train.json", read_labels(tmp_path / "labels.json"))
    assert found.line_numbers.tolist() == lines


def test_bad_entries_are_named(tmp_path):
    labels = {"Closing something": 0}
    path = tmp_path / "train.json"
    rows = [{"id": "1", "template": "Closing [something]"}, {"id": "2", "template": "Eating [something]"}, {"id": 3}]
    path.write_text(json.dumps(rows, indent=0))
    message = (
        r"2 of 3 rows cannot be used:\n  train\.json:7: video 2: there is no label 'Eating something'\n"
        r"  train\.json:11: video 3: no template in {'id': 3}\n"
    )
    with pytest.raises(AnnotationError, match=message):
        read_entries(path, labels)
    path.write_text(json.dumps([rows[0], rows[0]], indent=0))
    with pytest.raises(AnnotationError, match=r"train\.json:7: video 1 is already listed on line 3"):
        read_entries(path, labels)


@pytest.mark.parametrize(
    "content, message",
    [
        ('{"a": 1}', r'expected a list of objects with an "id" each'),
        ('[{"template": "x"}]', r'expected a list of objects with an "id" each'),
        ("[]", "names no video"),
        ('[\n{"id": "1",\n]', r"train\.json:3: not JSON: "),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(AnnotationError, match=message):
        read_entries(tmp_path / "train.json", {})


@pytest.mark.parametrize("content", ['["a"]', '{"a": "1"}', '{"a": "0", "b": "0"}', '{"a": "x"}', "{}"])
def test_labels_count_from_0(tmp_path, content):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(AnnotationError, match=r'labels\.json: expected {"template": "0", \.\.\.}'):
        read_labels(tmp_path / "labels.json")


def test_answers_must_be_there_and_known(tmp_path):
    (tmp_path / "test.json").write_text('[{"id": "1"}, {"id": "2"}]')
    labels = {"Closing something": 0}
    (tmp_path / "test-answers.csv").write_text("1;Closing something\n")
    with pytest.raises(AnnotationError, match=r"1 of 2 videos of test\.json have no answer: 2\."):
        read_test_entries(tmp_path / "test.json", labels)
    (tmp_path / "test-answers.csv").write_text("1;Closing something\n2;Eating\n")
    with pytest.raises(AnnotationError, match=r"test-answers\.csv:2: there is no label 'Eating'"):
        read_test_entries(tmp_path / "test.json", labels)
