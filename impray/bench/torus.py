"""Samples of the non-linear Gaussian process on a 16 x 16 torus, against code that factorises the covariance in every step.

    x = erf(gain L noise) / Z(gain)      L L^T = C, 256 x 256, anew for each class and step

So does the public code of Ingrosso & Goldt (2022). Ours has no covariance to factorise: on the torus its eigenvectors are
known, and its eigenvalues are products of those of its axes. Three references, in float64 (float32 is no faster at this size, and
the smallest eigenvalue, 1e-7, drowns there): numpy's `multivariate_normal` as it is by default (singular values), and in torch
the eigenvalues, or Cholesky with jitter, the cheapest that one could write. Ours: float32, as sweeps train. Both run in this
process, in turns.

Ours is made in one pass from counters (`impray.kernels.stimuli`). Blind spot: most of what is measured is the worth of not factorising;
a loop in float32 that keeps its roots takes a small part of the references' time.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from impray.bench.threads import one_torch_thread
from impray.data import open_pack
from impray.spec.data import Nlgp, Stimulus

SPEC = Nlgp(shape=(16, 16), gain=3.0, xi=(1.0, 2.0))
BATCH = 100
STEPS, REFERENCE_STEPS = 100, 4  # of a run
RUNS = 9
JITTER = 1e-6  # of the variance
_REFERENCES = {
    "multivariate_normal": "numpy's multivariate_normal as it is by default",
    "eigh": "torch.linalg.eigh",
    "cholesky": "torch.linalg.cholesky with jitter",
}


def compare() -> dict[str, Any]:
    """Milliseconds per batch, medians over alternating runs, one thread; reference: numpy's `multivariate_normal`."""
    return _compare("multivariate_normal")


def compare_eigh() -> dict[str, Any]:
    """The same; reference: eigenvalues."""
    return _compare("eigh")


def compare_cholesky() -> dict[str, Any]:
    """The same; reference: Cholesky with jitter."""
    return _compare("cholesky")


def _compare(factor: str) -> dict[str, Any]:
    with one_torch_thread():
        ours, reference = sampler(SPEC, BATCH), refactorising(SPEC, BATCH, factor)
        with threadpool_limits(1):  # numpy's own library has threads that torch does not know of
            _ = ms_per_call(ours, STEPS), ms_per_call(reference, REFERENCE_STEPS)  # warm
            times = [(ms_per_call(ours, STEPS), ms_per_call(reference, REFERENCE_STEPS)) for _ in range(RUNS)]
    fast, slow = (statistics.median(side) for side in zip(*times, strict=True))
    return {
        "name": f"torus, {factor} in every step",
        "ours": fast,
        "reference": slow,
        "ratio": slow / fast,
        "unit": f"ms per batch of {BATCH}",
        "note": f"NLGP on {SPEC.shape[0]} x {SPEC.shape[1]}, gain {SPEC.gain:g}, xi {SPEC.xi}, one thread, median of {RUNS} runs; "
        f"reference: {_REFERENCES[factor]} for both classes' covariances ({SPEC.inputs} x {SPEC.inputs}) in every step, float64; "
        f"ours: float32, nothing to factorise",
    }


def ms_per_call(call: Callable[[], object], calls: int) -> float:
    """Mean milliseconds of a call."""
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return 1e3 * (time.perf_counter() - begin) / calls


def sampler(spec: Stimulus, batch: int, seed: int = 0) -> Callable[[], tuple[Tensor, Tensor]]:
    """Ours: each call one batch [sample, input], float32, and its labels; a call in `block` draws for all of them."""
    data = open_pack([spec], [seed], batch=batch, dtype=torch.float32, device=torch.device("cpu"))
    data.start(0)

    def sample() -> tuple[Tensor, Tensor]:
        x, labels = data.batch(data.draw(1), 0)
        return x[0], labels[0]

    return sample


def covariance(shape: tuple[int, ...], xi: float) -> Tensor:
    """C [input, input] = exp(-d^2 / xi^2), d the circular distance on a ring or torus, float64."""
    whole = torch.ones(1, 1, dtype=torch.float64)
    for side in shape:
        along = torch.arange(side)
        apart = (along[:, None] - along).abs()
        whole = torch.kron(whole, torch.minimum(apart, side - apart).double().square().neg().div(xi**2).exp())
    return whole


def scale(gain: float) -> float:
    """Z(gain), the standard deviation of erf(gain z)."""
    return math.sqrt(2 / math.pi * math.asin(2 * gain**2 / (1 + 2 * gain**2)))


def gaussian(covariance: Tensor, samples: int, factor: str) -> Tensor:
    """Samples [sample, input] of N(0, covariance), in float64."""
    if factor == "multivariate_normal":
        mean = np.zeros(len(covariance))
        return torch.from_numpy(np.random.multivariate_normal(mean, covariance.numpy(), size=samples))
    if factor == "eigh":
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp(min=0).sqrt()
    else:
        root = torch.linalg.cholesky(covariance + JITTER * torch.eye(len(covariance), dtype=torch.float64))
    return torch.randn(samples, len(covariance), dtype=torch.float64) @ root.T


def refactorising(spec: Nlgp, batch: int, factor: str) -> Callable[[], tuple[Tensor, Tensor]]:
    """The reference: each call one batch, sorted by class, and its labels."""
    covariances = [covariance(spec.shape, xi) for xi in spec.xi]
    amplitude = scale(spec.gain)

    def sample() -> tuple[Tensor, Tensor]:
        labels = torch.randint(len(covariances), (batch,)).sort().values
        counts = torch.bincount(labels, minlength=len(covariances)).tolist()
        z = [gaussian(of_class, count, factor) for of_class, count in zip(covariances, counts, strict=True)]
        return torch.cat(z).mul_(spec.gain).erf_().div_(amplitude), labels

    return sample
