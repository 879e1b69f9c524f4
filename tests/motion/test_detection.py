"""Motion in AVA form: files as AVA has them, which agree with each other and the frames, and which the loader reads."""

import csv
from collections import defaultdict

import av
import numpy as np
import pytest
from PIL import Image

from slowfast.cli.motion import main
from slowfast.motion.actors import render_actors
from slowfast.motion.detection import DETECTION_FILES, DETECTIONS_FOLDER, MotionAvaSpec
from slowfast.motion.detector import overlap
from slowfast.motion.files import write_set
from slowfast.motion.scene import luma
from tests.video_files import decode_all

TINY = {"num_train": 2, "num_val": 9, "num_seconds": 3, "height": 32, "width": 56}
NAMES = ["orbit-ccw", "orbit-cw", "spin-ccw", "spin-cw", "arrow", "key"]


@pytest.fixture(scope="module")
def spec():
    return MotionAvaSpec(**TINY)


@pytest.fixture(scope="module")
def root(spec, tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("motion") / "ava", spec).root


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def read_jpegs(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def test_layout_is_that_of_ava(root):
    def names(folder):
        return sorted(path.name for path in folder.iterdir())

    assert names(root) == ["annotations", "frame_lists", "frames", "manifest.json", "movies"]
    assert names(root / "annotations") == [
        "ava_action_list_v2.2.pbtxt",
        "ava_action_list_v2.2_for_activitynet_2019.pbtxt",
        "ava_file_names_trainval_v2.1.txt",
        "ava_train_excluded_timestamps_v2.2.csv",
        "ava_train_v2.2.csv",
        "ava_val_excluded_timestamps_v2.2.csv",
        "ava_val_v2.2.csv",
        "person_box_67091280_iou90",
    ]
    assert names(root / "annotations" / DETECTIONS_FOLDER) == sorted(DETECTION_FILES.values())
    movies = names(root / "movies")
    assert sorted((root / "annotations/ava_file_names_trainval_v2.1.txt").read_text().split()) == movies
    assert len(movies) == 11 and movies[0] == "Mo-train000.mp4"


def test_frame_lists_name_every_frame_from_second_900_on(root):
    lines = (root / "frame_lists/val.csv").read_text().splitlines()
    assert lines[0] == "original_vido_id video_id frame_id path labels"
    assert lines[1] == 'Mo-val__000 0 0 Mo-val__000/Mo-val__000_000001.jpg ""'
    assert len(lines) == 1 + 9 * 30 * (2 + 3 + 2)
    listed = {line.split(" ")[3] for line in lines[1:]}
    on_disk = {str(path.relative_to(root / "frames")) for path in (root / "frames").glob("Mo-val*/*.jpg")}
    assert listed == on_disk


def test_movies_and_frames_show_the_same(spec, root):
    drawn = render_actors(spec.actors("val", 1)).astype(float)
    pictures = read_jpegs(root / "frames/Mo-val__001").astype(float)
    with av.open(str(root / "movies/Mo-val__001.mp4")) as container:
        assert container.streams.video[0].average_rate == 30
    movie = decode_all(root / "movies/Mo-val__001.mp4").astype(float)
    assert pictures.shape == movie.shape == drawn.shape == (210, 32, 56, 3)
    for frames in (pictures, movie):
        assert np.abs(luma(frames) - luma(drawn)).mean() < 6
        here = np.abs(luma(frames[:-1]) - luma(drawn[:-1])).mean((1, 2))
        assert (here <= np.abs(luma(frames[:-1]) - luma(drawn[1:])).mean((1, 2)) + 0.5).all()  # none is lost or moved


def test_rows_of_true_boxes_are_avas(spec, root):
    for split, num_movies in (("train", 2), ("val", 9)):
        found = rows(root / f"annotations/ava_{split}_v2.2.csv")
        assert {row[0] for row in found} == {spec.video_id(split, i) for i in range(num_movies)}
        for video_id, second, x1, y1, x2, y2, action, person in found:
            assert len(video_id) == 11
            assert second in ("0902", "0903", "0904")
            assert all(len(text) == 5 and 0 <= float(text) <= 1 for text in (x1, y1, x2, y2))
            assert float(x1) < float(x2) and float(y1) < float(y2)
            assert 1 <= int(action) <= 6 and 0 <= int(person) <= 2


def test_a_box_has_its_shape_and_its_motion_if_it_moves(spec, root):
    actions = defaultdict(list)
    for video_id, second, *box, action, person in rows(root / "annotations/ava_val_v2.2.csv"):
        actions[video_id, int(second), tuple(box), int(person)].append(NAMES[int(action) - 1])
    num_still = 0
    for (video_id, second, box, person), names in actions.items():
        actor = spec.actors("val", int(video_id[-3:]))[person]
        motion = actor.motion_at(30 * (second - 900))
        assert names == ([motion] if motion else []) + [actor.scene.shape]
        assert np.allclose(actor.box_at(30 * (second - 900)), [float(text) for text in box], atol=5e-4)
        num_still += motion is None
    assert 0.05 < num_still / len(actions) < 0.4  # a fifth


def test_an_act_holds_for_half_a_second_around_its_key_frame(spec):
    for actor in spec.actors("val", 0):
        for frame in spec.key_frames.values():
            assert len({actor.motion_at(near) for near in range(frame - 15, frame + 15)}) == 1
        assert [act.start for act in actor.acts] == [0, 75, 105]


def test_both_label_lists_name_the_actions(root):
    evaluated = (root / "annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt").read_text()
    assert evaluated.startswith('item {\n  name: "orbit-ccw"\n  id: 1\n}\nitem {\n')
    everything = (root / "annotations/ava_action_list_v2.2.pbtxt").read_text()
    assert everything.endswith('label {\n  name: "key"\n  label_id: 6\n  label_type: OBJECT_MANIPULATION\n}\n')


def test_excluded_seconds_have_detections_and_no_true_box(spec, root):
    excluded = {tuple(row) for row in rows(root / "annotations/ava_val_excluded_timestamps_v2.2.csv")}
    assert len(excluded) == 1  # of 27
    true = {tuple(row[:2]) for row in rows(root / "annotations/ava_val_v2.2.csv")}
    assert not excluded & true and len(excluded | true) == 27
    detected = {tuple(row[:2]) for row in rows(root / "annotations" / DETECTIONS_FOLDER / DETECTION_FILES["val"])}
    assert excluded <= detected


def test_detections_of_val_have_scores_and_no_labels(root):
    found = rows(root / "annotations" / DETECTIONS_FOLDER / DETECTION_FILES["val"])
    assert all(len(row) == 8 and row[6] == "" and 0 <= float(row[7]) <= 1 for row in found)
    scores = np.array([float(row[7]) for row in found])
    assert 0.7 < (scores >= 0.8).mean() < 0.99  # the recipes' threshold leaves some out


def test_detections_of_train_have_the_labels_of_the_box_they_lie_on(root):
    true = defaultdict(dict)
    for video_id, second, *box, action, _ in rows(root / "annotations/ava_train_v2.2.csv"):
        true[video_id, second].setdefault(tuple(map(float, box)), set()).add(action)
    excluded = {tuple(row) for row in rows(root / "annotations/ava_train_excluded_timestamps_v2.2.csv")}
    found = defaultdict(set)
    for video_id, second, *box, action, _ in rows(root / "annotations" / DETECTIONS_FOLDER / DETECTION_FILES["train"]):
        found[video_id, second, tuple(map(float, box))].add(action)
    num_negative = 0
    for (video_id, second, box), actions in found.items():
        if (video_id, second) in excluded:
            continue
        overlaps = {other: overlap(np.array(box), np.array(other)) for other in true[video_id, second]}
        best = max(overlaps, key=overlaps.get)
        if actions == {""}:
            num_negative += 1
            assert overlaps[best] < 0.35
        else:
            assert overlaps[best] > 0.85 and actions == true[video_id, second][best]  # 0.9 before rounding
    assert num_negative > 0


def test_the_loader_reads_frames_and_movies_alike(root):
    from slowfast.config import load_cfg
    from slowfast.datasets import build_dataset

    folders = ["AVA.ANNOTATION_DIR", root / "annotations", "AVA.FRAME_LIST_DIR", root / "frame_lists"]
    small = ["DATA.TEST_CROP_SIZE", 32]
    clips = {}
    for name, source in {
        "frames": ["AVA.FRAME_DIR", root / "frames"],
        "movies": ["AVA.MOVIE_DIR", root / "movies", "AVA.MOVIE_START_SECONDS", 900],
    }.items():
        cfg = load_cfg("Motion/DETECTION_SLOWFAST_4x4_R18", list(map(str, [*folders, *small, *source])))
        dataset = build_dataset(cfg, "test")
        assert len(dataset) == 27 and dataset.class_names == NAMES
        clips[name] = dataset[7]
    assert clips["frames"].boxes.equal(clips["movies"].boxes) and len(clips["frames"].boxes) >= 1
    one, other = (sample.frames.float() for sample in clips.values())
    assert one.shape == (3, 16, 32, 56)
    assert (one - other).abs().mean() < 8  # two codecs
    assert (one[:, :-1] - other[:, 1:]).abs().mean() > (one - other).abs().mean()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_seconds": 0}, "num_seconds=0: give a whole number of at least 1"),
        ({"num_seconds": 898}, "num_seconds=898: AVA's key seconds are 902 to 1798, at most 897"),
        ({"num_val": 1.5}, "num_val=1.5: give a whole number of at least 0"),
    ],
)
def test_argument_errors_name_argument_and_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        MotionAvaSpec(**TINY | arguments)


def test_command_line(tmp_path, capsys):
    options = ["--form", "ava", "--num-train", "1", "--num-val", "1", "--num-seconds", "1", "--height", "32",
               "--width", "32"]  # fmt: skip
    root, sheet = tmp_path / "set", tmp_path / "sheet.png"
    assert main([str(root), *options, "--sheet", str(sheet)]) == 0
    shown = capsys.readouterr()
    assert "wrote 1 train, 1 val movies of 6 classes" in shown.out and "2 of 2 movies" in shown.err
    assert sheet.stat().st_size > 1000
    assert main([str(root), *options]) == 0
    assert "there already with these arguments" in capsys.readouterr().out
    assert main([str(root), "--form", "clips"]) == 2
    assert "holds a different Motion set (its form is ava, expected clips)" in capsys.readouterr().err
    (root / "frames/Mo-train000/Mo-train000_000007.jpg").unlink()
    assert main([str(root), *options]) == 2
    assert "Mo-train000_000007.jpg is missing" in capsys.readouterr().err
    assert main([str(tmp_path / "other"), *options, "--num-test", "3"]) == 2
    message = capsys.readouterr().err
    assert "--num-test: the form ava does not have this option. It has --num-train, --num-val" in message
    assert not (tmp_path / "other").exists()
