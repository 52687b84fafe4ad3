"""Means over seeds: told apart as Student's and Welch's tests tell them, and never where there is no spread to tell it by."""

import numpy as np
import pytest
from scipy import stats

from impray.results.spread import standard_error, told_apart


def side(rng, count, shift=0.0, scale=1.0, start=0):
    return {start + seed: float(value) for seed, value in enumerate(rng.normal(shift, scale, count))}


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_shared_seeds_are_paired_and_others_are_not(shift):
    rng, found = np.random.default_rng(0), set()
    for _ in range(200):
        one, other = side(rng, 4), side(rng, 4, shift)
        apart = told_apart(one, other)
        pvalue = stats.ttest_1samp([one[seed] - other[seed] for seed in one], 0.0).pvalue  # type: ignore[attr-defined]
        assert apart == (pvalue < 0.05)
        further = side(rng, 6, shift, 2.0, start=10)
        welch = stats.ttest_ind(list(one.values()), list(further.values()), equal_var=False)[1]
        assert told_apart(one, further) == told_apart(further, one) == (welch < 0.05)  # type: ignore[operator]
        found.add(apart)
    assert found == {True, False}


def test_only_the_seeds_that_both_have_count():
    one = {0: 1.0, 1: 2.0, 2: 3.0, 7: 1e9}
    assert told_apart(one, {0: 2.0, 1: 3.0, 2: 4.0})  # 1 more in each seed that both have
    assert not told_apart(one, {0: 2.0, 1: 1.0, 2: 3.0})


def test_what_seeds_share_does_not_hide_a_difference():
    common = [0.0, 100.0, -50.0, 7.0]
    one, other = ({s: x + shift + 0.01 * s for s, x in enumerate(common)} for shift in (0.0, 1.0))
    assert told_apart(one, other)
    assert not told_apart(one, {s + 10: x for s, x in other.items()})


def test_without_a_spread_nothing_is_told_apart():
    assert not told_apart({0: 1.0}, {0: 2.0})
    assert not told_apart({0: 1.0}, {1: 2.0, 2: 2.1})
    assert not told_apart({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert not told_apart({}, {})
    assert standard_error([1.0]) is None and standard_error([]) is None


def test_standard_error_by_hand():
    assert standard_error([1.0, 2.0, 3.0, 4.0]) == pytest.approx((5 / 3) ** 0.5 / 2)
