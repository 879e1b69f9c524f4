"""The mean over splits of UCF101 and HMDB51, from results.json files as a test writes them."""

import json
import re

import pytest

from slowfast.cli.folds import main
from slowfast.cli.main import main as slowfast_main
from slowfast.config import load_cfg


def write(folder, fold: int, figures: dict, recipe: str = "UCF101/SLOWFAST_8x8_R50", **changes):
    folder.mkdir(parents=True)
    content = {
        "figures": figures,
        "num_videos": 3783,
        "num_failed": 0,
        "protocol": "10 clips x 3 crops, sum of the scores",
        "config": load_cfg(recipe, ["DATA.FOLD", fold]).dump(),
        **changes,
    }
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_every_split_counts_the_same(tmp_path, capsys):
    for fold, top1 in {3: 96.0, 1: 95.0, 2: 94.3}.items():
        write(tmp_path / str(fold), fold, {"top1": top1, "top5": 99.0}, num_failed=fold)
    arguments = [str(tmp_path / "3"), str(tmp_path / "1" / "results.json"), str(tmp_path / "2")]
    assert slowfast_main(["folds", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ucf101, 10 clips x 3 crops, sum of the scores"
    assert [line.split() for line in lines[1:]] == [
        ["split", "videos", "failed", "top1", "top5"],
        ["1", "3,783", "1", "95.00", "99.00"],
        ["2", "3,783", "2", "94.30", "99.00"],
        ["3", "3,783", "3", "96.00", "99.00"],
        ["mean", "95.10", "99.00"],
    ]


def test_fewer_splits_are_said_to_be_fewer(tmp_path, capsys):
    assert main([str(write(tmp_path / "a", 2, {"top1": 90.0}))]) == 0
    assert "These are 1 of 3 splits" in capsys.readouterr().out


@pytest.mark.parametrize(
    "fold, changes, message",
    [
        (1, {}, r"a/results\.json and .*b/results\.json are both of split 1"),
        (2, {"recipe": "HMDB51/SLOWFAST_8x8_R50"}, r"has TEST\.DATASET hmdb51, but .* has ucf101"),
        (2, {"protocol": "1 clips x 1 crops, sum"}, r"has protocol 1 clips x 1 crops.*, but .* has 10 clips"),
    ],
)
def test_unlike_results_have_no_mean(tmp_path, capsys, fold, changes, message):
    folders = [write(tmp_path / "a", 1, {"top1": 1.0}), write(tmp_path / "b", fold, {"top1": 1.0}, **changes)]
    assert main(list(map(str, folders))) == 2
    assert re.search(message, capsys.readouterr().err)


def test_other_files_are_refused(tmp_path, refused):
    (tmp_path / "results.json").write_text("{}")
    assert "results.json is not a test's results.json (KeyError: 'config')" in refused(main, [str(tmp_path)])
    assert "No such file" in refused(main, [str(tmp_path / "none.json")])
