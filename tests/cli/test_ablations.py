"""GFLOPs of the paper's networks and ablations at 256 pixels: every row of the table in docs/MODEL_ZOO.md, measured."""

import re
from pathlib import Path

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.config.files import recipes_root
from slowfast.models import build_model
from slowfast.models.complexity import measure

ROOT = Path(__file__).parents[2]
LEAVES = Path(recipes_root()) / "ablations"
ROW = re.compile(r"^\| `(\S+)` \| ([\d.]+) \| ([\d.]*) \| (.*) \|$", re.MULTILINE)
# config -> (ours, the paper's or "", why they differ)
TABLE = {name: row for name, *row in ROW.findall((ROOT / "docs" / "MODEL_ZOO.md").read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", TABLE)
def test_gflops(name):
    ours, papers, reason = TABLE[name]
    cfg = load_cfg(name)
    with torch.device("meta"):
        view = measure(build_model(cfg), (cfg.DATA.NUM_FRAMES, cfg.DATA.TEST_CROP_SIZE, cfg.DATA.TEST_CROP_SIZE))
    gflops = view.conv_macs / 1e9
    assert f"{gflops:.3f}" == ours
    if papers:
        assert gflops == pytest.approx(float(papers), rel=0.08)
        digits = len(papers.partition(".")[2])
        assert f"{gflops:.{digits}f}" == papers or reason, "a difference needs its reason"


def test_the_table_has_every_leaf_and_the_papers_networks():
    leaves = {f"ablations/{path.stem}" for path in LEAVES.glob("*.yaml")}
    assert {name for name in TABLE if name.startswith("ablations/")} == leaves
    assert {"Kinetics/SLOWFAST_4x16_R50", "Kinetics/SLOWFAST_NLN_16x8_R101"} <= TABLE.keys()


def test_every_leaf_is_a_row_of_few_lines():
    assert max(len(path.read_text().splitlines()) for path in LEAVES.glob("*.yaml")) <= 8
