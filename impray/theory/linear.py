"""Linear models y = phi s + noise, pruned by magnitude: what training ends at, what goes first, and when the support survives.

    L(w) = |phi w - y|^2 / (2 n)        Sigma = phi^T phi / n        c = phi^T y / n        Y = Sigma of the kept features
    dw/dt = c - Y w                     w <- w + lr (c - Y w)        both affine, from w(0) = mask w_init

These are the reference that `impray.training.linear` is held against, and go another way: the flow as the exponential, descent as the
power of one matrix [feature + 1, feature + 1], the flow's end by least squares. One problem at a time, slow.

Source: Elesedy, Kanade & Teh (2020), whose examples and Theorem 5 are here, with these differences.
Example 2: the printed inverse of (1 - alpha) I + alpha 11^T has a factor (1 - alpha) for 1 / (1 - alpha) before 11^T. With the right one
imp prunes argmin |phi_i^T y - kappa sum_j phi_j^T y|, kappa = alpha / (1 + alpha (p' - 1)), p' the features that are left: that is the
alignment heuristic where alpha p' << 1, not where alpha << 1; and where alpha is near 1 what is nearest the mean projection goes.
Theorem 5: needs full rank (its nullspace property holds for no other design), and every component of the truth that is not
0 at least gamma in size. Smaller ones bias the others once they have gone, and the theorem is false (`hub_weight` is the
counterexample). Its union over features also leaves out that the sets that are left depend on the noise: `safe` counts all of them. Of
one-shot pruning neither matters, for only the dense round's weights count.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Bool, Float

CUT_OFF = 1e-12  # eigenvalues of Sigma below this share of the largest are rounding, and count as 0
SINGULAR_CUT_OFF = math.sqrt(CUT_OFF)  # the same of singular values of phi


# -- a design ---------------------------------------------------------------------------------------------------------


class Spectrum(NamedTuple):
    """Of Sigma: its rank, ends and condition; lambda_min is 0, and condition infinite, where the rank is not full."""

    rank: int
    lambda_min: float
    lambda_max: float
    condition: float


def spectrum(phi: Float[np.ndarray, "sample feature"]) -> Spectrum:
    """Of a sample's Sigma = phi^T phi / n; features are not centred."""
    samples, features = phi.shape
    products = phi.T @ phi if samples >= features else phi @ phi.T
    values = scipy.linalg.eigvalsh(products / samples, overwrite_a=True, check_finite=False)
    rank, largest = int((values > CUT_OFF * values[-1]).sum()), float(values[-1])
    if rank < features:
        return Spectrum(rank, 0.0, largest, math.inf)
    return Spectrum(rank, float(values[0]), largest, float(values[-1] / values[0]))


def coherence(phi: Float[np.ndarray, "sample feature"]) -> float:
    """Largest |correlation| of two of the features, in [0, 1] up to rounding; NaN where there are not two that are not all 0."""
    lengths = np.linalg.norm(phi, axis=0)
    alive = lengths > 0
    if alive.sum() < 2:
        return math.nan
    of_length_1 = phi[:, alive] / lengths[alive]
    cosines = np.abs(of_length_1.T @ of_length_1)
    np.fill_diagonal(cosines, 0)
    return float(cosines.max())


# -- training ---------------------------------------------------------------------------------------------------------


def flow(
    phi: Float[np.ndarray, "sample feature"],
    y: Float[np.ndarray, " sample"],
    mask: Bool[np.ndarray, " feature"],
    w_init: Float[np.ndarray, " feature"],
    time: float = math.inf,
) -> Float[np.ndarray, " feature"]:
    """Weights at the end of gradient flow from mask w_init, for a time T > 0; infinite: the least squares nearest the start."""
    if not math.isinf(time):
        return _affine(phi, y, mask, w_init, lambda slope: scipy.linalg.expm(time * slope))
    start = np.where(mask, w_init, 0.0)
    if not mask.any():
        return start
    start[mask] += np.linalg.lstsq(phi[:, mask], y - phi @ start, rcond=SINGULAR_CUT_OFF)[0]
    return start


