"""Motion in Charades form: files as Charades has them, which agree with each other, and which the loader reads."""

import csv

import av
import numpy as np
import pytest
from PIL import Image

from slowfast.cli.motion import main
from slowfast.config import load_cfg
from slowfast.datasets import build_dataset
from slowfast.motion.actors import render_actors
from slowfast.motion.files import write_set
from slowfast.motion.multilabel import MotionCharadesSpec
from slowfast.motion.scene import luma
from tests.video_files import decode_all

TINY = {"num_train": 26, "num_test": 4, "num_seconds": 2, "height": 32, "width": 40}


@pytest.fixture(scope="module")
def spec():
    return MotionCharadesSpec(**TINY)


@pytest.fixture(scope="module")
def root(spec, tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("motion") / "charades", spec).root


def annotations(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def parse(actions):
    """(class, first second, last second) of "c003 0.50 2.13;..."."""
    parts = [action.split(" ") for action in actions.split(";") if action]
    return [(int(name.removeprefix("c")), float(first), float(last)) for name, first, last in parts]


def test_layout_is_that_of_charades(root):
    assert sorted(path.name for path in root.iterdir()) == [
        "Charades_v1_classes.txt", "Charades_v1_rgb", "Charades_v1_test.csv", "Charades_v1_train.csv", "frame_lists",
        "manifest.json", "videos",
    ]  # fmt: skip
    ids = [row["id"] for name in ("train", "test") for row in annotations(root / f"Charades_v1_{name}.csv")]
    assert len(ids) == 30 and ids[0] == "A0000" and ids[-1] == "E0003"
    assert {path.stem for path in (root / "videos").iterdir()} == set(ids)
    assert {path.name for path in (root / "Charades_v1_rgb").iterdir()} == set(ids)
    assert len(list((root / "Charades_v1_rgb/A0000").iterdir())) == 48
    assert (root / "Charades_v1_rgb/A0000/A0000-000001.jpg").is_file()


def test_annotations_are_charades(root):
    assert (root / "Charades_v1_classes.txt").read_text().startswith("c000 arrow-orbit-ccw\nc001 arrow-")
    header = (root / "Charades_v1_train.csv").read_text().splitlines()[0]
    assert header == "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
    for row in annotations(root / "Charades_v1_train.csv"):
        assert row["length"] == "2.00" and None not in row.values()
        for label, first, last in parse(row["actions"]):
            assert 0 <= label < 8 and 0 < first < last < 2.05


def test_videos_have_no_label_one_or_several_at_once(spec):
    big = MotionCharadesSpec(**TINY | {"num_train": 200})
    labels = [big.frame_labels("train", index) for index in range(200)]
    counts = np.array([len(set().union(*of_video)) for of_video in labels])
    assert (counts == 0).nonzero()[0].tolist() == list(range(24, 200, 25))
    assert counts.max() == 4 and 1.5 < counts.mean() < 2.5
    assert max(len(of_frame) for of_video in labels for of_frame in of_video) == 2  # two actors
    per_class = np.bincount([label for video in labels for label in set().union(*video)], minlength=8)
    assert per_class.min() > 0.6 * per_class.max()


@pytest.mark.parametrize("split, name", [("train", "train"), ("test", "val")])
def test_frame_labels_are_those_of_the_annotations(root, split, name):
    """Frame n, from 1, shows second (n - 1) / 24; an action holds from its first to its last second, both included."""
    lines = (root / f"frame_lists/{name}.csv").read_text().splitlines()
    assert lines[0] == "original_vido_id video_id frame_id path labels"
    rows = [line.split(" ") for line in lines[1:]]
    actions = {row["id"]: parse(row["actions"]) for row in annotations(root / f"Charades_v1_{split}.csv")}
    assert len(rows) == 48 * len(actions)
    for video_id, _, number, path, labels in rows:
        time = (int(number) - 1) / 24
        expected = sorted({label for label, first, last in actions[video_id] if first <= time <= last})
        assert labels == '"' + ",".join(map(str, expected)) + '"'
        assert path == f"{video_id}/{video_id}-{int(number):06d}.jpg"


def test_labels_hold_while_an_actor_moves(spec):
    """Rounding the seconds to hundredths adds and takes no frame."""
    for index in range(24):
        actors = spec.actors("train", index)
        for frame, labels in enumerate(spec.frame_labels("train", index)):
            moving = {f"{actor.scene.shape}-{actor.motion_at(frame)}" for actor in actors if actor.motion_at(frame)}
            assert {spec.class_names[label] for label in labels} == moving


def test_videos_and_pictures_show_the_same(spec, root):
    drawn = luma(render_actors(spec.actors("test", 1)).astype(float))
    pictures = [Image.open(path) for path in sorted((root / "Charades_v1_rgb/E0001").iterdir())]
    with av.open(str(root / "videos/E0001.mp4")) as container:
        assert container.streams.video[0].average_rate == 24
    for frames in (pictures, decode_all(root / "videos/E0001.mp4")):
        shown = luma(np.stack([np.asarray(frame) for frame in frames]).astype(float))
        assert shown.shape == (48, 32, 40)
        assert np.abs(shown - drawn).mean() < 6


def test_the_loader_reads_annotations_and_frame_lists_alike(spec, root):
    samples = {}
    for name, paths in {
        "annotations": ["DATA.PATH_TO_DATA_DIR", root],
        "lists": ["DATA.PATH_TO_DATA_DIR", root / "frame_lists", "DATA.PATH_PREFIX", root / "Charades_v1_rgb"],
    }.items():
        cfg = load_cfg("Motion/MULTILABEL_SLOWFAST_4x4_R18", list(map(str, paths)))
        dataset = build_dataset(cfg, "train")
        assert len(dataset) == 26
        assert name == "lists" or dataset.class_names == spec.class_names
        samples[name] = [dataset[3, index] for index in range(5)]
        labels = [dataset.labels[index].nonzero()[0].tolist() for index in range(26)]
        assert labels[24] == [] and all(1 <= len(found) <= 4 for found in labels[:24])
    for one, other in zip(samples["annotations"], samples["lists"], strict=True):
        assert one.frames.equal(other.frames) and one.label.equal(other.label)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_seconds": 1}, "num_seconds=1: give a whole number of at least 2"),
        ({"num_test": -1}, "num_test=-1: give a whole number of at least 0"),
    ],
)
def test_argument_errors_name_argument_and_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        MotionCharadesSpec(**TINY | arguments)


def test_command_line(tmp_path, capsys):
    root, sheet = tmp_path / "set", tmp_path / "sheet.png"
    options = ["--form", "charades", "--num-train", "2", "--num-test", "1", "--num-seconds", "2", "--height", "32",
               "--width", "32"]  # fmt: skip
    assert main([str(root), *options, "--sheet", str(sheet)]) == 0
    assert "wrote 2 train, 1 test videos of 8 classes" in capsys.readouterr().out
    assert sheet.stat().st_size > 1000
    assert main([str(root), *options]) == 0
    assert "there already with these arguments" in capsys.readouterr().out
    assert main([str(root), *options, "--num-val", "3"]) == 2
    assert "--num-val: the form charades does not have this option." in capsys.readouterr().err
