"""Differences over paired seeds and their confidence intervals."""

import math

import pytest

from slowfast.evaluation.paired import paired_difference, t_quantile


# The 0.975 quantiles of Student's distribution as every statistics book has them.
@pytest.mark.parametrize(
    "degrees, expected", [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_quantiles_of_students_distribution(degrees, expected):
    assert t_quantile(0.95, degrees) == pytest.approx(expected, abs=6e-4)


def test_the_interval_by_hand():
    """Differences 1, 2, 3, 4, 5: mean 3, standard error sqrt(2.5 / 5) = 0.7071, reach 2.7764 x 0.7071 = 1.9632."""
    first = {seed: 50.0 + seed for seed in range(1, 6)}
    found = paired_difference(first, dict.fromkeys(first, 50.0))
    assert (found.mean, found.num_seeds) == (3.0, 5)
    assert (found.low, found.high) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-3)
    assert str(found) == "3.0 points, 95 % CI [1.0, 5.0], 5 seeds"


def test_only_common_seeds_count():
    assert paired_difference({0: 3.0, 1: 9.0, 7: 0.0}, {1: 4.0, 0: 2.0, 2: 50.0}).num_seeds == 2
    with pytest.raises(ValueError, match=r"no common seed: \[0\] and \[1\]"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_one_seed_has_no_interval():
    found = paired_difference({0: 3.0}, {0: 1.0})
    assert found.mean == 2.0 and math.isnan(found.low)
    assert str(found) == "2.0 points, no interval, 1 seed"
