"""What ``slowfast info`` says."""

import json

import pytest

from slowfast.cli.info import main


def test_the_table_has_the_papers_shapes(capsys):
    """Paper, table 1: 4x16, R50 at 224 pixels."""
    assert main(["--cfg", "Kinetics/SLOWFAST_4x16_R50", "--crop", "224"]) == 0
    text = capsys.readouterr().out
    assert "34,480,216 parameters" in text
    for row in (
        "slow.stem      64 x 4 x 56 x 56",
        "fast.res2      32 x 32 x 56 x 56",
        "slow.res5      2048 x 4 x 7 x 7",
    ):
        assert row in text


def test_overrides_change_the_model(capsys, tmp_path):
    path = tmp_path / "info.json"
    main(["--cfg", "Kinetics/SLOWFAST_4x16_R50", "SLOWFAST.BETA_INV", "16", "--json", str(path)])
    assert "30.60 GFLOPs per view" in capsys.readouterr().out
    info = json.loads(path.read_text())
    assert f"{info['gflops_per_view']:.1f}" == "30.6"  # paper, table 5b
    assert info["gflops_per_video"] == pytest.approx(30 * info["gflops_per_view"])
