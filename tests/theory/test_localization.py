"""Laws of the amplifier, of the flow of eq. 5 and of what it is compared with."""

import itertools
import math

import numpy as np
import pytest
from scipy import special

from impray.spec.data import Elliptical, Ising, Kur, Nlgp
from impray.theory import amplifier as drive
from impray.theory import localization as theory
from impray.theory.stimuli import (
    covariance,
    elliptical_scale,
    field_correlation,
    nlgp_scale,
    pointwise,
    torus,
)

ROOT = math.sqrt(2 / math.pi)
ENDS = np.array([0, 1e-9, 1e-6, 1e-3, 0.5, 0.999, 1 - 1e-6, 1 - 1e-10, 1.0])
LAWS = {
    "t 3": {"degrees_of_freedom": 3},
    "t 12": {"degrees_of_freedom": 12},
    "shell": {"radius": "shell"},
    "extreme": {"radius": "extreme"},
    "quantiles": {"radius": "quantiles", "quantiles": (0, 1, 1.5, 6)},
}
FLOWS = {
    "nlgp": Nlgp(shape=(12,), gain=3, xi=(0.7, 2)),
    "kur torus, blend": Kur(shape=(3, 4), k=5, xi=(0.5, 1), gaussian_blend=0.3),
    "ising": Ising(shape=(12,)),
    "shell torus": Elliptical(shape=(4, 3), radius="shell", scale="radius", xi=(0.5, 1)),
    "gaussian": Nlgp(shape=(12,), gaussian_blend=1, xi=(0.7, 2)),
}


def random_weights(neurons: int, inputs: int, seed: int = 0, scale: float = 0.001) -> np.ndarray:
    """Glorot normal, its variance times `scale`: the paper's start of a neuron."""
    return np.random.default_rng(seed).normal(size=(neurons, inputs)) * math.sqrt(scale * 2 / (inputs + 1))


def named(value) -> str:
    """A test's name: the parameters that are not the default's."""
    if isinstance(value, float):
        return f"{value:.3g}"
    given = value.model_dump(exclude_defaults=True, exclude={"kind"})
    return " ".join([value.kind, *(f"{name}={given[name]}" for name in given)])


def ipr(w: np.ndarray) -> np.ndarray:
    return (w**4).sum(axis=-1) / (w**2).sum(axis=-1) ** 2


def dense(spec, label: int) -> np.ndarray:
    """The covariance matrix, entry by entry."""
    of = covariance(spec, label)
    places = list(itertools.product(*(range(side) for side in torus(spec))))
    return np.array([[of[(r - i) % of.shape[0], (c - j) % of.shape[1]] for r, c in places] for i, j in places])


# --- the amplifier ---


def test_spins_have_the_error_function():
    a = np.linspace(-0.99, 0.99, 12).reshape(3, 4)
    expected = special.erf(a / np.sqrt(2 * (1 - a**2)))
    np.testing.assert_allclose(theory.amplifier(Ising())(a), expected, rtol=1e-14)
    assert theory.amplifier(Ising())(np.array([-1.0, 1.0])).tolist() == [-1, 1]


@pytest.mark.parametrize("gain", [1e2, 1e4, 1e6])
def test_a_large_gain_is_a_spin(gain):
    # x erf(c x) is Lipschitz with 1.5, and E|x - sign| = (1 - E|erf(g z)|) + (1/Z - 1) + ... < 1.2 / g
    a = np.sin(np.linspace(-1.57, 1.57, 501))
    assert np.abs(theory.amplifier(Nlgp(gain=gain))(a) - theory.amplifier(Ising())(a)).max() < 2 / gain


@pytest.mark.parametrize("spec", [Nlgp(gain=100), Kur(k=3), Ising(), Elliptical(degrees_of_freedom=3)], ids=named)
def test_a_full_blend_is_a_line_of_slope_root_two_over_pi(spec):
    a = np.linspace(-1, 1, 21)
    full = spec.model_copy(update={"gaussian_blend": 1.0})
    np.testing.assert_allclose(theory.amplifier(full)(a), ROOT * a, rtol=1e-15)
    near = spec.model_copy(update={"gaussian_blend": 1 - 1e-8})
    # X - g has a mean square below 2e-8, and x erf(c x) is Lipschitz with 1.5.
    np.testing.assert_allclose(theory.amplifier(near)(a), ROOT * a, atol=1.5 * math.sqrt(2e-8))


