"""What the stimuli are on paper: marginals, moments and covariances, to hold samples and samplers against.

    nlgp        x = erf(g z) / Z(g)           Z(g)^2 = (2/pi) asin(2 g^2 / (1 + 2 g^2))
    kur         x = q(Phi(z)) / s(k)          q(p) = u / (1 - |u|^k)^(1/k), u = 2p - 1
                s(k)^2 = B(3/k, 1 - 2/k) / k                E q^4 = B(5/k, 1 - 4/k) / k
    ising       x = +1 or -1                  C(d) = (a^d + a^(N-d)) / (1 + a^N), a = tanh J
    elliptical  x = r L u                     variance = E r^2 / N, kurtosis = 3 N / (N + 2) E r^4 / (E r^2)^2

z is a standard normal field with correlation C(d) = exp(-d^2 / xi^2), d the circular distance in pixels, on a torus
d^2 = d_row^2 + d_col^2; B is the beta function and N the number of inputs. For a pointwise x = f(z) the correlation of two inputs
is a power series in that of their z with coefficients that are not negative (Mehler):

    corr(x_i, x_j) = T(C_ij) = sum_n a_n^2 C_ij^n         a_n = E[f(z) He_n(z)] / sqrt(n! E f^2)

which is asin(2 g^2 C / (1 + 2 g^2)) / asin(2 g^2 / (1 + 2 g^2)) for nlgp. With `covariance: matched` the field's C is
T^-1((2/pi) asin(exp(-d^2/xi^2))): the inputs' covariance is that of nlgp at infinite gain, which every gain can have exactly
(sin(alpha asin c) has a power series with coefficients that are not negative for 0 < alpha < 1).

`gaussian_blend` b mixes with a Gaussian clone: variance and covariance stay, the excess kurtosis is (1 - b)^2 times its value.

Source: Lufkin, Saxe & Grant (2024), section 2.3, eq. 2 to 4 and 7, Definition 1; Ingrosso & Goldt (2022), whose gain is sqrt(2)
times ours. Moments that do not exist are infinite here, not numbers: the fourth of kur for k <= 4 (the paper's excess kurtosis of
7.66 for k = 3 and 3.28 for k = 4 are of finite samples), its second for k <= 2, those of student_t for 4 and 2 degrees of freedom
or fewer.
Where we differ: C has negative eigenvalues when xi is long for the side; we clip them to 0, as others do, and then bring the
diagonal back to 1, so that the variance stays 1 (correlations then differ from exp(-d^2 / xi^2)). The same is done to the field of
a matched covariance; `covariance` is always the one that the inputs have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from jaxtyping import Float
from scipy import special

from impray.spec.data import Correlated, DataSpec, Elliptical, Ising, Kur, Nlgp, Stimulus

Covariance = Float[np.ndarray, "row col"]
"""Covariance with the input at (0, 0); a ring is one row."""


@dataclass(frozen=True)
class Moments:
    """Of one class's inputs: variance, kurtosis (3 is Gaussian; inf where there is none), covariance with the input at (0, 0).

    finite_below: moments of this order and above are infinite. A sample's kurtosis has a standard error only if the eighth is
    finite, its variance and covariances if the fourth is.
    """

    variance: float
    kurtosis: float
    covariance: Covariance
    finite_below: float

    @property
    def excess_kurtosis(self) -> float:
        return self.kurtosis - 3


def theory_moments(spec: Stimulus, label: int) -> Moments:
    """Variance, kurtosis and covariance of the inputs of class `label`, blend included; mean and skewness are 0.

    Returns: inf where a moment is infinite (the covariance of inputs without variance is inf everywhere).
    Raises:  KeyError: not one of the stimuli (`is_known` tells).
    """
    variance, excess = _MARGINALS[type(spec)](spec)
    blended = excess * (1 - spec.gaussian_blend) ** 2 if spec.gaussian_blend > 0 else excess
    if spec.gaussian_blend == 1:
        return Moments(variance, 3.0, covariance(spec, label), math.inf)
    return Moments(variance, 3 + blended, covariance(spec, label), _finite_below(spec))


def _finite_below(spec: Stimulus) -> float:
    if isinstance(spec, Kur):
        return spec.k
    return spec.degrees_of_freedom if isinstance(spec, Elliptical) and spec.radius == "student_t" else math.inf


def is_known(spec: DataSpec) -> bool:
    """Whether there is a theory of this kind of data."""
    return type(spec) in _MARGINALS


def covariance(spec: Stimulus, label: int) -> Covariance:
    """Exact covariance of the inputs of class `label`; see `Covariance`."""
    if isinstance(spec, Ising):
        return ising_covariance(spec.shape[0], spec.coupling[label])[None]
    assert isinstance(spec, Correlated), spec
    variance = _MARGINALS[type(spec)](spec)[0]
    if not math.isfinite(variance):
        return np.full(torus(spec), math.inf)
    return variance * transfer(spec)(field_correlation(spec, label))


def torus(spec: Stimulus) -> tuple[int, int]:
    """Rows and columns; a ring is one row."""
    return (1, spec.shape[0]) if len(spec.shape) == 1 else (spec.shape[0], spec.shape[1])


# --- the Gaussian field beneath ---


def correlation(side: int, xi: float) -> Float[np.ndarray, " distance"]:
    """C(d), d = 0 ... side - 1, of one axis: exp(-d^2 / xi^2) on the ring, eigenvalues clipped, C(0) = 1."""
    d = np.arange(side)
    eigenvalues = np.fft.fft(np.exp(-(np.minimum(d, side - d) ** 2) / xi**2)).real.clip(min=0)
    return np.fft.ifft(eigenvalues).real / eigenvalues.mean()


def separable_correlation(spec: Correlated, label: int) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, " col"]]:
    """exp(-d^2 / xi^2) as a product of its axes."""
    rows, cols = (correlation(side, spec.xi[label]) for side in torus(spec))
    return rows, cols


def field_correlation(spec: Correlated, label: int) -> Covariance:
    """Correlation of the Gaussian field beneath class `label` (of elliptical inputs: their own)."""
    return _field_correlation(spec.model_copy(update={"gaussian_blend": 0.0, "held_out": 2, "draw": None}), label)


def _remembered(function: Callable) -> Callable:
    """`lru_cache`, whose results are not to be written to."""
    return lru_cache(256)(function)


@_remembered
def _field_correlation(spec: Correlated, label: int) -> Covariance:
    plain = np.outer(*separable_correlation(spec, label))
    if spec.covariance == "field":
        return plain
    wanted = 2 / math.pi * np.arcsin(plain.clip(-1, 1))
    eigenvalues = np.fft.fft2(_inverse(transfer(spec), wanted)).real.clip(min=0)
    return np.fft.ifft2(eigenvalues).real / eigenvalues.mean()


def _inverse(increasing: Callable[[np.ndarray], np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """rho in [-1, 1] with increasing(rho) = wanted, by bisection to the last bits."""
    low, high = np.full(wanted.shape, -1.0), np.full(wanted.shape, 1.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = increasing(middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(wanted >= 1, 1.0, (low + high) / 2)


def transfer(spec: Correlated) -> Callable[[np.ndarray], np.ndarray]:
    """T: correlation of the field -> correlation of the inputs, of variance 1."""
    if isinstance(spec, Nlgp):
        g2 = 2 * spec.gain**2 / (1 + 2 * spec.gain**2)
        return lambda c: np.arcsin((g2 * c).clip(-1, 1)) / math.asin(g2)
    if isinstance(spec, Kur):
        powers = _kur_powers(spec.k)
        return lambda c: np.polynomial.polynomial.polyval(c.clip(-1, 1), powers)
    return lambda c: c


# --- nlgp ---


def nlgp_scale(gain: float) -> float:
    """Z(g), the standard deviation of erf(g z) for a standard normal z; in (0, 1)."""
    return math.sqrt(2 / math.pi * math.asin(2 * gain**2 / (1 + 2 * gain**2)))


def _nlgp_marginal(spec: Nlgp) -> tuple[float, float]:
    return 1.0, excess_kurtosis(pointwise(spec))


# --- kur ---


def kur_scale(k: float) -> float:
    """What q(Phi(z)) is divided by: its standard deviation; for k <= 2 the factor that gives a Gaussian's quartiles."""
    if k > 2:
        return math.sqrt(special.beta(3 / k, 1 - 2 / k) / k)
    return 0.5 / (1 - 0.5**k) ** (1 / k) / special.ndtri(0.75)


