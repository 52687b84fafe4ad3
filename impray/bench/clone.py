"""Gaussian clones of classes of images: ours against numpy's multivariate normal per class and channel.

ImageNet32-GP's shapes: 100 classes of 3 x 32 x 32 images, 100 images and 50 draws per class. The reference
fits mean and covariance of each class and channel and samples with
`numpy.random.Generator.multivariate_normal(method="eigh")`: with 100 images the 1024 x 1024 covariance is
singular, so Cholesky fails, and "svd" is slower.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from impray.bench.threads import one_torch_thread
from impray.data.blend import gaussian_clone

_CLASSES, _IMAGES, _DRAWS, _CHANNELS, _SIDE = 100, 100, 50, 3, 32
_REFERENCE_RUNS = 5  # each one class and channel; the whole takes minutes


def compare() -> dict[str, str | float]:
    """Seconds for all classes on one thread, medians: `ours`, `reference` and `ratio` = reference / ours."""
    with one_torch_thread():
        images = _images()
        ours = _median_s(lambda _: _ours(images), runs=7)
        groups = images.transpose(1, 2).flatten(0, 1).double().numpy()
        with threadpool_limits(1):  # numpy's own library has threads that torch does not know of
            reference = _median_s(lambda run: _reference(groups[run]), runs=_REFERENCE_RUNS) * len(groups)
    return {
        "name": "Gaussian clone",
        "ours": ours,
        "reference": reference,
        "ratio": reference / ours,
        "unit": "s",
        "note": f"{_CLASSES} classes of {_IMAGES} images, {_CHANNELS} x {_SIDE} x {_SIDE}, {_DRAWS} draws; "
        f"numpy: multivariate_normal (eigh), median of {_REFERENCE_RUNS} (class, channel) x {len(groups)}",
    }


def _images() -> torch.Tensor:
    """Correlated images [class, sample, channel, pixel]: smoothed noise."""
    noise = torch.randn(_CLASSES * _IMAGES, _CHANNELS, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)
    return smooth.view(_CLASSES, _IMAGES, _CHANNELS, -1)


def _ours(images: torch.Tensor) -> torch.Tensor:
    return gaussian_clone(images, _DRAWS, torch.Generator().manual_seed(1), "channel")


def _reference(images: np.ndarray) -> np.ndarray:
    covariance = np.cov(images, rowvar=False)
    return np.random.default_rng(1).multivariate_normal(images.mean(axis=0), covariance, size=_DRAWS, method="eigh")


def _median_s(call: Callable[[int], object], runs: int) -> float:
    call(0)
    seconds = []
    for run in range(runs):
        start = time.perf_counter()
        call(run)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
