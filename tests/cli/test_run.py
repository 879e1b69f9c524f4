"""Arguments of run_net.py."""

import pytest

from slowfast.cli.main import main as slowfast_main
from slowfast.cli.run import parse_args
from slowfast.engine import launch


def test_overrides_with_and_without_the_word_opts():
    for words in (["--opts"], []):
        args = parse_args(["--cfg", "a.yaml", *words, "NUM_GPUS", "0", "SOLVER.BASE_LR", "-1"])
        assert args.cfg_files == ["a.yaml"]
        assert args.opts == ["NUM_GPUS", "0", "SOLVER.BASE_LR", "-1"]


def test_several_files_are_several_jobs():
    args = parse_args(["--cfg", "a.yaml", "b/c.yml", "TRAIN.ENABLE", "False"])
    assert args.cfg_files == ["a.yaml", "b/c.yml"]
    assert args.opts == ["TRAIN.ENABLE", "False"]


def test_a_yaml_in_an_override_is_no_job():
    args = parse_args(["--cfg", "a.yaml", "DATA.CLASS_NAMES", "names.yaml"])
    assert args.cfg_files == ["a.yaml"]
    assert args.opts == ["DATA.CLASS_NAMES", "names.yaml"]


def test_machines_are_named_by_flags_before_or_after():
    for argv in (
        ["--num_shards", "2", "--shard_id", "1", "--cfg", "a.yaml"],
        ["--cfg", "a.yaml", "--num_shards", "2", "--shard_id", "1"],
    ):
        args = parse_args([*argv, "--init_method", "tcp://h:1"])
        assert args.opts == ["NUM_SHARDS", 2, "SHARD_ID", 1]
        assert args.init_method == "tcp://h:1"


def test_a_first_word_that_is_no_yaml_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_args(["--cfg", "NUM_GPUS", "0"])
    assert "--cfg needs a .yaml file first, got 'NUM_GPUS'" in capsys.readouterr().err


def test_more_gpus_than_present_says_what_to_type(monkeypatch):
    monkeypatch.setattr(launch.torch.cuda, "device_count", lambda: 0)
    with pytest.raises(
        launch.LaunchError, match=r"NUM_GPUS=8, but torch sees 0 GPUs here\. Add NUM_GPUS 0 to run on the CPU"
    ):
        launch.check_gpus(8)
    monkeypatch.setattr(launch.torch.cuda, "device_count", lambda: 2)
    with pytest.raises(launch.LaunchError, match=r"NUM_GPUS=8, but torch sees 2 GPUs here\. Add NUM_GPUS 2"):
        launch.check_gpus(8)
    launch.check_gpus(2)


def test_an_unknown_command_lists_the_known(capsys):
    assert slowfast_main(["trian"]) == 2
    text = capsys.readouterr().err
    assert "no command is called 'trian'" in text
    assert "benchmark" in text and "motion" in text


def test_errors_of_users_have_no_traceback(capsys, tmp_path):
    from slowfast.cli.run import main

    path = tmp_path / "bad.yaml"
    path.write_text("SLOWFAST:\n  ALPA: 4\n")
    assert main(["--cfg", str(path)]) == 2
    text = capsys.readouterr().err
    assert "bad.yaml:2" in text and "SLOWFAST.ALPA" in text and "Did you mean SLOWFAST.ALPHA" in text
    assert "Traceback" not in text
