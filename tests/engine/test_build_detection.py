"""What the engine makes of a detection config: its looks, its protocol, and a test with a clip that cannot be read."""

import json

import numpy as np
import pytest

from slowfast.config import load_cfg
from slowfast.datasets import build_dataset
from slowfast.datasets.motion_detection import DetectionSpec, write_set
from slowfast.engine.build import test_detection
from slowfast.engine.build_detection import protocol_of, test_looks
from slowfast.evaluation.ava_files import read_detections
from slowfast.models import build_model

RECIPE = "Motion/DETECTION_SLOWFAST_4x4_R18"
NUM_SECONDS = 3  # key frames of a movie: seconds 902 to 904


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    spec = DetectionSpec(num_train=1, num_val=2, num_seconds=NUM_SECONDS, height=32, width=56)
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
    return [(look.short_side, look.flip) for look in test_looks(cfg, build_dataset(cfg, "test"))]


@pytest.mark.parametrize(
    "overrides, looks, protocol",
    [
        ([], [(32, False)], "short side 32;"),
        (["AVA.TEST_FORCE_FLIP", True], [(32, True)], "short side 32; mirrored clips alone;"),
        (["AVA.TEST_FLIP", True], [(32, False), (32, True)], "short side 32; with the mirrored clip;"),
        (["AVA.TEST_SCALES", [24, 40]], [(24, False), (40, False)], "short side 24, 40;"),
        (["DATA.ARGS.short_side", 40], [(40, False)], "short side 40;"),
        (["DATA.ARGS.flip", True], [(32, True)], "short side 32; mirrored clips alone;"),
        (["DATA.ARGS.short_side", 40, "AVA.TEST_FLIP", True], [(40, False), (40, True)], "short side 40; with the"),
        (["DATA.ARGS.short_side", 40, "AVA.TEST_SCALES", [24]], [(24, False)], "short side 24;"),
    ],
)
def test_a_look_changes_what_the_config_asks_for_alone(config, overrides, looks, protocol):
    cfg = config(*overrides)
    assert scales_and_flips(cfg) == looks
    assert protocol in protocol_of(cfg)


@pytest.fixture
def lost_frame(root):
    """``movie,second`` of the key frame whose image is away while the test runs; others in its movie can be read."""
    image = sorted((root / "frames").glob("*val*/*"))[0].parent
    path = sorted(image.iterdir())[NUM_SECONDS * 30 // 30 * 0 + 30 * 2]  # the key frame of second 902
    content = path.read_bytes()
    path.unlink()
    yield f"{path.parent.name},0902"
    path.write_bytes(content)
