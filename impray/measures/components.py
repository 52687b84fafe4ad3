"""Principal and independent components of the inputs, and how much a unit's mask looks like one of them.

    PCA:  C v_k = s_k^2 v_k,  C = E[(X - E X)(X - E X)^T]              ICA:  lambda = W (X - E X)
    cosine_i = max_k |m_i . w_k| / (|m_i| |w_k|)                       m_i: the mask of unit i, 0 or 1

The v_k are orthogonal, in the order of the variance s_k^2 that they explain. The rows w_k of W are those combinations of the
first `count` of them whose projections lambda_k are least Gaussian (FastICA with log cosh), uncorrelated and of variance 1.

Source: Redman, Wang, Ingrosso & Goldt (2025), section 3.1, Appendix B, Fig. 2 and S2: scikit-learn's PCA and FastICA with 64
components on the 50,000 held-out images, and the largest cosine similarity over components, of which we take the magnitude
(signs are arbitrary). What the paper shows and calls "components W" of "lambda = W X" are the rows of scikit-learn's
`components_`, the filters that an image is multiplied with, and so are ours; the columns of `mixing_` (what a source adds to
the image) are smoother. Our order: PCA by variance, ICA by kurtosis of the projection, largest first; the entry of largest
magnitude is positive.

How. One exact eigendecomposition of C (of the samples' inner products, where there are fewer samples than inputs) in float64
serves both: FastICA's own whitening is a singular value decomposition of all inputs, of which it keeps the same `count`
directions. Ours has their signs too, and FastICA's start is fixed: we go through the steps of
FastICA(count, whiten="unit-variance", random_state=0) up to rounding. C is summed over portions of samples, on one thread;
the result does not depend on the pack, the round or the number of threads.

Limits. Fewer components than asked for, where there are fewer inputs or samples - 1, and where the next direction has less
than 1e-12 of the first one's variance (it would be rounding errors, whitened). FastICA stops after 500 steps, converged or
not: `ica_steps` tells. On Gaussian inputs it does not converge, as there is nothing to find.
Cost: 20 s and 0.4 GiB for 50,000 inputs of 3,072 numbers on one core (14 s for C, 3 s for FastICA if it converges after
80 steps), once per process and distinct set of inputs; 0.6 s per net and round to see that it is the same set.
Blind spot: in few samples Gaussian inputs look non-Gaussian: the best of 64 directions in 4,000 samples of 256 independent
Gaussians had projections of kurtosis 4.1. And the classes are taken together: a clone with one Gaussian per class is a
mixture, in which there is something to find (projections of kurtosis 4.7 to 6.0 for photographs, 151 to 3 for the originals).
Compare with a clone of the same size. The cosine of a mask of n inputs cannot be above that of the n largest entries of w_k,
and chance grows with n and with `count`: compare with random masks of the same density. A shifted or rotated copy of a
component does not count (the paper says so too).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from impray.data.one_thread import one_thread
from impray.data.recent import Recent
from impray.measures.forward import PORTION, first_of_each_class
from impray.measures.inputs import fingerprint
from impray.measures.kurtosis import kurtosis
from impray.measures.scale import norm, size_of
from impray.measures.state import Readings, RoundState, image
from impray.spec import measure as spec

MOST_STEPS = 500  # of FastICA, which has scikit-learn's default of 200; 72 were enough for crops of photographs
_TOLERANCE = 1e-4  # scikit-learn's: largest 1 - |cosine| of a row of W between two steps, in the whitened space
_CONSTANT = (
    1e-12  # of their means: inputs that vary less are all constant, and what is left of them is the means' rounding
)
_LEAST_VARIANCE = 1e-12  # of the first direction's: float32 inputs are rounded at 1e-14 of theirs


class Fit(NamedTuple):
    """Components of one set of inputs, float64 on the CPU."""

    pca: Float64[Tensor, "component input"]  # of norm 1
    explained: Float64[Tensor, " component"]  # share of the inputs' variance
    ica: Float64[Tensor, "component input"]  # their projections have variance 1
    kurtosis: Float64[Tensor, " component"]  # of these projections
    steps: int  # that FastICA took; MOST_STEPS: it did not converge


def fit(inputs: Float[Tensor, "sample input"], count: int) -> Fit:
    """PCA and FastICA of the inputs, at most `count` components of each; see this module's head."""
    size = size_of(torch.stack(inputs.aminmax()), 0).double() if inputs.numel() else inputs.new_ones(1).double()
    # Eigenvalues are compared with numbers that do not scale along: only what float64 could not hold is scaled.
    inputs = inputs if size == 1 else inputs / size
    # BLAS would take all cores, whatever this process was given, and round by how many it took.
    with one_thread():
        mean = np.sum([part.sum(axis=0) for part in _portions(inputs, 0.0)], axis=0) / max(len(inputs), 1)
        directions, variances, explained = _principal(inputs, mean, count)
        whitening = directions / np.sqrt(variances)[:, None]
        whitened = np.empty((len(whitening), len(inputs)))
        done = 0
        for part in _portions(inputs, mean):
            np.matmul(whitening, part.T, out=whitened[:, done : done + len(part)])
            done += len(part)
        unmixing, steps = _fast_ica(whitened)
        sources = unmixing @ whitened
        filters = (unmixing @ whitening) / sources.std(axis=1, keepdims=True)
    peaked = kurtosis(torch.from_numpy(sources).T)
    order = peaked.argsort(descending=True, stable=True)
    ica = torch.from_numpy(_oriented(filters))[order]
    pca = torch.from_numpy(_oriented(directions))
    return Fit(pca, torch.from_numpy(explained), ica / size.cpu(), peaked[order], steps)


