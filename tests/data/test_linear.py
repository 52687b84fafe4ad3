"""Linear models with a sparse truth: laws of truth and noise, streams, and what a pack gives."""

import numpy as np
import pytest
import torch
from data.linear_data import linear

from impray.data import linear as module
from impray.data import open_pack
from impray.data.linear import problem, true_weights
from impray.data.recent import Recent
from impray.spec.data import Linear

CPU = torch.device("cpu")
DESIGNS = [
    {"kind": "identity"},
    {"kind": "identity", "exact": True},
    {"kind": "uniform", "alpha": 0.3, "normalised": True},
    {"kind": "toeplitz", "rho": 0.9, "exact": True},
    {"kind": "incoherent", "coherence": 0.02},
    {"kind": "relu_features", "normalised": True},
]


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(module, "_PROBLEMS", Recent(2**28))


def pack_of(specs, seeds, batch=5, dtype=torch.float64):
    return open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)


def test_the_truth_has_k_components_at_places_chosen_evenly():
    data = linear(features=10, nonzero=4)
    drawn = np.array([true_weights(data, seed) != 0 for seed in range(1000)])
    assert (drawn.sum(axis=1) == 4).all()
    # 5 standard errors of a share of 0.4 in 1,000
    np.testing.assert_allclose(drawn.mean(axis=0), 0.4, atol=5 * np.sqrt(0.4 * 0.6 / 1000))
    assert (
        linear(nonzero=None, nonzero_per_sample=0.1).support
        == 4
        == np.count_nonzero(true_weights(linear(nonzero=None, nonzero_per_sample=0.1), 0))
    )


def test_components_follow_their_law():
    drawn = {
        law: np.concatenate(
            [true_weights(linear(features=400, nonzero=400, amplitude=3.0, law=law), s) for s in range(25)]
        )
        for law in ("gaussian", "signs", "at_least")
    }
    z = drawn["gaussian"] / 3
    count = len(z)
    assert abs(z.mean()) < 5 / np.sqrt(count) and abs(z.var() - 1) < 5 * np.sqrt(2 / count)
    assert abs(np.mean(z**4) - 3) < 5 * np.sqrt(96 / count)  # var z^4 = 105 - 9
    assert {*drawn["signs"]} == {-3.0, 3.0} and abs(drawn["signs"].mean()) < 15 / np.sqrt(count)
    assert np.abs(drawn["at_least"]).min() >= 3
    np.testing.assert_allclose(drawn["at_least"], 3 * np.sign(z) * (1 + np.abs(z)), rtol=1e-15)  # one z for all laws


@pytest.mark.parametrize("noise", ["gaussian", "uniform", "rademacher"])
def test_noise_has_mean_0_and_its_standard_deviation_and_is_sub_gaussian_with_it(noise):
    data = linear(samples=20_000, noise=noise, noise_scale=2.0)
    phi, targets, truth, _ = problem(data, 4)
    z = (targets - phi @ truth) / 2
    fourth = {"gaussian": 3.0, "uniform": 9 / 5, "rademacher": 1.0}[noise]
    assert abs(z.mean()) < 5 / np.sqrt(len(z))
    assert abs(z.var() - 1) <= 5 * np.sqrt((fourth - 1) / len(z)) + 1 / len(z) * 25
    if noise != "gaussian":
        assert np.abs(z).max() <= (np.sqrt(3) if noise == "uniform" else 1) + 1e-12
    for t in (0.5, 1.0, 2.0):  # E exp(t z) <= exp(t^2 / 2); 5 standard errors
        values = np.exp(t * z)
        assert values.mean() <= np.exp(t * t / 2) + 5 * values.std() / np.sqrt(len(z))


def test_streams_are_apart():
    """What is changed changes itself alone."""
    base = problem(linear(noise_scale=0.5), 3)
    for change in (
        {"noise": "uniform"},
        {"noise_scale": 1.5},
        {"noise_scale": 0.0},
        {"law": "signs"},
        {"amplitude": 2.0},
    ):
        other = problem(linear(**{"noise_scale": 0.5, **change}), 3)
        np.testing.assert_array_equal(other.features, base.features)
        same_truth = not {"law", "amplitude"} & change.keys()
        assert np.array_equal(other.truth, base.truth) == same_truth
        assert np.array_equal(other.truth != 0, base.truth != 0)
    for change in ({"design": {"kind": "toeplitz"}}, {"samples": 50}):
        np.testing.assert_array_equal(problem(linear(noise_scale=0.5, **change), 3).truth, base.truth)
    of_noise = [p.targets - p.features @ p.truth for p in (base, problem(linear(noise_scale=1.0), 3))]
    np.testing.assert_allclose(2 * of_noise[0], of_noise[1], rtol=0, atol=1e-13)
    more = problem(linear(noise_scale=0.5, nonzero=5), 3).truth
    assert np.array_equal(more[base.truth != 0], base.truth[base.truth != 0])  # supports are nested in k
    assert not np.array_equal(problem(linear(noise_scale=0.5), 4).features, base.features)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_16_problems_at_once_are_16_times_one_bit_for_bit(design, monkeypatch):
    specs = [linear(noise_scale=0.5, design=design, samples=40 + seed % 3) for seed in range(16)]
    together = pack_of(specs, range(16))
    found = [(*together.whole(net), *together.held_out(net), together.truth(net)["weight1"]) for net in range(16)]
    for net in reversed(range(16)):
        monkeypatch.setattr(module, "_PROBLEMS", Recent(0))
        alone = pack_of(specs[net : net + 1], [net])
        own = (*alone.whole(0), *alone.held_out(0), alone.truth(0)["weight1"])
        assert all(torch.equal(a, b) for a, b in zip(own, found[net], strict=True))


