"""The flow of eq. 5: against whole matrices, an adaptive solver, and the loss itself."""

import itertools
import math

import numpy as np
import pytest
from theory.localization.fields import FLOWS, LAWS, dense, named, random_weights

from impray.spec.data import Elliptical, Ising, Nlgp
from impray.theory import localization as theory
from impray.theory.stimuli import covariance, elliptical_scale, field_correlation, pointwise, torus

# --- the flow ---


@pytest.mark.parametrize("name", FLOWS)
def test_the_speed_is_eq_5_with_whole_matrices_neuron_by_neuron(name):
    spec = FLOWS[name]
    w = random_weights(6, 12).reshape(2, 3, 12)
    short, long = dense(spec, 0), dense(spec, 1)
    phi = theory.amplifier(spec)
    found = theory.speed(spec, w)
    for place in np.ndindex(2, 3):
        one = w[place]
        expected = (phi(long @ one / math.sqrt(one @ long @ one)) - (short + long) @ one) / 2
        np.testing.assert_allclose(found[place], expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(theory.speed(spec, one), found[place], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", FLOWS)
def test_shifted_or_negative_weights_flow_alike(name):
    spec = FLOWS[name]
    w0 = random_weights(3, 12)
    moved = np.roll(w0.reshape(3, *torus(spec)), (1, 2), axis=(1, 2)).reshape(3, 12)
    plain, shifted, negative = (theory.euler(spec, w, 0.05, 100) for w in (w0, moved, -w0))
    back = np.roll(shifted.reshape(3, *torus(spec)), (-1, -2), axis=(1, 2)).reshape(3, 12)
    # Roundings of 1e-16 grow by the flow's instabilities, at most as exp(5 t / 2) here.
    np.testing.assert_allclose(back, plain, rtol=0, atol=1e-9)
    np.testing.assert_allclose(negative, -plain, rtol=0, atol=1e-9)


@pytest.mark.parametrize("form", ["exact", "taylor"])
@pytest.mark.parametrize("name", FLOWS)
def test_euler_goes_to_the_adaptive_flow_at_first_order(name, form):
    spec = FLOWS[name]
    w0 = random_weights(4, 12, scale=1.0)
    there = theory.flow(spec, w0, np.array([0.0, 1.0, 2.0]), form=form)
    np.testing.assert_allclose(there[0], w0, atol=1e-15)
    off = [np.linalg.norm(theory.euler(spec, w0, 2 / steps, steps, form=form) - there[2]) for steps in (200, 400)]
    assert off[0] / off[1] == pytest.approx(2, abs=0.1)
    assert off[1] < 0.05 * np.linalg.norm(there[2])
    again = theory.flow(spec, there[1], np.array([1.0]), form=form)[0]  # it has no memory
    np.testing.assert_allclose(again, there[2], rtol=0, atol=1e-6)


def test_records_are_the_steps_on_the_way():
    spec, w0 = FLOWS["nlgp"], random_weights(2, 12)
    way = theory.euler(spec, w0, 0.05, 7, record_every=3)
    for record, steps in zip(way, (0, 3, 6, 7), strict=True):
        np.testing.assert_array_equal(record, theory.euler(spec, w0, 0.05, steps))
    assert theory.euler(spec, w0, 0.05, 6, record_every=3).shape == (3, 2, 12)


@pytest.mark.parametrize("form", ["exact", "taylor"])
def test_given_steps_are_those_of_the_records_bit_for_bit(form):
    spec, w = FLOWS["nlgp"], random_weights(2, 12)
    records = theory.euler(spec, w, 0.05, 9, form=form, record_every=1)
    steps = [4, 4, 5, 9]
    found = theory.euler_at(spec, records[4], 0.05, steps, form=form)
    np.testing.assert_array_equal(found, records[steps])
    for wrong in ([], [3, 2]):
        with pytest.raises(ValueError, match="steps"):
            theory.euler_at(spec, w, 0.05, wrong)


def test_no_weights_stand_still_beside_others():
    spec = FLOWS["nlgp"]
    w0 = np.concatenate([np.zeros((1, 12)), random_weights(1, 12)])
    found = theory.euler(spec, w0, 0.05, 10)
    assert (found[0] == 0).all() and np.isfinite(found).all()
    np.testing.assert_allclose(found[1], theory.euler(spec, w0[1], 0.05, 10), rtol=1e-12)


# --- against the loss itself ---


def inputs_of(spec, label: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of elliptical or pointwise inputs on a ring, by the symmetric root of the covariance."""
    values, vectors = np.linalg.eigh(np.stack([np.roll(field_correlation(spec, label)[0], i) for i in range(12)]))
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    z = rng.normal(size=(samples, 12))
    clone = rng.normal(size=(samples, 12)) @ root
    b = spec.gaussian_blend
    if not isinstance(spec, Elliptical):
        return math.sqrt(1 - b) * pointwise(spec)(z @ root) + math.sqrt(b) * clone
    u = rng.uniform(size=(samples, 1))
    r = {
        "student_t": lambda: np.sqrt(12 * rng.f(12, spec.degrees_of_freedom, size=(samples, 1))),
        "shell": lambda: np.ones((samples, 1)),
        "extreme": lambda: 2 + np.arctanh(u),
        "quantiles": lambda: np.interp(u, np.linspace(0, 1, len(spec.quantiles or (0,))), spec.quantiles or (0,)),
    }[spec.radius]()
    x = elliptical_scale(spec) * r * (z / np.linalg.norm(z, axis=1, keepdims=True)) @ root
    return math.sqrt(1 - b) * x + math.sqrt(b) * math.sqrt(covariance(spec, label)[0, 0]) * clone


def exact_at_all_times():
    yield Nlgp(shape=(12,), gaussian_blend=1, xi=(0.7, 2))
    for law, scale, blend in itertools.product(LAWS, ("variance", "radius"), (0, 0.5)):
        yield Elliptical(shape=(12,), xi=(0.7, 2), scale=scale, gaussian_blend=blend, **LAWS[law])


@pytest.mark.parametrize("spec", list(exact_at_all_times()), ids=named)
def test_eq_5_is_the_mean_gradient_where_phi_is_a_line(spec):
    """Within 4.5 standard errors of each weight, at any weights, localised ones too. Gradients of t with 3 degrees of freedom have
    no variance where they are quadratic in x, so there the push alone is compared, which is linear."""
    rng = np.random.default_rng(3)
    samples = 2**15
    w = np.stack([random_weights(1, 12, scale=1.0)[0], np.eye(12)[5] + 0.01])
    short, long = (inputs_of(spec, label, samples, rng) for label in (0, 1))
    covariances = dense(spec, 0) + dense(spec, 1)
    heavy = isinstance(spec, Elliptical) and spec.radius == "student_t" and spec.degrees_of_freedom <= 4
    for one in w:
        drift = np.where(short @ one > 0, short @ one, 0)[:, None] * short
        drift += np.where(long @ one > 0, long @ one, 0)[:, None] * long
        push = (long @ one > 0)[:, None] * long
        each = push if heavy else push - drift
        expected = theory.speed(spec, one) + (covariances @ one / 2 if heavy else 0)
        error = each.std(axis=0) / math.sqrt(samples)
        assert (np.abs(each.mean(axis=0) - expected) < 4.5 * error).all()


def test_eq_5_misses_independent_spins_by_no_more_than_berry_and_esseen_allow():
    """All 2^14 states. E[1(w.x > 0) x_i] is half of P(|S| < w_i), S the other terms, whose law is off by 0.56 times Lindeberg's ratio
    of a Gaussian's at either end."""
    spec = Ising(shape=(14,), coupling=(0.0, 0.0))
    x = np.array(list(itertools.product((-1.0, 1.0), repeat=14)))
    for one in random_weights(5, 14, seed=2):
        push = ((x @ one > 0)[:, None] * x).mean(axis=0)
        found = theory.speed(spec, one) + one  # (Sigma_0 + Sigma_1) w / 2 = w
        others = np.array([np.delete(one, i) for i in range(14)])
        ratio = (np.abs(others) ** 3).sum(axis=1) / (others**2).sum(axis=1) ** 1.5
        assert (np.abs(found - push) < 0.56 * ratio).all()
        assert np.linalg.norm(found - push) < 0.1 * np.linalg.norm(push)


@pytest.mark.slow
def test_eq_5_describes_early_training_on_nearly_gaussian_inputs():
    """200 updates on fresh samples, mean of 8 runs: as far from eq. 5 as their own spread allows."""
    spec = Nlgp(shape=(12,), gain=0.01, xi=(0.7, 2))
    w0 = random_weights(1, 12, scale=1.0)
    runs = []
    for run in range(8):
        rng, w = np.random.default_rng(run), w0
        for _ in range(200):
            x = np.concatenate([inputs_of(spec, label, 200, rng) for label in (0, 1)])
            w = w - 0.02 * theory.empirical_gradient(w, x, np.repeat([0.0, 1.0], 200))
        runs.append(w[0])
    error = np.std(runs, axis=0, ddof=1) / math.sqrt(8)
    off = np.abs(np.mean(runs, axis=0) - theory.euler(spec, w0, 0.02, 200)[0])
    assert (off < 6.5 * error).all()  # t of 7 degrees of freedom, 12 weights: beyond 6.5 once in 250


def test_the_empirical_gradient_is_that_of_the_loss():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(50, 6)), rng.integers(0, 2, 50).astype(float), rng.normal(size=(2, 6))

    def loss(one):
        return np.mean((np.maximum(x @ one, 0) - y) ** 2)

    h = 1e-6  # the loss is quadratic but for its kinks, which none of these steps crosses
    for one, gradient in zip(w, theory.empirical_gradient(w, x, y), strict=True):
        assert np.abs(x @ one).min() > h * np.abs(x).max()
        slopes = [(loss(one + h * e) - loss(one - h * e)) / (2 * h) for e in np.eye(6)]
        np.testing.assert_allclose(gradient, slopes, atol=1e-8)


def test_gradient_descent_goes_to_the_empirical_flow_at_first_order():
    rng = np.random.default_rng(0)
    x, y, w0 = rng.normal(size=(500, 6)), rng.integers(0, 2, 500).astype(float), random_weights(3, 6, scale=1.0)
    there = theory.empirical_flow(w0, x, y, np.array([2.0]), rtol=1e-7)[0]
    off = [np.linalg.norm(theory.empirical_euler(w0, x, y, 2 / n, n) - there) for n in (200, 400)]
    assert off[0] / off[1] == pytest.approx(2, abs=0.3)  # the gradient jumps by 1/500 of itself, so order 1 is rough
    way = theory.empirical_euler(w0, x, y, 0.01, 200, record_every=100)
    assert way.shape == (3, 3, 6)
    np.testing.assert_array_equal(way[0], w0)
