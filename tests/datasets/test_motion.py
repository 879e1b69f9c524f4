"""The Motion set: what its files are, that they are reproducible, and that sparse frames cannot tell the direction."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import av
import numpy as np
import pytest
from PIL import Image

from slowfast.datasets.motion import (
    MOTIONS,
    SPLITS,
    MotionSpec,
    direction_of,
    motion_of,
    shape_of,
    write_motion,
    write_video,
)
from slowfast.datasets.motion_scene import FAMILIES, SHAPES, draw_scene, luma, render
from slowfast.datasets.motion_sheet import sample_sheet

TINY = {
    "num_train": 10,
    "num_val": 4,
    "num_test": 4,
    "height": 32,
    "width": 40,
    "num_frames": 12,
    "shapes": ("arrow", "pie"),
    "motions": ("spin-cw", "spin-ccw"),
}


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("motion") / "tiny"
    write_motion(root, **TINY)
    return root


def scene_of(name, *, seed=0, **changes):
    """A scene of one class at 64x80, with the default turns per 5 frames."""
    family, direction = MOTIONS[motion_of(name)]
    scene = draw_scene(
        np.random.default_rng(seed),
        shape=shape_of(name),
        family=family,
        direction=direction,
        height=64,
        width=80,
        slow_interval=5,
        turns_per_interval=(0.25, 1.25),
    )
    return replace(scene, **changes)


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def all_files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# Files


def test_layout_is_that_of_kinetics(tiny_root):
    names = json.loads((tiny_root / "classids.json").read_text())
    assert names == {"arrow-spin-ccw": 0, "arrow-spin-cw": 1, "pie-spin-ccw": 2, "pie-spin-cw": 3}
    assert sorted(path.name for path in tiny_root.iterdir()) == sorted(
        [*SPLITS, "train.csv", "val.csv", "test.csv", "classids.json", "manifest.json"]
    )
    for split, num_videos in zip(SPLITS, (10, 4, 4), strict=True):
        rows = [row.split(" ") for row in (tiny_root / f"{split}.csv").read_text().splitlines()]
        assert len(rows) == num_videos
        for path, label in rows:
            assert path.split("/")[:2] == [split, list(names)[int(label)]]
            assert (tiny_root / path).is_file()
        on_disk = {str(path.relative_to(tiny_root)) for path in (tiny_root / split).rglob("*.mp4")}
        assert on_disk == {path for path, _ in rows}


def test_classes_are_balanced(tiny_root):
    labels = [int(row.split(" ")[1]) for row in (tiny_root / "train.csv").read_text().splitlines()]
    counts = np.bincount(labels)
    assert len(counts) == 4 and counts.max() - counts.min() <= 1


def test_files_are_h264_and_show_the_scene(tiny_root):
    spec = MotionSpec(**TINY)
    path = tiny_root / spec.relative_path("train", 1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.width, stream.height, stream.frames) == (30, 40, 32, 12)
    frames, drawn = decode(path), render(spec.scene("train", 1), 12)
    assert frames.shape == (12, 32, 40, 3)
    assert np.abs(luma(frames.astype(float)) - luma(drawn.astype(float))).mean() < 6  # grey levels lost to coding


def test_same_arguments_give_the_same_bytes_however_many_workers(tiny_root, tmp_path):
    write_motion(tmp_path / "again", **TINY, num_workers=1)
    assert all_files(tmp_path / "again") == all_files(tiny_root)


def test_another_seed_gives_other_frames():
    one, other = (MotionSpec(**TINY, seed=seed).scene("train", 0) for seed in (0, 1))
    assert not np.array_equal(render(one, 2), render(other, 2))


def test_splits_share_no_scene():
    spec = MotionSpec(**TINY)
    assert len({spec.scene(split, index).phase for split in SPLITS for index in range(4)}) == 12


def test_a_smaller_set_is_the_beginning_of_a_larger_one():
    small, large = (MotionSpec(**TINY | {"num_train": n}) for n in (10, 1000))
    for index in range(10):
        assert small.relative_path("train", index) == large.relative_path("train", index)
        assert small.scene("train", index).phase == large.scene("train", index).phase


def test_equal_frames_are_encoded_to_equal_bytes(tmp_path):
    frames = render(scene_of("key-orbit-cw"), 8)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames, fps=25)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert len(decode(tmp_path / "a.mp4")) == 8


# Writing again


def test_rerun_with_the_same_arguments_writes_nothing(tiny_root):
    before = {path: path.stat().st_mtime_ns for path in tiny_root.rglob("*")}
    result = write_motion(tiny_root, **TINY)
    assert not result.written
    assert {path: path.stat().st_mtime_ns for path in tiny_root.rglob("*")} == before


def test_rerun_with_other_arguments_is_refused_unless_overwriting(tmp_path):
    root = tmp_path / "set"
    tiny = TINY | {"num_train": 2, "num_val": 0, "num_test": 0}
    assert write_motion(root, **tiny).written
    with pytest.raises(ValueError, match=r"seed is 0, wanted 7\).*overwrite=True"):
        write_motion(root, **tiny, seed=7)
    assert write_motion(root, **tiny, seed=7, overwrite=True).written
    assert json.loads((root / "manifest.json").read_text())["arguments"]["seed"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_missing_video_is_noticed(tmp_path):
    tiny = TINY | {"num_train": 2, "num_val": 0, "num_test": 0}
    write_motion(tmp_path / "set", **tiny)
    next((tmp_path / "set").rglob("*.mp4")).unlink()
    with pytest.raises(ValueError, match=r"00000.mp4 is missing|00001.mp4 is missing"):
        write_motion(tmp_path / "set", **tiny)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_files_is_never_touched(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(ValueError, match="holds no Motion set: nothing in it is touched"):
        write_motion(tmp_path, **TINY, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_an_empty_folder_is_used_and_a_file_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert write_motion(tmp_path / "empty", **TINY | {"num_train": 1, "num_val": 0, "num_test": 0}).written
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        write_motion(tmp_path / "file", **TINY)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    def interrupt(done, total):
        assert total == 18
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_motion(tmp_path / "set", **TINY, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


# What the frames show


def every_class():
    return [f"{shape}-{motion}" for shape in ("arrow", "moon") for motion in MOTIONS]


@pytest.mark.parametrize("motion", MOTIONS)
def test_opposite_directions_negate_the_phase_and_nothing_else(motion):
    name = f"key-{motion}"
    forward = scene_of(name, phase=0.0)
    backward = replace(forward, direction=-forward.direction)
    np.testing.assert_allclose((forward.phases(20) + backward.phases(20)) % 1, 0, atol=1e-9)
    # In time, one is the other seen in reverse.
    late = replace(backward, phase=forward.phases(20)[-1])
    np.testing.assert_allclose(late.poses(20)[::-1], forward.poses(20), atol=1e-6)


@pytest.mark.parametrize("pair", [("spin-cw", "spin-ccw"), ("slide-right", "slide-left"), ("zoom-in", "zoom-out")])
def test_scenery_does_not_depend_on_the_direction(pair):
    one, other = (scene_of(f"pie-{motion}", seed=3) for motion in pair)
    assert np.array_equal(render(one, 1), render(other, 1))


def test_clockwise_is_clockwise_and_right_is_right():
    spin, orbit = scene_of("arrow-spin-cw"), scene_of("arrow-orbit-cw")
    angles = np.unwrap(spin.poses(3)[:, 2])
    assert (np.diff(angles) > 0).all()  # y points down, so growing angles turn clockwise
    x, y = (orbit.poses(2)[:, :2] - orbit.centre).T
    assert x[0] * y[1] - y[0] * x[1] > 0
    assert np.diff(scene_of("arrow-slide-right", phase=0.1).poses(2)[:, 0]) > 0
    assert np.diff(scene_of("arrow-zoom-in", phase=0.1).poses(2)[:, 3]) > 0


@pytest.mark.parametrize("motion", ["spin-cw", "orbit-cw", "slide-right", "zoom-in"])
@pytest.mark.parametrize("seed", range(8))
def test_every_clip_has_a_twin_of_the_other_direction_with_the_same_slow_frames(motion, seed):
    """The proof of motion_scene.py, in pixels: theta' = -theta (mod 1) is as likely and shows the same Slow frames."""
    scene = scene_of(f"ell-{motion}", seed=seed)
    theta = 5 * scene.turns_per_frame
    twin_theta = 0.25 + (-theta - 0.25) % 1
    assert 0.25 <= twin_theta < 1.25
    twin = replace(scene, direction=-scene.direction, turns_per_frame=twin_theta / 5)
    frames, twin_frames = (render(s, 16).astype(int) for s in (scene, twin))
    assert np.abs(frames[::5] - twin_frames[::5]).max() <= 1
    assert np.abs(frames[1::5] - twin_frames[1::5]).max() > 50


