"""``slowfast run``: what it takes, what it chooses for its user, and what it refuses before anything starts."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from slowfast.cli import run
from slowfast.cli.configs import load_config
from slowfast.cli.machine import settings_for
from slowfast.cli.main import main as slowfast_main
from slowfast.cli.run import build_parser, main, overrides_of
from slowfast.config import load_cfg, with_overrides
from slowfast.config.files import recipe_names
from slowfast.engine.launch import LaunchError, check_gpus

RECIPE = "Motion/SLOWFAST_4x4_R18"


@pytest.fixture
def jobs(monkeypatch):
    """The configs of the jobs that a command line starts; none of them runs."""
    started = []
    monkeypatch.setattr(run, "launch", lambda job, cfg, init_method: started.append(cfg))
    return started


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


# ---- the command line ----


@pytest.mark.parametrize(
    "names, opts",
    [
        (["a.yaml", "b/c.yml"], ["TRAIN.ENABLE", "False", "SOLVER.BASE_LR=0.1"]),
        (["Kinetics/SLOW_8x8_R50", "mine"], ["SOLVER.BASE_LR", "-1"]),
        (["SLOW.yaml", "X3D.yaml"], ["DATA.CLASS_NAMES", "names.yaml"]),  # no third config
    ],
)
def test_configs_end_where_overrides_begin(names, opts):
    args = build_parser().parse_args(["--cfg", *names, *opts])
    assert (args.cfg, args.opts) == (names, opts)


@pytest.mark.parametrize("argv", ["{flags} --cfg a.yaml", "--cfg a.yaml {flags}", "--cfg a.yaml LOG_PERIOD 5 {flags}"])
def test_machines_are_named_by_flags_before_or_after(argv):
    for flags in ("--num_shards 2 --shard_id 1", "--num-shards 2 --shard-id 1"):
        args = build_parser().parse_args([*argv.format(flags=flags).split(), "--init_method", "tcp://h:1"])
        assert overrides_of(args)[:4] == ["NUM_SHARDS", 2, "SHARD_ID", 1]
        assert args.cfg == ["a.yaml"] and args.init_method == "tcp://h:1"


def test_flags_are_short_for_keys(jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--output", "out", "--gpus", "0", "--workers", "3", "--checkpoint", "X3D_S"]
    assert main(["--cfg", RECIPE, *flags]) == 0
    (cfg,) = jobs
    assert (cfg.OUTPUT_DIR, cfg.NUM_GPUS, cfg.DATA_LOADER.NUM_WORKERS) == ("out", 0, 3)
    assert (cfg.TRAIN.CHECKPOINT_FILE_PATH, cfg.TEST.CHECKPOINT_FILE_PATH) == ("X3D_S", "")
    assert main(["--cfg", RECIPE, *flags, "TRAIN.ENABLE", "False"]) == 0
    assert (jobs[1].TRAIN.CHECKPOINT_FILE_PATH, jobs[1].TEST.CHECKPOINT_FILE_PATH) == ("", "X3D_S")


def test_a_flag_and_its_key_are_refused_together(jobs, refused):
    assert "--gpus and NUM_GPUS are the same setting" in refused(main, ["--cfg", RECIPE, "--gpus", "0", "NUM_GPUS=1"])
    assert not jobs


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--cfg", "NUM_GPUS", "0"], "'NUM_GPUS'"),
        (["--cfg", "Kinetics/SLOWFAST_8x8_R5"], "Did you mean Kinetics/SLOWFAST_8x8_R50?"),
        (["--cfg", RECIPE, "solver.base_lr", "0.1"], "Keys are upper case: SOLVER.BASE_LR."),
        (["--cfg", RECIPE, "SOLVER.BASE_LR:0.1"], "Write SOLVER.BASE_LR=0.1 or SOLVER.BASE_LR VALUE."),
        (["--cfg", RECIPE, "SOLVER.BASE_LR:", "0.1"], "Write SOLVER.BASE_LR=VALUE or SOLVER.BASE_LR VALUE."),
        (["--cfg", RECIPE, "SOLVER.BASE_LR"], "SOLVER.BASE_LR has no value. Write KEY value or KEY=value"),
        (["--cfg", RECIPE, "SOLVR.BASE_LR=0.1"], "Did you mean SOLVER.BASE_LR?"),
        (["--cfg", RECIPE, "--num-gpus", "1"], "there is no --num-gpus. Did you mean"),
        (["--cfg", RECIPE, "--gpus", "all"], "argument --gpus: 'all' is not a whole number"),
        ([], "the following arguments are required: --cfg"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(jobs, argv, message, capsys):
    try:
        assert main(argv) == 2
    except SystemExit as stop:
        assert stop.code == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert len(error.replace("(SLOWFAST_TRACEBACK=1 shows where it was raised)", "").strip().splitlines()) == 1
    assert not jobs


# ---- recipes from any folder ----


def test_the_readmes_leaf_runs_in_any_folder(jobs, tmp_path, monkeypatch):
    """The YAML of three lines in README.md, with a file of one's own beside it, from a third folder."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (leaf,) = re.findall(r"```yaml\n(.+?)```", readme, flags=re.DOTALL)
    write(tmp_path / "project" / "own.py", "")
    write(tmp_path / "project" / "leaf.yaml", leaf + "IMPORTS: [own.py]\nNUM_GPUS: 0\n")
    monkeypatch.chdir(tmp_path)
    assert main(["--cfg", "project/leaf"]) == 0
    (cfg,) = jobs
    assert cfg.SLOWFAST.FUSION == "TimeToChannelConcat" and cfg.SLOWFAST.ALPHA == 8
    assert cfg.IMPORTS == [str(tmp_path / "project" / "own.py")]


