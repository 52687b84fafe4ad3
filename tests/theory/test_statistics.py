"""Laws of what is said of numbers: Student's test as scipy has it, Holm by closed testing, ranks, the front by its definition."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from impray.theory.statistics import against_zero, front, holm, ranks, share_interval, spearman, standardised

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("n", [2, 3, 7, 30])
def test_a_mean_against_zero_is_scipys_t_test_in_every_place_of_an_array(n):
    gaps = np.random.default_rng(n).normal(0.3, 1.0, (4, 5, n))
    found, test = against_zero(gaps), stats.ttest_1samp(gaps, 0.0, axis=-1)
    interval = test.confidence_interval(0.95)
    assert np.allclose(found.p, test.pvalue, rtol=1e-12)
    assert np.allclose(found.low, interval.low) and np.allclose(found.high, interval.high)
    assert np.array_equal(found.mean, gaps.mean(-1)) and not found.alike.any()
    alone = against_zero(gaps[1, 2])
    assert (float(alone.p), float(alone.low)) == pytest.approx((found.p[1, 2], found.low[1, 2]), rel=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 10])
@pytest.mark.parametrize("left", [0.3, -1e6, 0.0])
def test_without_spread_gaps_are_judged_by_their_signs(n, left):
    # 0.3 - 0.1 and 1000.3 - 1000.1 differ by rounding only; a t test would see a spread of 1e-13, and be sure.
    gaps = np.array([(left + 1000 * (seed % 2)) - 1000 * (seed % 2) for seed in range(n)])
    found = against_zero(gaps)
    signs = stats.binomtest(n, n, 0.5).pvalue if left else 1.0
    assert found.alike and float(found.p) == pytest.approx(signs)
    known = pytest.approx((left, left)) if n >= 6 else pytest.approx((NAN, NAN), nan_ok=True)
    assert (float(found.low), float(found.high)) == known


def closed_testing(p: list[float]) -> list[float]:
    """The slow way: a claim falls with every set that holds it, each tested by Bonferroni; the largest p of those sets."""
    sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]


@pytest.mark.parametrize("claims", [1, 2, 3, 6])
def test_holm_is_the_closed_test_of_all_subsets(claims):
    rng = np.random.default_rng(claims)
    p = rng.random((60, claims)) ** 4
    p[::3] = np.round(p[::3], 1)  # ties, 0 and 1
    assert np.allclose(holm(p), [closed_testing(list(row)) for row in p], rtol=1e-14)


def test_holm_keeps_order_and_no_p_gets_smaller():
    p = np.random.default_rng(0).random((50, 8))
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= 1).all()
    order = np.argsort(p, axis=-1)
    assert (np.diff(np.take_along_axis(adjusted, order, -1)) >= 0).all()
    assert holm(np.array([0.04])) == 0.04 and holm(np.array([])).size == 0


def test_spearman_is_scipys_and_infinity_is_the_largest():
    rng = np.random.default_rng(1)
    for n in (3, 5, 20):
        x, y = rng.integers(0, 5, n).astype(float), rng.normal(size=n)
        x[0] = x[1] + 1  # at least two values
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)
        assert spearman(x, y) == pytest.approx(spearman(np.exp(x), y), abs=1e-12)
    assert spearman([-2.0, 0.0, 3.0, INF], [4.0, 3.0, 2.0, 1.0]) == pytest.approx(-1)
    assert spearman([-INF, 0.0, INF, INF], [0.0, 1.0, 2.0, 2.0]) == pytest.approx(1)


def test_spearman_is_undefined_where_ranks_say_nothing():
    assert math.isnan(spearman([], [])) and math.isnan(spearman([1.0, 2.0], [1.0, 2.0]))
    assert math.isnan(spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    assert math.isnan(spearman([1.0, NAN, 3.0], [1.0, 2.0, 3.0]))
    with pytest.raises(ValueError):
        spearman([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize("goals", [1, 2, 3])
def test_the_front_is_what_no_other_beats(goals):
    rng = np.random.default_rng(goals)
    points = [[float(value) for value in rng.integers(0, 5, goals)] for _ in range(40)]
    points[3], points[7], points[9] = [None] * goals, [NAN] * goals, [-INF] + [9.0] * (goals - 1)
    on = front(points)
    whole = [place for place in range(40) if place not in (3, 7)]
    for q in whole:
        beaten = any(np.all(np.array(points[p]) <= points[q]) and points[p] != points[q] for p in whole)
        assert on[q] == (not beaten)
    assert not on[3] and not on[7] and on[9]
    order = rng.permutation(40)
    assert front([points[place] for place in order]) == [on[place] for place in order]


def test_a_front_of_nothing_equal_points_and_what_lacks_one_goal():
    assert front([]) == []
    assert front([[1.0, 2.0], [1.0, 2.0]]) == [True, True]
    assert front([[0.0, None], [1.0, 1.0]]) == [False, True]


def test_what_pairs_add_is_the_rank_correlation_and_p_that_of_all_orders():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]
    found = ranks(x, y)
    assert found.of_pairs.mean() == pytest.approx(spearman(x, y)) == pytest.approx(0.8)
    exact = np.mean([abs(spearman(x, order)) >= 0.8 - 1e-9 for order in itertools.permutations(y)])
    assert found.p == pytest.approx(exact, abs=4 * (exact / 20_000) ** 0.5)
    assert ranks(np.exp(x), -np.array(y)).p == found.p  # of ranks only, two-sided
    assert np.isnan(ranks(x, [1.0] * 5).p)


def of_groups(seed, units=200):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, units)
    return rng.normal(size=units), rng.poisson(5 + 3 * group).astype(float), group


def test_groups_that_differ_in_the_covariate_only_have_one_standardised_mean():
    _, _, group = of_groups(0)
    covariate = (
        np.random.default_rng(1).integers(0, 2 + 2 * (group > 0)).astype(float)
    )  # 0 or 1 in group 0, else 0 to 3
    found = standardised(np.full(200, 2.5), covariate, group)
    assert np.allclose(found, 2.5, rtol=1e-12)
    whole = standardised(covariate, covariate, np.where(group == 0, 1, group))  # values 0 to 3: a stratum each
    assert whole[1] == pytest.approx(whole[2], rel=1e-12) and whole[1] == pytest.approx(covariate.mean(), rel=1e-12)
    assert math.isnan(whole[0])


def test_a_standardised_mean_is_the_slow_one_in_any_order_of_units():
    y, covariate, group = of_groups(2)
    cut = np.quantile(covariate, [0.25, 0.5, 0.75])
    parts = [[(covariate <= c) & (covariate > b) for b, c in itertools.pairwise([-INF, *cut, INF])] for _ in range(3)]
    slow = [
        sum(part.mean() * y[part & (group == g)].mean() for part in of) / sum(part.mean() for part in of)
        for g, of in enumerate(parts)
    ]
    assert np.allclose(standardised(y, covariate, group), slow, rtol=1e-12)
    order = np.random.default_rng(3).permutation(len(y))
    assert np.allclose(standardised(y[order], covariate[order], group[order]), slow, rtol=1e-12)


def test_with_one_distribution_it_is_the_plain_mean_and_with_too_few_strata_nan():
    y, covariate, group = np.arange(12.0), np.tile([1.0, 2.0, 3.0, 4.0], 3), np.repeat([0, 1, 2], 4)
    assert np.allclose(standardised(y, covariate, group), [1.5, 5.5, 9.5])
    found = standardised(y, covariate, np.where(covariate == 1, 3, group))  # group 3 has one stratum of four
    assert math.isnan(found[3]) and np.isfinite(found[:3]).all()


@pytest.mark.parametrize("n", [1, 5, 30])
def test_the_interval_of_none_and_of_all_is_closed_and_mirrors(n):
    high = 1 - 0.025 ** (1 / n)  # the share at which none of n has a chance of 2.5 %
    assert share_interval(0, n) == pytest.approx((0, high), abs=1e-9)
    assert share_interval(n, n) == pytest.approx((1 - high, 1), abs=1e-9)
