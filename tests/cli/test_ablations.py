"""GFLOPs of the paper's ablations (4x16, R50, 256 pixels): ours exactly, the paper's beside them.

Sources: paper, tables 5a and 5b. They differ where widths do not divide (1/6, 1/12: rounded down at every width) and
in rows that no plain reading of the paper gives (1/4, Fast-only, where 34.2 - 27.3 = 6.9 as here).
"""

from pathlib import Path

import pytest

from slowfast.cli.info import describe
from slowfast.config import load_cfg
from slowfast.config.files import recipes_root

OURS_AND_PAPERS = {
    "slow_only": (27.259, 27.3),
    "fast_only": (6.900, 6.4),
    "fusion_none": (34.158, 34.2),
    "fusion_ttoc_sum": (34.158, 34.2),
    "fusion_ttoc_concat": (39.863, 39.8),
    "fusion_tsample": (34.871, 34.9),
    "beta_4": (53.599, 54.5),
    "beta_6": (40.467, 41.8),
    "beta_12": (31.954, 32.8),
    "beta_16": (30.596, 30.6),
    "beta_32": (28.657, 28.6),
}
FOLDER = Path(recipes_root()) / "ablations"


@pytest.mark.parametrize("name", OURS_AND_PAPERS)
def test_gflops(name):
    ours, papers = OURS_AND_PAPERS[name]
    gflops = describe(load_cfg(FOLDER / f"{name}.yaml"))["gflops_per_view"]
    assert gflops == pytest.approx(ours, abs=6e-4)
    assert gflops == pytest.approx(papers, rel=0.08)


def test_every_leaf_is_a_row_of_three_to_seven_lines():
    leaves = {path.stem: len(path.read_text().splitlines()) for path in FOLDER.glob("*.yaml")}
    assert leaves.keys() == OURS_AND_PAPERS.keys()
    assert max(leaves.values()) <= 7