def test_a_small_gain_is_gaussian():
    a = np.linspace(-1, 1, 21)  # E|erf(g z) / Z - z| is of the order of g^2
    assert np.abs(theory.amplifier(Nlgp(gain=1e-3))(a) - ROOT * a).max() < 1e-5


def mean_sizes():
    for gain in (0.1, 1, 30):
        yield Nlgp(gain=gain), 2 / math.pi * math.atan(math.sqrt(2) * gain) / nlgp_scale(gain)
    for k in (2.5, 5, 30):
        yield Kur(k=k), special.beta(2 / k, 1 - 1 / k) / math.sqrt(k * special.beta(3 / k, 1 - 2 / k))
    m, b = math.sqrt(0.8), math.sqrt(0.2)
    yield Ising(gaussian_blend=0.2), m * math.erf(m / b / math.sqrt(2)) + b * ROOT * math.exp(-((m / b) ** 2) / 2)


@pytest.mark.parametrize(("spec", "size"), list(mean_sizes()), ids=named)
def test_phi_of_1_is_the_mean_size(spec, size):
    assert theory.amplifier(spec)(np.ones(1))[0] == pytest.approx(size, rel=1e-9)


@pytest.mark.parametrize(
    "spec",
    [Nlgp(gain=1), Nlgp(gain=100), Kur(k=30), Ising(), Ising(gaussian_blend=0.4), Nlgp(gain=3, gaussian_blend=0.1)],
    ids=named,
)
def test_the_taylor_form_is_the_derivatives_at_0(spec):
    """phi - Taylor is a^5 times a constant: halving a divides it by 32, up to a^2."""
    a = np.array([0.02, 0.01])
    off = drive.by_quadrature(spec, a) - theory.amplifier(spec, "taylor")(a)
    assert off[0] / off[1] == pytest.approx(32, rel=0.02)


def test_the_mean_over_the_clone_in_closed_form_is_that_mean():
    spec = Nlgp(gain=0.7, gaussian_blend=0.35)
    z, weight = np.polynomial.hermite_e.hermegauss(100)
    weight = weight / weight.sum()
    x = math.sqrt(0.65) * pointwise(spec)(z)[:, None] + math.sqrt(0.35) * z
    for a in (0.05, 0.3, 0.6):
        c = a / math.sqrt(2 * (1 - a * a))
        expected = weight @ (x * special.erf(c * x)) @ weight
        assert drive.by_quadrature(spec, np.array(a)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "spec",
    [Nlgp(gain=g) for g in (0.01, 1, 100, 1e4)]
    + [Kur(k=k) for k in (1.5, 2.05, 2.5, 3, 5, 30)]
    + [Nlgp(gain=100, gaussian_blend=b) for b in (1e-4, 0.3)]
    + [Kur(k=3, gaussian_blend=0.3), Ising(gaussian_blend=0.01)],
    ids=named,
)
def test_the_spline_is_the_integral_and_odd(spec):
    a = np.concatenate([ENDS, np.sin(np.random.default_rng(0).uniform(0, math.pi / 2, 91))]).reshape(4, 25)
    phi = theory.amplifier(spec)
    assert phi(a).shape == a.shape
    np.testing.assert_allclose(phi(a), drive.by_quadrature(spec, a), rtol=0, atol=1e-7)
    np.testing.assert_allclose(phi(-a), -phi(a), rtol=0, atol=1e-12)


def test_phi_does_not_depend_on_what_it_need_not():
    one, other = Nlgp(gain=3, held_out=7, draw=3), Nlgp(gain=3)
    assert theory.amplifier(one) is theory.amplifier(other)


def test_a_blend_leads_from_the_data_to_the_line_without_turning():
    a = np.linspace(0.05, 1, 20)
    blends = (0, 0.1, 0.3, 0.6, 0.9, 1)
    for spec in (Ising(), Kur(k=5)):
        values = [theory.amplifier(spec.model_copy(update={"gaussian_blend": b}))(a) for b in blends]
        away = np.abs(np.stack(values) - ROOT * a)
        if isinstance(spec, Ising):
            assert (np.diff(away, axis=0) < 0).all()
        assert away[1].max() < away[0].max()


