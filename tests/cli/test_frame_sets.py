"""Sets of frames and sets with several labels, trained and tested by the command line on tiny real files."""

import json

import numpy as np
import pytest
from PIL import Image

from slowfast.cli.run import main
from tests.cli.runs import RECIPE, SEVERAL_LABELS, records_of, results_of, table

THREE_LABELS = [*SEVERAL_LABELS, "DATA.ENSEMBLE_METHOD=max", "MODEL.NUM_CLASSES=3"]
HEADER = "original_vido_id video_id frame_id path labels\n"
NUM_VIDEOS, NUM_FRAMES = 6, 20


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Six folders of images: 000/000_000001.jpg, ..."""
    root = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    for i in range(NUM_VIDEOS):
        (root / f"{i:03d}").mkdir()
        pixels = rng.integers(0, 255, (36, 44, 3), dtype=np.uint8)
        for n in range(NUM_FRAMES):
            Image.fromarray(np.roll(pixels, n, axis=1)).save(root / f"{i:03d}" / f"{i:03d}_{n + 1:06d}.jpg")
    return root


def frame_list(labels: list[list[str]]) -> str:
    """A frame list of all videos; ``labels`` of every frame of each."""
    return HEADER + "".join(
        f'{i:03d} {i} {n + 1} {i:03d}/{i:03d}_{n + 1:06d}.jpg "{labels[i][n]}"\n'
        for i in range(NUM_VIDEOS)
        for n in range(NUM_FRAMES)
    )


def run(*arguments) -> int:
    return main(["--cfg", RECIPE, *map(str, arguments)])


def test_charades_from_frame_lists(tiny_opts, frames, tmp_path):
    labels = [["0" if n < 10 else "0,1" for n in range(NUM_FRAMES)], [""] * NUM_FRAMES] * 3
    labels[2] = ["2"] * NUM_FRAMES
    lists = tmp_path / "lists"
    lists.mkdir()
    for split in ("train", "val"):
        (lists / f"{split}.csv").write_text(frame_list(labels))
    opts = [*tiny_opts, *THREE_LABELS, "TRAIN.DATASET", "charades", "TEST.DATASET", "charades"]
    opts += ["DATA.PATH_TO_DATA_DIR", lists, "DATA.PATH_PREFIX", frames, "DATA.REVERSE_INPUT_CHANNEL", "True"]
    assert run(*opts, "TEST.EVALUATOR", "charades_map") == 0
    results = results_of(tmp_path / "out")
    assert results["num_videos"] == NUM_VIDEOS and results["num_failed"] == 0
    assert results["figures"].keys() == {"mAP", "wAP", "num_classes_scored"}
    assert results["figures"]["num_classes_scored"] == 3 and 0 < results["figures"]["mAP"] <= 100
    assert results["protocol_text"].startswith("2 clips x 3 crops, max")
    rows = table(tmp_path / "out/predictions.csv")
    assert [row["label"] for row in rows] == ["0;1", "", "2", "", "0;1", ""]
    assert rows[0]["video"] == str(frames / "000")


def test_something_something_from_folders_of_frames(tiny_opts, frames, tmp_path):
    root = tmp_path / "ssv2"
    root.mkdir()
    (root / "labels.json").write_text(json.dumps({"Turning something": "1", "Moving something": "0"}))
    entries = [{"id": f"{i:03d}", "template": ("Moving [something]", "Turning [something]")[i % 2]} for i in range(6)]
    for name, rows in (("train", entries), ("validation", entries[:3])):
        (root / f"{name}.json").write_text(json.dumps(rows))
    opts = [*tiny_opts, "TRAIN.DATASET", "ssv2", "TEST.DATASET", "ssv2", "MODEL.NUM_CLASSES", "2"]
    opts += ["TEST.NUM_ENSEMBLE_VIEWS", "1", "TEST.NUM_SPATIAL_CROPS", "1"]
    assert run(*opts, "DATA.PATH_TO_DATA_DIR", root, "DATA.PATH_PREFIX", frames) == 0
    results = results_of(tmp_path / "out")
    assert results["num_videos"] == 3 and results["num_failed"] == 0 and "top1" in results["figures"]
    rows = table(tmp_path / "out/predictions.csv")
    assert [row["label_name"] for row in rows] == ["Moving something", "Turning something", "Moving something"]


def test_any_list_may_have_several_labels(tiny_opts, tiny_motion, tmp_path):
    """Kinetics' layout with several labels per video, or none."""
    lists = tmp_path / "lists"
    lists.mkdir()
    for split in ("train", "val", "test"):
        paths = [line.split()[0] for line in (tiny_motion / f"{split}.csv").read_text().splitlines()]
        labels = ["0", "0,2", '""', "1,2"]
        (lists / f"{split}.csv").write_text("".join(f"{p} {labels[i % 4]}\n" for i, p in enumerate(paths)))
    opts = [*tiny_opts, *THREE_LABELS, "DATA.PATH_TO_DATA_DIR", lists, "DATA.PATH_PREFIX", tiny_motion]
    assert run(*opts) == 0
    results = results_of(tmp_path / "out")
    assert results["num_videos"] == 6 and results["figures"]["num_classes_scored"] == 3
    scores = np.load(tmp_path / "out" / "predictions.npz")
    assert scores["labels"].tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]]
    assert ((scores["scores"] > 0) & (scores["scores"] < 1)).all()
    assert any("val/clip_mAP" in record for record in records_of(tmp_path / "out"))
