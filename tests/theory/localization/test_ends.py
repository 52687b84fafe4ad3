"""Where the flow of eq. 5 ends, and what of a field is compared."""

import itertools
import math

import numpy as np
import pytest
from theory.localization.fields import FLOWS, ROOT, ipr, random_weights

from impray.spec.data import Elliptical, Ising, Nlgp
from impray.theory import amplifier as drive
from impray.theory import localization as theory
from impray.theory.stimuli import covariance, torus

# --- where it ends ---


@pytest.mark.parametrize(
    ("spec", "slope"),
    [
        (Nlgp(shape=(16,), gaussian_blend=1, xi=(1, 3)), ROOT),
        (Nlgp(shape=(16,), gaussian_blend=1, xi=(0.7, 0.3)), ROOT),
        (Elliptical(shape=(4, 6), radius="shell", xi=(0.5, 1.5)), None),
        (Elliptical(shape=(16,), degrees_of_freedom=3, scale="radius", xi=(1, 3)), None),
    ],
    ids=["gaussian", "gaussian, the long one first", "shell torus", "t"],
)
def test_a_line_ends_in_the_wave_with_the_smallest_ratio_of_eigenvalues(spec, slope):
    """And there C / sqrt(w Sigma_1 w) = (l_0 + l_1) / l_1, which is its length."""
    slope = drive.mean_size(spec) if slope is None else slope
    found = theory.steady_state(spec, random_weights(3, spec.inputs), tolerance=1e-7)
    assert found.converged.all()
    short, long = (np.fft.fft2(covariance(spec, label)).real.ravel() for label in (0, 1))
    there = long > 1e-9 * long.max()  # the others' eigenvalues are 0 but for rounding: they do not grow
    best = np.argmin(np.divide(short, long, out=np.full_like(short, np.inf), where=there))
    wave = theory.sinusoid(found.w, spec.shape)
    assert (wave.relative_distance < 1e-4).all()
    assert (np.abs(wave.frequency) == np.divmod(best, torus(spec)[1])).all()
    expected = slope * math.sqrt(long[best]) / (short + long)[best]
    np.testing.assert_allclose(np.linalg.norm(found.w, axis=1), expected, rtol=1e-4)
    speeds = np.linalg.norm(theory.speed(spec, found.w), axis=1)
    assert (speeds < 1e-7 * np.linalg.norm(found.w, axis=1)).all()


def test_a_mode_on_a_wave_at_rest_grows_at_its_rate():
    spec = Nlgp(shape=(16,), gaussian_blend=1, xi=(0.3, 0.7))
    short, long = (np.fft.fft(covariance(spec, label)[0]).real for label in (0, 1))
    wave = np.cos(2 * math.pi * 2 * np.arange(16) / 16)
    wave *= ROOT * math.sqrt(long[2]) / (short + long)[2] / np.linalg.norm(wave)
    assert np.linalg.norm(theory.speed(spec, wave)) < 1e-14
    for k in (0, 1, 3, 8):
        other = 1e-7 * np.cos(2 * math.pi * k * np.arange(16) / 16)
        rate = long[k] / 2 * (short[2] / long[2] - short[k] / long[k])
        assert (rate > 0) == (k < 2)
        np.testing.assert_allclose(theory.speed(spec, wave + other), rate * other, atol=1e-13)


@pytest.mark.slow
def test_spins_localise_and_gaussian_inputs_do_not():
    w0 = random_weights(6, 40)
    spins = theory.euler(Ising(), w0, 0.05, 2000)
    assert (ipr(spins) > 0.3).all()
    assert (theory.sinusoid(spins, (40,)).relative_distance > 0.5).all()
    binary = theory.euler(Nlgp(gain=100, xi=(0.3, 0.7)), w0, 0.05, 2000)
    assert (ipr(binary) > 0.9).all()
    gaussian = theory.steady_state(Nlgp(gain=0.01, xi=(1, 3)), w0)
    assert gaussian.converged.all()
    assert (theory.sinusoid(gaussian.w, (40,)).relative_distance < 1e-2).all()
    assert (ipr(gaussian.w) < 1.5 * 1.01 / 40).all()  # a cosine has 1.5 / 40, a constant 1 / 40