def descent(
    phi: Float[np.ndarray, "sample feature"],
    y: Float[np.ndarray, " sample"],
    mask: Bool[np.ndarray, " feature"],
    w_init: Float[np.ndarray, " feature"],
    lr: float,
    steps: int,
) -> Float[np.ndarray, " feature"]:
    """Weights after so many full-batch steps of gradient descent from mask w_init; converges where lr < 2 / lambda_max."""
    return _affine(phi, y, mask, w_init, lambda slope: np.linalg.matrix_power(np.eye(len(slope)) + lr * slope, steps))


def _affine(phi, y, mask, w_init, advance) -> np.ndarray:  # noqa: ANN001
    """`advance` of the matrix [[-Y, c], [0, 0]], whose last coordinate stays 1, applied to the kept weights."""
    kept, samples = phi[:, mask], len(phi)
    slope = np.zeros((kept.shape[1] + 1,) * 2)
    slope[:-1, :-1], slope[:-1, -1] = -kept.T @ kept / samples, kept.T @ y / samples
    w = np.zeros(phi.shape[1])
    w[mask] = (advance(slope) @ np.append(w_init[mask], 1.0))[:-1]
    return w


# -- what imp prunes: Examples 1 to 3 ---------------------------------------------------------------------------------


def pruned_orthonormal(projections: Float[np.ndarray, " left"]) -> int:
    """Example 1, Sigma = I: the place, among the features left, of what imp prunes; projections are phi_i^T y."""
    return int(np.abs(projections).argmin())


def kappa(alpha: float, left: int) -> float:
    """Example 2, corrected: what is taken off of each projection, as a share of their sum; alpha in [0, 1), `left` features."""
    return alpha / (1 + alpha * (left - 1))


def pruned_uniform(projections: Float[np.ndarray, " left"], alpha: float) -> int:
    """Example 2, corrected, all pairs correlated by alpha: the place, among the features left, of what imp prunes."""
    return int(np.abs(projections - kappa(alpha, len(projections)) * projections.sum()).argmin())


def uniform_inverse(features: int, alpha: float) -> Float[np.ndarray, "feature feature"]:
    """Example 2, corrected: the inverse of (1 - alpha) I + alpha 11^T."""
    return (np.eye(features) - kappa(alpha, features)) / (1 - alpha)


def uniform_inverse_printed(features: int, alpha: float) -> Float[np.ndarray, "feature feature"]:
    """Example 2 as it is printed, which is no inverse unless alpha is 0; here so that a test can say so."""
    return np.eye(features) / (1 - alpha) - alpha * (1 - alpha) / (1 + alpha * (features - 1))


def incoherence(covariance: Float[np.ndarray, "feature feature"]) -> float:
    """Example 3: delta_PW = max |Sigma - I|, of features normalised to Sigma_ii = 1."""
    return float(np.abs(covariance - np.eye(len(covariance))).max())


def series_inverse(
    covariance: Float[np.ndarray, "feature feature"], terms: int
) -> tuple[Float[np.ndarray, "feature feature"], float]:
    """Example 3: the first terms of Sigma^-1 = I + A + A^2 + ..., A = I - Sigma, and a bound on the operator norm of what is left out.

    The paper has terms = 2, and the condition delta_PW < 1 / (p - 1), which is sufficient for |A| < 1.

    Raises:  ValueError: |A| >= 1: the series does not converge.
    """
    off = np.eye(len(covariance)) - covariance
    size = float(np.abs(np.linalg.eigvalsh(off)).max())
    if size >= 1:
        raise ValueError(f"the series needs |I - Sigma| < 1 in operator norm, and here it is {size:.4g}")
    total = power = np.eye(len(covariance))
    for _ in range(terms - 1):
        power = power @ off
        total = total + power
    return total, size**terms / (1 - size)


# -- Theorem 5 --------------------------------------------------------------------------------------------------------


