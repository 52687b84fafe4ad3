"""Where and when a single ReLU neuron localises: the amplifier, the flow of the early dynamics, and what it ends in.

    y^ = relu(w.x),  loss = E (y^ - y)^2,  y in {0, 1} equally likely,  x ~ p(. | y) with covariance Sigma_y         (M2)

    phi(a) = E[X erf(X alg^-1(a) / sqrt 2)]      alg^-1(a) = a / sqrt(1 - a^2),  X: an input of class 1               (6)
    phi(a) ~ sqrt(2/pi) (a + (3 - kappa)/6 a^3)      at variance 1                                                    (Lemma B.1)
    2 dw/dt = phi(Sigma_1 w / sqrt(w Sigma_1 w)) - (Sigma_0 + Sigma_1) w,  t = learning rate x updates                (5)
    elliptical x: phi(a) = C a exactly, C = E|X| at variance 1, at all times                                          (Prop. 3.3)

Source: Lufkin, Saxe & Grant (2024), sections 3.1 to 3.3, B.1 and C. Eq. 5 as printed is right for this loss (without 1/2): half of
the inputs have y = 1, half of the preactivations are positive. The public code's drive is twice that, the same shape at twice the
amplitude. Lemma B.1 as printed, phi'''(0) = -sqrt(2/pi) (kappa sigma^4 - 3 sigma^2), has E X^4 = kappa sigma^4; with
alg^-1(a) = a + a^3/2 + ... it is right at every sigma. The prose after it has the sign of the excess kurtosis reversed once.

Range of validity. Eq. 5 takes the preactivation given one input as Gaussian (A1 to A3): N large, and no weight dominating. It holds
until the field localises (Fig. 8); after that the position of the peak is predicted, its height is not. Ising spins and Gaussian
inputs have A1 and A2 exactly. For elliptical inputs eq. 6 is not what happens (given an input, the others are not Gaussian); the
drive is linear in Sigma_1 w whatever the marginal, so a steady state is one Fourier mode.
Blind spot: no biases, no second layer, no masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int
from scipy import special
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from impray.spec.data import Elliptical, Ising, Kur, Stimulus
from impray.theory.stimuli import (
    covariance,
    elliptical_scale,
    pointwise,
    quadrature,
    theory_moments,
    torus,
)

Weights = Float[np.ndarray, "*neuron input"]
Amplifier = Callable[[Float[np.ndarray, "*any"]], Float[np.ndarray, "*any"]]
Form = Literal["exact", "taylor"]

ROOT = math.sqrt(2 / math.pi)


# --- the amplifier ---


def amplifier(spec: Stimulus, form: Form = "exact") -> Amplifier:
    """phi of a class's inputs: eq. 6, or its third-order Taylor polynomial.

    Args:    spec: inputs of variance 1 (elliptical ones of any: phi is then of the inputs over their deviation).
    Returns: a function of a in [-1, 1], elementwise; odd. Values in units of the inputs.
    Raises:  ValueError: no such number. phi needs a finite variance (k > 2 of kur, more than 2 degrees of freedom of
             student_t), its Taylor form a finite kurtosis.
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
    if isinstance(spec, Kur) and not spec.variance_is_finite:
        raise ValueError("the flow needs inputs with a finite variance; kur has none for k <= 2")
    if isinstance(spec, Ising) and spec.gaussian_blend == 0:
        return _of_spins
    # phi is smooth in t = alg^-1(a), which runs to infinity; in asin(a) it is smooth and even about the ends.
    nodes = np.sin(np.linspace(-math.pi / 2, math.pi / 2, 1201))
    spline = CubicSpline(np.linspace(-math.pi / 2, math.pi / 2, 1201), by_quadrature(spec, nodes))
    return lambda a: spline(np.arcsin(np.clip(a, -1, 1)))


