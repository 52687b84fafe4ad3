"""The amplifier phi of eq. 5: closed forms, limits and an independent integral."""

import math

import numpy as np
import pytest
from scipy import special
from theory.localization.fields import ENDS, LAWS, ROOT, named

from impray.spec.data import Elliptical, Ising, Kur, Nlgp
from impray.theory import amplifier as drive
from impray.theory import localization as theory
from impray.theory.stimuli import elliptical_scale, nlgp_scale, pointwise

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