def _portions(inputs: Tensor, mean: np.ndarray | float) -> Iterator[np.ndarray]:
    """Centred inputs in float64, some samples at a time."""
    for part in inputs.split(PORTION):
        # One layout for all: on some processors products round by which axis runs first.
        yield part.cpu().double().contiguous().numpy() - mean


def _principal(inputs: Tensor, mean: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions [component, input] of norm 1, their variances and shares of all variance, largest first."""
    samples, wide = inputs.shape
    if samples > wide:
        products = np.zeros((wide, wide))
        for part in _portions(inputs, mean):
            products += part.T @ part
        centred = None
    else:
        centred = np.concatenate(list(_portions(inputs, mean)))
        products = centred @ centred.T
    total, size, most = np.trace(products), len(products), min(count, samples - 1, wide)
    if most < 1 or total <= inputs.numel() * (_CONSTANT * np.abs(mean).max()) ** 2:
        return np.empty((0, wide)), np.empty(0), np.empty(0)
    values, vectors = scipy.linalg.eigh(products, overwrite_a=True, subset_by_index=(size - most, size - 1))
    kept = values > _LEAST_VARIANCE * values[-1]
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    directions = vectors.T if centred is None else (vectors.T @ centred) / np.sqrt(values)[:, None]
    # As scikit-learn's FastICA turns them. Not its sign(0) = 0, which would erase a direction.
    return np.where(directions[:, :1] < 0, -1.0, 1.0) * directions, values / samples, values / total


def _fast_ica(whitened: np.ndarray) -> tuple[np.ndarray, int]:
    """The rotation [component, direction] of whitened data [direction, sample] that FastICA finds, and its number of steps."""
    if len(whitened) == 0:
        return np.empty((0, 0)), 0
    # Half a second, of which a sweep without this measure has no need.
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    ica = FastICA(whiten=False, max_iter=MOST_STEPS, tol=_TOLERANCE, random_state=0)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps tells
        ica.fit(whitened.T)
    return ica.components_, ica.n_iter_


def _oriented(components: np.ndarray) -> np.ndarray:
    """Each with the entry of largest magnitude positive."""
    largest = np.abs(components).argmax(axis=1)[:, None]
    return np.where(np.take_along_axis(components, largest, axis=1) < 0, -components, components)


def cosines(
    masks: Bool[Tensor, "unit input"], components: Float64[Tensor, "component input"]
) -> Float64[Tensor, "unit component"]:
    """Magnitudes of the cosines, in [0, 1] up to rounding; NaN for a mask without inputs."""
    of_norm_1 = components / norm(components)[:, None]
    return (masks.double() @ of_norm_1.T).abs() / masks.sum(dim=1, keepdim=True).double().sqrt()


def measure(asked: spec.Components, state: RoundState) -> Readings:
    """Largest |cosine| of each unit's mask with a component, in every round; the components themselves in round 0.

    Images: `pca` (value: share of the variance), `ica` (value: kurtosis of the projection). NaN: fewer than `min_fan_in` inputs
    left, or inputs that are all constant; ica_component too, null in the table.
    """
    units: dict[str, list[Tensor]] = {"cosine_pca": [], "cosine_ica": [], "ica_component": []}
    steps: list[int] = []
    images: list[list[dict]] = []
    masks = state.mask(1).cpu()
    for net in range(state.nets):
        inputs, _ = first_of_each_class(*state.held_out(net), asked.samples)
        key = fingerprint(inputs), asked.count
        fitted = _FITS.of(key, lambda inputs=inputs: fit(inputs, asked.count))
        steps.append(fitted.steps)
        counted = masks[net].sum(dim=1) >= asked.min_fan_in
        for column, values in zip(units, _best(masks[net], fitted), strict=True):
            units[column].append(values.masked_fill(~counted, torch.nan))
        if state.round == 0:
            images.append(_images(fitted, state.input_shape))
    return Readings(
        units={1: {column: torch.stack(values) for column, values in units.items()}},
        lineage={"ica_steps": torch.tensor(steps)},
        images=images,
    )


def _best(masks: Bool[Tensor, "unit input"], fitted: Fit) -> tuple[Tensor, Tensor, Tensor]:
    """cosine_pca, cosine_ica and the number of the component that has the latter."""
    if len(fitted.pca) == 0:
        nothing = torch.full((len(masks),), torch.nan, dtype=torch.float64)
        return nothing, nothing, nothing
    # A copy begins on a cache line, a slice anywhere, and products round by that (`impray.nets.layout`).
    pca, ica = (cosines(masks.clone(), components).max(dim=1) for components in (fitted.pca, fitted.ica))
    return pca.values, ica.values, ica.indices.double().masked_fill(ica.values.isnan(), torch.nan)


def _images(fitted: Fit, shape: tuple[int, ...]) -> list[dict]:
    kinds = (("pca", fitted.pca, fitted.explained), ("ica", fitted.ica, fitted.kurtosis))
    return [
        image(component.reshape(shape), name, number, float(values[number]))
        for name, components, values in kinds
        for number, component in enumerate(components)
    ]


_FITS: Recent[Fit] = Recent()
