"""The non-linear Gaussian process against its closed forms, and the laws of a pack's random numbers."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf

from impray.data import open_pack, sample
from impray.data.describe import moments
from impray.kernels.fourier import basis, frequencies
from impray.spec.data import Nlgp, Photographs
from impray.spec.errors import ShapeError
from impray.theory.stimuli import correlation, covariance
from impray.theory.stimuli import nlgp_scale as normaliser

CPU = torch.device("cpu")


def open_(specs, seeds, batch=5, dtype=torch.float32, round=0):
    pack = open_pack(specs, seeds, batch=batch, dtype=dtype, device=CPU)
    pack.start(round)
    return pack


def excess_kurtosis(gain):
    density = lambda z: math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    second, fourth = (quad(lambda z: erf(gain * z) ** k * density(z), -12, 12, limit=200)[0] for k in (2, 4))  # noqa: B023
    return fourth / second**2 - 3


@pytest.mark.parametrize(("gain", "published"), [(0.1, -0.076), (1.0, -1.440), (3.0, -1.834)])
def test_variance_and_kurtosis_match_theory_within_4_standard_errors(gain, published):
    expected = excess_kurtosis(gain)
    assert expected == pytest.approx(published, abs=5e-4)
    x, _ = sample(Nlgp(shape=(16, 16), gain=gain), per_class=2**9, seed=1)  # 2^18 numbers
    found = moments(x.flatten(1).double().numpy())
    assert abs(found["variance"] - 1) < 4 * found["variance_standard_error"]
    assert abs(found["excess_kurtosis"] - expected) < 4 * found["standard_error"]
    assert abs(found["mean"]) < 4 * found["mean_standard_error"]


def assert_covariance(x, expected):
    """Every displacement's covariance, averaged over the torus, within 4 standard errors over samples."""
    x = x.double().numpy().reshape(len(x), *expected.shape)
    power = np.abs(np.fft.fft2(x)) ** 2
    per_sample = np.fft.ifft2(power).real / expected.size
    error = per_sample.std(axis=0) / math.sqrt(len(x))
    assert (np.abs(per_sample.mean(axis=0) - expected) < 4 * error).all()


@pytest.mark.parametrize("shape", [(16,), (6, 8)], ids=str)
@pytest.mark.parametrize("blend", [0.0, 0.5, 1.0])
def test_covariance_is_the_exact_one_at_every_blend(shape, blend):
    spec = Nlgp(shape=shape, gain=3.0, xi=(0.7, 2.0), gaussian_blend=blend)
    x, labels = sample(spec, per_class=8000, seed=3)
    for label in range(2):
        assert_covariance(x[labels == label], covariance(spec, label))


def test_the_covariance_is_that_of_erf_of_correlated_normals():
    spec = Nlgp(shape=(40,), gain=2.0, xi=(1.5, 3.0))
    c = correlation(40, 1.5)[2]
    assert c == pytest.approx(math.exp(-4 / 1.5**2), abs=1e-6)
    u, w = np.polynomial.hermite_e.hermegauss(80)
    w = np.outer(w, w) / (2 * math.pi)
    product = erf(2 * u)[:, None] * erf(2 * (c * u[:, None] + math.sqrt(1 - c**2) * u))
    assert covariance(spec, 0)[0, 2] == pytest.approx((w * product).sum() / normaliser(2.0) ** 2, abs=1e-4)


@pytest.mark.parametrize("blend", [0.5, 1.0])
def test_a_blend_reduces_the_kurtosis_as_one_minus_b_squared(blend):
    x, _ = sample(Nlgp(shape=(16, 16), gain=3.0, gaussian_blend=blend), per_class=2**9, seed=4)
    found = moments(x.flatten(1).double().numpy())
    assert abs(found["excess_kurtosis"] - (1 - blend) ** 2 * excess_kurtosis(3.0)) < 4 * found["standard_error"]


def test_a_small_gain_is_the_gaussian_itself():
    # erf(g z)/Z(g) = z (1 - g^2 (z^2 - 3) / 3 + ...): 5 standard deviations and g = 1e-3 leave 1e-5 of z
    small, smaller = (sample(Nlgp(shape=(12,), gain=gain), 500)[0] for gain in (1e-3, 1e-5))
    assert torch.allclose(small, smaller, rtol=2e-5, atol=1e-5)
    found = moments(smaller.double().numpy())
    assert abs(found["excess_kurtosis"]) < 4 * found["standard_error"]


def test_class_0_has_the_first_length_scale():
    x, labels = sample(Nlgp(shape=(40,), gain=1.0, xi=(0.3, 3.0)), 500)
    neighbours = [(x[labels == c] * x[labels == c].roll(1, dims=1)).mean().item() for c in (0, 1)]
    assert neighbours[0] < 0.05 and neighbours[1] > 0.8