def kur_value(z: Float[np.ndarray, "*any"], k: float) -> Float[np.ndarray, "*any"]:
    """q(Phi(z)) in float64, exact in the tails: 1 - |u| = erfc(|z| / sqrt 2) is never formed by a difference."""
    size = np.abs(z) / math.sqrt(2)
    u, rest = special.erf(size), special.erfc(size)
    with np.errstate(divide="ignore"):
        log_u = np.where(rest < 0.5, np.log1p(-rest), np.log(u))
    return np.sign(z) * u * np.exp(-np.log(-np.expm1(k * log_u)) / k)


def kur_moments(k: float) -> tuple[float, float]:
    """Variance and excess kurtosis of Kur(k): closed forms, inf where there is none."""
    if k <= 2:
        return math.inf, math.inf
    if k <= 4:
        return 1.0, math.inf
    second, fourth = special.beta(3 / k, 1 - 2 / k) / k, special.beta(5 / k, 1 - 4 / k) / k
    return 1.0, float(fourth / second**2 - 3)


_ORDERS = 400  # a_n^2 falls as (k - 1)^(-n): they lack 1e-9 of the variance at k = 2.5, 6 % at k = 2.06


@_remembered
def _kur_powers(k: float) -> Float[np.ndarray, " order"]:
    """a_n^2, n = 0 ... ; they sum to 1. What the series lacks (heavy tails, kinks at 0) goes to its last odd term."""
    z, weight = quadrature()
    # Hermite functions times the root of the weight: the polynomials themselves overflow.
    root = np.sqrt(weight)
    before, here = np.zeros_like(z), root
    value = kur_value(z, k) / kur_scale(k) * root
    powers = np.zeros(_ORDERS)
    for order in range(_ORDERS):
        powers[order] = np.dot(value, here) ** 2 if order % 2 else 0.0  # f is odd
        before, here = here, (z * here - math.sqrt(order) * before) / math.sqrt(order + 1)
    powers[-1] += max(0.0, 1 - powers.sum())
    return powers / powers.sum()


