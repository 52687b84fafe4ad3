"""The amplifier phi of a single ReLU neuron: what pulls a weight towards the preactivation's direction, eq. 6.

    phi(a) = E[X erf(X alg^-1(a) / sqrt 2)]      alg^-1(a) = a / sqrt(1 - a^2),  X: an input of class 1               (6)
    phi(a) ~ sqrt(2/pi) (a + (3 - kappa)/6 a^3)      kappa: kurtosis of X, variance 1                                 (Lemma B.1)
    elliptical x: phi(a) = C a exactly and at all times, C = E|w.x| / sqrt(w Sigma_1 w) for any w                     (Prop. 3.3)

Source: Lufkin, Saxe & Grant (2024), sections 3.2, 3.3 and B.1. What phi is for, the paper's slips and the range of validity are in
`impray.theory.localization`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import special
from scipy.interpolate import CubicSpline

from impray.spec.data import Elliptical, Ising, Kur, Stimulus
from impray.theory.stimuli import elliptical_scale, pointwise, quadrature, theory_moments

Amplifier = Callable[[Float[np.ndarray, "*any"]], Float[np.ndarray, "*any"]]
Form = Literal["exact", "taylor"]

ROOT = math.sqrt(2 / math.pi)


def amplifier(spec: Stimulus, form: Form = "exact") -> Amplifier:
    """phi of a class's inputs, blend included: eq. 6, or its third-order Taylor polynomial (Lemma B.1). The same for all classes.

    Args:    spec: inputs of variance 1. Elliptical ones may have any variance sigma^2: then phi(a) = C a for |a| <= sigma, with
             C = E|X| / sigma, which is what eq. 5 needs.
    Returns: a function of a in [-1, 1], elementwise on any shape; odd, within 1e-7 of the integral (`by_quadrature`). Values in
             units of the inputs, from -E|X| to E|X|; a outside [-1, 1], which only rounding makes, counts as the end.
    Raises:  ValueError: no such number. phi needs a finite mean size (k > 1 of kur) and for elliptical inputs a finite variance
             (more than 2 degrees of freedom of student_t); its Taylor form needs a finite kurtosis (k > 4 of kur).
    """
    plain = spec.model_copy(update={"held_out": 2, "draw": None})  # what phi does not depend on
    return _taylor(plain) if form == "taylor" else _exact(plain)


def _remembered(function: Callable) -> Callable:
    return lru_cache(256)(function)


@_remembered
def _taylor(spec: Stimulus) -> Amplifier:
    if isinstance(spec, Elliptical):
        return _exact(spec)  # a line is its own Taylor polynomial
    kurtosis = theory_moments(spec, 1).kurtosis
    if not math.isfinite(kurtosis):
        raise ValueError("the Taylor form of phi needs a finite kurtosis; these inputs have none")
    return lambda a: ROOT * (a + (3 - kurtosis) / 6 * a**3)


@_remembered
def _exact(spec: Stimulus) -> Amplifier:
    if spec.gaussian_blend == 1:
        return lambda a: ROOT * a
    if isinstance(spec, Elliptical):
        slope = mean_size(spec)
        return lambda a: slope * a
    if isinstance(spec, Ising) and spec.gaussian_blend == 0:
        return lambda a: special.erf(_slope(a))
    if isinstance(spec, Kur) and spec.k <= 1:
        raise ValueError(f"phi needs inputs of finite mean size: kur has none for k <= 1, k = {spec.k}")
    if isinstance(spec, Kur) and not spec.variance_is_finite:
        return lambda a: by_quadrature(spec, a)  # too steep at 0 for a spline
    return _interpolated(lambda a: by_quadrature(spec, a))


# Angles asin(a): in a itself phi has infinite slopes at the ends. Dense at 0, where phi - phi'(0) a goes as |a|^(k-1) for kur.
_HALF = np.union1d(np.geomspace(1e-9, 0.05, 360), np.linspace(0, math.pi / 2, 1201))


def _interpolated(phi: Amplifier) -> Amplifier:
    angles = np.concatenate([-_HALF[:0:-1], _HALF])
    positive = phi(np.sin(_HALF[1:]))
    spline = CubicSpline(angles, np.concatenate([-positive[::-1], [0.0], positive]))
    return lambda a: spline(np.arcsin(np.clip(a, -1, 1)))


def _slope(a: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """alg^-1(a) / sqrt 2; a very large number at the ends, where the error function is 1."""
    a = np.clip(np.asarray(a, dtype=float), -1, 1)
    return a / np.sqrt(2 * np.maximum((1 - a) * (1 + a), 1e-100))


def by_quadrature(spec: Stimulus, a: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """phi(a) of eq. 6 as an integral over a standard normal z, x = sqrt(1 - b) f(z) + sqrt(b) g with the Gaussian g
    integrated in closed form: for X = m + beta g and q = sqrt(1 + 2 c^2 beta^2)

        E_g[X erf(c X)] = m erf(c m / q) + 2 c beta^2 / (sqrt(pi) q) exp(-(c m / q)^2)

    Exact to 1e-11 for gains up to 1e4 (1e-8 at 1e6) and for kur with k >= 1.5; z ends at 14, so that kur's size lacks a share of
    10^(-44 (k - 1) / k) where a is +-1. Slow, and 30 kB of memory per element: for tests, and for the nodes of a spline.

    Raises:  ValueError: elliptical inputs, of which eq. 6 does not speak.
    """
    z, weight = quadrature()
    half = len(z) // 2
    z, weight = z[half:], 2 * weight[half:]  # x erf(c x) is even
    beta2 = spec.gaussian_blend
    m = math.sqrt(1 - beta2) * pointwise(spec)(z)
    c = _slope(a)[..., None]
    q = np.sqrt(1 + 2 * beta2 * c * c)
    of_g = 2 * beta2 / math.sqrt(math.pi) * c / q * np.exp(-((c * m / q) ** 2)) if beta2 > 0 else 0.0
    return (m * special.erf(c * m / q) + of_g) @ weight


def amplifier_of_samples(x: Float[np.ndarray, " sample"]) -> Amplifier:
    """phi of given draws of one input (of variance 1), eq. 6 with the mean over them: for data that have no formula.

    Interpolated as the others, from 1,560 means. Its standard error is at most that of a mean of |x|: 2^16 draws give two digits.
    """
    x = np.asarray(x, dtype=float)
    return _interpolated(lambda a: np.array([np.mean(x * special.erf(c * x)) for c in _slope(a)]))


def mean_size(spec: Elliptical) -> float:
    """C = E|X| / sigma of an elliptical input, blend included; sqrt(2/pi) for a Gaussian, smaller for heavy tails. At most 1.

        E|X| = scale E r E|u_1|,   E|u_1| = Gamma(N/2) / (sqrt(pi) Gamma((N + 1)/2))

    A blend's vector V = sqrt(1 - b) scale r u + sqrt(b) sigma g is elliptical too, of radius |V|: Prop. 3.3 holds for it.

    Raises:  ValueError: inputs without variance.
    """
    variance, n = theory_moments(spec, 1).variance, spec.inputs
    if not math.isfinite(variance):
        raise ValueError("eq. 5 needs inputs with a finite variance: student_t has one above 2 degrees of freedom")
    if spec.gaussian_blend == 1:
        return ROOT
    direction = math.exp(special.gammaln(n / 2) - special.gammaln((n + 1) / 2)) / math.sqrt(math.pi)
    radius = elliptical_scale(spec) * mean_radius(spec) if spec.gaussian_blend == 0 else _blended_radius(spec)
    return radius * direction / math.sqrt(variance)


def mean_radius(spec: Elliptical) -> float:
    """E r before `scale` and blend: of student_t by gamma functions, inf for 1 degree of freedom or fewer; extreme 2 + ln 2."""
    n, v = spec.inputs, spec.degrees_of_freedom
    if spec.radius == "student_t":
        if v <= 1:
            return math.inf
        chi = special.gammaln((n + 1) / 2) - special.gammaln(n / 2)
        return math.sqrt(v) * math.exp(chi + special.gammaln((v - 1) / 2) - special.gammaln(v / 2))
    if spec.radius == "extreme":
        return 2 + math.log(2)
    if spec.radius == "shell":
        return 1.0
    assert spec.quantiles is not None
    q = np.asarray(spec.quantiles)
    return float(np.mean((q[:-1] + q[1:]) / 2))


def _blended_radius(spec: Elliptical) -> float:
    """E|V| = 1 / (2 sqrt(pi)) int_0^inf (1 - E exp(-t V^2)) t^(-3/2) dt,   s = 1 + 2 b sigma^2 t,

    E[exp(-t V^2) | r] = s^(-N/2) exp(-(1 - b) (scale r)^2 t / s): the trapezoidal rule in log t, which converges exponentially.
    """
    b, variance = spec.gaussian_blend, theory_moments(spec, 1).variance
    r, weight = _radius_nodes(spec)
    step = 0.25
    t = np.exp(np.arange(-80, 80, step)) / (spec.inputs * variance)
    s = 1 + 2 * b * variance * t
    exponent = spec.inputs / 2 * np.log(s) + np.outer((1 - b) * (elliptical_scale(spec) * r) ** 2, t / s)
    return float(np.sum(weight @ -np.expm1(-exponent) / np.sqrt(t)) * step / (2 * math.sqrt(math.pi)))


def _radius_nodes(spec: Elliptical) -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
    """Nodes and weights of the mean over r, before `scale`."""
    n, v = spec.inputs, spec.degrees_of_freedom
    if spec.radius == "shell":
        return np.ones(1), np.ones(1)
    if spec.radius == "student_t":  # r^2 = n F(n, v), each tail by its own quantiles
        z, weight = quadrature()
        tail = special.ndtr(-np.abs(z))
        return np.sqrt(n * np.where(z < 0, special.fdtri(n, v, tail), 1 / special.fdtri(v, n, tail))), weight
    node, weight = np.polynomial.legendre.leggauss(24)
    node, weight = (1 + node) / 2, weight / 2
    if spec.radius == "extreme":  # r = 2 + t
        t = (np.arange(20)[:, None] + node).ravel()
        return 2 + t, np.tile(weight, 20) / np.cosh(t) ** 2
    assert spec.quantiles is not None
    q = np.asarray(spec.quantiles)
    pieces = len(q) - 1
    return (q[:-1, None] + np.diff(q)[:, None] * node).ravel(), np.tile(weight, pieces) / pieces
