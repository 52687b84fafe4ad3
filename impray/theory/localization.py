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
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.integrate import solve_ivp

from impray.spec.data import Stimulus
from impray.theory.amplifier import ROOT, Amplifier, Form, amplifier
from impray.theory.scale import size_of
from impray.theory.stimuli import covariance, torus

__all__ = [
    "ROOT",
    "Amplifier",
    "Form",
    "Sinusoid",
    "SteadyState",
    "Weights",
    "amplifier",
    "empirical_euler",
    "empirical_flow",
    "empirical_gradient",
    "euler",
    "euler_at",
    "flow",
    "peak",
    "peaks_agree",
    "sinusoid",
    "speed",
    "steady_state",
]

Weights = Float[np.ndarray, "*neuron input"]


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
        np.fft.irfft2(spectrum * eigenvalues, s=law.shape).reshape(w.shape)
        for eigenvalues in (law.of_1, law.of_0 + law.of_1)
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


def euler_at(
    spec: Stimulus, w0: Weights, lr: float, steps: Sequence[int], *, form: Form = "exact"
) -> Float[np.ndarray, "step *neuron input"]:
    """`euler` at given steps: weights by eq. 5 beside those that a training recorded (Fig. 3 and 8).

    Args:    w0: weights at the first of the steps, the recorded ones. steps: numbers of updates, one or more, that do not fall.
    Returns: the weights at each step, the first of them `w0`.
    Raises:  as `speed`. ValueError: no steps, or steps that fall.
    """
    gaps = np.diff(steps)
    if len(steps) == 0 or (gaps < 0).any():
        raise ValueError(f"steps: must be one or more and not fall, not {list(steps)}")
    law = _law(spec, form)
    weights = [np.array(w0, dtype=float)]
    for gap in gaps.tolist():
        weights.append(_stepped(lambda w: _speed(law, w), weights[-1], lr, gap, None))
    return np.stack(weights)


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
    solution: Any = solve_ivp(
        lambda _, flat: speed_of(flat),
        (0.0, float(times[-1]) or 1.0),
        w.ravel(),
        method="DOP853",
        t_eval=times,
        rtol=rtol,
        atol=rtol * (float(np.abs(w).max()) or 1.0),
    )
    if not solution.success:
        raise RuntimeError(f"the integration stopped: {solution.message}")
    return solution.y.T.reshape(len(times), *w.shape)


class SteadyState(NamedTuple):
    """Weights at which the flow comes to rest, and which neurons did within the time allowed."""

    w: Weights
    converged: np.ndarray


def steady_state(
    spec: Stimulus, w0: Weights, *, form: Form = "exact", tolerance: float = 1e-6, most_time: float = 1e5
) -> SteadyState:
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
            return SteadyState(w, still)
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
