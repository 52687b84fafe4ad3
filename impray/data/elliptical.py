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
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import Raw, select, selection
from impray.data.nlgp import field_roots
from impray.data.stimulus import Coloured, Noisy, StimulusPack, laid_out, per_stream
from impray.spec.data import Elliptical
from impray.theory.stimuli import elliptical_scale


class EllipticalProcess(Noisy):
    """A Gaussian field over its length times the radius."""

    specs: Sequence[Elliptical]
    drawn = ("noise", "radius")
    of_streams = frozenset({"radius"})

    def __init__(self, specs: Sequence[Elliptical], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, dtype, device)
        self._field = Coloured([field_roots(spec) for spec in specs], dtype, device)
        amplitudes = [math.sqrt(1 - spec.gaussian_blend) * elliptical_scale(spec) for spec in specs]
        self._amplitudes = per_stream(amplitudes, dtype, device)

    def draw(self, name: str, stream: torch.Generator, shape: tuple[int, int]) -> Tensor:
        if name == "noise":
            return super().draw(name, stream, shape)
        # Of every law of a pack: whichever others there are, a stream's own numbers are the first of its generator.
        state = stream.get_state()
        laws = []
        for law in self._laws:
            stream.set_state(state)
            laws.append(_radii(law, stream, shape, self.device))
        # What the next block begins with must not depend on the laws of a pack either.
        stream.set_state(state)
        stream.manual_seed(int(torch.randint(2**62, (1,), generator=stream, device=self.device)))
        return torch.stack(laws, dim=1).to(self.dtype)

    @property
    def _laws(self) -> list[Elliptical]:
        """One stream for each law of the radius."""
        return list({_law(spec): spec for spec in self.specs}.values())

    def prepared(self, raw: Raw, seed_of_stream: Sequence[int]) -> Raw:
        """Radii over the length of the noise, of every stream."""
        laws = [_law(spec) for spec in self._laws]
        of_streams = raw["radius"].transpose(1, 2).flatten(0, 1)  # [seed law, step, sample]
        places = [seed * len(laws) + laws.index(_law(s)) for seed, s in zip(seed_of_stream, self.specs, strict=True)]
        radius = of_streams[places]
        noise = select(raw["noise"], selection(seed_of_stream, len(raw["noise"]), self.device))
        streams, steps, samples = radius.shape
        rows, cols = self._field.rows, self._field.cols
        length = noise.view(streams, steps, rows, samples, cols).square().sum(dim=(2, 4)).sqrt_()
        own = torch.tensor([spec.radius == "student_t" for spec in self.specs], device=self.device).view(-1, 1, 1)
        return {**raw, "radius": torch.where(own, radius, radius / length)}

    def samples(self, numbers: Raw, labels: Int[Tensor, "stream padded"], samples: int) -> Tensor:
        z = self._field(numbers["noise"], labels).mul_(numbers["radius"][:, None, :, None])
        return laid_out(z, self._amplitudes, samples)


def _law(spec: Elliptical) -> tuple:
    return spec.radius, spec.degrees_of_freedom if spec.radius == "student_t" else None, spec.quantiles


def _radii(
    spec: Elliptical, stream: torch.Generator, shape: tuple[int, int], device: torch.device
) -> Float[Tensor, "step sample"]:
    """Radii in float64; of student_t, what the length of the noise (the root of a chi^2_N) is multiplied by."""
    if spec.radius == "shell":
        return torch.ones(shape, dtype=torch.float64, device=device)
    if spec.radius == "student_t":
        half = spec.degrees_of_freedom / 2
        alpha = torch.full(shape, half, dtype=torch.float64, device=device)
        gamma = torch._standard_gamma(alpha, generator=stream)  # pyright: ignore  (torch.distributions takes no generator)
        return (half / gamma).sqrt()  # chi^2_v / v = gamma(v/2) / (v/2)
    u = torch.empty(shape, dtype=torch.float64, device=device).uniform_(generator=stream)
    if spec.radius == "extreme":
        return 2 + (u.log1p() - (-u).log1p()) / 2
    table = torch.tensor(spec.quantiles, dtype=torch.float64, device=device)
    place = u * (len(table) - 1)
    below = place.long().clamp_(max=len(table) - 2)
    return torch.lerp(table[below], table[below + 1], place - below)


class EllipticalPack(StimulusPack):
    """See `StimulusPack`."""

    process = EllipticalProcess
