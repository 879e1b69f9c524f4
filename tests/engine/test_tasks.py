"""What the engine makes of a detection config: its looks, its protocol, and a test with a clip that cannot be read."""

import csv
import json

import pytest

from slowfast.config import load_cfg
from slowfast.datasets import build_dataset
from slowfast.datasets.build import build_protocol
from slowfast.engine.tasks import task_of, tta_variants
from slowfast.evaluation.ava.protocols import evaluate_files
from slowfast.models import build_model
from slowfast.motion.detection import MotionAvaSpec
from slowfast.motion.files import write_set

RECIPE = "Motion/DETECTION_SLOWFAST_4x4_R18"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    spec = MotionAvaSpec(num_train=1, num_val=2, num_seconds=3, height=32, width=56)
    return write_set(tmp_path_factory.mktemp("data") / "motion_ava", spec).root


@pytest.fixture
def config(root, tmp_path):
    def make(*overrides):
        small = ["AVA.FRAME_DIR", root / "frames", "AVA.FRAME_LIST_DIR", root / "frame_lists"]
        small += ["AVA.ANNOTATION_DIR", root / "annotations", "OUTPUT_DIR", tmp_path, "DATA_LOADER.NUM_WORKERS", 0]
        small += ["DATA.TEST_CROP_SIZE", 32, "RESNET.WIDTH_PER_GROUP", 4, "NUM_GPUS", 0]
        return load_cfg(RECIPE, list(map(str, [*small, *overrides])))

    return make


def scales_and_flips(cfg):
    looks = tta_variants(build_dataset(cfg, "test"), build_protocol(cfg))
    return [(look.protocol.short_side, look.protocol.flip) for look in looks]


@pytest.mark.parametrize(
    "overrides, looks, protocol",
    [
        ([], [(32, False)], "at a short side of 32; RGB"),
        (["AVA.TEST_FORCE_FLIP", True], [(32, True)], "at a short side of 32; mirrored clips alone;"),
        (["AVA.TEST_FLIP", True], [(32, False), (32, True)], "1 crop x mirrored and not, mean of the scores;"),
        (["AVA.TEST_SCALES", [24, 40]], [(24, False), (40, False)], "1 crop x 2 scales, mean of the scores; 16 frames"),
        (["DATA.ARGS.short_side", 40], [(40, False)], "short side of 40;"),
        (["DATA.ARGS.flip", True], [(32, True)], "at a short side of 32; mirrored clips alone;"),
        (["DATA.ARGS.short_side", 40, "AVA.TEST_FLIP", True], [(40, False), (40, True)], "x mirrored and not, mean"),
        (["DATA.ARGS.short_side", 40, "AVA.TEST_SCALES", [24]], [(24, False)], "short side of 24;"),
    ],
)
def test_a_look_changes_what_the_config_asks_for_alone(config, overrides, looks, protocol):
    cfg = config(*overrides)
    assert scales_and_flips(cfg) == looks
    assert protocol in build_protocol(cfg).describe()


@pytest.fixture
def lose_frames(root):
    """``lose_frames(movie, seconds)`` takes the images of key frames away while a test runs."""
    lost = {}

    def lose(movie, seconds):
        for second in seconds:
            (path,) = (root / "frames" / movie).glob(f"*_{30 * (second - 900) + 1:06d}.*")
            lost[path] = path.read_bytes()
            path.unlink()

    yield lose
    for path, content in lost.items():
        path.write_bytes(content)


def scores_of(path):
    """(movie, second, x1, y1, x2, y2, class) -> score, of a detections.csv."""
    return {(row[0], int(row[1]), *row[2:7]): float(row[7]) for row in csv.reader(path.open())}


@pytest.mark.parametrize("lost", [[902], [902, 904], [902, 903, 904]])
def test_clips_that_cannot_be_read_are_listed_and_their_boxes_missed(config, root, tmp_path, lose_frames, lost):
    """Frames are 32x56, and nobody knows that of a clip without frames; the batches of a movie are of 2 and 1."""
    everything, rest = (config("TEST.BATCH_SIZE", 2, "OUTPUT_DIR", tmp_path / name) for name in ("everything", "rest"))
    model = build_model(everything)
    task_of(everything).test(everything, model=model)
    movie = build_dataset(everything, "test").key_frames[0][0]
    lose_frames(movie, lost)
    figures = task_of(rest).test(rest, model=model)

    whole, results = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("everything", "rest"))
    assert whole["num_failed"] == 0 and results["num_failed"] == len(lost)
    assert [failure["key_frame"] for failure in results["failures"]] == [f"{movie},{second:04d}" for second in lost]
    assert all("No such file" in failure["reason"] for failure in results["failures"])
    assert results["counts"]["groundtruth_boxes"] == whole["counts"]["groundtruth_boxes"]

    scores = scores_of(tmp_path / "everything/detections.csv")
    readable = {key: score for key, score in scores.items() if key[0] != movie or key[1] not in lost}
    assert 0 < len(readable) < len(scores)
    assert scores_of(tmp_path / "rest/detections.csv") == pytest.approx(readable, abs=1e-4)
    report = evaluate_files(
        root / "annotations/ava_val_v2.2.csv",
        tmp_path / "rest/detections.csv",
        root / "annotations/ava_val_excluded_timestamps_v2.2.csv",
        label_map=root / "annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt",
    )
    assert figures["mAP"] == pytest.approx(100 * report["mAP"], abs=1e-3)
