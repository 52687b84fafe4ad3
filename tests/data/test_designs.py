"""Designs of linear models: their covariances, exact or in the mean; what a seed decides; what is wrong with files."""

import numpy as np
import pytest
from data.linear_data import exact_covariances, linear, sigma

from impray.data.designs import population, training_rows
from impray.data.linear import problem, true_weights
from impray.spec.errors import DataError

SEEDS = (0, 1, 7)


@pytest.mark.parametrize("samples", [12, 13, 40])
def test_with_exact_the_samples_covariance_is_the_designs(samples, tmp_path):
    for design, expected in exact_covariances(tmp_path, 12):
        data = linear(samples=samples, design={**design, "exact": True})
        for seed in SEEDS:
            np.testing.assert_allclose(sigma(problem(data, seed).features), expected, rtol=0, atol=1e-12)
        assert not np.array_equal(problem(data, 0).features, problem(data, 1).features)


def test_otherwise_it_is_the_designs_in_the_mean(tmp_path):
    """Of Gaussian rows Sigma_ij has the variance (C_ii C_jj + C_ij^2) / n; 5 standard errors hold for all 144 entries of all designs."""
    samples = 20_000
    for design, expected in exact_covariances(tmp_path, 12):
        found = sigma(problem(linear(samples=samples, design=design), 3).features)
        sizes = np.diag(expected)
        errors = np.sqrt((np.outer(sizes, sizes) + expected**2) / samples)
        assert (np.abs(found - expected) <= 5 * errors + 1e-12).all(), design
        assert np.abs(found - expected).max() > 1e-6, design


@pytest.mark.parametrize("exact", [True, False])
def test_incoherent_pairs_are_correlated_by_plus_or_minus_the_coherence(exact):
    samples = 4096 if exact else 60_000
    data = linear(samples=samples, design={"kind": "incoherent", "coherence": 0.08, "exact": exact})
    found = [sigma(problem(data, seed).features) for seed in SEEDS]
    above = np.triu_indices(12, 1)
    signs = [np.sign(of_seed[above]) for of_seed in found]
    for of_seed, of_pairs in zip(found, signs, strict=True):
        # 5 standard errors of a covariance of Gaussian rows
        tolerance = 1e-12 if exact else 5 * np.sqrt((1 + 0.08**2) / samples)
        np.testing.assert_allclose(of_seed[above], 0.08 * of_pairs, rtol=0, atol=tolerance)
        assert 10 < (of_pairs > 0).sum() < 56  # of 66 fair signs: 5.6 standard deviations on either side
    assert not np.array_equal(signs[0], signs[1])


HUBS = [(64, True), (65, True), (30_000, False)]  # by a Hadamard matrix, by QR, drawn


@pytest.mark.parametrize(("samples", "exact"), HUBS)
def test_a_hub_is_correlated_with_its_spokes_alone_and_both_are_the_truths(samples, exact):
    design = {"kind": "hub", "spokes": 5, "share": 0.8, "weak": 0.05, "exact": exact}
    data = linear(samples=samples, nonzero=6, amplitude=2.0, design=design)
    for seed in SEEDS:
        phi, _, truth, _ = problem(data, seed)
        (hub,), spokes = np.flatnonzero(truth == 2.0), np.flatnonzero(truth == 0.1)
        assert len(spokes) == 5 and np.count_nonzero(truth) == 6
        expected = np.eye(12)
        expected[hub, spokes] = expected[spokes, hub] = -np.sqrt(0.8 / 5)
        tolerance = 1e-12 if exact else 5 * np.sqrt(2 / samples)
        np.testing.assert_allclose(sigma(phi), expected, rtol=0, atol=tolerance)
        if exact:
            values = np.linalg.eigvalsh(sigma(phi))
            ends = [1 - np.sqrt(0.8), *[1] * 10, 1 + np.sqrt(0.8)]
            np.testing.assert_allclose(values, ends, rtol=0, atol=1e-12)
    hubs = {int(true_weights(data, seed).argmax()) for seed in range(20)}
    assert len(hubs) > 5  # 20 of 12 places, evenly


def test_a_large_hub_is_exact_too():
    data = linear(samples=1024, features=900, nonzero=301, design={"kind": "hub", "spokes": 300, "share": 0.9})
    np.testing.assert_allclose(np.linalg.eigvalsh(sigma(problem(data, 0).features))[0], 1 - np.sqrt(0.9), atol=1e-12)


