"""tools/benchmark.py: it runs for clips, flow and boxes, and tells what of a config it cannot measure."""

from __future__ import annotations

import json

import pytest
import torch

from slowfast.cli import benchmark
from slowfast.cli.benchmark import (
    _inputs,
    _labels,
    eval_step,
    main,
    measure_loading,
    measure_training,
    train_step,
    variants,
)
from slowfast.config import load_cfg
from slowfast.models import build_model

CPU = torch.device("cpu")
RECIPE = "Motion/SLOWFAST_4x4_R18"
DETECTION = "Motion/DETECTION_SLOWFAST_4x4_R18"
TINY = ["RESNET.WIDTH_PER_GROUP", "8", "RESNET.DEPTH", "18", "DATA.NUM_FRAMES", "8"]
TINY += ["DATA.TRAIN_CROP_SIZE", "32", "DATA.TEST_CROP_SIZE", "32"]
FLOW = ["SLOWFAST.FAST_INPUT", "flow"]


@pytest.mark.parametrize(
    "recipe, opts, shapes, labels",
    [
        (RECIPE, [], [(2, 3, 8, 32, 32)], (torch.int64, (2,))),
        (RECIPE, FLOW, [(2, 5, 8, 32, 32)], (torch.int64, (2,))),
        (DETECTION, [], [(2, 3, 8, 32, 32), (2, 5)], (torch.float32, (2, 6))),
        ("Motion/MULTILABEL_SLOWFAST_4x4_R18", [], [(2, 3, 8, 32, 32)], (torch.float32, (2, 8))),
    ],
)
def test_steps_run_with_what_the_model_takes(recipe, opts, shapes, labels):
    cfg = load_cfg(recipe, [*TINY, *opts])
    model = build_model(cfg)
    inputs = _inputs(cfg, model, CPU, batch=2, crop=32, channels_last=True)
    assert [tuple(x.shape) for x in inputs] == shapes
    assert inputs[0].is_contiguous(memory_format=torch.channels_last_3d)
    target = _labels(cfg, model, CPU, batch=2)
    assert (target.dtype, (len(target), *target.shape[1:])) == labels
    for make, folds in ((train_step, False), (eval_step, True)):
        first, *_, last = variants(CPU, folds=folds, compiled=False)  # the plain one, and the one with the most options
        for variant in (first, last):
            make(cfg, CPU, variant, batch=2)()


def test_every_clip_has_a_box_within_its_crop():
    cfg = load_cfg(DETECTION, TINY)
    _, boxes = _inputs(cfg, build_model(cfg), CPU, batch=3, crop=32, channels_last=False)
    assert boxes[:, 0].tolist() == [0, 1, 2]
    assert (boxes[:, 1:3] >= 0).all() and (boxes[:, 1:3] < boxes[:, 3:]).all() and (boxes[:, 3:] <= 32).all()


@pytest.mark.parametrize(
    "recipe, opts, message",
    [
        (DETECTION, [], "DETECTION.ENABLE=True: loading and throughput are measured only on clips of RGB video"),
        (RECIPE, FLOW, "SLOWFAST.FAST_INPUT='flow': loading and throughput .* Set --parts train eval"),
    ],
)
def test_data_that_is_not_measured_is_told_before_anything_is_timed(
    recipe, opts, message, tmp_path, capsys, monkeypatch
):
    cfg = load_cfg(recipe, [*TINY, *opts])
    with pytest.raises(ValueError, match=message):
        measure_loading(cfg, tmp_path, tmp_path / "none.mp4", repeats=1)
    with pytest.raises(ValueError, match=message):
        measure_training(cfg, tmp_path, tmp_path / "none.mp4", batch=1, steps=1)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(benchmark, "measure_in_turn", lambda *_args, **_options: pytest.fail("timed"))
    assert main(["--cfg", recipe, "--opts", *TINY, *opts]) == 2
    captured = capsys.readouterr()
    assert message.split(" ")[0] in captured.err and not captured.out


def test_the_steps_of_a_detection_model_from_the_command_line(tmp_path, capsys):
    arguments = ["--parts", "train", "eval", "--repeats", "1", "--json", str(tmp_path / "figures.json")]
    assert main(["--cfg", DETECTION, *arguments, "--opts", *TINY]) == 0
    assert "train step of 2 clips" in capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["train"]["fp32 contiguous"] > 0 and figures["eval"]["fp32 channels-last folded"] > 0


def test_training_is_measured_by_its_own_records(tmp_path, tiny_motion):
    video = next((tiny_motion / "train").rglob("*.mp4"))
    sizes = ["DATA.TRAIN_JITTER_SCALES", [32, 36], "DATA_LOADER.NUM_WORKERS", 0, "NUM_GPUS", 0]
    found = measure_training(load_cfg(RECIPE, [*TINY, *sizes]), tmp_path, video, batch=1, steps=2)
    assert found["clips per second"] == pytest.approx(1000 / found["milliseconds a step"])
    assert 0 <= found["waiting for data, percent"] <= 100 and found["loader workers"] == 0