@pytest.mark.parametrize("side", [2, 3, 6, 7, 12])
def test_the_fourier_basis_is_orthogonal_and_diagonalises_the_ring(side):
    modes = basis(side)
    assert np.allclose(modes @ modes.T, np.eye(side), atol=1e-12)
    c = correlation(side, 2.0)
    circulant = np.stack([np.roll(c, shift) for shift in range(side)])
    spectrum = np.fft.fft(c).real[frequencies(side)]
    assert np.allclose(modes.T @ circulant @ modes, np.diag(spectrum), atol=1e-12)


def test_long_length_scales_are_clipped_and_keep_variance_1():
    c = correlation(12, 6.0)
    assert c[0] == pytest.approx(1) and np.fft.fft(c).real.min() > -1e-12
    assert np.fft.fft(np.exp(-(np.minimum(np.arange(12), 12 - np.arange(12)) ** 2) / 36)).real.min() < -1e-3


PACKS = [
    ((12, 12), 64, torch.float32),
    ((7, 5), 3, torch.float32),
    ((9,), 5, torch.float64),
    ((3,), 1, torch.float32),
]


@pytest.mark.parametrize(("shape", "batch", "dtype"), PACKS, ids=str)
def test_a_pack_of_16_equals_16_packs_of_one(shape, batch, dtype):
    specs = [
        Nlgp(
            shape=shape,
            gain=(0.5, 2.0, 5.0)[i % 3],
            xi=(1.0 + i % 2, 2.5),
            gaussian_blend=(0, 0.3, 0, 1)[i % 4],
            held_out=3,
        )
        for i in range(16)
    ]
    seeds = [i // 3 for i in range(16)]
    pack = open_(specs, seeds, batch, dtype, round=2)
    raw = pack.draw(3)
    batches = [pack.batch(raw, step) for step in range(3)]
    for net, (spec, seed) in enumerate(zip(specs, seeds, strict=True)):
        alone = open_([spec], [seed], batch, dtype, round=2)
        alone_raw = alone.draw(3)
        for step, (x, y) in enumerate(batches):
            own_x, own_y = alone.batch(alone_raw, step)
            assert torch.equal(x[net], own_x[0]) and torch.equal(y[net], own_y[0])
        assert torch.equal(pack.held_out(net)[0], alone.held_out(0)[0])
    assert batches[0][0].shape == (16, batch, math.prod(shape)) and batches[0][0].dtype == dtype
    x, labels = batches[0]
    # As the engine takes it: [net, input, sample], every net in one piece that begins on a cache line.
    assert x.mT[0].is_contiguous() and x.data_ptr() % 64 == 0 and x.stride(0) * x.element_size() % 64 == 0
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("portions", [(8,), (4, 4), (1, 2, 5), (3, 3, 2)], ids=str)
def test_a_stream_does_not_depend_on_how_it_is_asked_for(portions):
    spec = Nlgp(shape=(7, 5), gaussian_blend=0.5)
    whole, parts = (open_([spec, spec], [0, 1], batch=301) for _ in range(2))
    expected = whole.draw(8)
    found = [parts.draw(steps) for steps in portions]
    for name, numbers in expected.items():
        assert torch.equal(torch.cat([raw[name] for raw in found], dim=1), numbers)


def test_rounds_and_seeds_have_their_own_numbers_and_start_repeats_them():
    spec = Nlgp(shape=(12,))
    pack = open_([spec] * 3, [0, 0, 1])
    x, y = pack.batch(pack.draw(1), 0)
    pack.draw(2)
    pack.start(0)
    again, labels = pack.batch(pack.draw(1), 0)
    pack.start(1)
    later, _ = pack.batch(pack.draw(1), 0)
    assert torch.equal(x, again) and torch.equal(y, labels)
    assert torch.equal(x[0], x[1]) and not torch.equal(x[0], x[2])
    assert not torch.equal(x, later)


def test_labels_are_uniform_over_three_classes():
    pack = open_([Nlgp(shape=(4,), xi=(0.5, 1.0, 2.0))], [0], batch=3000)
    counts = torch.bincount(pack.batch(pack.draw(1), 0)[1].flatten(), minlength=3)
    # binomial, n = 3000, p = 1/3: standard deviation 25.8
    assert pack.classes == 3 and (counts - 1000).abs().max() < 4 * 25.8


def test_held_out_is_sorted_by_class_and_the_same_in_every_round():
    pack = open_([Nlgp(shape=(12,), held_out=7)] * 2, [0, 1])
    x, y = pack.held_out(0)
    pack.start(5)
    assert x.shape == (14, 12) and y.tolist() == [0] * 7 + [1] * 7
    assert pack.held_out(0)[0] is x
    assert not torch.equal(x, pack.held_out(1)[0])


def test_a_pack_of_several_kinds_or_shapes_is_refused():
    for other in (Nlgp(shape=(5,)), Nlgp(shape=(4,), xi=(1.0, 2.0, 3.0)), Photographs()):
        with pytest.raises(ShapeError, match="share one kind"):
            open_([Nlgp(shape=(4,)), other], [0, 1])
    with pytest.raises(ShapeError, match="one seed per net"):
        open_([Nlgp()], [0, 1])