def _slope(a: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """alg^-1(a) / sqrt 2; a very large number at the ends, where the error function is 1."""
    a = np.clip(a, -1, 1)
    return a / np.sqrt(2 * np.maximum(1 - a * a, 1e-100))


def _of_spins(a: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    return special.erf(_slope(np.asarray(a)))


def by_quadrature(spec: Stimulus, a: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """phi(a) of eq. 6 as an integral over a standard normal z, x = sqrt(1 - b) f(z) + sqrt(b) g with the Gaussian g
    integrated in closed form: for X = m + beta g and q = sqrt(1 + 2 c^2 beta^2)

        E_g[X erf(c X)] = m erf(c m / q) + 2 c beta^2 / (sqrt(pi) q) exp(-(c m / q)^2)
    """
    z, weight = quadrature()
    half = len(z) // 2
    z, weight = z[half:], 2 * weight[half:]  # x erf(c x) is even
    m = math.sqrt(1 - spec.gaussian_blend) * pointwise(spec)(z)
    beta2 = spec.gaussian_blend
    c = _slope(np.asarray(a, dtype=float))[..., None]
    q = np.sqrt(1 + 2 * beta2 * c * c)
    value = m * special.erf(c * m / q) + 2 * beta2 / math.sqrt(math.pi) * c / q * np.exp(-((c * m / q) ** 2))
    return value @ weight


def amplifier_of_samples(x: Float[np.ndarray, " sample"]) -> Amplifier:
    """phi of given draws of an input, eq. 6 with the mean over them: of data that have no formula. A sample of 2^16 gives two digits."""
    return lambda a: (x * special.erf(_slope(np.asarray(a))[..., None] * x)).mean(axis=-1)


def mean_size(spec: Elliptical) -> float:
    """C = E|X| of an elliptical input over its standard deviation; sqrt(2/pi) for a Gaussian, smaller for heavy tails.

    E|X| = scale E r E|u_1| with E|u_1| = Gamma(N/2) / (sqrt(pi) Gamma((N+1)/2)) on the sphere.

    Raises:  ValueError: inputs without variance, or a blend of them with a clone (of no closed form).
    """
    variance, n = theory_moments(spec, 1).variance, spec.inputs
    if not math.isfinite(variance):
        raise ValueError("the flow needs inputs with a finite variance")
    if spec.gaussian_blend > 0:
        raise ValueError("blended elliptical inputs have no closed amplifier; use gaussian_blend: 0 or 1")
    direction = math.exp(special.gammaln(n / 2) - special.gammaln((n + 1) / 2)) / math.sqrt(math.pi)
    return elliptical_scale(spec) * mean_radius(spec) * direction / math.sqrt(variance)


def mean_radius(spec: Elliptical) -> float:
    """E r before `scale`; of student_t for more than 1 degree of freedom."""
    n, v = spec.inputs, spec.degrees_of_freedom
    if spec.radius == "student_t":
        logs = (
            special.gammaln((n + 1) / 2)
            - special.gammaln(n / 2)
            + special.gammaln((v - 1) / 2)
            - special.gammaln(v / 2)
        )
        return math.sqrt(v) * math.exp(logs)
    if spec.radius == "extreme":
        return 2 + math.log(2)
    if spec.radius == "shell":
        return 1.0
    assert spec.quantiles is not None
    q = np.asarray(spec.quantiles)
    return float(np.mean((q[:-1] + q[1:]) / 2))


# --- the flow ---


class _Flow(NamedTuple):
    """Eigenvalues of both covariances on the Fourier grid [row, col], and phi."""

    shape: tuple[int, int]
    of_0: np.ndarray
    of_1: np.ndarray
    phi: Amplifier


def _of(spec: Stimulus, form: Form) -> _Flow:
    if spec.classes != 2:
        raise ValueError(f"eq. 5 is about two classes, these stimuli have {spec.classes}")
    spectra = [np.fft.rfft2(covariance(spec, label)).real for label in (0, 1)]
    return _Flow(torus(spec), spectra[0], spectra[1], amplifier(spec, form))


def _speed(flow: _Flow, w: Weights) -> Weights:
    """dw/dt of eq. 5; both covariances are circulant. A weight vector of zeros stands still."""
    images = w.reshape(*w.shape[:-1], *flow.shape)
    spectrum = np.fft.rfft2(images)
    pushed, drawn = (
        np.fft.irfft2(spectrum * of, s=flow.shape).reshape(w.shape) for of in (flow.of_1, flow.of_0 + flow.of_1)
    )
    length = np.sqrt(np.maximum((pushed * w).sum(axis=-1, keepdims=True), 0))
    share = np.divide(pushed, length, out=np.zeros_like(pushed), where=length > 0)
    return (flow.phi(share) - drawn) / 2


def speed(spec: Stimulus, w: Weights, form: Form = "exact") -> Weights:
    """dw/dt by eq. 5, time in units of updates x learning rate.

    Args:    w: weights of any number of neurons, inputs flattened row by row.
    Raises:  ValueError: not two classes, or no amplifier (`amplifier`).
    """
    return _speed(_of(spec, form), np.asarray(w, dtype=float))


def euler(
    spec: Stimulus, w: Weights, lr: float, steps: int, *, form: Form = "exact", record_every: int | None = None
) -> Float[np.ndarray, "*record neuron input"]:
    """Eq. 5 by explicit Euler steps of the learning rate: what gradient descent does on average while eq. 5 holds.

    Args:    record_every: also return the way there: at the start, after every so many steps and at the end.
    Returns: the weights after `steps` updates; with `record_every` a leading axis of records.
    Raises:  as `speed`.
    """
    flow = _of(spec, form)
    w = np.array(w, dtype=float)
    records = [w.copy()]
    for step in range(1, steps + 1):
        w = w + lr * _speed(flow, w)
        if record_every is not None and (step % record_every == 0 or step == steps):
            records.append(w.copy())
    return w if record_every is None else np.stack(records)


def integrate(
    spec: Stimulus, w: Weights, times: Float[np.ndarray, " time"], *, form: Form = "exact", rtol: float = 1e-8
) -> Float[np.ndarray, "time *neuron input"]:
    """Eq. 5 by an adaptive Runge-Kutta method (scipy's DOP853), weights at the given times (updates x learning rate, from 0).

    Raises:  as `speed`. RuntimeError: scipy gives up (it says why).
    """
    flow, shape = _of(spec, form), np.shape(w)
    return _adaptive(lambda flat: _speed(flow, flat.reshape(shape)).ravel(), np.asarray(w, dtype=float), times, rtol)


def _adaptive(
    speed_of: Callable[[np.ndarray], np.ndarray], w: np.ndarray, times: np.ndarray, rtol: float
) -> np.ndarray:
    times = np.asarray(times, dtype=float)
    smallest = float(np.abs(w).max()) or 1.0
    found = solve_ivp(
        lambda _, flat: speed_of(flat),
        (0.0, float(times.max())),
        w.ravel(),
        method="DOP853",
        t_eval=times,
        rtol=rtol,
        atol=rtol * smallest,
    )
    if not found.success:
        raise RuntimeError(f"the integration stopped: {found.message}")
    return cast(Any, found).y.T.reshape(len(times), *w.shape)


class Steady(NamedTuple):
    """Weights at which the flow comes to rest, and which neurons did within the time allowed."""

    w: Weights
    converged: np.ndarray


def steady_state(
    spec: Stimulus, w: Weights, *, form: Form = "exact", tolerance: float = 1e-6, most_time: float = 1e5
) -> Steady:
    """Where eq. 5 comes to rest from `w`: it is followed for longer and longer times until |dw/dt| < tolerance |w|.

    A saddle on the way is passed if rounding leads away from it, as in the paper's figures.
    """
    flow = _of(spec, form)
    w = np.array(w, dtype=float)
    shape, span, gone = w.shape, 100.0, 0.0
    while True:
        # A rest needs no high accuracy on the way to it: the speed itself is checked.
        w = _adaptive(lambda flat: _speed(flow, flat.reshape(shape)).ravel(), w, np.array([span]), 1e-6)[0]
        gone += span
        still = np.linalg.norm(_speed(flow, w), axis=-1) <= tolerance * np.linalg.norm(w, axis=-1)
        if still.all() or gone >= most_time:
            return Steady(w, still)
        span *= 2


# --- the loss itself, on given samples ---


def empirical_speed(w: Weights, x: Float[np.ndarray, "sample input"], y: Float[np.ndarray, " sample"]) -> Weights:
    """-d/dw of mean (relu(w.x) - y)^2 over the samples: what eq. 5 approximates, exactly."""
    w = np.asarray(w, dtype=float)
    z = w @ x.T
    return 2 * (((y - z) * (z > 0)) @ x) / len(x)


def empirical_flow(
    w: Weights, x: Float[np.ndarray, "sample input"], y: Float[np.ndarray, " sample"], times: Float[np.ndarray, " time"]
) -> Float[np.ndarray, "time *neuron input"]:
    """Gradient flow of the empirical loss (adaptive; the loss has kinks where a preactivation is 0, so rtol is 1e-6).

    Args:    x, y: all samples, y 0 or 1. times: from 0, updates x learning rate.
    """
    shape = np.shape(w)
    return _adaptive(
        lambda flat: empirical_speed(flat.reshape(shape), x, y).ravel(), np.asarray(w, dtype=float), times, 1e-6
    )


# --- what is compared ---


def peak(w: Weights) -> Int[np.ndarray, "*neuron"]:
    """Input with the largest |weight|, row by row from 0 (section 4.2); the first of equals."""
    return np.abs(w).argmax(axis=-1)


class Sinusoid(NamedTuple):
    """The nearest single Fourier mode to each neuron's weights."""

    values: Weights
    frequency: Int[np.ndarray, "*neuron 2"]  # cycles along rows (0 on a ring) and along columns
    relative_distance: Float[np.ndarray, "*neuron"]  # |w - values| / |w|, in [0, 1]


def sinusoid(w: Weights, shape: tuple[int, ...]) -> Sinusoid:
    """The best-fitting a cos(2 pi k.x) + b sin(2 pi k.x), k whole cycles per side, constant at k = 0 (section 4.3).

    Modes are orthogonal, so the best one is that of the largest power; k and -k are one mode.

    Args:    w: inputs flattened row by row. shape: (n,) of a ring or (rows, cols) of a torus.
    Returns: NaN distances for weights that are all 0.
    Raises:  ValueError: `shape` does not multiply to the inputs, or has three axes.
    """
    w = np.asarray(w, dtype=float)
    if len(shape) not in (1, 2) or math.prod(shape) != w.shape[-1]:
        raise ValueError(f"shape {shape}: must be (n,) or (rows, cols) of the {w.shape[-1]} inputs")
    rows, cols = shape if len(shape) == 2 else (1, shape[0])
    spectrum = np.fft.fft2(w.reshape(*w.shape[:-1], rows, cols))
    power = np.abs(spectrum) ** 2
    mirror = np.roll(np.flip(power, axis=(-2, -1)), (1, 1), axis=(-2, -1))  # of -k
    own = (np.arange(rows)[:, None] * 2 % rows == 0) & (np.arange(cols) * 2 % cols == 0)  # k = -k
    of_mode = np.where(own, power, power + mirror).reshape(*w.shape[:-1], -1)
    best = of_mode.argmax(axis=-1)
    row, col = best // cols, best % cols
    keep = np.zeros(of_mode.shape, dtype=bool)
    for place in (best, (-row % rows) * cols + (-col % cols)):
        np.put_along_axis(keep, place[..., None], True, axis=-1)
    kept = np.where(keep, spectrum.reshape(keep.shape), 0).reshape(spectrum.shape)
    values = np.fft.ifft2(kept).real.reshape(w.shape)
    norm = np.linalg.norm(w, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.linalg.norm(w - values, axis=-1) / norm
    signed = [np.where(k > side // 2, k - side, k) for k, side in ((row, rows), (col, cols))]
    return Sinusoid(values, np.stack(signed, axis=-1), distance)
