"""Moments and covariances against distance: slow versions, closed forms and the spread of repetitions."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from impray.data.describe import covariance_by_distance, describe, moments
from impray.spec.data import Nlgp, Photographs


def test_moments_are_those_of_all_inputs_together():
    x = np.random.default_rng(0).gamma(2.0, size=(50, 12)) + 100
    found = moments(x)
    assert found["mean"] == pytest.approx(x.mean()) and found["variance"] == pytest.approx(x.var())
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(x, axis=None, fisher=False))
    assert found["excess_kurtosis"] == pytest.approx(found["kurtosis"] - 3)


def test_standard_errors_are_those_of_repetitions_when_the_inputs_of_a_sample_are_the_same():
    # 5 copies of one number per sample: errors over sample * inputs would be sqrt(5) too small
    random = np.random.default_rng(1)
    runs = [moments(np.repeat(random.uniform(size=(200, 1)), 5, axis=1)) for _ in range(400)]
    for value, error in (
        ("mean", "mean_standard_error"),
        ("variance", "variance_standard_error"),
        ("excess_kurtosis", "standard_error"),
    ):
        spread = np.std([run[value] for run in runs], ddof=1)
        # a spread of 400 repetitions has a relative error of 1/sqrt(800)
        assert np.median([run[error] for run in runs]) == pytest.approx(spread, rel=4 / math.sqrt(800))


def test_one_sample_has_no_standard_error():
    assert math.isnan(moments(np.arange(5.0)[None])["standard_error"])


def slow(x, circular):
    """Pairs one by one."""
    sides = x.shape[-min(x.ndim - 1, 2) :]
    x = x.reshape(len(x), -1, *sides)
    x = x - x.mean(axis=0)
    found = {}
    cells = list(itertools.product(*map(range, sides)))
    for i, j in itertools.product(cells, cells):
        lags = [
            min(abs(a - b), n - abs(a - b)) if circular else abs(a - b) for a, b, n in zip(i, j, sides, strict=True)
        ]
        value = (x[(..., *i)] * x[(..., *j)]).mean(axis=1).sum() / (len(x) - 1)
        found.setdefault(round(math.hypot(*lags)), []).append(value)
    return [np.mean(found[d]) for d in range(min(sides) // 2 + 1)]


@pytest.mark.parametrize("shape", [(9,), (5, 6), (2, 4, 5)], ids=str)
@pytest.mark.parametrize("circular", [True, False])
def test_covariance_by_distance_equals_a_loop_over_pairs(shape, circular):
    x = np.random.default_rng(2).normal(size=(7, *shape)).cumsum(axis=-1)
    distances, covariances = covariance_by_distance(x, circular)
    assert distances.tolist() == list(range(min(shape[-2:]) // 2 + 1))
    assert covariances == pytest.approx(slow(x, circular))


def test_the_ring_shows_its_theory():
    described = describe(Nlgp(shape=(20,), gain=1e-3, xi=(1.0, 2.0)), per_class=4000)
    assert described["samples"] == 8000 and described["shape"] == [20]
    for row, xi in zip(described["classes"], (1.0, 2.0), strict=True):
        assert abs(row["variance"] - 1) < 4 * row["variance_standard_error"]
        assert abs(row["excess_kurtosis"]) < 4 * row["standard_error"]
        for point in row["covariance_by_distance"]:
            # 4 standard errors of one pair; averaging over the ring only helps
            assert abs(point["covariance"] - math.exp(-(point["distance_px"] ** 2) / xi**2)) < 4 * math.sqrt(2 / 4000)


@pytest.mark.parametrize("colour", [False, True])
def test_photographs_are_described_in_plain_numbers(colour):
    described = describe(Photographs(shape=(8, 8), crops=40, held_out=4, colour=colour), per_class=30)
    assert json.loads(json.dumps(described)) == described
    assert [row["label"] for row in described["classes"]] == list(range(7 if colour else 10))
    for row in described["classes"]:
        covariances = [point["covariance"] for point in row["covariance_by_distance"]]
        assert len(covariances) == 5 and covariances[0] == pytest.approx(row["variance"], rel=0.2)
        assert covariances[1] < covariances[0]