def test_what_is_kept_stays_within_its_bytes(monkeypatch):
    recent = Recent(3 * 8 * 40 * 13)
    monkeypatch.setattr(module, "_PROBLEMS", recent)
    first = problem(linear(), 0)
    assert problem(linear(), 0) is first
    for seed in range(1, 9):
        problem(linear(), seed)
    again = problem(linear(), 0)
    assert again is not first and all(np.array_equal(a, b) for a, b in zip(again, first, strict=True))


def test_the_whole_set_is_phi_and_y_in_the_packs_type_and_may_be_overwritten():
    data = linear(noise_scale=0.1)
    own = problem(data, 1)
    for dtype in (torch.float32, torch.float64):
        pack = pack_of([data], [1], dtype=dtype)
        phi, targets = pack.whole(0)
        assert phi.dtype == targets.dtype == dtype and phi.shape == (40, 12) and targets.shape == (40, 1)
        torch.testing.assert_close(phi, torch.from_numpy(own.features).to(dtype), rtol=0, atol=0)
        torch.testing.assert_close(targets[:, 0], torch.from_numpy(own.targets).to(dtype), rtol=0, atol=0)
        phi.zero_(), targets.zero_()
        assert pack.whole(0)[0].count_nonzero() == 480
        assert pack.truth(0)["weight1"].shape == (1, 12) and int(pack.truth(0)["weight1"].count_nonzero()) == 3


def test_batches_are_rows_of_the_whole_sets_whatever_their_sizes():
    specs = [linear(samples=30), linear(samples=50), linear(samples=50, noise_scale=1.0), linear(samples=50)]
    pack = pack_of(specs, [0, 0, 0, 1])
    pack.start(2)
    raw = pack.draw(3)
    x, targets = pack.batch(raw, 2)
    assert x.shape == (4, 5, 12) and targets.shape == (4, 5, 1)
    for net, order in enumerate((0, 1, 1, 2)):  # nets that share seed and size share places
        every, of_every = pack.whole(net)
        places = raw["order"][order, 2]
        assert torch.equal(every[places], x[net]) and torch.equal(of_every[places], targets[net])
    alone = pack_of(specs[2:3], [0])
    alone.start(2)
    assert torch.equal(alone.batch(alone.draw(3), 2)[0][0], x[2])


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_held_out_rows_are_new_ones_of_the_same_population(design):
    data = linear(samples=4000, noise_scale=0.7, held_out=4000, design=design)
    pack = pack_of([data], [5])
    phi, targets = pack.whole(0)
    new, of_new = pack.held_out(0)
    assert new.shape == (4000, 12) and of_new.shape == (4000, 1)
    assert float((new == phi).all(dim=1).double().mean()) < 0.01  # ReLU features may all be 0
    truth = pack.truth(0)["weight1"].T
    noise = of_new - new @ truth
    assert abs(float(noise.std()) - 0.7) < 5 * 0.7 / np.sqrt(2 * 4000)
    assert abs(float((noise * (targets - phi @ truth)).mean())) < 5 * 0.7**2 / np.sqrt(4000)
    # Second moments of two samples: 5 standard errors of their difference, from the products themselves.
    products = [(x[:, :, None] * x[:, None]) for x in (phi, new)]
    errors = torch.stack([p.var(dim=0) / 4000 for p in products]).sum(dim=0).sqrt()
    assert ((products[0].mean(dim=0) - products[1].mean(dim=0)).abs() <= 5 * errors).all()


def test_a_spec_says_k_once():
    for wrong in ({}, {"nonzero": 2, "nonzero_per_sample": 0.1}):
        with pytest.raises(ValueError, match="nonzero"):
            Linear.model_validate({"samples": 10, "features": 5, **wrong})
