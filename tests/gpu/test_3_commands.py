"""The commands on a GPU: a run with NCCL, detection, the demo, and what `slowfast env` and benchmark say of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from slowfast.cli import benchmark, demo, env
from slowfast.cli.run import main as run_main
from slowfast.motion.detection import MotionAvaSpec
from slowfast.motion.files import write_set

RECIPE = "Motion/SLOWFAST_4x4_R18"


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_run_writes_figures(gpu, tiny_opts, tmp_path):
    assert run_main(["--cfg", RECIPE, "--gpus", "1", *tiny_opts]) == 0
    found = results_of(tmp_path / "out")
    assert 0 <= found["figures"]["top1"] <= 100
    assert torch.cuda.get_device_name() in json.dumps(found)
    assert "cudnn.benchmark on, TF32 off" in (tmp_path / "out" / "log.txt").read_text()


def test_a_run_with_deterministic_algorithms_repeats_itself(gpu, tiny_opts, tmp_path):
    for name in ("one", "other"):
        more = ["OUTPUT_DIR", str(tmp_path / name), "BACKEND.DETERMINISTIC", "True"]
        assert run_main(["--cfg", RECIPE, "--gpus", "1", *tiny_opts, *more]) == 0
    one, other = (
        torch.load(tmp_path / name / "checkpoints" / "checkpoint_epoch_00001.pyth", weights_only=True)["model_state"]
        for name in ("one", "other")
    )
    assert all(torch.equal(one[name], value) for name, value in other.items())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_one_process_of_torchrun_talks_through_nccl(gpu, dtype, tiny_opts, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", "-m", "slowfast"]
    overrides = ["TRAIN.MIXED_PRECISION", "True", "TRAIN.MIXED_PRECISION_DTYPE", dtype, "DIST_BACKEND", "nccl"]
    done = subprocess.run(
        [*command, "run", "--cfg", RECIPE, *tiny_opts, "NUM_GPUS", "1", *overrides],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert results_of(tmp_path / "out")["figures"]


def test_detection_trains_and_tests(gpu, tmp_path):
    root = write_set(tmp_path / "ava", MotionAvaSpec(num_train=2, num_val=1, num_seconds=3, height=32, width=56)).root
    opts = [
        "AVA.FRAME_DIR", str(root / "frames"), "AVA.FRAME_LIST_DIR", str(root / "frame_lists"),
        "AVA.ANNOTATION_DIR", str(root / "annotations"), "OUTPUT_DIR", str(tmp_path / "out"),
        "RESNET.WIDTH_PER_GROUP", "4", "DATA.TRAIN_JITTER_SCALES", "[32, 36]", "DATA.TRAIN_CROP_SIZE", "32",
        "DATA.TEST_CROP_SIZE", "32", "SOLVER.MAX_EPOCH", "1", "TRAIN.BATCH_SIZE", "2", "BN.NUM_BATCHES_PRECISE", "1",
        "DATA_LOADER.NUM_WORKERS", "0",
    ]  # fmt: skip
    assert run_main(["--cfg", "Motion/DETECTION_SLOWFAST_4x4_R18", "--gpus", "1", *opts]) == 0
    assert "mAP" in results_of(tmp_path / "out")["figures"]


def test_the_demo(gpu, tmp_path):
    assert demo.main(["--quick", "--gpus", "1", "--output", str(tmp_path / "demo")]) == 0
    rows = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert rows["SlowFast"]["direction"] > rows["Slow-only"]["direction"]


def test_the_machine_is_described(gpu):
    found = env.describe_machine()
    assert found["gpus"][0]["name"] == torch.cuda.get_device_name(0)
    assert found["process_groups"]["nccl"]["ok"] is not False


def test_the_benchmark_times_steps(gpu, tmp_path):
    path = tmp_path / "steps.json"
    options = ["--parts", "train", "eval", "--batch", "2", "--repeats", "1", "--gpus", "1", "--json", str(path)]
    assert benchmark.main(["--cfg", RECIPE, *options]) == 0
    found = json.loads(path.read_text())
    assert all(seconds > 0 for part in ("train", "eval") for seconds in found[part].values())