def conditions_theorem5(
    samples: int,
    features: int,
    support: int,
    amplitude: float,
    lambda_min: float,
    *,
    removed: int | None = None,
    smallest: float | None = None,
    w_init: float = 0.0,
    time: float = math.inf,
) -> list[str]:
    """The conditions of Theorem 5, as it is true, that fail, in words; see `bound_theorem5`."""
    failed = []
    if samples < features or not lambda_min > 0:
        failed.append(
            f"full rank: n = {samples} samples, p = {features} features, lambda_min = {lambda_min:.4g}; where Sigma has a "
            "nullspace, training does not tell the truth from others that fit as well"
        )
    if w_init != 0:
        failed.append(f"w_init = 0, not {w_init:.4g}: the proof trains from there")
    if not math.isinf(time):
        failed.append(f"T infinite, not {time:.4g}: before that weights are not the least squares")
    if removed is not None and removed > features - support:
        failed.append(
            f"q <= p - k: {removed} of {features} have gone, so that some of the {support} of the support must have"
        )
    if smallest is not None and smallest < amplitude:
        failed.append(
            f"every component of the truth that is not 0 at least gamma = {amplitude:.4g}, not {smallest:.4g}: smaller ones bias "
            "the others as they go"
        )
    return failed


def bound_theorem5(
    samples: int,
    features: int,
    support: int,
    amplitude: float,
    noise_scale: float,
    lambda_min: float,
    *,
    safe: bool = False,
    as_stated: bool = False,
    removed: int | None = None,
    smallest: float | None = None,
    w_init: float = 0.0,
    time: float = math.inf,
) -> float:
    """Bound on the probability that imp excludes a feature of true size gamma or more.

        min(1, 2 p exp(-n gamma^2 lambda_min / (8 sigma^2)))

    Args:    samples, features, support: n, p, k. amplitude: gamma > 0. noise_scale: sigma >= 0, the noise's variance proxy's root.
             lambda_min: smallest eigenvalue of Sigma of the sample. safe: with 2^(p - k) p for p: a union over all sets that may have
             gone. as_stated: as the paper has it, also where components are below gamma. removed: q. smallest: the least size of a
             component of the truth that is not 0. w_init: its largest size. time: T.
    Returns: a probability, 0 without noise.
    Raises:  ValueError: conditions that fail, all of them.
    """
    failed = conditions_theorem5(
        samples,
        features,
        support,
        amplitude,
        lambda_min,
        removed=removed,
        smallest=None if as_stated else smallest,
        w_init=w_init,
        time=time,
    )
    if failed:
        raise ValueError("Theorem 5 needs " + "; ".join(failed))
    if noise_scale == 0:
        return 0.0
    signal = amplitude / noise_scale
    exponent = (
        samples * lambda_min * signal * signal / 8
    )  # a power would fail where the product is infinite, and the bound 0
    return math.exp(min(0.0, _log_union(features, support, safe) - exponent))


def samples_theorem5(
    features: int,
    support: int,
    amplitude: float,
    noise_scale: float,
    lambda_min: float,
    delta: float,
    *,
    safe: bool = False,
) -> int:
    """The samples that Theorem 5 asks for, so that its bound is at most delta in (0, 1); never fewer than features (full rank)."""
    needed = 8 * (noise_scale / amplitude) ** 2 / lambda_min * (_log_union(features, support, safe) - math.log(delta))
    return max(features, math.ceil(needed))


def _log_union(features: int, support: int, safe: bool) -> float:
    """Logarithm of the number of events of the union, each of probability exp(-n gamma^2 lambda_min / (8 sigma^2)) at most."""
    return math.log(2 * features) + (features - support) * math.log(2) * safe


def hub_weight(spokes: int, share: float, weak: float, gone: int) -> float:
    """The hub's weight, relative to its true one, when so many spokes have gone; of an exact design `hub` without noise.

        1 - rho m weak / (1 - rho^2 (K - m)),        rho = sqrt(share / K), m of K spokes gone

    It passes through 0 where rho K weak > 1, for the spokes that go leave their part of y to the hub, and that is negative. This is
    the counterexample to Theorem 5 as it is stated: more samples do not help.

    Args:    spokes: K. share: rho^2 K, in [0, 1). weak: a spoke's true weight, relative to the hub's. gone: 0 to K.
    """
    rho = math.sqrt(share / spokes)
    return 1 - rho * gone * weak / (1 - rho**2 * (spokes - gone))
