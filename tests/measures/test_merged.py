"""Support of networks: parallel units, of the truth and of what was found, count as the one that they are."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training.relu.planted import block, problem

from impray.measures import readings_of
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture, fixed_readout
from impray.spec import measure as spec
from impray.training.relu.solvers import pursuit


def found(weights, true, kept=None, readout="sum", biases=None):
    """Precision, recall and exactness of one network [unit, input]."""
    weights, true = torch.tensor(weights, dtype=torch.float64), torch.tensor(true, dtype=torch.float64)
    kept = weights != 0 if kept is None else torch.tensor(kept, dtype=torch.bool)
    params = {"weight1": weights[None], "weight2": fixed_readout(readout, len(weights))[None, None].double()}
    if biases is not None:
        params |= {"bias1": torch.tensor([biases]).double(), "bias2": torch.zeros(1, 1).double()}
    arch = Architecture((weights.shape[1], len(weights), 1), "relu", False, biases is not None, readout)
    state = RoundState(0, arch, {"weight1": kept[None]}, params, params, None, lambda net: None, "mse")
    state.trials, state.truth = [SimpleNamespace(data=SimpleNamespace(readout=readout))], lambda net: {"weight1": true}
    lineage = readings_of(spec.Support(), state).lineage
    return tuple(lineage[name][0] for name in ("support_precision", "support_recall", "exact_recovery"))


def by_hand(kept, true, signed):
    """Of all permutations the best, mask against support."""
    inside, units = true != 0, range(len(kept))
    orders = [o for o in itertools.permutations(units) if not signed or all((a - b) % 2 == 0 for a, b in enumerate(o))]
    both = max(int((kept & inside[list(order)]).sum()) for order in orders)
    of_mask, of_truth = int(kept.sum()), int(inside.sum())
    return both / of_mask, both / of_truth, float(both == of_mask == of_truth)


@pytest.mark.parametrize("readout", ["sum", "signed"])
def test_without_parallel_units_it_is_the_mask_against_the_support(readout):
    """Also where kept weights are 0: of two or more weights each, no two units are parallel."""
    for seed in range(30):
        random = np.random.default_rng(seed)
        true, kept = np.zeros((4, 5)), np.zeros((4, 5), dtype=bool)
        for unit in range(4):
            true[unit, random.choice(5, 3, replace=False)] = random.standard_normal(3)
            kept[unit, random.choice(5, 3, replace=False)] = True
        kept = true[[2, 1, 0, 3]] != 0 if seed % 3 == 0 else kept
        weights = np.where(kept, random.standard_normal((4, 5)), 0)
        weights[0, np.flatnonzero(kept[0])[0]] = 0
        assert found(weights, true, kept, readout) == by_hand(kept, true, readout == "signed")


TRUE = [[2.0, 0, 0], [0.5, 0, 0], [0, 1, -1], [-1.0, 0, 0]]  # units 0 and 1 are one; unit 3 points the other way


@pytest.mark.parametrize(
    ("weights", "kept", "expected"),
    [
        (TRUE, None, (1, 1, 1)),
        # Merged: 2.5 stands for both, and a weight of 0 is kept beside it: in a dead unit, or beside it, or in another.
        ([[0, 0, 0], [2.5, 0, 0], [0, 1, -1], [-1, 0, 0]], [[1, 0, 0], [1, 0, 0], [0, 1, 1], [1, 0, 0]], (1, 1, 1)),
        ([[0, 0, 0], [2.5, 0, 0], [0, 1, -1], [-1, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0]], (1, 1, 1)),
        ([[0, 1, -1], [-1, 0, 0], [0, 0, 0], [2.5, 0, 0]], [[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]], (1, 1, 1)),
        # That weight is not 0: one of five is wrong.
        ([[0, 0, 0.1], [2.5, 0, 0], [0, 1, -1], [-1, 0, 0]], None, (4 / 5, 1, 0)),
        # Two weights of 0, and one of the truth is missing: one place is spare, not two.
        (
            [[0, 0, 0], [2.5, 0, 0], [0, 1, -1], [0, 0, 0]],
            [[0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, 0]],
            (3 / 4, 3 / 4, 0),
        ),
        # Of one sign, units apart by more than rounding are two.
        ([[2.0, 1e-4, 0], [0.5, 0, 0], [0, 1, -1], [-1, 0, 0]], None, (4 / 6, 1, 0)),
    ],
)
def test_two_units_that_point_the_same_way_are_one(weights, kept, expected):
    assert found(weights, TRUE, kept) == pytest.approx(expected)


def test_what_was_found_in_two_parts_is_one():
    """A unit of several weights split in any shares; a weight less than the truth has."""
    true = [[1.0, 2, 0], [0, 0, 1], [1, 0, 0]]
    assert found([[0.3, 0.6, 0], [0.7, 1.4, 0], [0, 0, 1]], true) == pytest.approx((1, 3 / 4, 0))
    assert found([[0.3, 0.6, 0], [0.7, 1.4, 0], [0, 0, 1], [1, 0, 0]], true) == (1, 1, 1)


def test_parallel_units_of_opposite_readouts_are_their_difference():
    true = [[2.0, 0], [0.5, 0], [0, 1.0], [0, 0]]  # +2, -0.5, +1: of input 0 there is +1.5
    assert found([[1.5, 0], [0, 0], [0, 1], [0, 0]], true, readout="signed") == (1, 1, 1)
    assert found([[0, 0], [1.5, 0], [0, 1], [0, 0]], true, readout="signed") == (1 / 2, 1 / 2, 0)  # the other sign
    gone = [[2.0, 0], [2.0, 0], [0, 1.0], [0, 0]]
    assert found([[0, 0], [0, 0], [0, 1], [0, 0]], gone, readout="signed") == (1, 1, 1)


def test_units_with_biases_are_parallel_if_these_are():
    weights, true = [[2.0, 0], [1.0, 0]], [[3.0, 0], [0, 0]]
    assert found(weights, true, biases=[0.2, 0.1]) == (1, 1, 1)
    assert found(weights, true, biases=[0.2, 0.0]) == (1 / 2, 1, 0)


def test_nothing_kept_and_nothing_true_have_no_shares():
    precision, recall, exact = found(np.zeros((4, 3)), TRUE)
    assert math.isnan(precision) and (recall, exact) == (0, 0)


def test_a_pursuit_that_merges_the_truth_is_exact():
    """End to end: five weights are asked for, four are the function, and the mask is filled up."""
    made, _ = problem(4, 5, 2_000, 3)
    made = replace(made, y=np.maximum(made.x @ np.array(TRUE).T, 0).sum(axis=1))
    solved = pursuit(block([made], [12, 5], [1]))
    mask, weights = solved.masks[1].reshape(4, 3), solved.weights[1].reshape(4, 3)
    assert mask.sum() == 5 and (np.abs(weights) > 1e-9).sum() == 4 and solved.facts[1]["loss"][0] < 1e-20
    assert found(weights, TRUE, mask) == (1, 1, 1)
