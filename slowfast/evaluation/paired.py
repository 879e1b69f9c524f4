"""The confidence in a difference between two configs that were run with the same seeds."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class PairedDifference:
    """Mean of the per-seed differences, and the confidence interval of that mean, in the unit of the figures.

    ``low`` and ``high`` are NaN for a single seed.
    """

    mean: float
    low: float
    high: float
    num_seeds: int

    def __str__(self) -> str:
        seeds = f"{self.num_seeds} seed{'s' * (self.num_seeds != 1)}"
        if math.isnan(self.low):
            return f"{self.mean:.1f} points, no interval, {seeds}"
        return f"{self.mean:.1f} points, {100 * LEVEL:.0f} % CI [{self.low:.1f}, {self.high:.1f}], {seeds}"


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> PairedDifference:
    """``first`` - ``second`` over the seeds that both have: Student's t interval of the mean difference.

    Args:
        first, second: seed -> figure.

    Raises:
        ValueError: they have no seed in common.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError(f"no common seed: {sorted(first)} and {sorted(second)}.")
    differences = np.array([first[seed] - second[seed] for seed in seeds])
    mean = float(differences.mean())
    if len(seeds) == 1:
        return PairedDifference(mean, math.nan, math.nan, 1)
    reach = t_quantile(LEVEL, len(seeds) - 1) * float(differences.std(ddof=1)) / math.sqrt(len(seeds))
    return PairedDifference(mean, mean - reach, mean + reach, len(seeds))


@functools.cache
def t_quantile(level: float, degrees: int) -> float:
    """The t with P(|T| < t) = ``level`` for Student's distribution of ``degrees`` >= 1 degrees of freedom.

    With T = sqrt(degrees) tan(u), the density of u on (-pi/2, pi/2) is proportional to cos(u)^(degrees - 1).
    """
    low, high = 0.0, math.pi / 2
    wanted = level * _cosine_power_integral(high, degrees - 1)
    for _ in range(60):
        middle = (low + high) / 2
        if _cosine_power_integral(middle, degrees - 1) < wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _cosine_power_integral(end: float, power: int) -> float:
    """Integral of cos(u)^power from 0 to ``end``, by Gauss and Legendre's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return float(end / 2 * np.sum(weights * np.cos(end / 2 * (nodes + 1)) ** power))