# --- ising ---


def ising_covariance(spins: int, coupling: float) -> Float[np.ndarray, " distance"]:
    """C(d), d = 0 ... spins - 1, of the ring."""
    a, d = math.tanh(coupling), np.arange(spins)
    return (a**d + a ** (spins - d)) / (1 + a**spins)


# --- elliptical ---


def radius_moments(spec: Elliptical) -> tuple[float, float]:
    """E r^2 and E r^4 of the radius, before `scale`; inf where there is none."""
    n, v = spec.inputs, spec.degrees_of_freedom
    if spec.radius == "student_t":  # r^2 = n F(n, v)
        second = n * v / (v - 2) if v > 2 else math.inf
        return second, n * (n + 2) * v**2 / ((v - 2) * (v - 4)) if v > 4 else math.inf
    if spec.radius == "shell":
        return 1.0, 1.0
    if spec.radius == "extreme":  # r = 2 + t, t of density 1 / cosh(t)^2 on t > 0
        t = [1.0, math.log(2), math.pi**2 / 12, 9 * special.zeta(3) / 8, 7 * math.pi**4 / 240]
        second, fourth = (sum(math.comb(p, i) * 2.0 ** (p - i) * t[i] for i in range(p + 1)) for p in (2, 4))
        return float(second), float(fourth)
    assert spec.quantiles is not None
    q = np.asarray(spec.quantiles)
    low, high = q[:-1], q[1:]  # on each piece r is uniform from low to high
    second = np.mean((low**2 + low * high + high**2) / 3)
    fourth = np.mean((low**4 + low**3 * high + low**2 * high**2 + low * high**3 + high**4) / 5)
    return float(second), float(fourth)


