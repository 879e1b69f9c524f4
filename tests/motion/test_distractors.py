"""Two shapes in opposite motions: what a video shows, what its files are called, and that Slow frames tell nothing."""

import json

import numpy as np
import pytest

from slowfast.models.pathways import slow_frame_indices
from slowfast.motion.classes import MOTIONS, color_of, direction_of, motion_of, opposite_of, shape_of
from slowfast.motion.clips import MotionSpec, write_motion
from slowfast.motion.scene import COLORS, luma

SET = {
    "num_train": 64,
    "num_val": 0,
    "num_test": 4,
    "height": 32,
    "width": 32,
    "num_frames": 20,
    "shapes": ("pie",),
    "colors": ("red", "green"),
    "distractors": ("cyan", "magenta"),
    "motions": ("slide-left", "slide-right"),
    "slow_interval": 7,
    "turns_per_interval": (0.8, 1.2),
}


def hue_of(color):
    """The name of the nearest hue."""
    return max(COLORS, key=lambda name: np.corrcoef(color, COLORS[name])[0, 1])


def test_a_class_is_a_color_a_shape_and_a_motion():
    spec = MotionSpec(**SET)
    assert spec.class_names == [
        "green-pie-slide-left",
        "green-pie-slide-right",
        "red-pie-slide-left",
        "red-pie-slide-right",
    ]
    assert sorted({spec.label("train", i) for i in range(64)}) == [0, 1, 2, 3]
    parts = [part(spec.class_names[0]) for part in (color_of, shape_of, motion_of, direction_of)]
    assert parts == ["green", "pie", "slide-left", "left"]
    assert color_of("arrow-spin-cw") is None and opposite_of("zoom-in") == "zoom-out"


def test_a_video_shows_its_class_and_a_distractor_in_the_opposite_motion():
    spec = MotionSpec(**SET | {"motions": ("slide-left", "slide-right", "zoom-in", "zoom-out")})
    places, distractors = set(), set()
    for index in range(64):
        name = spec.class_names[spec.label("train", index)]
        pair = spec.pair("train", index)
        hues = [hue_of(scene.fill) for scene in pair]
        target = hues.index(color_of(name))
        family, direction = MOTIONS[motion_of(name)]
        assert [scene.family for scene in pair] == [family] * 2
        assert pair[target].direction == direction == -pair[1 - target].direction
        places.add(target)
        distractors.add(hues[1 - target])
    assert places == {0, 1} and distractors == {"cyan", "magenta"}


@pytest.mark.parametrize(
    "family", ["spin-cw spin-ccw", "orbit-cw orbit-ccw", "slide-left slide-right", "zoom-in zoom-out"]
)
@pytest.mark.parametrize("width", [32, 44])
def test_each_shape_keeps_to_its_half_of_the_frame(family, width):
    spec = MotionSpec(**SET | {"motions": tuple(family.split()), "width": width})
    for index in range(20):
        for scene, (top, bottom) in zip(spec.pair("train", index), [(0.0, 0.5), (0.5, 1.0)], strict=True):
            x, y, _, radius = scene.poses(20).T
            assert (y - radius).min() > top - 1e-9 and (y + radius).max() < bottom + 1e-9
            assert (x - radius).min() > -1e-9 and (x + radius).max() < width / 32 + 1e-9
            if scene.family == "slide":  # it crosses the frame
                assert scene.path_radius == pytest.approx(width / 64 - scene.radius)


def test_a_distractor_may_be_told_by_its_shape():
    spec = MotionSpec(**SET | {"colors": (), "shapes": ("arrow", "key"), "distractors": ("moon",)})
    for index in range(12):
        name = spec.class_names[spec.label("train", index)]
        assert sorted(scene.shape for scene in spec.pair("train", index)) == sorted([shape_of(name), "moon"])


def test_slow_frames_show_neither_direction():
    """Phases from one Slow frame to the next are alike in both directions; in Fast frames their sign is plain."""
    slow = slow_frame_indices(8, 4).tolist()
    assert slow == [0, 7]
    spec = MotionSpec(**SET | {"num_train": 600})
    turns = {1: [], -1: []}
    for index in range(600):
        for scene in spec.pair("train", index):
            phases = scene.phases(8)
            turns[scene.direction].append(np.mod(phases[7] - phases[0], 1.0))
            steps = np.mod(np.diff(phases) + 0.5, 1.0) - 0.5
            assert (np.sign(steps) == scene.direction).all()
    # Kolmogorov-Smirnov: equal distributions of 600 values exceed 1.63 sqrt(2 / 600) = 0.094 once in a hundred.
    grid = np.linspace(0, 1, 201)
    one, other = (np.searchsorted(np.sort(values), grid) / len(values) for values in turns.values())
    assert np.abs(one - other).max() < 0.094


def test_a_named_color_is_seen_against_its_background():
    spec = MotionSpec(**SET | {"colors": ("red", "yellow", "green", "blue")})
    for index in range(40):
        for scene in spec.pair("train", index):
            assert luma(scene.fill) - luma(scene.background).mean() > 0.2
            assert scene.fill.max() - scene.fill.min() > 0.2 and scene.fill.max() <= 1 + 1e-6


def test_colors_alone_make_classes_of_a_single_shape():
    spec = MotionSpec(**SET | {"distractors": ()})
    for index in range(8):
        name = spec.class_names[spec.label("train", index)]
        assert hue_of(spec.scene("train", index).fill) == color_of(name)
    assert spec.frames("train", 0).shape == (20, 32, 32, 3)


def test_the_files_hold_what_the_pair_shows(tmp_path):
    small = SET | {"num_train": 4, "num_frames": 4}
    made = write_motion(tmp_path / "set", **small)
    assert (tmp_path / "set/train/red-pie-slide-left").is_dir()
    arguments = json.loads((tmp_path / "set/manifest.json").read_text())["arguments"]
    assert arguments["colors"] == ["red", "green"] and arguments["distractors"] == ["cyan", "magenta"]
    assert made.spec.frames("train", 0).shape == (4, 32, 32, 3)
    assert not write_motion(tmp_path / "set", **small).written


def test_a_set_older_than_an_argument_is_the_set_with_its_default(tmp_path):
    plain = {"num_train": 2, "num_val": 0, "num_test": 0, "height": 32, "width": 32, "num_frames": 2}
    write_motion(tmp_path / "set", **plain)
    path = tmp_path / "set/manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["arguments"]["colors"], manifest["arguments"]["distractors"]
    path.write_text(json.dumps(manifest))
    assert not write_motion(tmp_path / "set", **plain).written
    with pytest.raises(ValueError, match=r"distractors is \[\], expected \['moon'\]"):
        write_motion(tmp_path / "set", **plain, distractors=("moon",))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"distractors": ("walrus",)}, r"distractors: 'walrus' is not known"),
        ({"distractors": ("red",)}, r"distractors: 'red' is also the appearance of a class\. Name others: .*yellow"),
        ({"distractors": ("pie",)}, r"distractors: 'pie' is also the appearance"),
        ({"colors": (), "distractors": ("cyan",)}, r"distractors: 'cyan' is not known\..*arrow"),
        ({"colors": ("red", "red")}, r"colors contains duplicates"),
        ({"colors": ("crimson",)}, r"colors: 'crimson' is not known"),
    ],
)
def test_looks_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MotionSpec(**SET | arguments)