def test_samples_give_their_own_mean_and_within_4_standard_errors_the_formula():
    spec = Nlgp(gain=2)
    x = pointwise(spec)(np.random.default_rng(1).normal(size=2**14))
    a = np.concatenate([ENDS, -ENDS]).reshape(2, 9)
    phi = drive.amplifier_of_samples(x)
    for place in ((0, 3), (0, 4), (1, 5)):
        c = a[place] / math.sqrt(2 * (1 - a[place] ** 2))
        each = x * special.erf(c * x)
        assert phi(a)[place] == pytest.approx(each.mean(), abs=1e-7)
        error = each.std() / math.sqrt(len(x))
        assert abs(phi(a)[place] - theory.amplifier(spec)(a[place])) < 4 * error
    spins = drive.amplifier_of_samples(np.array([1.0, -1.0, 1.0]))
    np.testing.assert_allclose(spins(a), theory.amplifier(Ising())(a), atol=1e-9)


def test_what_has_no_amplifier_or_flow_says_so():
    with pytest.raises(ValueError, match="finite mean size"):
        theory.amplifier(Kur(k=1))
    with pytest.raises(ValueError, match="finite kurtosis"):
        theory.amplifier(Kur(k=4), "taylor")
    with pytest.raises(ValueError, match="finite variance"):
        theory.amplifier(Elliptical(degrees_of_freedom=2, scale="radius"))
    for spec in (Kur(k=1.5, shape=(8,)), Elliptical(degrees_of_freedom=1.5, scale="radius", shape=(8,))):
        with pytest.raises(ValueError, match="finite variance"):
            theory.speed(spec, np.ones(8))
    with pytest.raises(ValueError, match="two classes, these stimuli have 3"):
        theory.euler(Nlgp(shape=(8,), xi=(1, 2, 3)), np.ones(8), 0.1, 1)
    with pytest.raises(ValueError, match="increase"):
        theory.flow(Nlgp(shape=(8,)), np.ones(8), np.array([1.0, 0.5]))


# --- elliptical ---


@pytest.mark.parametrize("shape", [(2,), (40,), (30, 40)])
def test_the_slope_of_t_is_that_of_its_marginal_whatever_the_number_of_inputs(shape):
    v = 3.5
    expected = 2 * math.sqrt(v - 2) / ((v - 1) * special.beta(v / 2, 0.5))  # E|t| / deviation
    for scale in ("variance", "radius"):
        spec = Elliptical(shape=shape, degrees_of_freedom=v, scale=scale)
        assert drive.mean_size(spec) == pytest.approx(expected, rel=1e-11)


def test_the_slope_of_a_circle_is_that_of_a_cosine():
    assert drive.mean_size(Elliptical(shape=(2,), radius="shell")) == pytest.approx(2 * math.sqrt(2) / math.pi)


@pytest.mark.parametrize("law", LAWS)
def test_the_slope_of_a_blend_starts_at_the_data_and_agrees_with_a_double_integral(law):
    """E|A u + beta g| over u = cos(angle) on the sphere of 4 inputs, with E_g in closed form."""
    spec = Elliptical(shape=(4,), gaussian_blend=0.4, **LAWS[law])
    plain = spec.model_copy(update={"gaussian_blend": 0.0})
    tiny = spec.model_copy(update={"gaussian_blend": 1e-10})
    assert drive.mean_size(tiny) == pytest.approx(drive.mean_size(plain), rel=1e-8)
    r, weight = drive._radius_nodes(spec)
    assert weight @ r == pytest.approx(drive.mean_radius(spec), rel=1e-9)
    angle = (np.arange(400) + 0.5) * math.pi / 400  # density sin^2, periodic: the midpoint rule is exact to rounding
    m = math.sqrt(0.6) * elliptical_scale(spec) * np.outer(r, np.cos(angle))
    beta = math.sqrt(0.4)
    size = m * special.erf(m / beta / math.sqrt(2)) + beta * ROOT * np.exp(-((m / beta) ** 2) / 2)
    expected = weight @ size @ np.sin(angle) ** 2 / (np.sin(angle) ** 2).sum()
    assert drive.mean_size(spec) == pytest.approx(expected, rel=1e-7)


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
