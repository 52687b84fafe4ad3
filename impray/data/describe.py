"""What a stimulus looks like in numbers: moments of the marginals and covariance against distance, per class.

    m = E[x]      variance = E[(x - m)^2]      kurtosis = E[(x - m)^4] / variance^2      excess = kurtosis - 3

E pools all inputs of all samples of a class; m is one number. Where the class has a mean image, its spread is
in these moments; with `center: class` it has none. Inputs of one sample are correlated, so the independent
units are the samples: standard errors are jackknife ones, leaving out one sample at a time.

    covariance(d) = mean over pairs (i, j) at distance d of E[(x_i - mu_i)(x_j - mu_j)]        mu_i = E[x_i]

with divisor n - 1. Distances are circular on a ring or torus and open on photographs; in two dimensions pairs
are taken by their distance rounded to whole pixels. Colour images: pairs of the same channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from impray.data import each_class
from impray.spec.data import DataSpec, Nlgp


def describe(spec: DataSpec, per_class: int, seed: int = 0) -> dict[str, Any]:
    """Statistics of fresh samples of a stimulus, for `impray data`; plain numbers and lists.

    Args:    per_class: samples of each class, at least 2 (standard errors are NaN for fewer); a data set of a fixed
             size gives no more of a class than it has.
    Returns: `samples` (of all classes), `shape` (of an input) and `classes`: each with label, mean,
             variance, kurtosis, excess_kurtosis, standard_error (of the excess kurtosis),
             mean_standard_error, variance_standard_error and covariance_by_distance: rows of distance_px
             (0 to half the shorter side) and covariance.
    """
    classes, samples = [], 0
    for label, x in enumerate(each_class(spec, per_class, seed)):
        of_class = x.double().numpy()
        samples += len(x)
        distances, covariances = covariance_by_distance(of_class, circular=isinstance(spec, Nlgp))
        pairs = zip(distances.tolist(), covariances.tolist(), strict=True)
        rows = [{"distance_px": distance, "covariance": covariance} for distance, covariance in pairs]
        classes.append({"label": label, **moments(of_class.reshape(len(x), -1)), "covariance_by_distance": rows})
    return {"classes": classes, "samples": samples, "shape": list(spec.input_shape)}


def moments(x: Float[np.ndarray, "sample input"]) -> dict[str, float]:
    """Moments of the marginals with jackknife standard errors over samples; see the head of this file."""
    samples = len(x)
    # About the pooled mean: raw fourth powers of an offset would cancel.
    shift = x.mean()
    powers = np.stack([((x - shift) ** k).mean(axis=1) for k in (1, 2, 3, 4)])
    mean, variance, kurtosis = _from_powers(powers.mean(axis=1))
    if samples > 1:
        without_one = _from_powers((powers.sum(axis=1, keepdims=True) - powers) / (samples - 1))
        errors = [float(np.sqrt((samples - 1) * np.var(left))) for left in without_one]
    else:
        errors = [float("nan")] * 3
    return {
        "mean": float(shift + mean),
        "variance": float(variance),
        "kurtosis": float(kurtosis),
        "excess_kurtosis": float(kurtosis - 3),
        "standard_error": errors[2],
        "mean_standard_error": errors[0],
        "variance_standard_error": errors[1],
    }


def _from_powers(m: Float[np.ndarray, "4 ..."]) -> tuple[Any, Any, Any]:
    """Mean, variance and kurtosis from the raw moments E[x], E[x^2], E[x^3], E[x^4]."""
    variance = m[1] - m[0] ** 2
    fourth = m[3] - 4 * m[0] * m[2] + 6 * m[0] ** 2 * m[1] - 3 * m[0] ** 4
    return m[0], variance, fourth / variance**2


def covariance_by_distance(
    x: Float[np.ndarray, "sample ..."], circular: bool
) -> tuple[Int[np.ndarray, " distance"], Float[np.ndarray, " distance"]]:
    """Distances in whole pixels, 0 to half the shorter side, and the mean covariance of the pairs at each.

    Args: x: samples of a ring (unit,), an image (row, col) or a colour image (channel, row, col).
    """
    centred = x - x.mean(axis=0)
    sides = x.shape[-min(x.ndim - 1, 2) :]
    axes = tuple(range(-len(sides), 0))
    padded = sides if circular else tuple(2 * side for side in sides)

    def pair_sums(fields: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfftn(fields, s=padded, axes=axes)) ** 2
        return np.fft.irfftn(power.reshape(-1, *power.shape[-len(sides) :]).sum(axis=0), s=padded, axes=axes)

    channels = centred[0].size // int(np.prod(sides))
    sums, pairs = pair_sums(centred) / max(len(x) - 1, 1), pair_sums(np.ones(sides)) * channels
    lags = [np.minimum(np.arange(n), n - np.arange(n)) for n in padded]
    distance = np.rint(np.sqrt(sum(lag.astype(float) ** 2 for lag in np.ix_(*lags)))).astype(int)
    bins = min(sides) // 2 + 1
    kept = distance < bins
    totals = [np.bincount(distance[kept], weights=w[kept], minlength=bins) for w in (sums, np.rint(pairs))]
    return np.arange(bins), totals[0] / totals[1]
