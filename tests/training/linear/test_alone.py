"""A problem's numbers do not depend, in a single bit, on those beside it, nor on threads: for all methods."""

import numpy as np
import pytest
import threadpoolctl
from training.linear.blocks import METHODS, alone, block, problems

from impray.training.solver import SOLVERS

TRAINS = {
    "infinite": {"optimizer": "gradient_flow"},
    "flow": {"optimizer": "gradient_flow", "time": 2.0},
    "descent": {"optimizer": "gradient_descent", "lr": 0.1, "steps": 20},
}


def assert_same(one, other, place=0, places=slice(None)):
    for round in one.masks:
        np.testing.assert_array_equal(one.masks[round][place], other.masks[round][places])
        np.testing.assert_array_equal(one.weights[round][place], other.weights[round][places])
    for mine, yours in ((one.order, other.order), (one.gone, other.gone)):
        assert (mine is None) == (yours is None)
        if mine is not None:
            np.testing.assert_array_equal(mine[place], yours[places])


COUNTED = ("iht", "omp", "lasso")  # whatever the training


@pytest.mark.some(20)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    ("method", "train"),
    [(method, train) for method in METHODS for train in TRAINS if train == "infinite" or method not in COUNTED],
)
@pytest.mark.parametrize("name", ["tall", "wide", "duplicated", "dead, tall"])
def test_16_problems_are_16_times_one(method, name, train):
    made = problems(name, 16)
    features = made[0][0].shape[1]
    rows = [0, features - 5, features - 2] if method in COUNTED else None
    of = block(made, start=0.7, train=TRAINS[train], rows=rows)
    together = SOLVERS.call(method, of)
    for place in range(16):
        assert_same(together, SOLVERS.call(method, alone(of, place)), place, 0)


@pytest.mark.parametrize("method", METHODS)
def test_problems_of_different_rank_are_no_neighbours_either(method):
    """Some are made anew, in rounds of their own, while others are downdated."""
    rng = np.random.default_rng(0)
    mixed = [(rng.standard_normal((20, 10)), rng.standard_normal(20)) for _ in range(3)]
    mixed += problems("duplicated", 3) + [(np.zeros((20, 10)), rng.standard_normal(20))]
    mixed.append((rng.standard_normal((20, 10)), np.zeros(20)))
    of = block(mixed, start=0.7)
    together = SOLVERS.call(method, of)
    for place in range(len(mixed)):
        assert_same(together, SOLVERS.call(method, alone(of, place)), place, 0)


@pytest.mark.parametrize("method", METHODS)
def test_threads_do_not_matter(method):
    """At a size where products of matrices do depend on them."""
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((400, 150))
    of = block([(phi, phi[:, :5].sum(axis=1) + rng.standard_normal(400))], counts=[150, 120, 100, 5])
    made = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            made.append(SOLVERS.call(method, alone(of, 0)))
    assert_same(*made, slice(None))