@pytest.mark.slow
def test_of_spins_two_equal_neighbours_are_at_rest_and_one_weight_is_a_saddle():
    one = theory.steady_state(Ising(), np.eye(40)[20] * 0.3, tolerance=1e-8).w  # symmetric about 20, so it stays there
    assert theory.peak(one) == 20 and one[19] == pytest.approx(one[21], abs=1e-9)
    pushed = theory.steady_state(Ising(), one + 1e-3 * np.eye(40)[21], tolerance=1e-6).w
    assert pushed[20] == pytest.approx(pushed[21], rel=1e-3) and pushed[20] > 2 * pushed[19]


def test_what_has_no_time_to_rest_has_not_converged():
    found = theory.steady_state(Nlgp(gain=0.01, xi=(0.3, 0.7)), random_weights(2, 40), most_time=100)
    assert not found.converged.any()
    assert theory.steady_state(FLOWS["nlgp"], np.zeros((1, 12))).converged.all()


# --- what is compared ---


def test_the_peak_is_the_largest_size_whatever_sign_and_scale():
    w = np.array([[1.0, -3.0, 2.0], [0.0, 0.5, 0.5]])
    assert theory.peak(w).tolist() == [1, 1]
    assert theory.peaks_agree(w, -1e-9 * w).tolist() == [True, True]
    assert theory.peaks_agree(w, w[:, ::-1]).tolist() == [True, False]


def waves_of(shape: tuple[int, int]):
    """[input, 1 or 2] of every frequency: rows 0 or more, columns of either sign."""
    rows, cols = shape
    row, col = np.divmod(np.arange(rows * cols), cols)
    for r, c in itertools.product(range(rows // 2 + 1), range(-(cols // 2) + (cols % 2 == 0), cols // 2 + 1)):
        angle = 2 * math.pi * (r * row / rows + c * col / cols)
        yield (r, c), np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("shape", [(9,), (8,), (4, 5), (6, 4), (1, 7)])
def test_the_sinusoid_is_the_best_of_all_least_squares_fits(shape):
    whole = (1, *shape) if len(shape) == 1 else shape
    w = np.random.default_rng(0).normal(size=(2, 3, math.prod(shape)))
    found = theory.sinusoid(w, shape)
    assert found.frequency.shape == (2, 3, 2)
    for place in np.ndindex(2, 3):
        one = w[place]
        fits = {k: basis @ np.linalg.lstsq(basis, one, rcond=None)[0] for k, basis in waves_of(whole)}
        best = min(fits, key=lambda k: np.linalg.norm(one - fits[k]))
        np.testing.assert_allclose(found.values[place], fits[best], atol=1e-12)
        distance = np.linalg.norm(one - fits[best]) / np.linalg.norm(one)
        assert found.relative_distance[place] == pytest.approx(distance, rel=1e-12)


@pytest.mark.parametrize("shape", [(9,), (8,), (4, 5), (6, 4)])
def test_a_planted_wave_is_found_exactly(shape):
    whole = (1, *shape) if len(shape) == 1 else shape
    rng = np.random.default_rng(1)
    for (r, c), basis in waves_of(whole):
        # Two coefficients where sine and cosine differ; its sine is rounding where k = -k.
        wave = basis @ rng.normal(size=2) if np.abs(basis[:, 1]).max() > 1e-9 else basis[:, 0] * rng.normal()
        found = theory.sinusoid(wave, shape)
        assert found.relative_distance < 1e-14
        np.testing.assert_allclose(found.values, wave, atol=1e-14)
        row, col = found.frequency
        assert any(((s * r - row) % whole[0], (s * c - col) % whole[1]) == (0, 0) for s in (1, -1))
        assert 0 <= row <= whole[0] // 2 and abs(col) <= whole[1] // 2 and (row > 0 or col >= 0)


def test_a_sinusoid_of_nothing_is_nan_and_one_weight_is_far_from_any():
    found = theory.sinusoid(np.stack([np.zeros(8), np.full(8, np.nan), np.eye(8)[3]]), (8,))
    assert np.isnan(found.relative_distance[:2]).all()
    assert found.relative_distance[2] == pytest.approx(math.sqrt(1 - 2 / 8))
    with pytest.raises(ValueError, match="of the 8 inputs"):
        theory.sinusoid(np.zeros(8), (3, 3))
