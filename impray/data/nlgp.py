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

import numpy as np
from jaxtyping import Float
from torch import Tensor

from impray.data.base import Raw
from impray.data.fields import Field, field_roots
from impray.data.stimulus import StimulusPack
from impray.kernels import stimuli as kernels
from impray.spec.data import Nlgp
from impray.theory.stimuli import nlgp_scale


class NlgpProcess(Field):
    """erf of a Gaussian field; the gain is part of the field's roots."""

    kernel = kernels.NLGP

    def roots(self, spec: Nlgp) -> Float[np.ndarray, "class row_mode col_mode"]:
        return spec.gain * field_roots(spec)

    def factors(self, spec: Nlgp) -> tuple[float, float, float, float]:
        return math.sqrt(1 - spec.gaussian_blend) / nlgp_scale(spec.gain), 0.0, 0.0, 0.0

    def finished(self, z: Float[Tensor, "stream input padded"], raw: Raw, step: int) -> Tensor:
        return z.erf_()


class NlgpPack(StimulusPack):
    """See `StimulusPack`."""

    process = NlgpProcess
