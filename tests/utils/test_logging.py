from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch

from slowfast.utils.errors import StorageError
from slowfast.utils.logging import SHOWN_ELSEWHERE, MetricWriter, count, format_figures, format_seconds, setup_logging
from slowfast.utils.run_writers import RunWriter


def lines(folder) -> list[dict]:
    return [
        json.loads(line, parse_constant=pytest.fail) for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def test_numbers_stay_numbers_and_what_json_has_no_word_for_is_null(tmp_path):
    writer = MetricWriter(tmp_path / "new")
    writer.write(3, {"train/loss": 4.5, "clips": np.int64(7), "lr": torch.tensor(0.25), "name": "x"})
    writer.write(4, {"a": float("nan"), "b": np.float32("inf"), "c": -float("inf")})
    assert lines(tmp_path / "new") == [  # on disk before it is closed
        {"step": 3, "train/loss": 4.5, "clips": 7, "lr": 0.25, "name": "x"},
        {"step": 4, "a": None, "b": None, "c": None},
    ]
    writer.close()


@pytest.mark.parametrize("start, kept", [(None, [1, 2, 3]), (2, [1, 2]), (0, []), (9, [1, 2, 3])])
def test_a_run_that_goes_on_drops_the_records_of_after_its_state(tmp_path, start, kept):
    writer = MetricWriter(tmp_path)
    for step in (1, 2, 3):
        writer.write(step, {})
    assert writer.num_records == 3
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "los')  # a process that was killed while it wrote
    writer = MetricWriter(tmp_path, start=start)
    assert writer.num_records == len(kept)
    writer.write(7, {})
    writer.close()
    assert [record["step"] for record in lines(tmp_path)] == [*kept, 7]


def test_records_that_cannot_be_written_are_one_message(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"metrics\.jsonl cannot be written: "):
        MetricWriter(tmp_path)
    writer = MetricWriter(tmp_path / "full")
    writer._file = open("/dev/full", "w")  # noqa: SIM115 - a disk without room
    with pytest.raises(StorageError, match=r"metrics\.jsonl cannot be written: the disk is full"):
        writer.write(1, {"a": 1})


def test_a_log_that_cannot_be_written_is_said_once(tmp_path, capsys):
    setup_logging(tmp_path)
    logger = logging.getLogger("slowfast")
    handler = next(h for h in logger.handlers if isinstance(h, logging.FileHandler))
    handler.stream = open("/dev/full", "w")  # noqa: SIM115
    for _ in range(3):
        logger.info("news")
    text = capsys.readouterr()
    assert text.err.count(f"{tmp_path}/log.txt cannot be written: the disk is full") == 1
    assert text.out.count("news") == 3 and "Traceback" not in text.err


@pytest.mark.parametrize(
    "arguments, text",
    [((1, "video"), "1 video"), ((0, "video"), "0 videos"), ((19796, "video"), "19,796 videos"),
     ((1, "batch"), "1 batch"), ((2, "batch"), "2 batches"), ((2, "process"), "2 processes"),
     ((2, "index", "indices"), "2 indices"), ((1, "index", "indices"), "1 index")],
)  # fmt: skip
def test_counted(arguments, text):
    assert count(*arguments) == text


def test_writers_get_the_scalars_after_the_step_that_they_begin_with(tmp_path):
    class Recorder(RunWriter):
        def __init__(self):
            self.calls = []

        def begin(self, step):
            self.calls.append(("begin", step))

        def scalars(self, step, values):
            self.calls.append((step, values))

        def close(self):
            self.calls.append("closed")

    recorder = Recorder()
    writer = MetricWriter(tmp_path, writers=[recorder])
    writer.write(4, {"loss": np.float32(0.5)})
    writer.write(5, {"loss": 1.5, "flag": True, "name": "x", "count": 2})
    writer.close()
    assert recorder.calls == [("begin", 4), (4, {"loss": 0.5}), (5, {"loss": 1.5, "count": 2}), "closed"]


@pytest.mark.parametrize(
    "seconds, expected",
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (125, "2:05"), (3599.7, "1:00:00"), (36_000, "10:00:00")],
)
def test_format_seconds(seconds, expected):
    assert format_seconds(seconds) == expected


def test_logs_go_to_the_terminal_and_to_a_file_once(tmp_path, capsys):
    for _ in range(2):  # again, as when several configs run in turn
        setup_logging(tmp_path / "run")
    logger = logging.getLogger("slowfast.some.part")
    logger.info("a line")
    logger.debug("too fine")
    logger.info("loss 1.0", extra=SHOWN_ELSEWHERE)  # by a bar
    shown = capsys.readouterr().out
    assert shown.count("slowfast.some.part: a line") == 1 and "loss" not in shown
    setup_logging(tmp_path / "later")
    logger.warning("late")
    text = (tmp_path / "run" / "log.txt").read_text()
    assert text.count("a line") == text.count("loss 1.0") == 1 and "too fine" not in text and "late" not in text
    assert "late" in (tmp_path / "later" / "log.txt").read_text()


def test_figures_stand_in_one_line_and_counts_without_decimals():
    assert format_figures({"mAP": 65.4567, "num_classes_scored": 8}) == "mAP 65.46  num_classes_scored 8"
