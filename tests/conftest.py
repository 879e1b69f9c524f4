"""What tests share: the package's logger as it was, so that caplog sees its records, a tiny Motion set, video files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from slowfast.motion.clips import write_motion
from slowfast.video.watch import DEFAULT_TIMEOUT_SECONDS, set_read_timeout
from tests import video_files


def pytest_addoption(parser):
    parser.addoption("--fuzz-cases", type=int, default=0, help="damaged files of every kind in the slow fuzz tests")


@pytest.fixture(autouse=True)
def package_logger():
    """As in a program that does not set it up: commands that run in this process do, in tests and in their fixtures."""
    logger = logging.getLogger("slowfast")
    _forget_set_up(logger)
    yield logger
    _forget_set_up(logger)


def _forget_set_up(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.NOTSET)  # not by assignment: loggers below it remember what is enabled
    logger.propagate = True


@pytest.fixture(autouse=True)
def read_timeout():
    """A loader without workers sets the time limit of reads in this process; here it ends with its test."""
    yield
    set_read_timeout(DEFAULT_TIMEOUT_SECONDS)


TINY = {"num_train": 8, "num_val": 4, "num_test": 6, "height": 32, "width": 40, "num_frames": 24}


@pytest.fixture(scope="session")
def tiny_motion(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "motion"
    write_motion(root, **TINY)
    return root


@pytest.fixture
def tiny_opts(tiny_motion, tmp_path):
    """Overrides: a net of 4 channels, 8 frames of 32 pixels, batches of 4."""
    settings = (
        "DATA.NUM_FRAMES=8 DATA.TRAIN_JITTER_SCALES=[32,36] DATA.TRAIN_CROP_SIZE=32 DATA.TEST_CROP_SIZE=32 "
        "RESNET.WIDTH_PER_GROUP=8 SOLVER.MAX_EPOCH=1 TRAIN.BATCH_SIZE=4 TRAIN.CHECKPOINT_PERIOD=1 "
        "TRAIN.MIXED_PRECISION=False TEST.NUM_ENSEMBLE_VIEWS=2 TEST.BATCH_SIZE=4 TEST.REPORT=False "
        "DATA_LOADER.NUM_WORKERS=0 BN.NUM_BATCHES_PRECISE=2 LOG_PERIOD=1 LOG_MODEL_INFO=False"
    )
    return ["DATA.PATH_TO_DATA_DIR", str(tiny_motion), "OUTPUT_DIR", str(tmp_path / "out"), *settings.split()]


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """``make_video("a.mp4", num_frames=10, ...)``: see ``write_video``."""
    return lambda name="a.mp4", **options: video_files.write_video(tmp_path / name, **options)


@pytest.fixture(scope="session")
def helpers() -> ModuleType:
    """The functions of tests/video_files.py."""
    return video_files
