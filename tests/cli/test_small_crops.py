"""Training on crops so small that kernels are larger than the maps, in the mixed precision of the recipe."""

from __future__ import annotations

import pytest
import torch

from tests.cli.runs import records_of
from tests.faults import run_job


@pytest.mark.parametrize("crop", [8, pytest.param(16, marks=pytest.mark.slow)])
def test_crops_down_to_single_pixels_of_features_train(tiny_opts, tmp_path, crop):
    """In a process of its own: bfloat16 kernels of oneDNN ended it with "double free or corruption".

    The weight gradient of a 3x3 kernel with stride 2 over a map of one pixel wrote beyond its memory: in res4 of crops
    of 8 pixels, in res5 of 16.
    """
    opts = [*tiny_opts, "NUM_GPUS", "0", "TRAIN.MIXED_PRECISION", "True", "DATA_LOADER.NUM_WORKERS", "0"]
    opts += ["DATA.TRAIN_CROP_SIZE", str(crop), "RESNET.WIDTH_PER_GROUP", "16", "DATA.NUM_FRAMES", "16"]
    log = tmp_path / "log"
    argv = ["--cfg", "Motion/SLOWFAST_4x4_R18", *opts, "TEST.ENABLE", "False"]
    assert run_job(argv, log=log) == 0, log.read_text()[-2000:]
    records = records_of(tmp_path / "out")
    assert any("train/loss" in record for record in records)
    state = torch.load(tmp_path / "out/checkpoints/checkpoint_epoch_00001.pyth", weights_only=True)["model_state"]
    assert all(value.isfinite().all() for value in state.values())
