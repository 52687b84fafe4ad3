"""Paths of nested masks: each round's weights are those of its mask, and what goes is what the method says, by slow references."""

import numpy as np
import pytest
import torch
from training.linear.blocks import DESIGNS, alone, block, fit, fits, problems

from impray.masks.random import random as random_mask
from impray.spec.trial import stream_seed
from impray.theory import linear as theory
from impray.training.linear import paths

NESTED = ("imp", "oneshot", "random", "backward", "alignment", "hard_threshold")
TRAINED = NESTED[:-1]
FLOW, DESCENT = {"optimizer": "gradient_flow", "time": 2.0}, {"optimizer": "gradient_descent", "lr": 0.05, "steps": 30}
# Condition of Sigma at most 1e6 (`correlated`: about 1e5), so that 1e6 x 1e-16 x a few hundred operations stay far below it.
CLOSE = {"rtol": 1e-8, "atol": 1e-8}


def solve(method, of):
    return getattr(paths, method)(of)


def mask_of(solved, place, round):
    return solved.masks[round][place]


@pytest.mark.parametrize("train", [None, FLOW, DESCENT], ids=["infinite", "flow", "descent"])
@pytest.mark.parametrize("name", DESIGNS)
def test_weights_are_those_of_the_mask_and_imp_takes_the_smallest(name, train):
    of = block(problems(name), start=0.7, train=train)
    solved = paths.imp(of)
    for place in range(3):
        weights = fits(of, place, {round: solved.masks[round][place] for round in of.rows})
        for round in of.rows:
            np.testing.assert_allclose(solved.weights[round][place], weights[round], **CLOSE)
            assert mask_of(solved, place, round).sum() == of.counts[round]
            assert not solved.weights[round][place][~mask_of(solved, place, round)].any()
            if round:
                goes = solved.order[place, round - 1]
                size = np.abs(weights[round - 1])
                before, after = mask_of(solved, place, round - 1), mask_of(solved, place, round)
                assert np.flatnonzero(before & ~after).tolist() == [goes]
                assert size[goes] <= size[before].min() + 1e-8
                assert solved.gone[place, round - 1] == solved.weights[round - 1][place, goes]


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("name", ["tall", "wide", "duplicated", "dead, tall"])
def test_every_method_trains_what_it_keeps(name, method):
    of = block(problems(name), start=0.7)
    solved = solve(method, of)
    for place in range(3):
        weights = fits(of, place, {round: solved.masks[round][place] for round in of.rows})
        for round in of.rows:
            np.testing.assert_allclose(solved.weights[round][place], weights[round], **CLOSE)


def test_the_paths_downdates_stay_exact_over_hundreds_of_removals():
    """From 3 n features to 20, across |S| = n, through many compactions; an order by w_init has nothing to do with leverage."""
    rng = np.random.default_rng(0)
    phi, truth = rng.standard_normal((100, 300)), rng.standard_normal(300)
    of = block([(phi, phi @ truth + rng.standard_normal(100))], start=1.0, counts=list(range(300, 19, -1)))
    for method in ("imp", "random"):
        solved = solve(method, of)
        for round in (0, 15, 16, 17, 150, 199, 200, 201, 250, 280):
            expected = fit(of, 0, mask_of(solved, 0, round))
            error = np.abs(solved.weights[round][0] - expected).max() / np.abs(expected).max()
            assert error < 1e-8, (method, round)


@pytest.mark.parametrize("train", [None, FLOW], ids=["infinite", "flow"])
def test_backward_removes_what_raises_the_loss_least(train):
    """Infinite time: by trying each removal. Finite: the same formula, of the weights that were trained."""
    of = block(problems("tall"), train=train)
    solved = paths.backward(of)
    for place, (phi, y) in enumerate(zip(of.designs, of.targets, strict=True)):
        for round in range(11):
            mask = mask_of(solved, place, round)
            if train is None:
                rise = [_loss_without(of, place, mask, feature) for feature in np.flatnonzero(mask)]
            else:
                inverse = np.linalg.inv(phi[:, mask].T @ phi[:, mask] / len(y))
                rise = fit(of, place, mask)[mask] ** 2 / np.diag(inverse)
            assert np.flatnonzero(mask)[np.argmin(rise)] == solved.order[place, round]


