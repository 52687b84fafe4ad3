"""What a stimulus looks like in numbers: moments of the marginals and covariance against distance, per class.

    m = E[x]      variance = E[(x - m)^2]      kurtosis = E[(x - m)^4] / variance^2      excess = kurtosis - 3

E pools all inputs of all samples of a class; m is one number. Where the class has a mean image, its spread is
in these moments; with `center: class` it has none. Inputs of one sample are correlated, so the independent
units are the samples: standard errors are jackknife ones, leaving out one sample at a time.

    covariance(d) = mean over pairs (i, j) at distance d of E[(x_i - mu_i)(x_j - mu_j)]        mu_i = E[x_i]

with divisor n - 1. Distances are circular on a ring or torus and open on photographs; in two dimensions pairs
are taken by their distance rounded to whole pixels. Colour images: pairs of the same channel.

Of a linear model the samples are the training rows of a seed. The features' places have no order unless the design gives them one; what
decides is Sigma = phi^T phi / n, of all training rows: its rank (eigenvalues above 1e-12 of the largest), ends and coherence.

Beside the samples of a stimulus stands its theory (`impray.theory.stimuli`), and how many standard errors lie between the two.
Moments that are infinite are so in theory, and have no standard errors: a finite sample always gives a number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from impray.data import each_class
from impray.data.linear import problem
from impray.data.one_thread import one_thread
from impray.spec.data import DataSpec, Linear, Stimulus
from impray.theory.linear import coherence, spectrum
from impray.theory.scale import size_of
from impray.theory.stimuli import Moments, theory_moments

_CONSTANT = 1e-12  # of the largest magnitude: what varies less is constant up to rounding, and has no kurtosis


def describe(spec: DataSpec, per_class: int, seed: int = 0) -> dict[str, Any]:
    """Statistics of fresh samples of a stimulus, for `impray data`; plain numbers and lists.

    Args:    per_class: samples of each class, at least 2 (standard errors are NaN for fewer); a data set of a fixed
             size gives no more of a class than it has.
    Returns: `samples` (of all classes), `shape` (of an input) and `classes`: each with label, mean,
             variance, kurtosis, excess_kurtosis, standard_error (of the excess kurtosis),
             mean_standard_error, variance_standard_error and covariance_by_distance: rows of distance_px
             (0 to half the shorter side) and covariance. Stimuli also have theory: variance, kurtosis,
             excess_kurtosis, and off_by_standard_errors (variance, kurtosis, covariance: the largest over distances;
             None where theory says infinite or the error itself is); and each distance its theory. Linear models have `design`: of
             seed `seed`, samples, features, nonzero, rank, lambda_min, lambda_max, coherence (the largest |correlation| of two features,
             not centred), and signal_to_noise: mean (phi s)^2 over the mean squared noise.
    """
    classes, samples = [], 0
    for label, x in enumerate(each_class(spec, per_class, seed)):
        of_class = x.double().numpy()
        samples += len(x)
        distances, covariances = covariance_by_distance(of_class, circular=isinstance(spec, Stimulus))
        pairs = zip(distances.tolist(), covariances.tolist(), strict=True)
        rows = [{"distance_px": distance, "covariance": covariance} for distance, covariance in pairs]
        statistics = {"label": label, **moments(of_class.reshape(len(x), -1)), "covariance_by_distance": rows}
        classes.append(
            statistics | (_against_theory(spec, label, statistics, of_class) if isinstance(spec, Stimulus) else {})
        )
    of_design = {"design": _of_design(spec, seed)} if isinstance(spec, Linear) else {}
    return {"classes": classes, "samples": samples, "shape": list(spec.input_shape), **of_design}


def _of_design(spec: Linear, seed: int) -> dict[str, Any]:
    phi, targets, truth, _ = problem(spec, seed)
    with one_thread():
        of_sigma, correlation, signal = spectrum(phi), coherence(phi), phi @ truth
    noise = float(np.square(targets - signal).mean())
    return {
        "samples": spec.samples,
        "features": spec.features,
        "nonzero": spec.support,
        "rank": of_sigma.rank,
        "lambda_min": of_sigma.lambda_min,
        "lambda_max": of_sigma.lambda_max,
        "coherence": correlation,
        "signal_to_noise": float(np.square(signal).mean() / noise) if noise > 0 else math.inf,
    }


def _against_theory(spec: Stimulus, label: int, statistics: dict, x: Float[np.ndarray, "sample ..."]) -> dict:
    """`theory` of a class, with the sample's distance from it; adds theory to the rows of covariance in `statistics`."""
    theory = theory_moments(spec, label)
    expected = _expected(spec, theory)
    for row, value in zip(statistics["covariance_by_distance"], expected.tolist(), strict=True):
        row["theory"] = value
    off: dict[str, float | None] = {"variance": None, "kurtosis": None, "covariance": None}
    if len(x) > 1 and theory.finite_below > 4:
        products = _per_sample(x)
        errors = products.std(axis=0, ddof=1) / math.sqrt(len(x))
        ratios = [_ratio(*both) for both in zip(products.mean(axis=0) - expected, errors, strict=True)]
        off["variance"], off["covariance"] = ratios[0], max(ratios)
    if len(x) > 1 and theory.finite_below > 8:
        off["kurtosis"] = _ratio(statistics["kurtosis"] - theory.kurtosis, statistics["standard_error"])
    return {
        "theory": {
            "variance": theory.variance,
            "kurtosis": theory.kurtosis,
            "excess_kurtosis": theory.excess_kurtosis,
            "off_by_standard_errors": off,
        }
    }


