"""The trainer in closed form: any number of outputs, each with its own mask, real targets and classes; and a pack through both ways."""

import dataclasses
import math
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from conftest import rows_of, run
from linear_sweeps import linear_pack

from impray.data import PackData
from impray.nets import network_of
from impray.spec import families
from impray.spec.family import changed
from impray.spec.nets.linear import LinearNet
from impray.spec.training import GradientDescent, GradientFlow
from impray.theory import linear as theory
from impray.training import Task
from impray.training.base import wrong_with
from impray.training.linear.closed_form import train

NETS, UNITS, FEATURES = 2, 3, 6


def task(spec, until, *, samples=15, labels=False, masked=True, specs=None, **more):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(NETS, samples, FEATURES, generator=generator, dtype=torch.float64)
    targets = torch.randn(NETS, samples, UNITS, generator=generator, dtype=torch.float64)
    if labels:
        targets = torch.randint(UNITS, (NETS, samples), generator=generator)
    network = network_of(LinearNet(), (FEATURES,), UNITS)
    (layer,) = network.layers
    mask = torch.rand(NETS, UNITS, FEATURES, generator=generator) < 0.6
    mask[1, 2] = False  # a unit that has lost all
    mask = mask if masked else torch.ones_like(mask)
    start = torch.randn(NETS, UNITS, FEATURES, generator=generator, dtype=torch.float64) * mask
    data = create_autospec(PackData, instance=True, nets=NETS)
    data.whole.side_effect = lambda net: (inputs[net], targets[net])
    return Task(
        network,
        specs or [spec] * NETS,
        {layer.weight: start},
        {layer.weight: mask} if masked else None,
        data,
        until,
        **more,
    )


def expected(of, net, unit, length):
    inputs, targets = of.data.whole(net)
    if not targets.is_floating_point():
        targets = torch.nn.functional.one_hot(targets, UNITS).double()
    mask = np.ones(FEATURES, dtype=bool) if of.masks is None else of.masks["weight1"][net, unit].numpy()
    given = inputs.numpy(), targets[:, unit].numpy(), mask, of.start["weight1"][net, unit].numpy()
    spec = of.specs[net]
    if isinstance(spec, GradientDescent):
        return theory.descent(*given, spec.lr, int(length))
    return theory.flow(*given, length) if length else given[3]


def assert_trained(of, weights, length):
    for net in range(NETS):
        for unit in range(UNITS):
            np.testing.assert_allclose(weights[net, unit].numpy(), expected(of, net, unit, length), atol=1e-10)


@pytest.mark.parametrize("samples", [15, 4])
@pytest.mark.parametrize("more", [{}, {"labels": True}, {"masked": False}], ids=["real", "labels", "dense"])
@pytest.mark.parametrize(
    ("spec", "until", "snapshots"),
    [
        (GradientFlow(), math.inf, (0, 2.5, math.inf)),
        (GradientFlow(time=2.0), 2.0, (0, 0.5)),
        (GradientDescent(lr=0.1, steps=30), 30, (0, 7, 30)),
    ],
    ids=["infinite", "flow", "descent"],
)
def test_each_unit_is_a_problem_of_its_own(spec, until, snapshots, more, samples):
    of = task(spec, until, samples=samples, snapshots=snapshots, **more)
    made = train(of)
    assert wrong_with(made, of) is None
    assert_trained(of, made.params["weight1"], until)
    for point in snapshots:
        assert_trained(of, made.snapshots[point]["weight1"], point)


def test_nets_with_learning_rates_of_their_own():
    specs = [GradientDescent(lr=0.02, steps=40), GradientDescent(lr=0.2, steps=40)]
    of = task(None, 40, specs=specs)
    assert_trained(of, train(of).params["weight1"], 40)


def test_a_net_that_diverges_is_nan_and_the_other_is_as_if_it_were_alone():
    specs = [GradientDescent(lr=1000.0, steps=400), GradientDescent(lr=0.2, steps=400)]
    of = task(None, 400, specs=specs)
    weights = train(of).params["weight1"]
    assert weights[0].isnan().any() and not weights[1].isnan().any()
    assert torch.equal(weights[1], train(task(specs[1], 400)).params["weight1"][1])


@pytest.mark.parametrize(
    ("spec", "until", "points"),
    [
        (GradientFlow(), math.inf, [0]),
        (GradientFlow(time=4.5), 4.5, [0, 2, 4]),
        (GradientDescent(lr=0.1, steps=5), 5, [0, 2, 4, 5]),
    ],
    ids=["infinite", "flow", "descent"],
)
def test_a_time_course(spec, until, points):
    seen = {}
    of = task(spec, until, observe=(2, lambda point, params: seen.__setitem__(point, params["weight1"])))
    made = train(of)
    assert list(seen) == points
    for point, weights in seen.items():
        assert_trained(of, weights, point)
    assert_trained(of, made.params["weight1"], until)
    assert all(weights.data_ptr() != made.params["weight1"].data_ptr() for weights in seen.values())


@pytest.mark.some(6)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("rewinding", [{}, {"rewind_step": 1}, {"rewind_step": 1, "after_rewind": "remaining"}])
@pytest.mark.parametrize("samples", [20, 6])
@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": "gradient_flow"},
        {"optimizer": "gradient_flow", "time": 2.0},
        {"optimizer": "gradient_descent", "lr": 0.1, "steps": 12},
    ],
    ids=["infinite", "flow", "descent"],
)
def test_from_round_to_round_and_solved_are_the_same(tmp_path, monkeypatch, training, samples, rewinding):
    """Rows of imp and oneshot, with a count that stays; to rounding."""
    changes = {
        "methods": ["imp", "oneshot"],
        "seeds": 2,
        "rows_at": "all",
        "rounds": 4,
        "measures": ["support", "estimation", "loss"],
        "trial.data.samples": samples,
        "trial.net.init": {"scale": 0.8},
        "trial.train": training,
        "trial.prune": {"keep": [10, 9, 6, 2], "layers": "all", **rewinding},
    }
    run(linear_pack(**changes), tmp_path / "solved")
    for tag in ("imp", "oneshot"):
        member = dataclasses.replace(families.rules.member(tag), solves=None)
        monkeypatch.setitem(families.rules.members, tag, member)
    run(linear_pack(**changes), tmp_path / "trained")
    changed()
    solved, trained = (rows_of(tmp_path / name, "rounds") for name in ("solved", "trained"))
    same = ["lineage", "round", "density", "exact_recovery", "support_recall", "support_precision", "kept"]
    assert solved.height == 2 * 2 * 5 and solved.select(same).equals(trained.select(same))
    for column in ("estimation_error", "prediction_error", "loss"):
        assert solved[column].to_list() == pytest.approx(trained[column].to_list(), rel=1e-8, abs=1e-10)