def _loss_without(of, place, mask, feature):
    less = mask.copy()
    less[feature] = False
    return np.square(of.designs[place] @ fit(of, place, less) - of.targets[place]).mean()


def test_backward_moves_least_from_the_start_where_the_loss_does_not_rise():
    of = block(problems("wide"), start=0.7)
    solved = paths.backward(of)
    for place in range(3):
        for round in range(8):  # 15 features to 8, of 6 samples: the fit stays exact
            mask, features = mask_of(solved, place, round), np.flatnonzero(mask_of(solved, place, round))
            moved = []
            for feature in features:
                less = mask.copy()
                less[feature] = False
                moved.append(np.square((fit(of, place, less) - of.start[place])[mask]).sum())
            assert features[np.argmin(moved)] == solved.order[place, round]


def test_orders_that_are_known_from_the_start():
    of = block(problems("tall"))
    dense = np.stack([fit(of, place, np.ones(12, dtype=bool)) for place in range(3)])
    projections = np.stack([phi.T @ y for phi, y in zip(of.designs, of.targets, strict=True)])
    for method, size in (("oneshot", dense), ("hard_threshold", dense), ("alignment", projections)):
        np.testing.assert_array_equal(solve(method, of).order, np.argsort(np.abs(size), axis=1))


def test_hard_threshold_keeps_the_dense_weights():
    of = block(problems("wide"), start=0.7)
    solved = paths.hard_threshold(of)
    dense = paths.imp(of).weights[0]
    for round in of.rows:
        np.testing.assert_array_equal(solved.weights[round], np.where(solved.masks[round], dense, 0))
    np.testing.assert_array_equal(solved.gone, np.take_along_axis(dense, solved.order, axis=1))


def test_random_has_the_masks_of_the_rule():
    of = block(problems("tall"), counts=[12, 9, 8, 2])
    solved = paths.random(of)
    for place, seed in enumerate(of.seeds):
        for round, kept in enumerate(of.counts):
            expected = random_mask(12, kept, torch.Generator().manual_seed(stream_seed(seed, "prune")))
            np.testing.assert_array_equal(mask_of(solved, place, round), expected.numpy())


@pytest.mark.parametrize("method", NESTED)
def test_of_equal_ones_the_earlier_goes_first(method):
    """All of n orthogonal columns have the same part in y, and w = +-1 exactly."""
    phi = 2 * np.eye(4)
    of = block([(phi, phi @ np.array([1.0, -1.0, 1.0, -1.0]))], counts=[4, 2, 1, 0])
    if method != "random":
        assert solve(method, of).order.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("train", [None, FLOW], ids=["infinite", "flow"])
@pytest.mark.parametrize("name", ["tall", "wide", "duplicated"])
@pytest.mark.parametrize("method", TRAINED)
def test_several_per_round(method, name, train):
    """With rounds that keep the count, with more at once than are gathered before a compaction, to no weight at all."""
    many = [(np.hstack([phi, phi + 0.5 * np.roll(phi, 1, axis=0)]), y) for phi, y in problems(name)]
    features = many[0][0].shape[1]
    of = block(many, start=0.7, counts=[features, features, features - 17, 3, 3, 0, 0], train=train)
    solved = solve(method, of)
    one_by_one = solve(method, block(many, start=0.7, train=train)) if method in ("random", "alignment") else None
    for place in range(3):
        weights = fits(of, place, {round: solved.masks[round][place] for round in of.rows})
        for round in of.rows:
            assert mask_of(solved, place, round).sum() == of.counts[round]
            np.testing.assert_allclose(solved.weights[round][place], weights[round], **CLOSE)
        gone = 0
        for round in range(1, len(of.counts)):
            goes = solved.order[place, gone : gone + of.counts[round - 1] - of.counts[round]]
            before = solved.weights[round - 1][place]
            np.testing.assert_array_equal(solved.gone[place, gone : gone + len(goes)], before[goes])
            if method == "imp":
                expected = np.argsort(
                    np.where(mask_of(solved, place, round - 1), np.abs(before), np.inf), kind="stable"
                )
                np.testing.assert_array_equal(goes, expected[: len(goes)])
            gone += len(goes)
    if one_by_one is not None:
        np.testing.assert_array_equal(solved.order, one_by_one.order)