@pytest.mark.parametrize(
    "slow_interval, turns, num_slow", [(5, (0.25, 1.25), 4), (15, (1.0, 3.0), 2), (10, (0.5, 1.5), 4)]
)
def test_phase_steps_between_slow_frames_are_distributed_alike_in_both_directions(slow_interval, turns, num_slow):
    spec = MotionSpec(height=32, width=32, shapes=("arrow",), slow_interval=slow_interval, turns_per_interval=turns)
    steps = {"cw": [], "ccw": []}
    for index in range(3000):
        direction = direction_of(spec.class_names[spec.label("train", index)])
        phases = spec.scene("train", index).phases((num_slow - 1) * slow_interval + 1)[::slow_interval]
        steps[direction].append(np.diff(phases)[0] % 1)
    # Two-sample Kolmogorov-Smirnov distance; 1.63 sqrt(2 / 1500) = 0.06 is the 1 % level of equal distributions.
    grid = np.linspace(0, 1, 101)
    cw, ccw = (np.searchsorted(np.sort(steps[d]), grid) / 1500 for d in ("cw", "ccw"))
    assert np.abs(cw - ccw).max() < 0.06
    assert np.abs(cw - grid).max() < 0.05  # and uniform


def test_fast_frames_turn_by_less_than_half_a_turn():
    spec = MotionSpec(height=32, width=32)
    speeds = [spec.scene("train", index).turns_per_frame for index in range(500)]
    assert 0.05 <= min(speeds) < 0.06 and 0.24 < max(speeds) <= 0.25


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fit_their_circle_and_have_no_rotational_symmetry(shape):
    y, x = np.mgrid[-1.2:1.2:120j, -1.2:1.2:120j].astype(np.float32)

    def covered(angle):
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return SHAPES[shape](cos * x + sin * y, cos * y - sin * x) < 0

    still = covered(0.0)
    assert not still[np.hypot(x, y) > 1.02].any()
    assert 0.1 < still.sum() / (np.hypot(x, y) < 1).sum() < 0.9
    for angle in np.arange(30, 331, 10):
        turned = covered(np.deg2rad(angle))
        assert (turned & still).sum() < 0.86 * (turned | still).sum(), f"looks alike after {angle} degrees"


