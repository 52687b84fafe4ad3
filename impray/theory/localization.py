"""Where and when a single ReLU neuron localises: the amplifier, the flow of the early dynamics, and what it ends in.

    y^ = relu(w.x),  loss = E (y^ - y)^2,  y in {0, 1} equally likely,  x ~ p(. | y) with covariance Sigma_y         (M2)

    phi(a) = E[X erf(X alg^-1(a) / sqrt 2)]      alg^-1(a) = a / sqrt(1 - a^2),  X: an input of class 1               (6)
    phi(a) ~ sqrt(2/pi) (a + (3 - kappa)/6 a^3)      kappa: kurtosis of X, variance 1                                 (Lemma B.1)
    2 dw/dt = phi(Sigma_1 w / sqrt(w Sigma_1 w)) - (Sigma_0 + Sigma_1) w,  t = learning rate x updates                (5)
    elliptical x: phi(a) = C a exactly and at all times, C = E|w.x| / sqrt(w Sigma_1 w) for any w                     (Prop. 3.3)

Source: Lufkin, Saxe & Grant (2024), sections 3.1 to 3.3, B.1 and C. Eq. 5 as printed is right for this loss (without 1/2): half of
the inputs have y = 1, half of the preactivations are positive. The public code's drive is twice that, the same shape at twice the
amplitude.
Slips. Lemma B.1, phi'''(0) = -sqrt(2/pi) (kappa sigma^4 - 3 sigma^2), is the third derivative of eq. 6, but only sigma = 1 means
anything: A1 and A2 are the Gaussian's only there, and at another sigma |a| reaches sigma, not 1. The prose after it has the sign of
the excess kurtosis reversed: phi is super-linear where it is negative. Eq. 11 has lost its C, and the next line has C where C/2 is
right (C.4's own (I) is C/4 sqrt(w Sigma_1 w)): twice the amplitude, the same wave.

Where phi is a line (Gaussian, elliptical), a mode with eigenvalues l_0, l_1 grows on top of the wave at rest at the rate
l_1 (r - l_0 / l_1) / 2, r being the wave's own l_0 / l_1. Only the mode with the smallest ratio is stable: the constant, wherever
class 1 is the long one. Other waves and their sums fade slowly: at xi = (0.3, 0.7), variance 1, weights are still 0.1 to 0.8 of their
length from any wave at t = 100 to 250, where the paper's runs end; at xi = (1, 3) they are constants by 250. Modes that neither class
has (eigenvalues clipped to 0: long xi) stay as they began, which a large start shows.

Range of validity. Eq. 5 takes the preactivation given one input as Gaussian (A1 to A3): N large, and no weight dominating. It holds
until the field localises (Fig. 8); after that the position of the peak is predicted, its height is not. Ising spins and Gaussian
inputs have A1 and A2 exactly. Of elliptical inputs eq. 6 is wrong (given one, the others' covariance depends on it), Prop. 3.3 exact.
Blind spots: no biases, no second layer, no masks. Heavy tails (kur for k = 3 or 4) come to rest in blocks of +c and -c, which are
neither local nor a wave. For Ising the rest is a pair of equal neighbours and one weight is a saddle: the peak can be either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from impray.spec.data import Elliptical, Ising, Kur, Stimulus
from impray.theory.scale import size_of
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


# --- the flow ---


class _Law(NamedTuple):
    """Eigenvalues of both covariances on the Fourier grid [row, col], and phi."""

    shape: tuple[int, int]
    of_0: np.ndarray
    of_1: np.ndarray
    phi: Amplifier


def _law(spec: Stimulus, form: Form) -> _Law:
    if spec.classes != 2:
        raise ValueError(f"eq. 5 is about two classes, these stimuli have {spec.classes}")
    if not spec.variance_is_finite:
        raise ValueError("eq. 5 needs inputs with a finite variance: kur has one for k > 2, student_t above 2 degrees")
    spectra = [np.fft.rfft2(covariance(spec, label)).real for label in (0, 1)]
    return _Law(torus(spec), spectra[0], spectra[1], amplifier(spec, form))


def _speed(law: _Law, w: Weights) -> Weights:
    """dw/dt of eq. 5; both covariances are circulant. A weight vector of zeros, whose push has no direction, stands still."""
    images = w.reshape(*w.shape[:-1], *law.shape)
    spectrum = np.fft.rfft2(images)
    pushed, drawn = (
        np.fft.irfft2(spectrum * of, s=law.shape).reshape(w.shape) for of in (law.of_1, law.of_0 + law.of_1)
    )
    size = size_of(w, axis=-1)
    push = pushed / size
    length = np.sqrt(np.maximum((push * (w / size)).sum(axis=-1, keepdims=True), 0))
    share = np.divide(push, length, out=np.zeros_like(push), where=length > 0)
    return (law.phi(share) - drawn) / 2


def speed(spec: Stimulus, w: Weights, form: Form = "exact") -> Weights:
    """dw/dt by eq. 5, time in units of updates x learning rate; 0 for weights that are all 0.

    Args:    w: weights of any number of neurons, inputs flattened row by row.
    Raises:  ValueError: not two classes, no finite variance, or no amplifier (`amplifier`).
    """
    return _speed(_law(spec, form), np.asarray(w, dtype=float))


def euler(
    spec: Stimulus, w0: Weights, lr: float, steps: int, *, form: Form = "exact", record_every: int | None = None
) -> Float[np.ndarray, "*record neuron input"]:
    """Eq. 5 by explicit Euler steps of the learning rate: what gradient descent does on average while eq. 5 holds.

    Args:    w0: weights of any number of neurons, inputs flattened row by row. record_every: also return the way there: at the
             start, after every so many steps and at the end.
    Returns: the weights after `steps` updates; with `record_every` a leading axis of records.
    Raises:  as `speed`.
    """
    law = _law(spec, form)
    return _stepped(lambda w: _speed(law, w), w0, lr, steps, record_every)


def _stepped(
    speed_of: Callable[[np.ndarray], np.ndarray], w0: np.ndarray, lr: float, steps: int, record_every: int | None
) -> np.ndarray:
    w = np.array(w0, dtype=float)
    records = [w]
    for step in range(1, steps + 1):
        w = w + lr * speed_of(w)
        if record_every is not None and (step % record_every == 0 or step == steps):
            records.append(w)
    return w if record_every is None else np.stack(records)


def flow(
    spec: Stimulus, w0: Weights, times: Float[np.ndarray, " time"], *, form: Form = "exact", rtol: float = 1e-8
) -> Float[np.ndarray, "time *neuron input"]:
    """Eq. 5 by an adaptive Runge-Kutta method (scipy's DOP853): weights at the given times, from `w0` at time 0.

    Args:    times: updates x learning rate, 0 or more, increasing. rtol: of a step's error; absolute, of the largest |w0|.
    Raises:  as `speed`. ValueError: times that are negative or fall. RuntimeError: scipy gives up (it says why).
    """
    law, shape = _law(spec, form), np.shape(w0)
    return _adaptive(lambda flat: _speed(law, flat.reshape(shape)).ravel(), w0, times, rtol)


def _adaptive(
    speed_of: Callable[[np.ndarray], np.ndarray], w0: np.ndarray, times: np.ndarray, rtol: float
) -> np.ndarray:
    w, times = np.asarray(w0, dtype=float), np.asarray(times, dtype=float)
    if len(times) == 0 or times[0] < 0 or (np.diff(times) < 0).any():
        raise ValueError(f"times: must be one or more, 0 or more, and increase, not {times.tolist()}")
    found: Any = solve_ivp(
        lambda _, flat: speed_of(flat),
        (0.0, float(times[-1]) or 1.0),
        w.ravel(),
        method="DOP853",
        t_eval=times,
        rtol=rtol,
        atol=rtol * (float(np.abs(w).max()) or 1.0),
    )
    if not found.success:
        raise RuntimeError(f"the integration stopped: {found.message}")
    return found.y.T.reshape(len(times), *w.shape)


class Steady(NamedTuple):
    """Weights at which the flow comes to rest, and which neurons did within the time allowed."""

    w: Weights
    converged: np.ndarray


def steady_state(
    spec: Stimulus, w0: Weights, *, form: Form = "exact", tolerance: float = 1e-6, most_time: float = 1e5
) -> Steady:
    """Where eq. 5 comes to rest from `w0`: it is followed for longer and longer times until |dw/dt| < tolerance |w|.

    Args:    tolerance: per unit of time (updates x learning rate). most_time: after which those that still move are given up.
    Raises:  as `speed`.
    Blind spot: a saddle that the flow passes slowly enough counts as a rest; a smaller tolerance tells.
    """
    law = _law(spec, form)
    w = np.array(w0, dtype=float)
    shape, span, gone = w.shape, 100.0, 0.0
    while True:
        # No more accuracy than the test of rest needs: the way there does not matter.
        w = _adaptive(lambda flat: _speed(law, flat.reshape(shape)).ravel(), w, np.array([span]), tolerance / 10)[0]
        gone += span
        still = np.linalg.norm(_speed(law, w), axis=-1) <= tolerance * np.linalg.norm(w, axis=-1)
        if still.all() or gone >= most_time:
            return Steady(w, still)
        span *= 2


# --- the loss itself, on given samples ---


def empirical_gradient(w: Weights, x: Float[np.ndarray, "sample input"], y: Float[np.ndarray, " sample"]) -> Weights:
    """d/dw of mean (relu(w.x) - y)^2 over the samples, whose negative eq. 5 approximates (eq. 10). The slope at w.x = 0 is 0.

    Args:    w: any number of neurons, each with a loss of its own. y: 0 or 1.
    """
    z = np.asarray(w, dtype=float) @ x.T
    return 2 * (((z - y) * (z > 0)) @ x) / len(x)


def empirical_euler(
    w0: Weights,
    x: Float[np.ndarray, "sample input"],
    y: Float[np.ndarray, " sample"],
    lr: float,
    steps: int,
    *,
    record_every: int | None = None,
) -> Float[np.ndarray, "*record neuron input"]:
    """Gradient descent on all samples: as `euler`, by `empirical_gradient`."""
    return _stepped(lambda w: -empirical_gradient(w, x, y), w0, lr, steps, record_every)


def empirical_flow(
    w0: Weights,
    x: Float[np.ndarray, "sample input"],
    y: Float[np.ndarray, " sample"],
    times: Float[np.ndarray, " time"],
    *,
    rtol: float = 1e-6,
) -> Float[np.ndarray, "time *neuron input"]:
    """Gradient flow of the empirical loss: as `flow`. Its gradient jumps where a w.x passes 0, which makes small rtol slow."""
    shape = np.shape(w0)
    return _adaptive(lambda flat: -empirical_gradient(flat.reshape(shape), x, y).ravel(), w0, times, rtol)


# --- what is compared ---


def peak(w: Weights) -> Int[np.ndarray, "*neuron"]:
    """Input with the largest |weight|, row by row from 0 (section 4.2); the first of equals."""
    return np.abs(w).argmax(axis=-1)


def peaks_agree(w: Weights, theory: Weights) -> Bool[np.ndarray, "*neuron"]:
    """Whether both have their peak at exactly the same input (section 4.2: 26 of 28 for Ising).

    Strict: a field centred between two inputs, as eq. 5 gives for Ising, has its peak at either.
    """
    return peak(w) == peak(theory)


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
    size = size_of(w, axis=-1)
    w = w / size
    spectrum = np.fft.fft2(w.reshape(*w.shape[:-1], rows, cols))
    power = np.abs(spectrum) ** 2
    mirror = np.roll(np.flip(power, axis=(-2, -1)), (1, 1), axis=(-2, -1))  # of -k
    own = (np.arange(rows)[:, None] * 2 % rows == 0) & (np.arange(cols) * 2 % cols == 0)  # k = -k
    of_mode = np.where(own, power, power + mirror).reshape(w.shape)
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
    return Sinusoid(values * size, np.stack(signed, axis=-1), distance)
