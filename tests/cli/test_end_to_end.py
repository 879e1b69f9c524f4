"""The command line as a user runs it, on real video files; in processes of its own where that is what is tested."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.cli.demo import main as demo
from slowfast.cli.run import main
from tests.cli.runs import RECIPE, keys, output_of, records_of, results_of, table
from tests.faults import run_job, start_group


def run(*arguments) -> int:
    """In this process, without worker processes: starting one takes seconds."""
    return main(["--cfg", RECIPE, *map(str, arguments)])


def test_train_test_resume_test(tiny_opts, capsys):
    out = output_of(tiny_opts)
    log = out.parent / "log"
    opts = keys("TEST.REPORT=True LOG_MODEL_INFO=True DATA_LOADER.NUM_WORKERS=1")
    assert run_job(["--cfg", RECIPE, *tiny_opts, *opts], log=log) == 0, log.read_text()
    shown = log.read_text()
    assert re.search(r"SlowFast: [\d,]+ parameters, [\d.]+ GFLOPs and .* a clip of 8 frames at 32 pixels", shown)
    assert f"wrote {out / 'report.html'}" in shown and (out / "report.html").stat().st_size > 30_000
    assert "test (2 clips x 3 crops, sum of the scores; 8 frames" in shown
    assert shown.count("6 videos to test on") == 1  # of the two times that the list is read
    results = results_of(out)
    assert results["num_videos"] == 6 and results["num_failed"] == 0
    assert results["weights"].endswith("checkpoint_epoch_00001.pyth")
    assert "SOLVER" in results["config"] and results["versions"]["torch"] == torch.__version__
    rows = table(out / "predictions.csv")
    assert len(rows) == 6
    assert all("-spin-" in row["label_name"] or "-orbit-" in row["label_name"] for row in rows)
    records = records_of(out)
    assert [r["step"] for r in records if "train/loss" in r] == [1, 2]
    assert [r["epoch"] for r in records if "val/clip_top1" in r] == [1]
    first_scores = np.load(out / "predictions.npz")["scores"]

    assert run(*tiny_opts, "TRAIN.ENABLE", "False") == 0  # the same weights, the same scores
    assert np.array_equal(np.load(out / "predictions.npz")["scores"], first_scores)

    assert run(*tiny_opts, "SOLVER.MAX_EPOCH", "2") == 0
    shown = capsys.readouterr().out
    assert "resuming from" in shown and "from epoch 2 to 2" in shown
    assert (out / "checkpoints" / "checkpoint_epoch_00002.pyth").is_file()
    assert not np.array_equal(np.load(out / "predictions.npz")["scores"], first_scores)


@pytest.mark.slow
def test_two_epochs_and_two_resumed_equal_four_straight(tiny_opts, tmp_path):
    """Bitwise, through loaders and precise batch norm, when a new process with workers goes on."""
    opts = [*tiny_opts, "TEST.ENABLE", "False", "MODEL.DROPOUT_RATE", "0.5"]
    opts += ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", "[0, 3]", "SOLVER.LRS", "[1, 0.1]"]
    straight, resumed = (["OUTPUT_DIR", tmp_path / name, "SOLVER.MAX_EPOCH"] for name in ("straight", "resumed"))
    assert run(*opts, *straight, 4) == 0
    assert run(*opts, *resumed, 2) == 0
    log = tmp_path / "log"
    assert run_job(["--cfg", RECIPE, *opts, *resumed, 4, "DATA_LOADER.NUM_WORKERS", 1], log=log) == 0, log.read_text()
    paths = [tmp_path / name / "checkpoints/checkpoint_epoch_00004.pyth" for name in ("straight", "resumed")]
    one, other = (torch.load(path, weights_only=True)["model_state"] for path in paths)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_two_gloo_processes_train_and_test(tiny_opts, tmp_path):
    """In torchrun's environment, on CPUs: the shards together are the whole list, and one evaluation comes out."""
    group = start_group(["--cfg", RECIPE, *tiny_opts, "NUM_GPUS=0"], log=tmp_path / "log", size=2, of_machine=2)
    for process in group:
        process.join(100)
    log = (tmp_path / "log0").read_text()
    assert [process.exitcode for process in group] == [0, 0], log
    assert "in batches of 4 (2 processes), 2 steps per epoch" in log
    out = output_of(tiny_opts)
    together = np.load(out / "predictions.npz")
    weights = out / "checkpoints" / "checkpoint_epoch_00001.pyth"
    alone = ["TRAIN.ENABLE", "False", "OUTPUT_DIR", tmp_path / "alone", "TEST.CHECKPOINT_FILE_PATH", weights]
    assert run(*tiny_opts, *alone) == 0
    single = np.load(tmp_path / "alone" / "predictions.npz")
    np.testing.assert_allclose(together["scores"], single["scores"], rtol=1e-5)
    assert together["paths"].tolist() == single["paths"].tolist()
    both = [results_of(folder)["figures"] for folder in (out, tmp_path / "alone")]
    assert both[0] == both[1]
    analyses = [json.loads((folder / "analysis.json").read_text()) for folder in (out, tmp_path / "alone")]
    for key in ("accuracy_by_views", "confusion", "per_class"):
        assert analyses[0][key] == analyses[1][key]
    assert analyses[0]["accuracy_by_views"] and both[0]["top1"] == analyses[0]["accuracy_by_views"][-1]["top1"]
    wrong = [{row["index"] for row in analysis["wrong_videos"]} for analysis in analyses]
    assert wrong[0] == wrong[1] and all((out / row["frames"]).is_file() for row in analyses[0]["wrong_videos"])


TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]


@pytest.mark.parametrize("launcher", [[], pytest.param(TORCHRUN, marks=pytest.mark.slow)], ids=["python", "torchrun"])
def test_the_script_runs_from_any_folder(launcher, tiny_opts, tmp_path):
    script = Path(__file__).parents[2] / "tools/run_net.py"
    command = [sys.executable, *launcher, str(script), "--cfg", RECIPE, *map(str, tiny_opts), "NUM_GPUS=0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert ("in batches of 4 (2 processes)" in done.stdout) == bool(launcher)
    assert results_of(output_of(tiny_opts))["num_videos"] == 6


def test_two_files_are_two_jobs(tiny_opts, tmp_path, monkeypatch, capsys):
    """Each in a folder of its own below the working directory, which is none of the package's."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("_BASE_: Motion/SLOWFAST_4x4_R18\nTEST:\n  ENABLE: False\n")
    at = tiny_opts.index("OUTPUT_DIR")
    assert main(["--cfg", "a.yaml", "b", "--opts", *tiny_opts[:at], *tiny_opts[at + 2 :]]) == 0
    assert capsys.readouterr().out.count("training on 8 videos") == 2
    for name in "ab":
        assert (tmp_path / "outputs" / name / "checkpoints" / "checkpoint_epoch_00001.pyth").is_file()
        log = (tmp_path / "outputs" / name / "log.txt").read_text()
        assert f"OUTPUT_DIR outputs/{name} (no config and no override sets it)" in log


def test_what_is_seldom_meant_is_a_warning_in_the_log(tiny_opts, capsys):
    opts = [*tiny_opts, "SOLVER.WARMUP_EPOCHS", "500", "TEST.ENABLE", "False"]
    assert run(*opts) == 0
    log = (output_of(tiny_opts) / "log.txt").read_text()
    (line,) = [line for line in log.splitlines() if "SOLVER.WARMUP_EPOCHS=500.0 exceeds" in line]
    assert " W slowfast" in line
    shown = capsys.readouterr()
    assert shown.out.count("SOLVER.WARMUP_EPOCHS=500.0 exceeds") == 1 and not shown.err


@pytest.mark.parametrize(
    "extra, message",
    [
        (["NUM_GPUS", "4"], "NUM_GPUS=4, but torch sees"),
        (["SLOWFAST.ALPA", "4"], "SLOWFAST.ALPA"),
        (["TRAIN.ENABLE", "False"], "no weights to test"),
        (["DATA.PATH_TO_DATA_DIR", "/nowhere"], "/nowhere/test.csv"),
        (["TRAIN.BATCH_SIZE", "16"], "8 training videos do not fill one batch of TRAIN.BATCH_SIZE=16"),
        (["MODEL.NUM_CLASSES", "3"], "3"),
        (["DATA.NUM_FRAMES", "10"], "10"),
    ],
)
def test_what_a_user_gets_wrong_is_one_message(tiny_opts, extra, message, refused):
    assert message in refused(run, *tiny_opts, *extra)


def test_a_broken_video_is_replaced_in_training_and_wrong_in_the_test(tiny_opts, tiny_motion, tmp_path, capsys):
    lists = tmp_path / "lists"
    lists.mkdir()
    broken = tmp_path / "broken.mp4"
    broken.write_text("this is no video")
    for split in ("train", "val", "test"):
        rows = [line.split() for line in (tiny_motion / f"{split}.csv").read_text().splitlines()]
        rows[0][0] = str(broken)
        (lists / f"{split}.csv").write_text("".join(f"{tiny_motion / path} {label}\n" for path, label in rows))
    assert run(*tiny_opts, "DATA.PATH_TO_DATA_DIR", lists) == 0
    shown = capsys.readouterr().out
    assert "train.csv:1: cannot open" in shown and "Another video took its place" in shown
    results = results_of(output_of(tiny_opts))
    assert results["num_videos"] == 6 and results["num_failed"] == 1
    assert "test.csv:1" in results["failures"][0]["reason"]


@pytest.mark.slow
def test_slow_alone_does_not_see_direction(tmp_path, monkeypatch, capsys):
    """From nothing to a table, in a folder of one's own: the sign of the demo's figures on its smallest set."""
    monkeypatch.chdir(tmp_path)
    assert demo(["--quick"]) == 0, capsys.readouterr().err
    out = tmp_path / "demo_output"
    rows = json.loads((out / "demo.json").read_text())
    assert rows["SlowFast"]["direction"] == rows["SlowFast"]["top1"] >= 75
    assert rows["Slow-only"]["direction"] <= 65  # 50 is chance; of 96 videos, three standard deviations more
    shown = capsys.readouterr().out
    assert "Motion data set: demo_output/motion (written in" in shown and "chance is 50.0 % top-1" in shown
    assert re.search(r"^SlowFast +[7-9]\d\.\d|^SlowFast +100.0", shown, re.MULTILINE)
    assert (out / "comparison.png").stat().st_size > 10_000
    assert (out / "samples.png").stat().st_size > 10_000
