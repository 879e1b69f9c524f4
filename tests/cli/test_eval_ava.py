"""What ``slowfast eval-ava`` prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slowfast.cli import main as slowfast_command
from slowfast.cli.eval_ava import main

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "ava"  # sources: tests/data/README.md
GROUNDTRUTH, DETECTIONS = str(GOLDEN / "groundtruth.csv"), str(GOLDEN / "detections.csv")
OPTIONS = ["--label-map", str(GOLDEN / "label_map.pbtxt"), "--excluded", str(GOLDEN / "excluded_timestamps.csv")]


def test_the_report(capsys):
    assert slowfast_command.main(["eval-ava", GROUNDTRUTH, DETECTIONS, *OPTIONS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "class", "AP", "percent", "ground", "truth", "detections"]
    assert lines[1].split() == ["1", "bend/bow", "(at", "the", "waist)", "21.14", "12", "31"]
    assert len(lines) == 1 + 60 + 1 + 4
    # golden/ava/expected.json: 0.196481693
    assert lines[-4] == "mAP@0.5 19.65 percent (fraction 0.196482), protocol pyslowfast, mean over 12 of 60 classes"
    assert lines[-3].startswith("counted: 387 detections (box x class) and 107 ground-truth boxes")
    assert lines[-2:] == ["dropped detections: 37 excluded timestamp", "dropped groundtruth: 5 excluded timestamp"]


def test_classes_sorted_by_average_precision(capsys):
    main([GROUNDTRUTH, DETECTIONS, *OPTIONS, "--sort", "ap"])
    lines = capsys.readouterr().out.splitlines()[1:61]
    values = [line.split()[-3] for line in lines]
    scored = [float(value) for value in values if value != "-"]
    assert scored == sorted(scored, reverse=True)
    assert values == [f"{value:.2f}" for value in scored] + ["-"] * 48


def test_the_json_names_units_and_protocol(tmp_path):
    file = tmp_path / "result.json"
    main([GROUNDTRUTH, DETECTIONS, *OPTIONS[:2], "--protocol", "official", "--json", str(file)])
    record = json.loads(file.read_text())
    assert record["protocol"] == "official"
    assert record["mAP_percent"] == pytest.approx(100 * record["mAP_fraction"])
    assert record["ap_fraction"]["walk"] is None
    assert record["files"]["detections"] == [DETECTIONS]
    assert record["counts"]["duplicate_detections"] == 0


def test_an_ensemble_of_a_file_with_itself_is_that_file(tmp_path, capsys):
    merged = tmp_path / "merged.csv"
    assert main([GROUNDTRUTH, DETECTIONS, DETECTIONS, *OPTIONS, "--weights", "3", "1", "--output", str(merged)]) == 0
    assert main([GROUNDTRUTH, str(merged), *OPTIONS]) == 0
    reports = capsys.readouterr().out.split("  id  class")[1:]
    assert reports[0] == reports[1]
    assert "fraction 0.196482" in reports[0]
    assert merged.read_text().splitlines()[0] == "vid000,0902,0.043,0.052,0.149,0.402,6,0.100347"


def test_a_part_of_the_boxes_is_an_error_unless_zero(tmp_path, refused):
    part = tmp_path / "part.csv"
    part.write_text("".join(Path(DETECTIONS).read_text().splitlines(keepends=True)[:100]))
    assert "324 of 424 (image, box, class) are not in all of detections.csv, part.csv" in refused(
        main, [GROUNDTRUTH, DETECTIONS, str(part), *OPTIONS]
    )
    assert main([GROUNDTRUTH, DETECTIONS, str(part), *OPTIONS, "--missing", "zero"]) == 0


def test_repeated_rows_are_told_and_dropped_on_demand(tmp_path, capsys):
    rows = Path(DETECTIONS).read_text().splitlines(keepends=True)
    padded = tmp_path / "padded.csv"
    padded.write_text("".join(rows + rows[:20]))
    main([GROUNDTRUTH, str(padded), *OPTIONS])
    assert "rows that repeat another: 20 (counted; --deduplicate drops them)" in capsys.readouterr().out
    main([GROUNDTRUTH, str(padded), *OPTIONS, "--deduplicate"])
    out = capsys.readouterr().out
    assert "rows that repeat another: 20 (dropped)" in out
    assert "fraction 0.196482" in out


def test_errors_are_one_message(tmp_path, refused):
    assert "error: cannot read" in refused(main, [GROUNDTRUTH, str(tmp_path / "none.csv"), *OPTIONS])
    assert "groundtruth.csv:1: 7 columns" in refused(main, [GROUNDTRUTH, GROUNDTRUTH, *OPTIONS])
