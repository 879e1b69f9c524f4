"""The paper's claims about its ablations, as differences between rows of ``slowfast ablate``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from slowfast.evaluation.paired import PairedDifference, paired_difference


@dataclass(frozen=True)
class Claim:
    """That row ``better`` is above row ``worse`` or, where not ``strict``, at least not below it."""

    text: str
    better: str
    worse: str
    strict: bool = True


CLAIMS = (
    Claim("lateral connections help", "t_conv", "no_fusion"),
    Claim("T-conv is no worse than TtoC-concat", "t_conv", "ttoc_concat", strict=False),
    Claim("T-conv is no worse than TtoC-sum", "t_conv", "ttoc_sum", strict=False),
    Claim("both pathways beat Slow alone", "t_conv", "slow_only"),
    Claim("both pathways beat Fast alone", "t_conv", "fast_only"),
    Claim("Fast needs the frame rate: alpha 4 beats 1", "t_conv", "alpha_1"),
    Claim("alpha 4 beats 2", "t_conv", "alpha_2"),
    Claim("Fast needs few channels: beta 1/8 is no worse than 1/2", "beta_8", "beta_2", strict=False),
    Claim("but not too few: beta 1/8 beats 1/32", "beta_8", "beta_32"),
    Claim("gray Fast input costs nothing", "gray", "t_conv", strict=False),
    Claim("half resolution costs something", "t_conv", "half_resolution"),
    Claim("time difference costs something", "t_conv", "time_difference"),
    Claim("optical flow costs something", "t_conv", "flow"),
)


def verdict(claim: Claim, difference: PairedDifference) -> str:
    """The verdict of an interval on a claim: "holds", "does not hold", or "open" if it contains zero. A claim of "no
    worse" is "not contradicted" by an interval that contains zero.
    """
    if math.isnan(difference.low):
        return "open"
    if difference.low > 0:
        return "holds"
    if difference.high < 0:
        return "does not hold"
    return "open" if claim.strict else "not contradicted"


def statements(figures: Mapping[str, Mapping[int, float]]) -> list[dict]:
    """Claim, difference and verdict of every claim with a seed common to both of its rows.

    Args:
        figures: row -> seed -> figure in percent.
    """
    found = []
    for claim in CLAIMS:
        better, worse = figures.get(claim.better, {}), figures.get(claim.worse, {})
        if better.keys() & worse.keys():
            difference = paired_difference(better, worse)
            text = f"{claim.better} - {claim.worse} = {difference}"
            found.append({"claim": claim.text, "difference": text, "verdict": verdict(claim, difference)})
    return found


def format_statements(found: list[dict]) -> str:
    """The statements as a Markdown table; empty without any."""
    if not found:
        return ""
    rows = [f"| {row['claim']} | {row['difference']} | {row['verdict']} |" for row in found]
    return "\n".join(["| the paper's claim | difference over paired seeds | verdict |", "| --- " * 3 + "|", *rows])