def elliptical_scale(spec: Elliptical) -> float:
    """What r L u is multiplied by: 1 with `scale: radius`, else one over the inputs' standard deviation."""
    return 1.0 if spec.scale == "radius" else math.sqrt(spec.inputs / radius_moments(spec)[0])


def _elliptical_marginal(spec: Elliptical) -> tuple[float, float]:
    second, fourth = radius_moments(spec)
    variance = elliptical_scale(spec) ** 2 * second / spec.inputs if math.isfinite(second) else math.inf
    if not math.isfinite(fourth):
        return variance, math.inf
    return variance, 3 * spec.inputs / (spec.inputs + 2) * fourth / second**2 - 3


_MARGINALS: dict[type[DataSpec], Callable[..., tuple[float, float]]] = {
    Nlgp: _nlgp_marginal,
    Kur: lambda spec: kur_moments(spec.k),
    Ising: lambda spec: (1.0, -2.0),
    Elliptical: _elliptical_marginal,
}


# --- pointwise marginals: x is an odd function of a standard normal z ---

Pointwise = Callable[[Float[np.ndarray, " z"]], Float[np.ndarray, " z"]]


def pointwise(spec: Stimulus) -> Pointwise:
    """The increasing odd function f with x = f(z) in distribution, z standard normal, before the blend.

    Raises:  ValueError: elliptical inputs, whose marginals are not what matters: their amplifier is linear.
    """
    if isinstance(spec, Nlgp):
        gain, scale = spec.gain, nlgp_scale(spec.gain)
        return lambda z: special.erf(gain * z) / scale
    if isinstance(spec, Kur):
        k, scale = spec.k, kur_scale(spec.k)
        return lambda z: kur_value(z, k) / scale
    if isinstance(spec, Ising):
        return np.sign
    raise ValueError(f"{type(spec).__name__.lower()} inputs are not a pointwise function of a Gaussian field")


def marginal(spec: Stimulus, z: Float[np.ndarray, " z"]) -> tuple[Float[np.ndarray, " x"], Float[np.ndarray, " x"]]:
    """Values x = f(z) of one input and its density there, exp(-z^2/2) / sqrt(2 pi) / f'(z), f' by central differences.

    Args:    spec: inputs of one density, before the blend.  z: where the standard normal is taken.
    Returns: x, and the density; infinite where f is flat to rounding, as erf is at its ends.
    Raises:  ValueError: spins, which have masses; elliptical inputs (`pointwise`).
    """
    if isinstance(spec, Ising):
        raise ValueError("spins have masses at -1 and 1, no density")
    value, step = pointwise(spec), 1e-4
    slope = (value(z + step) - value(z - step)) / (2 * step)
    with np.errstate(divide="ignore"):
        return value(z), np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / slope


_EDGES = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 25), np.linspace(1.25, 14, 52)])
_NODES = 24


def quadrature() -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
    """Nodes z and weights with sum(weights * g(z)) = E g(z), z standard normal cut off at 14; dense near 0, where nlgp is steep."""
    z, weight = _half_quadrature()
    return np.concatenate([-z[::-1], z]), np.concatenate([weight[::-1], weight])


@lru_cache(1)
def _half_quadrature() -> tuple[np.ndarray, np.ndarray]:
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    low, high = _EDGES[:-1, None], _EDGES[1:, None]
    z = ((low + high) / 2 + (high - low) / 2 * node).ravel()
    return z, (((high - low) / 2) * weight).ravel() * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def excess_kurtosis(function: Pointwise) -> float:
    """Of x = f(z), by quadrature; f must not grow faster than exp(z^2 / 8)."""
    z, weight = quadrature()
    square = function(z) ** 2
    return float(np.dot(weight, square**2) / cast(float, np.dot(weight, square)) ** 2 - 3)