@pytest.mark.parametrize("method", NESTED)
def test_rounds_that_are_not_asked_for_change_nothing(method):
    every, some = block(problems("wide"), start=0.7), block(problems("wide"), start=0.7, rows=[0, 11, 15])
    whole, part = solve(method, every), solve(method, some)
    assert sorted(part.weights) == sorted(part.masks) == [0, 11, 15]
    for round in some.rows:
        np.testing.assert_array_equal(whole.weights[round], part.weights[round])
        np.testing.assert_array_equal(whole.masks[round], part.masks[round])
    np.testing.assert_array_equal(whole.gone, part.gone)


@pytest.mark.parametrize("after", ["full", "remaining"])
@pytest.mark.parametrize("train", [None, FLOW, DESCENT], ids=["infinite", "flow", "descent"])
@pytest.mark.parametrize("name", ["tall", "wide"])
def test_rewinding(name, train, after):
    """Also where a round keeps the mask of the dense one: it starts from theta(rewind) all the same."""
    features = problems(name)[0][0].shape[1]
    counts = [features, features, features - 1, features - 5, 2]
    of = block(problems(name), start=0.7, counts=counts, train=train, rewind_step=1, after_rewind=after)
    solved = paths.imp(of)
    for place in range(3):
        weights = fits(of, place, {round: solved.masks[round][place] for round in of.rows})
        for round in of.rows:
            np.testing.assert_allclose(solved.weights[round][place], weights[round], **CLOSE)
    assert train is None or after == "remaining" or not np.allclose(solved.weights[0], solved.weights[1])


def test_a_problem_that_diverges_stays_so_and_disturbs_no_other():
    """lr l_max = 4 for one problem, 0.4 for those beside it; of its single features lr l = 1 converges again."""
    healthy = problems("square", 2)
    same = np.repeat(np.random.default_rng(0).standard_normal((10, 1)), 10, axis=1)
    train = {"optimizer": "gradient_descent", "lr": 0.4, "steps": 5000}
    scaled = [(phi / np.linalg.norm(phi, 2) * np.sqrt(len(phi)), y) for phi, y in (*healthy, (same, same[:, 0]))]
    scaled[2] = (np.sqrt(10) * scaled[2][0], scaled[2][1])
    of = block(scaled, train=train)
    for method in NESTED:
        solved = solve(method, of)
        for round in of.rows:
            assert np.isnan(solved.weights[round][2]).all()
        for place in (0, 1):
            own = solve(method, alone(of, place))
            for round in of.rows:
                assert np.isfinite(own.weights[round]).all()
                np.testing.assert_array_equal(solved.weights[round][place], own.weights[round][0])
            np.testing.assert_array_equal(solved.order[place], own.order[0])
        assert all(len(set(order)) == 10 for order in solved.order.tolist())  # each goes once, whatever happens


@pytest.mark.parametrize("method", NESTED)
def test_nothing_to_learn(method):
    """y = 0 from w = 0: all weights stay 0, also where descent would diverge."""
    phi = np.random.default_rng(0).standard_normal((8, 4))
    for train in (None, FLOW, {"optimizer": "gradient_descent", "lr": 50.0, "steps": 5000}):
        solved = solve(method, block([(phi, np.zeros(8))], train=train))
        assert not any(weights.any() for weights in solved.weights.values())


def test_example_2():
    """Uniform correlation: imp prunes argmin |phi_i^T y - kappa sum_j phi_j^T y| in every round, whatever the noise."""
    rng = np.random.default_rng(3)
    covariance = 0.7 * np.eye(12) + 0.3
    q, _ = np.linalg.qr(rng.standard_normal((30, 12)))
    phi = np.sqrt(30) * q @ np.linalg.cholesky(covariance).T
    y = phi @ rng.standard_normal(12) + rng.standard_normal(30)
    order = paths.imp(block([(phi, y)])).order[0]
    left = list(range(12))
    for goes in order:
        place = theory.pruned_uniform(phi[:, left].T @ y, 0.3)
        assert left.pop(place) == goes