@pytest.mark.parametrize("name", every_class())
def test_the_shape_stays_inside_the_middle_of_the_frame(name):
    for seed in range(20):
        scene = scene_of(name, seed=seed)
        x, y, _, radius = scene.poses(30).T
        assert (y - radius).min() >= -1e-9 and (y + radius).max() <= 1 + 1e-9
        assert (x - radius).min() >= 0.05 and (x + radius).max() <= 80 / 64 - 0.05


@pytest.mark.parametrize("name", every_class()[:4])
def test_the_shape_stands_out(name):
    for seed in range(30):
        scene = scene_of(name, seed=seed, noise_level=0.0)
        bare = (255 * scene.background).astype(int)
        change = np.abs(luma(render(scene, 1)[0].astype(float)) - luma(bare.astype(float)))
        x, y, _, radius = scene.poses(1)[0] * 64
        assert np.sort(change.ravel())[-40:].min() > 0.25 * 255  # at least 40 pixels, clearly
        rows, columns = np.nonzero(change > 12)
        assert np.hypot(columns + 0.5 - x, rows + 0.5 - y).max() < radius + 2  # and nothing else moved


def test_drawing_is_anti_aliased():
    frames = render(scene_of("pie-slide-right", noise_level=0.0, turns_per_frame=0.001), 2)
    change = np.abs(frames[0].astype(int) - frames[1]).max(-1)  # after a step of 0.03 pixels
    assert 20 < (change > 0).sum() < 250 and change.max() < 20  # small ones along the edge, no pixel flips


def test_every_family_repeats_after_one_turn():
    for family in FAMILIES:
        scene = scene_of("arrow-spin-cw", turns_per_frame=0.25)
        poses = replace(scene, family=family, phase=0.1).poses(9)
        np.testing.assert_allclose(np.mod(poses[:5, 2], 2 * np.pi), np.mod(poses[4:, 2], 2 * np.pi), atol=1e-9)
        np.testing.assert_allclose(poses[:5, [0, 1, 3]], poses[4:, [0, 1, 3]], atol=1e-9)


# Names


def test_names_come_apart():
    for name in MotionSpec(shapes=tuple(SHAPES), motions=tuple(MOTIONS)).class_names:
        assert f"{shape_of(name)}-{motion_of(name)}" == name
        assert name.endswith("-" + direction_of(name))
    assert (shape_of("arrow-spin-cw"), motion_of("arrow-spin-cw"), direction_of("arrow-spin-cw")) == (
        "arrow",
        "spin-cw",
        "cw",
    )


