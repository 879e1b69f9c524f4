"""The paper's claims: what is said of figures, and that every row they name is a recipe."""

import pytest

from slowfast.cli.ablate import GROUPS
from slowfast.cli.claims import CLAIMS, statements
from slowfast.config import load_cfg
from slowfast.config.files import recipe_names

HARD = "Motion/distractors/"


def rows(**differences):
    """Figures of t_conv, 60 in every seed, and of rows that lie below it by such differences."""
    figures = {"t_conv": dict.fromkeys(range(5), 60.0)}
    return figures | {name: {i: 60.0 - d for i, d in enumerate(values)} for name, values in differences.items()}


@pytest.mark.parametrize(
    "row, below, expected",
    [
        ("no_fusion", [3, 4, 5, 4, 3], "holds"),
        ("no_fusion", [-3, -4, -5, -4, -3], "does not hold"),
        ("no_fusion", [-10, 10, 0, 5, -4], "open"),
        ("ttoc_sum", [-10, 10, 0, 5, -4], "not contradicted"),
        ("ttoc_sum", [-3, -4, -5, -4, -3], "does not hold"),
        ("no_fusion", [30], "open"),
    ],
)
def test_verdicts(row, below, expected):
    (found,) = statements(rows(**{row: below}))
    assert found["verdict"] == expected


def test_every_row_of_a_claim_has_a_recipe_and_a_group():
    groups = {name for names in GROUPS.values() for name in names} | {"beta_32"}
    leaves = {name.removeprefix(HARD) for name in recipe_names() if name.startswith(HARD)}
    for claim in CLAIMS:
        assert {claim.better, claim.worse} <= groups
        assert {claim.better, claim.worse} - {"flow"} <= leaves


def test_the_harder_set_shows_the_pathways_what_its_header_says():
    """Frames 0 and 7 for Slow, which its interval of 7 needs, in every leaf; beta of 32 channels where 1/32 is one."""
    for name in (n for n in recipe_names() if n.startswith(HARD)):
        cfg = load_cfg(name)
        assert cfg.DATA.NUM_FRAMES * cfg.DATA.SAMPLING_RATE == 8
        slow = cfg.DATA.NUM_FRAMES // (cfg.SLOWFAST.ALPHA if cfg.MODEL.ARCH == "slowfast" else 1)
        assert slow == (8 if name.endswith("fast_only") else 2)
        assert (cfg.RESNET.WIDTH_PER_GROUP == 32) == ("beta" in name)
