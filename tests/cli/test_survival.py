"""Runs that are killed, stopped, starved and hindered: they end with one line, and the same command goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.cli.run import main
from slowfast.utils.download import DownloadError
from tests.cli.runs import RECIPE, keys, records_of
from tests.faults import Fault, end_all, run_job, start_group, start_job

SECONDS_OF_EXCHANGE = {"slowfast.engine.watch._SILENT_SECONDS": 3.0, "slowfast.engine.watch._UNWIND_SECONDS": 1.0,
                       "slowfast.engine.watch._SILENT_SECONDS_AFTER_AN_ERROR": 3.0,
                       "slowfast.engine.watch._SUSPICIOUS_SECONDS": 2.0}  # fmt: skip


@pytest.fixture(autouse=True)
def no_process_stays():
    yield
    end_all()


@pytest.fixture
def job(tiny_motion, tmp_path) -> Callable[..., list]:
    """``job("out", "KEY", value, ...)``: arguments of two epochs of four steps, validation, and a test."""
    settings = keys(
        "DATA.NUM_FRAMES=8 DATA.TRAIN_JITTER_SCALES=[32,36] DATA.TRAIN_CROP_SIZE=32 DATA.TEST_CROP_SIZE=32 "
        "RESNET.WIDTH_PER_GROUP=8 SOLVER.MAX_EPOCH=2 TRAIN.BATCH_SIZE=2 TRAIN.CHECKPOINT_PERIOD=1 NUM_GPUS=0 "
        "TRAIN.MIXED_PRECISION=False LOG_MODEL_INFO=False TEST.NUM_ENSEMBLE_VIEWS=1 TEST.NUM_SPATIAL_CROPS=1 "
        "DATA_LOADER.NUM_WORKERS=0 LOG_PERIOD=3 BN.NUM_BATCHES_PRECISE=2 MODEL.DROPOUT_RATE=0.5 TRAIN.BEST_FIGURE=top5"
    )
    settings += ["DATA.PATH_TO_DATA_DIR", tiny_motion, "OUTPUT_DIR"]
    return lambda name, *more: ["--cfg", RECIPE, *map(str, [*settings, tmp_path / name, *more])]


def outcome(folder: Path) -> tuple:
    """Weights, optimizer and the rest of the last state, the records without times, and the scores of the test."""
    state = torch.load(folder / "checkpoints" / "checkpoint_epoch_00002.pyth", weights_only=True)
    unsure = ("seconds", "share", "per_second")
    kept = [{k: v for k, v in record.items() if not k.endswith(unsure)} for record in records_of(folder)]
    scores = np.load(folder / "predictions.npz")["scores"]
    return {key: state[key] for key in ("model_state", "optimizer_state", "states", "step")}, kept, scores.tolist()


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def assert_clean(folder: Path) -> None:
    """Nothing is left of what was stopped."""
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["best.pyth", "checkpoint_epoch_00001.pyth", "checkpoint_epoch_00002.pyth"]
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "partial"))]


# Results are kept in files every so many seconds; here at once.
AT_ONCE = {"slowfast.engine.partial_scores._WRITE_SECONDS": 0.0}


def test_a_run_that_is_killed_and_stopped_ends_as_one_that_was_not(job, tmp_path):
    """Killed, then stopped by a signal, each time after a third of what is left (of about 9,000 moments)."""
    log = tmp_path / "log"
    arguments = job("out", "TRAIN.CHECKPOINT_MINUTES", 1e-9)
    for fault, code in (
        (Fault(kill_at_call=random.Random(1).randrange(2000, 4000), patches=AT_ONCE), -signal.SIGKILL),
        (Fault(signal_at_call=random.Random(2).randrange(1000, 3000), signal=signal.SIGUSR1, patches=AT_ONCE), 75),
        (None, 0),
    ):
        assert run_job(arguments, log=log, fault=fault) == code, log.read_text()
    assert run_job(job("straight"), log=tmp_path / "straight.log") == 0
    assert same(outcome(tmp_path / "out"), outcome(tmp_path / "straight"))
    assert_clean(tmp_path / "out")
    assert "the same command resumes from there." in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "SIGTERM"])
def test_any_of_twenty_moments(job, tmp_path, how):
    log, count_file = tmp_path / "straight.log", tmp_path / "count"
    assert run_job(job("straight"), log=log, fault=Fault(patches=AT_ONCE), count_file=count_file) == 0, log.read_text()
    expected, num_moments = outcome(tmp_path / "straight"), json.loads(count_file.read_text())
    for seed in range(20):
        rng = random.Random(seed)
        moment, minutes = rng.randrange(1, num_moments), rng.choice([0.0, 1e-9])
        fault = Fault(**{"kill_at_call" if how == "kill" else "signal_at_call": moment}, patches=AT_ONCE)
        arguments, log = job(f"out{seed}", "TRAIN.CHECKPOINT_MINUTES", minutes), tmp_path / f"log{seed}"
        code = run_job(arguments, log=log, fault=fault)
        # A signal after the last step of the test finds nothing to stop.
        assert code == (-signal.SIGKILL if how == "kill" else 75) or (code == 0 and moment > 0.95 * num_moments)
        assert run_job(arguments, log=log) == 0, log.read_text()
        assert same(outcome(tmp_path / f"out{seed}"), expected), f"moment {moment}"
        assert_clean(tmp_path / f"out{seed}")


def test_a_second_signal_ends_a_run_at_once(job, tmp_path):
    process = start_job(job("out"), log=tmp_path / "log", fault=Fault(action="hang", at_step=2))
    wait_for(lambda: "training on" in read(tmp_path / "log"))
    time.sleep(1)
    os.kill(process.pid, signal.SIGTERM)
    wait_for(lambda: "SIGTERM: stopping after this step; send it again to exit at once" in read(tmp_path / "log"))
    os.kill(process.pid, signal.SIGTERM)
    process.join(20)
    assert process.exitcode == -signal.SIGTERM


def read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def wait_for(happens: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def children(pid: int) -> set[int]:
    """Processes that ``pid`` started."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_folder_has_one_training_and_no_orphan_outlives_it(job, tmp_path, refused):
    """The second run names the first; when that is killed its loading processes end, and the folder is free again."""
    log = tmp_path / "log"
    hang = Fault(action="hang", at_step=2)
    process = start_job(job("out", "DATA_LOADER.NUM_WORKERS", 2), log=log, fault=hang)
    wait_for(lambda: len(children(process.pid)) >= 2 and "training on" in read(log))
    before = set((tmp_path / "out").iterdir())
    message = refused(main, job("out"))
    assert f"{tmp_path / 'out'} is in use by process {process.pid} on {socket.gethostname()}, started 20" in message
    assert "Choose another OUTPUT_DIR" in message
    assert before <= set((tmp_path / "out").iterdir())
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 10)
    assert main(job("out", "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False)) == 0
    assert not (tmp_path / "out" / ".lock").exists()


# --- what stands in the way ---


def test_a_full_disk_is_one_line(job, tmp_path):
    log = tmp_path / "log"
    assert run_job(job("out"), log=log, fault=Fault(file_size_limit=200_000)) == 2
    *_, line, _hint = log.read_text().splitlines()
    assert line.startswith(f"error: {tmp_path}/out/checkpoints/checkpoint_epoch_00001")
    assert "cannot be written: " in line and "What was saved" not in line.split("cannot")[0]
    assert "Traceback" not in log.read_text()
    assert not list((tmp_path / "out" / "checkpoints").glob(".part*"))


def test_an_occupied_output_folder_is_one_line(job, tmp_path, refused):
    (tmp_path / "out").write_text("a file")
    assert f"OUTPUT_DIR='{tmp_path}/out' cannot be written to: a file stands where" in refused(main, job("out"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_folder_is_one_line(job, tmp_path, refused):
    (tmp_path / "out").mkdir(mode=0o555)
    assert "cannot be written to: permission denied" in refused(main, job("out"))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("TEST.DATASET", "nothing", "there is no data set 'nothing'"),
        ("TEST.EVALUATOR", "nothing", "nothing"),
        ("TEST.CHECKPOINT_FILE_PATH", "absent.pyth", "TEST.CHECKPOINT_FILE_PATH: there is no checkpoint absent.pyth"),
        ("TRAIN.CHECKPOINT_FILE_PATH", "absent.pyth", "TRAIN.CHECKPOINT_FILE_PATH: there is no checkpoint absent.pyth"),
        ("TRAIN.TRAINER", "nothing", "TRAIN.TRAINER: there is no trainer 'nothing'"),
    ],
)
def test_what_is_missing_is_said_before_the_first_step(job, tmp_path, refused, key, value, message):
    assert message in refused(main, job("out", key, value))
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        ("a text", "cannot be read as a checkpoint"),
        ("weights of another model", "belongs to a different model, so a result"),
    ],
)
def test_weights_that_the_test_cannot_use_are_found_before_the_first_step(job, tmp_path, capsys, content, message):
    path = tmp_path / "weights.pyth"
    if content == "a text":
        path.write_text(content)
    else:
        torch.save({"model_state": {"head.classifier.weight": torch.zeros(2, 2)}}, path)
    assert main(job("out", "TEST.CHECKPOINT_FILE_PATH", path)) == 2
    captured = capsys.readouterr()
    assert f"{path} {message}" in captured.err and message not in captured.out
    assert not (tmp_path / "out" / "metrics.jsonl").exists()
    assert f"{path} {message}" in (tmp_path / "out" / "log.txt").read_text(), "the reason is in the log file, too"