@pytest.mark.parametrize("name", ["arrow", "arrow-spin", "walrus-spin-cw", "arrow-spin-cw-2", "washing lizard"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' is not a Motion class"):
        direction_of(name)


# Errors


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_train": -1}, "num_train=-1: give a whole number of at least 0"),
        ({"fps": 29.97}, "fps=29.97: give a whole number of at least 1"),
        ({"height": 30}, "height=30: give a whole number of at least 32"),
        ({"width": 81}, "width=81 is odd"),
        ({"height": 64, "width": 48}, "width=48 is below height=64"),
        ({"num_frames": 0}, "num_frames=0"),
        ({"slow_interval": True}, "slow_interval=True"),
        ({"shapes": ()}, "shapes is empty"),
        ({"shapes": ("arow",)}, "shapes: 'arow' is not known. Did you mean arrow?"),
        ({"shapes": ("arrow", "arrow")}, "shapes names something twice"),
        ({"motions": ("spin-cw", "spin")}, "motions: 'spin' is not known"),
        ({"motions": ("spin-cw", "orbit-ccw")}, "motions holds 'spin-cw' without 'spin-ccw'"),
        ({"turns_per_interval": (0.25, 1.0)}, r"turns_per_interval=\(0.25, 1\): Slow frames would show the direction"),
        ({"turns_per_interval": (1.0, 0.0)}, r"turns_per_interval=\(1, 0\): .* 0 <= low < high"),
        ({"turns_per_interval": (2.0, 3.0)}, r"slow_interval=5 frames is up to 0.60 turns a frame"),
    ],
)
def test_argument_errors_name_argument_and_value(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_motion(tmp_path / "set", **TINY | arguments)
    assert list(tmp_path.iterdir()) == []


# Pictures and the command line


def test_sample_sheet_draws_a_row_per_class(tiny_root, tmp_path):
    path = sample_sheet(tiny_root, tmp_path / "out" / "sheet.png", num_columns=8)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert image.size[0] > 8 * 88 and image.size[1] > 4 * 88
    assert (pixels == (226, 88, 34)).all(-1).any()  # Slow frames are marked


def test_sample_sheet_of_no_set(tmp_path):
    with pytest.raises(ValueError, match="holds no Motion set"):
        sample_sheet(tmp_path, tmp_path / "sheet.png")


def run_command(*arguments):
    command = [sys.executable, "-m", "slowfast.cli.motion", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_command_line_writes_once(tmp_path):
    arguments = [
        tmp_path / "set",
        "--num-train",
        4,
        "--num-val",
        0,
        "--num-test",
        2,
        "--num-frames",
        8,
        "--shapes",
        "key",
    ]
    first = run_command(*arguments, "--height", 32, "--width", 32, "--sheet", tmp_path / "sheet.png")
    assert first.returncode == 0, first.stderr
    assert "wrote 4 train, 0 val, 2 test videos of 4 classes" in first.stdout
    assert "6 of 6 videos" in first.stdout  # plain lines where there is no terminal
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    rows = (tmp_path / "set" / "test.csv").read_text().splitlines()
    assert rows == ["test/key-orbit-ccw/00000.mp4 0", "test/key-orbit-cw/00001.mp4 1"]
    second = run_command(*arguments, "--height", 32, "--width", 32)
    assert second.returncode == 0 and "nothing to do" in second.stdout
    third = run_command(*arguments)
    assert third.returncode == 2
    assert "height is 32, wanted 64" in third.stderr and "--overwrite" in third.stderr


def test_command_line_help_has_an_example(capsys):
    from slowfast.cli.motion import main

    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "example:" in capsys.readouterr().out


def test_command_line_is_quiet_on_request(tmp_path, capsys):
    from slowfast.cli.motion import main

    sizes = ["--num-train", "2", "--num-val", "0", "--num-test", "0", "--height", "32", "--width", "32"]
    assert main([str(tmp_path / "set"), *sizes, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_first_frames_of_a_file_are_those_of_its_scene(tiny_root):
    """No frame is lost or moved by the encoder: frame k shows phase k."""
    spec = MotionSpec(**TINY)
    for index in range(4):
        with av.open(str(tiny_root / spec.relative_path("test", index))) as container:
            frames = [f.to_ndarray(format="rgb24").astype(float) for f in islice(container.decode(video=0), 12)]
        drawn = render(spec.scene("test", index), 12).astype(float)
        distance = np.array([[np.abs(luma(a) - luma(b)).mean() for b in drawn] for a in frames])
        assert (distance.argmin(axis=1) == np.arange(12)).all()
