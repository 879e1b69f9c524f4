"""The Motion set: what its files are, that they are reproducible, and that sparse frames cannot tell the direction."""

import json

import av
import numpy as np
import pytest
from PIL import Image

from slowfast.cli.motion import main
from slowfast.datasets.contract import SPLITS
from slowfast.motion.classes import MOTIONS, direction_of, motion_of, shape_of
from slowfast.motion.clips import MotionSpec, write_motion
from slowfast.motion.files import read_manifest
from slowfast.motion.scene import SHAPES, luma, render
from slowfast.motion.sheet import sample_sheet
from tests.video_files import decode_all

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
        counts = np.bincount([int(label) for _, label in rows])
        assert len(counts) == 4 and counts.max() - counts.min() <= 1  # balanced


def test_files_are_h264_and_frame_k_shows_phase_k(tiny_root):
    """The encoder neither loses nor moves a frame."""
    spec = MotionSpec(**TINY)
    path = tiny_root / spec.relative_path("train", 1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.width, stream.height, stream.frames) == (30, 40, 32, 12)
    shown, drawn = (luma(frames.astype(float)) for frames in (decode_all(path), render(spec.scene("train", 1), 12)))
    here = np.abs(shown - drawn).mean((1, 2))
    assert shown.shape == (12, 32, 40) and here.mean() < 6  # gray levels lost to coding
    assert (here[:-1] < np.abs(shown[:-1] - drawn[1:]).mean((1, 2))).all()
    assert (here[1:] < np.abs(shown[1:] - drawn[:-1]).mean((1, 2))).all()


def test_same_arguments_give_the_same_bytes_however_many_workers(tiny_root, tmp_path):
    write_motion(tmp_path / "again", **TINY, num_workers=1)
    assert all_files(tmp_path / "again") == all_files(tiny_root)


def test_scenes_depend_on_seed_split_and_index_alone():
    sets = {size: MotionSpec(**TINY | {"num_train": size}) for size in (10, 1000)}
    phases = [[of_size.scene(split, i).phase for split in SPLITS for i in range(4)] for of_size in sets.values()]
    assert phases[0] == phases[1] and len(set(phases[0])) == 12
    assert MotionSpec(**TINY, seed=1).scene("train", 0).phase not in phases[0]


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
    with pytest.raises(ValueError, match=r"seed is 0, expected 7\).*overwrite=True"):
        write_motion(root, **tiny, seed=7)
    assert write_motion(root, **tiny, seed=7, overwrite=True).written
    assert json.loads((root / "manifest.json").read_text())["arguments"]["seed"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    next(root.rglob("*.mp4")).unlink()
    with pytest.raises(ValueError, match=r"0000[01]\.mp4 is missing"):
        write_motion(root, **tiny, seed=7)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_files_is_never_touched(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(ValueError, match="holds no Motion set, so it was left unchanged"):
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


@pytest.mark.parametrize("text", [None, "no json", "[1]", '{"dataset": "other"}', '{"dataset": "motion"}'])
def test_what_is_no_manifest_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path) is None
    with pytest.raises(ValueError, match="holds no Motion set"):
        sample_sheet(tmp_path, tmp_path / "sheet.png")


# Names and errors


def test_names_come_apart():
    for name in MotionSpec(shapes=tuple(SHAPES), motions=tuple(MOTIONS)).class_names:
        assert f"{shape_of(name)}-{motion_of(name)}" == name
        assert name.endswith("-" + direction_of(name))


@pytest.mark.parametrize("name", ["arrow", "arrow-spin", "walrus-spin-cw", "arrow-spin-cw-2", "washing lizard"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' is not a Motion class"):
        direction_of(name)


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
        ({"shapes": ("arrow", "arrow")}, "shapes contains duplicates"),
        ({"motions": ("spin-cw", "spin")}, "motions: 'spin' is not known"),
        ({"motions": ("spin-cw", "orbit-ccw")}, "motions holds 'spin-cw' without 'spin-ccw'"),
        ({"turns_per_interval": (0.25, 1.0)}, r"turns_per_interval=\(0.25, 1\): Slow frames would show the direction"),
        ({"turns_per_interval": (1.0, 0.0)}, r"turns_per_interval=\(1, 0\): .* 0 <= low < high"),
        ({"turns_per_interval": (2.0, 3.0)}, r"slow_interval=5 frames is up to 0.60 turns per frame"),
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


TINY_OPTIONS = ["--num-train", "4", "--num-val", "0", "--num-test", "2", "--num-frames", "8", "--height", "32",
                "--width", "32", "--shapes", "key"]  # fmt: skip


def test_command_line_writes_a_set_and_its_picture(tmp_path, capsys):
    root, sheet = tmp_path / "set", tmp_path / "sheet.png"
    assert main([str(root), *TINY_OPTIONS, "--sheet", str(sheet)]) == 0
    shown = capsys.readouterr()
    assert "wrote 4 train, 0 val, 2 test videos of 4 classes" in shown.out
    assert "writing: 6 of 6 videos" in shown.err  # plain lines where there is no terminal
    assert sheet.stat().st_size > 1000
    assert (root / "test.csv").read_text().splitlines() == [
        "test/key-orbit-ccw/00000.mp4 0",
        "test/key-orbit-cw/00001.mp4 1",
    ]


def test_command_line_says_that_a_set_is_there_and_refuses_another(tmp_path, capsys):
    root = str(tmp_path / "set")
    assert main([root, *TINY_OPTIONS]) == 0
    capsys.readouterr()
    assert main([root, *TINY_OPTIONS]) == 0
    assert "there already with these arguments" in capsys.readouterr().out
    assert main([root, *TINY_OPTIONS, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main([root, *TINY_OPTIONS, "--height", "36", "--width", "36"]) == 2
    message = capsys.readouterr().err
    assert "height is 32, expected 36; width is 32, expected 36" in message and "--overwrite" in message
