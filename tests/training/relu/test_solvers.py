"""Solvers: exact counts, facts, nothing of neighbours and threads in any bit, several outputs, linear models as before."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from training.relu.planted import block, output, problem

from impray.spec.data import Digits, Linear
from impray.spec.nets import LinearNet, Mlp
from impray.spec.prune import Prune
from impray.spec.training import GradientFlow, Sgd
from impray.spec.trial import Trial
from impray.training.linear.iht import iht as linear_iht
from impray.training.relu import gates
from impray.training.relu.solvers import iht, problem_of, pursuit
from impray.training.solver import Block

SOLVERS = {"iht": iht, "pursuit": pursuit}
COUNTS = [40, 20, 6, 0]
SHORT = {"iht": {"epochs": 5}, "pursuit": {"epochs": 4}}
FACTS = {"optimizer_bytes", "converged", "epochs", "loss"}


def problems(count: int, readout: str = "sum"):
    return [problem(5, 6, 300, 8, seed, readout)[0] for seed in range(count)]


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("readout", ["sum", "signed"])
def test_every_count_has_exactly_its_mask_and_weights_within(solver, readout):
    made = problems(2, readout)
    solved = solver(block(made, COUNTS, [0, 1, 2, 3], readout, **SHORT))
    for round, count in enumerate(COUNTS):
        mask, weights, facts = solved.masks[round], solved.weights[round], solved.facts[round]
        assert (mask.sum(axis=1) == count).all() and not weights[~mask].any()
        assert set(facts) == FACTS and all(len(values) == 2 for values in facts.values())
        for place, own in enumerate(made):
            expected = np.square(output(own.x, weights[place], own.signs) - own.y).mean()
            np.testing.assert_allclose(facts["loss"][place], expected, rtol=1e-9, atol=1e-25)
    assert solved.order is None and (solved.facts[1]["optimizer_bytes"] > 0).all()


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_sixteen_at_once_are_sixteen_times_one_bit_for_bit(solver):
    made = problems(16)
    together = solver(block(made, COUNTS, [1, 2], **SHORT))
    for place, own in enumerate(made):
        alone = solver(block([own], COUNTS, [2], **SHORT))
        np.testing.assert_array_equal(together.weights[2][place], alone.weights[2][0])
        np.testing.assert_array_equal(together.masks[2][place], alone.masks[2][0])
        for name in FACTS:
            assert together.facts[2][name][place] == alone.facts[2][name][0]


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_threads_do_not_decide_a_bit(solver):
    asked = block([problem(70, 30, 3_000, 40)[0]], [2_800, 30], [1], **SHORT)  # products large enough to be shared out
    with threadpool_limits(1):
        one = solver(asked).weights[1]
    with threadpool_limits(4):
        four = solver(asked).weights[1]
    np.testing.assert_array_equal(one, four)


def test_memory_layout_and_dtype_of_the_caller_do_not_decide():
    made = problems(1)
    asked = block(made, COUNTS, [2])
    turned = dataclasses.replace(asked, designs=[np.asfortranarray(made[0].x)])
    np.testing.assert_array_equal(iht(asked).weights[2], iht(turned).weights[2])


def test_the_authors_stream_has_their_gates():
    asked = block(problems(1), COUNTS, [2])
    data = asked.trial.data.model_copy(update={"stream": "authors"})
    theirs = problem_of(dataclasses.replace(asked, trial=asked.trial.model_copy(update={"data": data})), 0)
    np.testing.assert_array_equal(theirs.gates(np.arange(5))[3], np.random.RandomState(3).normal(size=8))
    ours = problem_of(asked, 0).gates(np.array([1, 4]))
    np.testing.assert_array_equal(ours, gates.own(0, 8)(np.arange(5))[[1, 4]])
    later = gates.authors(3, 5, 8)(np.arange(5))
    assert not np.array_equal(later, gates.authors(0, 5, 8)(np.arange(5)))


def test_several_outputs():
    random = np.random.default_rng(0)
    trial = Trial(
        data=Digits(),
        net=Mlp(hidden=(8,), bias=False),
        train=Sgd(loss="cross_entropy"),
        prune=Prune(layers="all", scope="global", iht={"epochs": 30, "rate": 0.5}),
    )
    asked = Block(
        trial=trial,
        seeds=[0, 1],
        designs=[random.random((200, 64)) for _ in range(2)],
        targets=[np.eye(10)[random.integers(10, size=200)] for _ in range(2)],
        start=np.zeros((2, 8 * 74)),
        counts=[592, 100],
        rows=[1],
    )
    solved = iht(asked)
    assert (solved.masks[1].sum(axis=1) == 100).all() and not solved.weights[1][~solved.masks[1]].any()
    alone = iht(
        dataclasses.replace(
            asked, seeds=[1], designs=asked.designs[1:], targets=asked.targets[1:], start=asked.start[1:]
        )
    )
    np.testing.assert_array_equal(alone.weights[1][0], solved.weights[1][1])


def test_linear_models_go_to_their_own_solver():
    random = np.random.default_rng(0)
    trial = Trial(
        data=Linear(samples=50, features=10, nonzero=3),
        net=LinearNet(),
        train=GradientFlow(),
        prune=Prune(layers="all"),
    )
    phi = random.standard_normal((50, 10))
    asked = Block(trial, [0], [phi], [phi[:, 0] - phi[:, 1]], np.zeros((1, 10)), [10, 3], [1])
    np.testing.assert_array_equal(iht(asked).weights[1], linear_iht(asked).weights[1])