@pytest.mark.parametrize("kind", ["toeplitz", "relu_features"])
def test_normalised_columns_have_a_mean_square_of_1_and_dead_ones_stay(kind):
    data = linear(samples=3, features=40, design={"kind": kind, "normalised": True})
    phi = problem(data, 2).features
    squares = np.square(phi).mean(axis=0)
    alive = squares > 0
    np.testing.assert_allclose(squares[alive], 1, rtol=1e-13)
    assert alive.all() == (kind == "toeplitz")  # of 3 samples an eighth of ReLU features see none
    raw = training_rows(data, 2)
    np.testing.assert_array_equal(raw[:, alive] / np.sqrt(np.square(raw).mean(axis=0))[alive], phi[:, alive])


def test_relu_features_are_active_as_their_bias_says():
    """Without bias v x is symmetric: half are active. With b ~ N(0, 1) and v x ~ N(0, 1) so is their sum; var v x is |v|^2 ~ 1."""
    for bias in (0.0, 1.0):
        design = {"kind": "relu_features", "inputs": 50, "bias": bias}
        phi = problem(linear(samples=4000, features=400, design=design), 0).features
        assert (phi >= 0).all()
        # Features are independent but for x: 5 standard errors of 400 shares, which vary by at most 1 / 2.
        assert abs((phi > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(400)
        # E relu(z)^2 = E z^2 / 2; its relative spread over features is that of |v|^2 and b^2, at most sqrt(2)
        assert abs(np.square(phi).mean() / ((1 + bias**2) / 2) - 1) < 5 * np.sqrt(2 / 400)


def test_rows_of_a_matrix_are_the_files_and_new_ones_are_among_them(tmp_path):
    given = np.random.default_rng(1).normal(size=(40, 12)).astype(np.float32)
    np.save(tmp_path / "phi.npy", given)
    data = linear(design={"kind": "matrix", "path": str(tmp_path / "phi.npy")})
    for seed in SEEDS:
        np.testing.assert_array_equal(problem(data, seed).features, given.astype(np.float64))
    new = population(data, 0)(500, np.random.default_rng(0), False)
    assert {*map(tuple, new)} <= {*map(tuple, given.astype(np.float64))} and len({*map(tuple, new)}) > 30


def test_fewer_samples_are_the_first_ones_of_more():
    for design in ({"kind": "identity"}, {"kind": "toeplitz"}, {"kind": "relu_features"}):
        few, more = (problem(linear(samples=n, design=design), 5) for n in (30, 50))
        # up to rounding: products of matrices of two shapes
        np.testing.assert_allclose(more.features[:30], few.features, rtol=1e-13, atol=1e-13)
        np.testing.assert_array_equal(more.truth, few.truth)
        np.testing.assert_allclose(more.targets[:30], few.targets, rtol=1e-12, atol=1e-12)


def _saved(folder, array, **more):
    np.save(folder / "own.npy", array, **more)


def _cut(folder):
    _saved(folder, np.eye(12))
    whole = (folder / "own.npy").read_bytes()
    (folder / "own.npy").write_bytes(whole[:-8])


def _not_symmetric():
    matrix = np.eye(12)
    matrix[2, 5] = 0.3
    return matrix


def _nan():
    matrix = np.eye(12)
    matrix[3, 3] = np.nan
    return matrix


WRONG = {
    "missing": (lambda folder: None, "cannot be read"),
    "shape": (lambda folder: _saved(folder, np.eye(11)), "[12, 12]"),
    "flat": (lambda folder: _saved(folder, np.ones(12)), "[12, 12]"),
    "asymmetric": (lambda folder: _saved(folder, _not_symmetric()), "[2, 5]"),
    "indefinite": (lambda folder: _saved(folder, np.eye(12) - 0.2), "positive semi-definite"),
    "nan": (lambda folder: _saved(folder, _nan()), "nan at [3, 3]"),
    "complex": (lambda folder: _saved(folder, np.eye(12) * 1j), "real numbers"),
    "pickle": (
        lambda folder: _saved(folder, np.array([[None] * 12] * 12), allow_pickle=True),
        "no .npy file of numbers",
    ),
    "cut": (_cut, "no .npy file of numbers"),
    "text": (lambda folder: (folder / "own.npy").write_text("text"), "no .npy file of numbers"),
    "empty": (lambda folder: (folder / "own.npy").write_text(""), "no .npy file of numbers"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_covariances_file_is_told_with_its_path(wrong, tmp_path):
    make, words = WRONG[wrong]
    make(tmp_path)
    path = str(tmp_path / "own.npy")
    with pytest.raises(DataError) as caught:
        problem(linear(design={"kind": "covariance", "path": path}), 0)
    assert path in str(caught.value) and words in str(caught.value)


def test_a_covariance_written_in_single_precision_will_do(tmp_path):
    expected = 0.4 * np.eye(12) + 0.6
    _saved(tmp_path, expected.astype(np.float32))
    data = linear(design={"kind": "covariance", "path": str(tmp_path / "own.npy"), "exact": True})
    np.testing.assert_allclose(sigma(problem(data, 0).features), expected, rtol=0, atol=1e-7)