def _expected(spec: Stimulus, theory: Moments) -> Float[np.ndarray, " distance"]:
    """Covariance at every distance, by theory."""
    if math.isinf(theory.variance):
        return np.full(min(spec.shape) // 2 + 1, math.inf)
    # Pairs at a displacement: as many as inputs, all with the covariance that the input at (0, 0) has there.
    return _by_distance(theory.covariance.reshape(1, *spec.shape) * spec.inputs, spec.shape, True, 1)[1][0]


def _ratio(difference: float, error: float) -> float:
    """|difference| in standard errors; where all samples agree (the variance of spins) there must be none."""
    if error > 1e-7:
        return abs(float(difference / error))
    return 0.0 if abs(difference) < 1e-6 else math.inf


def moments(x: Float[np.ndarray, "sample input"]) -> dict[str, float]:
    """Moments of the marginals with jackknife standard errors over samples; see the head of this file."""
    samples, size = len(x), float(size_of(x).item())
    x = x / size
    # About the pooled mean: raw fourth powers of an offset would cancel.
    shift = x.mean()
    powers = np.stack([((x - shift) ** k).mean(axis=1) for k in (1, 2, 3, 4)])
    least = (_CONSTANT * np.abs(x).max(initial=0.0)) ** 2
    mean, variance, kurtosis = _from_powers(powers.mean(axis=1), least)
    if samples > 1:
        without_one = _from_powers((powers.sum(axis=1, keepdims=True) - powers) / (samples - 1), least)
        errors = [float(np.sqrt((samples - 1) * np.var(left))) for left in without_one]
    else:
        errors = [float("nan")] * 3
    return {
        "mean": float(shift + mean) * size,
        "variance": float(variance) * size * size,
        "kurtosis": float(kurtosis),
        "excess_kurtosis": float(kurtosis - 3),
        "standard_error": errors[2],
        "mean_standard_error": errors[0] * size,
        "variance_standard_error": errors[1] * size * size,
    }


def _from_powers(m: Float[np.ndarray, "4 ..."], least: float) -> tuple[Any, Any, Any]:
    """Mean, variance and kurtosis from the raw moments E[x], E[x^2], E[x^3], E[x^4]; no kurtosis up to the variance `least`."""
    variance = m[1] - m[0] ** 2
    fourth = m[3] - 4 * m[0] * m[2] + 6 * m[0] ** 2 * m[1] - 3 * m[0] ** 4
    return m[0], variance, fourth / np.where(variance > least, variance, np.nan) ** 2


def covariance_by_distance(
    x: Float[np.ndarray, "sample ..."], circular: bool
) -> tuple[Int[np.ndarray, " distance"], Float[np.ndarray, " distance"]]:
    """Distances in whole pixels, 0 to half the shorter side, and the mean covariance of the pairs at each.

    Args: x: samples of a ring (unit,), an image (row, col) or a colour image (channel, row, col).
    """
    size = float(size_of(x).item())
    x = x / size
    centred = x - x.mean(axis=0)
    sides = x.shape[-min(x.ndim - 1, 2) :]
    axes = tuple(range(-len(sides), 0))
    padded = sides if circular else tuple(2 * side for side in sides)
    power = np.abs(np.fft.rfftn(centred, s=padded, axes=axes)) ** 2
    power = power.reshape(-1, *power.shape[-len(sides) :]).sum(axis=0)
    sums = np.fft.irfftn(power, s=padded, axes=axes) / max(len(x) - 1, 1)
    channels = centred[0].size // int(np.prod(sides))
    distances, means = _by_distance(sums[None], sides, circular, channels)
    with np.errstate(over="ignore"):  # a covariance beyond floating point is infinite
        return distances, means[0] * size * size


def _by_distance(
    sums: Float[np.ndarray, "sample ..."], sides: tuple[int, ...], circular: bool, channels: int
) -> tuple[Int[np.ndarray, " distance"], Float[np.ndarray, "sample distance"]]:
    """Sums over pairs at every displacement -> means over pairs at every distance in whole pixels."""
    padded = sums.shape[1:]
    axes = tuple(range(-len(sides), 0))
    ones = np.abs(np.fft.rfftn(np.ones(sides), s=padded, axes=axes)) ** 2
    pairs = np.rint(np.fft.irfftn(ones, s=padded, axes=axes)) * channels
    lags = [np.minimum(np.arange(n), n - np.arange(n)) for n in padded]
    distance = np.rint(np.sqrt(sum(lag.astype(float) ** 2 for lag in np.ix_(*lags)))).astype(int)
    bins = min(sides) // 2 + 1
    kept = distance < bins
    belongs = (distance[kept][:, None] == np.arange(bins)).astype(float)
    return np.arange(bins), (sums[:, kept] @ belongs) / (pairs[kept] @ belongs)


def _per_sample(x: Float[np.ndarray, "sample ..."]) -> Float[np.ndarray, "sample distance"]:
    """Mean product of the pairs at each distance of each sample: of mean 0, on a ring or torus."""
    axes = tuple(range(1, x.ndim))
    sums = [
        np.fft.irfftn(np.abs(np.fft.rfftn(part, axes=axes)) ** 2, s=x.shape[1:], axes=axes)
        for part in np.array_split(x, max(1, len(x) // 4096))
    ]
    return np.concatenate([_by_distance(part, x.shape[1:], True, 1)[1] for part in sums])