# ---- where results go ----


def test_without_an_output_folder_each_recipe_has_its_own(jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "elsewhere" / "mine.yaml", f"_BASE_: {RECIPE}\n")
    assert main(["--cfg", RECIPE, "elsewhere/mine.yaml", "NUM_GPUS", "0"]) == 0
    assert [cfg.OUTPUT_DIR for cfg in jobs] == [f"outputs/{RECIPE}", "outputs/mine"]


@pytest.mark.parametrize("folder", [".", "out"])
def test_an_output_folder_of_ones_own_is_taken_as_it_is(jobs, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    own = write(tmp_path / "mine.yaml", f"_BASE_: {RECIPE}\nOUTPUT_DIR: {folder}\nNUM_GPUS: 0\n")
    assert main(["--cfg", own]) == 0
    assert main(["--cfg", RECIPE, "NUM_GPUS", "0", "OUTPUT_DIR", folder]) == 0
    assert [cfg.OUTPUT_DIR for cfg in jobs] == [folder, folder]


@pytest.mark.parametrize("what", ["TRAIN", "TEST"])
def test_two_jobs_of_one_output_folder_are_refused_before_the_first_starts(jobs, tmp_path, what, capsys):
    other = {"TRAIN": "TEST", "TEST": "TRAIN"}[what]
    names = [write(tmp_path / f"{n}.yaml", f"_BASE_: {RECIPE}\n{other}: {{ENABLE: False}}\n") for n in "ab"]
    assert main(["--cfg", *names, "NUM_GPUS", "0", "OUTPUT_DIR", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"{names[0]} and {names[1]} would both {what.lower()} in OUTPUT_DIR={tmp_path / 'out'}" in error
    assert not jobs


def test_a_training_and_a_test_may_share_a_folder(jobs, tmp_path):
    trains = write(tmp_path / "a.yaml", f"_BASE_: {RECIPE}\nTEST: {{ENABLE: False}}\n")
    tests = write(tmp_path / "b.yaml", f"_BASE_: {RECIPE}\nTRAIN: {{ENABLE: False}}\n")
    assert main(["--cfg", trains, tests, "NUM_GPUS", "0", "OUTPUT_DIR", str(tmp_path / "out")]) == 0
    assert len(jobs) == 2


# ---- nothing to run ----


@pytest.mark.parametrize(
    "keys, message",
    [
        (["DEMO.ENABLE", "True"], "DEMO.ENABLE needs a video, but neither DEMO.INPUT_VIDEO nor DEMO.WEBCAM"),
        (["TENSORBOARD.ENABLE", "True"], "Alone, it draws an earlier test"),
        ([], "TRAIN.ENABLE and TEST.ENABLE are False. Set one of them True."),
    ],
)
def test_a_config_that_asks_for_nothing_is_an_error(jobs, tmp_path, keys, message, refused):
    """PySlowFast's demo files turn training and test off."""
    own = write(tmp_path / "demo.yaml", f"_BASE_: {RECIPE}\nTRAIN: {{ENABLE: False}}\nTEST: {{ENABLE: False}}\n")
    assert message in refused(main, ["--cfg", own, *keys])
    assert not jobs


# ---- the number of classes ----


def pets(folder: Path, *names: str) -> str:
    write(folder / "classids.json", json.dumps({name: label for label, name in enumerate(names)}))
    return str(folder)


def test_classes_follow_the_class_list_unless_they_are_set(tmp_path):
    data = ["DATA.PATH_TO_DATA_DIR", pets(tmp_path / "pets", "cat", "dog")]
    assert load_config(RECIPE).MODEL.NUM_CLASSES == 8
    assert load_config(RECIPE, data).MODEL.NUM_CLASSES == 2
    assert load_config(RECIPE, [*data, "MODEL.NUM_CLASSES", 3]).MODEL.NUM_CLASSES == 3
    own = write(tmp_path / "own.yaml", f"_BASE_: {RECIPE}\nMODEL: {{NUM_CLASSES: 3}}\n")
    assert load_config(own, data).MODEL.NUM_CLASSES == 3
    names = write(tmp_path / "names.txt", "a\nb\nc\nd\n")
    assert load_config(RECIPE, [*data, "DATA.CLASS_NAMES", names]).MODEL.NUM_CLASSES == 4


@pytest.mark.parametrize(
    "recipe, files, count",
    [
        ("SSv2/SLOWFAST_16x8_R50", {"labels.json": '{"A": "0", "B": "1", "C": "2"}'}, 3),
        ("Charades/SLOWFAST_16x8_R50", {"Charades_v1_classes.txt": "c000 Run\nc001 Sit\n"}, 2),
        ("UCF101/SLOWFAST_8x8_R50", {"classInd.txt": "1 Run\n2 Sit\n", "trainlist01.txt": "Run/v_1.avi 1\n"}, 2),
        ("HMDB51/SLOWFAST_8x8_R50", {f"{name}_test_split1.txt": "a.avi 1\n" for name in ("run", "sit")}, 2),
        ("AVA/SLOWFAST_32x2_R50_SHORT", {"labels.pbtxt": 'item { name: "wave" id: 3 }'}, 3),
    ],
)
def test_every_data_set_has_a_class_list(tmp_path, recipe, files, count):
    for name, text in files.items():
        write(tmp_path / name, text)
    overrides = [
        f"DATA.PATH_TO_DATA_DIR={tmp_path}",
        f"AVA.ANNOTATION_DIR={tmp_path}",
        "AVA.LABEL_MAP_FILE=labels.pbtxt",
    ]
    assert load_config(recipe, overrides).MODEL.NUM_CLASSES == count


def test_a_list_that_cannot_be_read_is_left_to_the_data_set(tmp_path):
    write(tmp_path / "classids.json", "{")
    assert load_config(RECIPE, ["DATA.PATH_TO_DATA_DIR", str(tmp_path)]).MODEL.NUM_CLASSES == 8
    assert load_config("SSv2/SLOWFAST_16x8_R50", ["DATA.PATH_TO_DATA_DIR", "nowhere"]).MODEL.NUM_CLASSES == 174


# ---- GPUs ----


def test_the_line_to_type_is_complete(jobs, tmp_path, monkeypatch, capsys):
    """The message's own line runs, on a machine with one GPU and without any."""
    monkeypatch.chdir(tmp_path)
    for present, start in ((1, "NUM_GPUS 1 TRAIN.BATCH_SIZE 8 SOLVER.BASE_LR 0.0125"), (0, "NUM_GPUS 0 TRAIN.BATCH")):
        monkeypatch.setattr("torch.cuda.device_count", lambda present=present: present)
        argv = ["--cfg", "Kinetics/SLOWFAST_8x8_R50", "--gpus", "8", "DATA.PATH_TO_DATA_DIR", "/data/my k400"]
        assert main(argv) == 2
        error = capsys.readouterr().err
        assert f"NUM_GPUS=8, but torch sees {present} GPU" in error
        (line,) = [line.strip() for line in error.splitlines() if line.startswith("  slowfast run ")]
        assert start in line and "DATA.PATH_TO_DATA_DIR '/data/my k400'" in line
        assert main(shlex.split(line)[2:]) == 0
        assert (jobs[-1].NUM_GPUS, jobs[-1].TRAIN.BATCH_SIZE, jobs[-1].TEST.BATCH_SIZE) == (present, 8, 8)


def test_the_line_is_as_it_was_typed(monkeypatch, refused):
    monkeypatch.setattr(sys, "argv", ["tools/run_net.py"])
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert "  python tools/run_net.py --cfg Kinetics/SLOWFAST_8x8_R50 NUM_GPUS 0 " in refused(
        main, ["--cfg", "Kinetics/SLOWFAST_8x8_R50"]
    )


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_fits_every_smaller_machine(name):
    cfg = load_cfg(name)
    for present in (0, 3)[: cfg.NUM_GPUS]:
        fitted = with_overrides(cfg, settings_for(cfg, present))
        assert fitted.NUM_GPUS == present
        processes = max(1, present)
        assert fitted.TEST.BATCH_SIZE == cfg.TEST.BATCH_SIZE // cfg.NUM_GPUS * processes
        if not cfg.TRAIN.ENABLE:
            continue
        ratio = fitted.TRAIN.BATCH_SIZE / cfg.TRAIN.BATCH_SIZE
        assert fitted.SOLVER.BASE_LR == pytest.approx(cfg.SOLVER.BASE_LR * ratio, rel=1e-4)
        assert fitted.TRAIN.BATCH_SIZE == cfg.TRAIN.BATCH_SIZE // cfg.NUM_GPUS * processes


def test_all_gpus_or_else_the_cpu(jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for present in (0, 2):
        monkeypatch.setattr("torch.cuda.device_count", lambda present=present: present)
        assert main(["--cfg", RECIPE, "--gpus", "auto"]) == 0
        assert main(["--cfg", RECIPE, "NUM_GPUS", "auto"]) == 0
        assert [cfg.NUM_GPUS for cfg in jobs[-2:]] == [present, present]


def test_more_gpus_than_present_says_what_to_type(monkeypatch):
    for present, said in ((0, r"0 GPUs here\. Add NUM_GPUS 0 to run on the CPU"), (2, r"2 GPUs here\. Add NUM_GPUS 2")):
        monkeypatch.setattr("torch.cuda.device_count", lambda present=present: present)
        with pytest.raises(LaunchError, match=f"NUM_GPUS=8, but torch sees {said}"):
            check_gpus(8)
    check_gpus(2)


# ---- errors ----


def test_an_unknown_command_lists_the_known(capsys):
    assert slowfast_main(["trian"]) == 2
    text = capsys.readouterr().err
    assert "there is no command 'trian'" in text
    assert "benchmark" in text and "motion" in text