@pytest.mark.parametrize("group", ["TRAIN", "TEST"])
def test_weights_by_name_are_fetched_before_the_first_step(job, tmp_path, refused, monkeypatch, group):
    def fetch(entry):
        raise DownloadError(f"{entry.name} is fetched now")

    monkeypatch.setattr("slowfast.models.weights.load.fetch_entry", fetch)
    key = f"{group}.CHECKPOINT_FILE_PATH"
    assert f"error: {key}: Kinetics/X3D_S is fetched now" in refused(main, job("out", key, "X3D_S"))
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_weights_to_start_from_may_be_gone_when_a_training_goes_on(job):
    assert main(job("out", "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False)) == 0
    assert main(job("out", "TRAIN.CHECKPOINT_FILE_PATH", "gone.pyth", "TEST.ENABLE", False)) == 0


def test_a_missing_list_of_the_test_is_said_before_the_first_step(job, tmp_path, tiny_motion, refused):
    lists = tmp_path / "lists"
    lists.mkdir()
    for split in ("train", "val"):
        rows = [line.split() for line in (tiny_motion / f"{split}.csv").read_text().splitlines()]
        (lists / f"{split}.csv").write_text("".join(f"{tiny_motion / path} {label}\n" for path, label in rows))
    assert f"{lists}/test.csv" in refused(main, job("out", "DATA.PATH_TO_DATA_DIR", lists))
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


# --- several processes ---


def lines_of(log: Path, size: int = 2) -> list[str]:
    return [Path(f"{log}{rank}").read_text() for rank in range(size)]


@pytest.mark.parametrize(
    "actions",
    [{"kill": -signal.SIGKILL}, pytest.param({"raise": 1, "hang": 70}, marks=pytest.mark.slow)],
    ids=lambda actions: " and ".join(actions),
)
def test_when_one_dies_or_hangs_the_others_name_it(job, tmp_path, actions):
    """Groups at once. A process that hangs is given up after DIST_TIMEOUT, one that is gone much sooner."""
    groups = {
        action: start_group(
            job(action, "TRAIN.BATCH_SIZE", 1, "DIST_TIMEOUT", 6, "TEST.ENABLE", False),
            log=tmp_path / action,
            size=2,
            fault=Fault(action=action, at_step=3, rank=1, patches=SECONDS_OF_EXCHANGE),
        )
        for action in actions
    }
    for action, processes in groups.items():
        for process in processes:
            process.join(100)
        first, second = lines_of(tmp_path / action)
        assert [p.exitcode for p in processes] == [70, actions[action]], first + second
        (line,) = [line for line in first.splitlines() if line.startswith("error: ")]
        pid = processes[1].pid
        assert f"process 1 ({socket.gethostname()}, process {pid}, epoch 1/2, batch " in line
        cause = {"kill": "did not respond for", "raise": "failed: RuntimeError: an injected fault",
                 "hang": "made no progress for more than 6 seconds (DIST_TIMEOUT"}[action]  # fmt: skip
        assert cause in line
        assert "Traceback" not in first


def test_a_group_stops_together_and_goes_on(job, tmp_path):
    arguments = job("out", "TRAIN.BATCH_SIZE", 1, "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False)
    terminate = Fault(action="SIGTERM", at_step=2, rank=1)
    for fault, code, text in (
        (terminate, 75, "checkpoint_epoch_00000_batch_000002"),
        (None, 0, "epoch 1, batch 3 to 1"),
    ):
        processes = start_group(arguments, log=tmp_path / f"log{code}", size=2, fault=fault)
        for process in processes:
            process.join(100)
        logs = lines_of(tmp_path / f"log{code}")
        assert [process.exitcode for process in processes] == [code] * 2, logs
        assert text in logs[0] and "Traceback" not in "".join(logs)
