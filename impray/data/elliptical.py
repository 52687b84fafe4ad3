"""Elliptical inputs: a direction on an ellipsoid times a random radius, so that any kurtosis leaves ellipses as contours.

    x = r L u      u uniform on the sphere in N dimensions      L L^T = C, C_ij = exp(-d_ij^2 / xi^2)

    student_t   r^2 = chi^2_N v / chi^2_v: the multivariate t distribution with v degrees of freedom
    shell       r = 1
    extreme     r = 2 + atanh(U), U uniform on [0, 1)
    quantiles   r = Q(U), Q piecewise linear

Source: Lufkin, Saxe & Grant (2024), Definition 1 and section 4.3; the density printed for extreme is that of 2 + atanh(U).
Where we differ: by default inputs are scaled to variance 1, as all other stimuli (with r = 1 it is 1 / N); `scale: radius`
leaves them as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import streams
from impray.data.base import Raw, distinct, select
from impray.data.fields import Field, field_roots
from impray.data.process import Sources
from impray.data.stimulus import StimulusPack
from impray.data.streams import Steps
from impray.kernels import stimuli as kernels
from impray.spec.data import Elliptical
from impray.theory.stimuli import elliptical_scale


class EllipticalProcess(Field):
    """A Gaussian field over its length times the radius."""

    kernel = kernels.SCALED
    drawn = ("noise", "radius")

    def __init__(self, specs: Sequence[Elliptical], sources: Sources, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, sources, dtype, device)
        # One draw for each law of the radius and seed, for the streams in their own order or, in one pass, the kernel's.
        order = sources.in_turn if self.one_pass else range(len(specs))
        self._draws, places = distinct([(_law(specs[stream]), sources.place[stream]) for stream in order])
        self._draw_of = torch.tensor(places, device=device)
        over = [spec.radius != "student_t" for spec in specs]
        self._over = torch.tensor(over, device=device).view(-1, 1, 1)

    def roots(self, spec: Elliptical) -> Float[np.ndarray, "class row_mode col_mode"]:
        return field_roots(spec)

    def factors(self, spec: Elliptical) -> tuple[float, float, float, float]:
        amplitude = math.sqrt(1 - spec.gaussian_blend) * elliptical_scale(spec)
        return amplitude, 0.0, 0.0, float(spec.radius != "student_t")

    def draw(self, keys: Mapping[str, Sequence[int]], steps: Steps, labels: Int[Tensor, "seed step sample"]) -> Raw:
        """Radii of every stream, and the noise."""
        drawn = [_radii(law, keys["radius"][seed], steps, self.device) for law, seed in self._draws]
        radii = torch.stack(drawn).to(self.dtype).index_select(0, self._draw_of)
        return {**super().draw(keys, steps, labels), "radius": radii}

    def finished(self, z: Float[Tensor, "stream input padded"], raw: Raw, step: int) -> Tensor:
        radius = torch.nn.functional.pad(raw["radius"][:, step], (0, z.shape[2] - raw["radius"].shape[2]))[:, None]
        noise = select(raw["noise"][:, step], self.sources.of_stream)
        length = noise.square().sum(dim=1, keepdim=True).sqrt_()
        return z.mul_(torch.where(self._over, radius / length, radius))


_Law = tuple[str, float | None, tuple[float, ...] | None]


def _law(spec: Elliptical) -> _Law:
    return spec.radius, spec.degrees_of_freedom if spec.radius == "student_t" else None, spec.quantiles


def _radii(law: _Law, key: int, steps: Steps, device: torch.device) -> Float[Tensor, "step sample"]:
    """Radii in float64; of student_t, what the length of the noise (the root of a chi^2_N) is multiplied by."""
    kind, freedom, quantiles = law
    if kind == "shell":
        return torch.ones(steps.length, steps.samples, dtype=torch.float64, device=device)
    if kind == "student_t":
        assert freedom is not None
        half = freedom / 2
        return (half / streams.gammas([key], steps, [half], device)[0]).sqrt()  # chi^2_v / v = gamma(v/2) / (v/2)
    u = streams.uniforms([key], steps, device)[0]
    if kind == "extreme":
        return 2 + (u.log1p() - (-u).log1p()) / 2
    table = torch.tensor(quantiles, dtype=torch.float64, device=device)
    place = u * (len(table) - 1)
    below = place.long().clamp_(max=len(table) - 2)
    return torch.lerp(table[below], table[below + 1], place - below)


class EllipticalPack(StimulusPack):
    """See `StimulusPack`."""

    process = EllipticalProcess
