"""The benchmarks' reference loops do the work that ours do: their samples follow the theory, their neuron learns the same."""

import math

import numpy as np
import pytest
import torch

from impray.bench import ising, neuron, torus
from impray.measures.ipr import ipr
from impray.spec.data import Ising, Nlgp
from impray.theory import stimuli

BATCH = 200


def _agrees(spec, sample, batches):
    """Both classes' covariances by distance, within 4.5 standard errors of theory's."""
    drawn = [sample() for _ in range(batches)]
    x = torch.cat([torch.as_tensor(x) for x, _ in drawn]).double()
    labels = torch.cat([torch.as_tensor(labels) for _, labels in drawn])
    for label in range(spec.classes):
        fields = x[labels == label].view(-1, *stimuli.torus(spec))
        assert abs(len(fields) / len(x) - 1 / spec.classes) < 4.5 * math.sqrt(0.25 / len(x))
        spectrum = torch.fft.fft2(fields).abs().square()
        products = torch.fft.ifft2(spectrum).real / spec.inputs  # [sample, row, col]: mean of x_i x_i+d over i
        error = products.std(0) / math.sqrt(len(fields)) + 1e-6  # binary inputs have no spread at d = 0
        expected = torch.from_numpy(stimuli.covariance(spec, label).reshape(stimuli.torus(spec)).copy())
        assert ((products.mean(0) - expected).abs() < 4.5 * error).all(), label


@pytest.mark.parametrize("factor", ["multivariate_normal", "eigh", "cholesky"])
def test_refactorised_samples_follow_the_theory(factor):
    torch.manual_seed(0)
    np.random.seed(0)
    spec = Nlgp(shape=(4, 6), gain=3.0, xi=(0.6, 1.0))
    _agrees(spec, torus.refactorising(spec, BATCH, factor), 100)


def test_samples_of_the_loop_over_one_neuron_follow_the_theory():
    torch.manual_seed(0)
    spec = Nlgp(shape=(12,), gain=100.0, xi=(0.3, 0.7))
    _agrees(spec, neuron.rooted(spec, BATCH), 100)


def test_metropolis_samples_follow_the_theory():
    spec = Ising(shape=(12,), coupling=(0.3, 0.7))
    _agrees(spec, ising.metropolis(spec, BATCH, proposals=1_000), 50)


@pytest.mark.parametrize("spec", [torus.SPEC, ising.SPEC, neuron.SPEC], ids=["torus", "ising", "neuron"])
def test_what_is_timed_follows_the_theory(spec):
    _agrees(spec, torus.sampler(spec, BATCH), 20)


def test_the_plain_neuron_is_ours_on_the_same_batches():
    spec, seed, steps = Nlgp(shape=(12,), gain=100.0, xi=(0.3, 0.7)), 3, 50
    pack = neuron.open_neurons([spec], [seed], BATCH)
    start = pack(0)[0]
    plain = neuron.plain(torus.sampler(spec, BATCH, seed=seed), spec.inputs, steps, start)
    assert torch.allclose(plain, pack(steps)[0], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(plain, start, atol=1e-2)


@pytest.mark.slow
def test_the_plain_neuron_localises_as_ours_does():
    """The median of seven: from one start in ten or so a neuron comes to rest on three inputs, here as there."""
    torch.manual_seed(0)
    spec = Nlgp(shape=(12,), gain=100.0, xi=(0.3, 0.7))
    ours = ipr(neuron.open_neurons([spec] * 7, range(7), BATCH)(1_000)).median()
    plain = torch.stack([ipr(neuron.plain(neuron.rooted(spec, BATCH), spec.inputs, 1_000)) for _ in range(7)]).median()
    assert ours.item() == pytest.approx(plain.item(), abs=0.02) and plain > 0.9
