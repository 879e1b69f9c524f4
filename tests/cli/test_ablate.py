"""``slowfast ablate``: which configs, which runs, and the table of them."""

import json

import pytest

from slowfast.cli.ablate import FOLDER, GROUPS, Row, config_of, default_names, format_table, main, write_report
from slowfast.config.files import recipe_names

SMALL = [
    "DATA.TRAIN_JITTER_SCALES", "[32, 36]", "DATA.TRAIN_CROP_SIZE", "32", "DATA.TEST_CROP_SIZE", "32",
    "RESNET.WIDTH_PER_GROUP", "8", "SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_EPOCHS", "0.0", "TRAIN.BATCH_SIZE", "4",
    "TRAIN.MIXED_PRECISION", "False", "TRAIN.EVAL_PERIOD", "0", "TEST.NUM_ENSEMBLE_VIEWS", "1",
    "TEST.NUM_SPATIAL_CROPS", "1", "DATA_LOADER.NUM_WORKERS", "0", "BN.NUM_BATCHES_PRECISE", "1",
]  # fmt: skip


def test_every_leaf_has_a_group_and_every_name_of_a_group_is_a_leaf():
    leaves = {name.removeprefix(FOLDER) for name in recipe_names() if name.startswith(FOLDER)}
    assert leaves == {name for names in GROUPS.values() for name in names}
    assert default_names()[:3] == ["slow_only", "fast_only", "t_conv"]


def test_a_row_is_a_leaf_a_recipe_or_a_file(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("")
    assert config_of("t_conv").parts[-3:] == ("Motion", "ablations", "t_conv.yaml")
    assert config_of("Kinetics/SLOW_8x8_R50").name == "SLOW_8x8_R50.yaml"
    assert config_of(str(own)) == own


def test_the_table_gives_mean_and_spread_over_the_seeds():
    rows = [Row("a", "top1", {0: 50.0, 1: 60.0, 2: 70.0}, 1.25, 1000), Row("b", "top1", {0: 50.0}, 1.25, 1000)]
    lines = format_table(rows).splitlines()
    assert lines[0].startswith("| config | top1 mean | spread | each seed |")
    assert lines[2] == "| a | 60.0 | 10.0 | 50.0, 60.0, 70.0 | 1.250 | 1,000 |"
    assert lines[3] == "| b | 50.0 |  | 50.0 | 1.250 | 1,000 |"


def test_the_report_states_the_claims_whose_rows_it_has(tmp_path):
    rows = [
        Row("t_conv", "top1", {0: 60.0, 1: 62.0, 2: 61.0}, 1.0, 10),
        Row("slow_only", "top1", {0: 50.0, 1: 51.0, 2: 51.5}, 1.0, 10),
    ]
    write_report(tmp_path, rows, command="slowfast ablate")
    text = (tmp_path / "ablation.md").read_text()
    assert "t_conv - slow_only = 10.2 points, 95 % CI [8.3, 12.1], 3 seeds | holds |" in text
    write_report(tmp_path, [*rows, rows[0]], command="slowfast ablate")  # two rows of one name: whose claim would it be
    assert "the paper's claim" not in (tmp_path / "ablation.md").read_text()


def test_runs_are_made_once_and_reported(tiny_motion, tmp_path, capsys):
    command = ["--output", str(tmp_path), "--data", str(tiny_motion), "--seeds", "1"]
    names = ["--cfg", "slow_only", "time_difference", *SMALL]
    assert main([*command, *names]) == 0
    assert "[2/2] time_difference seed 0: top1" in capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads((tmp_path / "ablation.json").read_text())}
    assert list(rows) == ["slow_only", "time_difference"]
    for name, row in rows.items():
        (results,) = (tmp_path / "runs" / name).glob("seed0-*/results.json")
        assert row["mean"] == json.loads(results.read_text())["figures"]["top1"]
        assert row["spread"] is None and row["gflops"] > 0
        assert f"| {name} |" in (tmp_path / "ablation.md").read_text()
    assert (tmp_path / "ablation.png").stat().st_size > 1000
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("results.json")}
    assert main([*command, *names]) == 0
    assert "[2/2] time_difference seed 0: top1" in (said := capsys.readouterr().out) and "there already" in said
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("results.json")}
    names[1:3] = ["slow_only"]
    assert main([*command, *names, "SOLVER.BASE_LR", "0.001"]) == 0  # another budget is another run
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("results.json")}
    assert before.items() < after.items() and len(after) == 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["SOLVER.MAX_EPOCHS", "1"], r"Did you mean SOLVER.MAX_EPOCH?"),
        (["--cfg", "t_conf"], r"t_conf"),
    ],
)
def test_a_wrong_argument_is_said_before_anything_runs(arguments, message, tiny_motion, tmp_path, refused):
    assert message in refused(main, ["--output", str(tmp_path / "out"), "--data", str(tiny_motion), *arguments])
    assert not (tmp_path / "out" / "runs").exists()
