"""Non-linear Gaussian process on a ring or a torus: the stimulus whose non-Gaussianity has a dial.

    x = erf(g z) / Z(g)      z ~ N(0, C)      C_ij = exp(-d_ij^2 / xi^2)
    Z(g)^2 = (2/pi) asin(2 g^2 / (1 + 2 g^2))

d is the circular distance in pixels, on a torus d^2 = d_row^2 + d_col^2. Every input has mean 0 and variance
1, and cov(x_i, x_j) = (2/pi) asin(2 g^2 C_ij / (1 + 2 g^2)) / Z^2. g -> 0 is Gaussian, g -> infinity binary
(+1 or -1).

Source: Lufkin, Saxe & Grant (2024), section 2, after Ingrosso & Goldt (2022), whose erf has a further
1/sqrt(2) in its argument: our gain g is theirs divided by sqrt(2). Class c has the length scale xi[c]; labels
are uniform over the classes. Where C differs from the papers': `impray.theory.stimuli`; how it is sampled:
`impray.data.stimulus`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import Raw
from impray.data.stimulus import Coloured, Noisy, StimulusPack, laid_out, per_stream, root_spectrum
from impray.spec.data import Correlated, Nlgp
from impray.theory.stimuli import field_correlation, nlgp_scale, separable_correlation


def field_roots(spec: Correlated) -> Float[np.ndarray, "class row col"]:
    """Root spectra of the Gaussian field beneath each class."""
    if spec.covariance == "matched":
        return np.stack([root_spectrum(field_correlation(spec, label)) for label in range(spec.classes)])
    axes = [separable_correlation(spec, label) for label in range(spec.classes)]
    return np.stack([np.outer(*(root_spectrum(axis[None])[0] for axis in of_class)) for of_class in axes])


class NlgpProcess(Noisy):
    """erf of a Gaussian field; the gain is part of the field's roots."""

    specs: Sequence[Nlgp]

    def __init__(self, specs: Sequence[Nlgp], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, dtype, device)
        self._field = Coloured([spec.gain * field_roots(spec) for spec in specs], dtype, device)
        amplitudes = [math.sqrt(1 - spec.gaussian_blend) / nlgp_scale(spec.gain) for spec in specs]
        self._amplitudes = per_stream(amplitudes, dtype, device)

    def samples(self, numbers: Raw, labels: Int[Tensor, "stream padded"], samples: int) -> Tensor:
        return laid_out(self._field(numbers["noise"], labels).erf_(), self._amplitudes, samples)


class NlgpPack(StimulusPack):
    """See `StimulusPack`."""

    process = NlgpProcess
