"""Inputs of controllable kurtosis, positive or negative, with a Gaussian copula.

    x = q(Phi(z)) / s(k)      q(p) = u / (1 - |u|^k)^(1/k),  u = 2p - 1      z ~ N(0, C)      C_ij = exp(-d_ij^2 / xi^2)

Source: Lufkin, Saxe & Grant (2024), eq. 4 and 7; moments and s(k) in closed form: `impray.theory.stimuli`.
Where we differ: s(k) is exact where theirs is of a finite sample, and there is no NaN: in single precision Phi(z) rounds to 1 for
z above 5.4, where q is infinite. Here 1 - |u| = erfc(|z| / sqrt 2) is computed itself, and 1 - |u|^k from it without a difference:

    |x| = u exp(-log(t) / k)      t = -expm1(k log1p(-erfc(|z| / sqrt 2)))

Heavy tails: for k <= 4 the fourth moment is infinite, so sample kurtoses mean nothing there and grow with the sample.
Beyond exp(80) (k below about 0.25, in single precision) the exponential is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from impray.data.base import Raw
from impray.data.fields import Field, field_roots, per_stream
from impray.data.process import Sources
from impray.data.stimulus import StimulusPack
from impray.kernels import stimuli as kernels
from impray.spec.data import Kur
from impray.theory.stimuli import kur_scale


class KurProcess(Field):
    """A quantile function of a Gaussian field's normal score."""

    kernel = kernels.KUR

    def __init__(self, specs: Sequence[Kur], sources: Sources, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, sources, dtype, device)
        self._k = per_stream([spec.k for spec in specs], dtype, device)
        self._rate = per_stream([-1 / spec.k for spec in specs], dtype, device)

    def roots(self, spec: Kur) -> Float[np.ndarray, "class row_mode col_mode"]:
        return field_roots(spec) / math.sqrt(2)  # erf and erfc want z / sqrt 2

    def factors(self, spec: Kur) -> tuple[float, float, float, float]:
        log2_e = 1 / math.log(2)
        return math.sqrt(1 - spec.gaussian_blend) / kur_scale(spec.k), spec.k * log2_e, log2_e / spec.k, 0.0

    def finished(self, z: Float[Tensor, "stream input padded"], raw: Raw, step: int) -> Tensor:
        t = z.abs().erfc_().neg_().log1p_().mul_(self._k).expm1_().neg_()
        factor = t.log_().mul_(self._rate).clamp_(max=kernels.LARGEST).exp_()
        return z.erf_().mul_(factor)


class KurPack(StimulusPack):
    """See `StimulusPack`."""

    process = KurProcess
