"""Fourth standardised moments of columns, over all rows and within classes of rows, from one reading of the numbers.

    kurt = m4 / m2^2        m_k = E[(x - E x)^k]

On CPUs `impray.kernels.moments` sums (x - c)^k of every class, c its mean as rounded. Moments follow by the binomial theorem, about the
class's mean and, of all classes together, about the mean of all: exact up to some units in the last place, whatever the offset. Elsewhere
torch does the same in several readings.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.kernels import moments as kernel
from impray.kernels.compiled import lacking
from impray.measures.scale import power_of_two, scaled

_UNITS = 128  # at a time: in double precision, 50,000 samples of 1,024 units would be 0.4 GB, several times
# A unit without inputs is constant up to rounding: its kurtosis is undefined, not the kurtosis of rounding errors. What varies less
# than this share of its largest magnitude is constant.
_CONSTANT = 1e-6
_CONSTANT_DOUBLE = 1e-12


class Classes:
    """Which samples are of which class: what the nets that read the same samples share."""

    def __init__(self, labels: Int[Tensor, " sample"], classes: Int[Tensor, " class"]) -> None:
        """classes: those whose moments are wanted, each once; samples of others count where all do."""
        self.labels, self.classes = labels, classes

    @cached_property
    def in_order(self) -> tuple[Int[np.ndarray, " sample"], Int[np.ndarray, " group"]]:
        """Places of the samples, those of the first class first and those of no class last, and where each of these groups ends."""
        labels = self.labels.cpu().numpy()
        places = [np.flatnonzero(labels == label) for label in self.classes.tolist()]
        none = np.ones(len(labels), dtype=bool)
        none[np.concatenate([[], *places]).astype(np.int64)] = False
        places.append(np.flatnonzero(none))
        return np.concatenate(places), np.cumsum([len(some) for some in places])


def _one_class(values: Float[Tensor, "sample unit"]) -> Classes:
    return Classes(values.new_zeros(len(values), dtype=torch.int64), values.new_zeros(1, dtype=torch.int64))


class Kurtoses(NamedTuple):
    """Float64, at least 1; NaN where undefined."""

    pooled: Float[Tensor, " unit"]
    within: Float[Tensor, "class unit"]


def kurtosis(values: Float[Tensor, "sample unit"]) -> Float[Tensor, " unit"]:
    """Fourth standardised moment over samples, in float64, at least 1; scale and offset do not matter.

    NaN for a constant, for one sample and none, and for numbers that are not finite. Constant is what varies by less than 1e-6 of
    its largest magnitude, values given in float64 by less than 1e-12.
    """
    return kurtoses(values, _one_class(values)).within[0] if _summable(values) else _of_all(values)


def kurtoses(values: Float[Tensor, "sample unit"], of: Classes) -> Kurtoses:
    """Of all samples, and within each class; see `kurtosis`, whose bits a class has that is asked for alone."""
    if not _summable(values):
        within = [_of_all(values[of.labels == label]) for label in of.classes]
        return Kurtoses(_of_all(values), _stacked(within, values))
    found = _summed(values, of)
    if found is not None:
        return found
    # Numbers whose fourth powers leave float64: by powers of two near 1, in each class by its own.
    pooled = _summed(scaled(values, 0)[0], of, near_1=True)
    assert pooled is not None, "near 1"
    return Kurtoses(pooled.pooled, _stacked([_of_class(values, of.labels == label) for label in of.classes], values))


def _stacked(rows: list[Tensor], like: Float[Tensor, "sample unit"]) -> Float[Tensor, "row unit"]:
    return torch.stack(rows) if rows else like.new_empty((0, like.shape[1]), dtype=torch.float64)


def _floor(values: Tensor) -> float:
    return _CONSTANT_DOUBLE if values.dtype == torch.float64 else _CONSTANT


def _summable(values: Tensor) -> bool:
    """Whether the kernel can read them."""
    types = (torch.float32, torch.float64)
    return values.device.type == "cpu" and values.dtype in types and values.numel() > 0 and lacking() is None


def _of_class(values: Float[Tensor, "sample unit"], chosen: Tensor) -> Float[Tensor, " unit"]:
    some = scaled(values[chosen], 0)[0]
    if len(some) == 0:
        return some.new_full(some.shape[1:], torch.nan)
    found = _summed(some, _one_class(some), near_1=True)
    assert found is not None, "near 1"
    return found.within[0]


def _summed(values: Float[Tensor, "sample unit"], of: Classes, *, near_1: bool = False) -> Kurtoses | None:
    """By the kernel. None: some class's numbers are too large or small, unless they are known to be `near_1`."""
    x = values.detach()
    rows, units = x.shape
    x = x if x.stride(1) == 1 and x.stride(0) >= units else x.contiguous()
    apart = x.stride(0) if rows > 1 else units
    flat = x.as_strided(((rows - 1) * apart + units,), (1,)).numpy()
    order, ends = of.in_order
    found = torch.from_numpy(kernel.sums(flat, apart, units, order, ends))
    largest, centre, sums = found[:, kernel.LARGEST], found[:, kernel.MEAN], found[:, kernel.SUMS :]
    if values.dtype == torch.float64 and not near_1 and bool((power_of_two(largest) != 1).any()):
        return None
    counts = torch.from_numpy(np.diff(ends, prepend=0)).double()[:, None]
    within = _standardised(sums[:-1].unbind(1), counts[:-1], largest[:-1], _floor(values))
    # (x - c)^k about another centre, of every group: they can be added.
    whole = _added(centre * counts) / len(order)
    off = centre - whole
    s1, s2, s3, s4 = sums.unbind(1)
    moved = (
        s1 + counts * off,
        s2 + off * (2 * s1 + counts * off),
        s3 + off * (3 * s2 + off * (3 * s1 + counts * off)),
        s4 + off * (4 * s3 + off * (6 * s2 + off * (4 * s1 + counts * off))),
    )
    pooled = [_added(part) for part in moved]
    return Kurtoses(_standardised(pooled, counts.sum(), largest.amax(dim=0), _floor(values)), within)


def _added(parts: Float[Tensor, "group unit"]) -> Float[Tensor, " unit"]:
    """Over groups, one after the other: torch's own sum goes by how many units there are."""
    return parts.cumsum(dim=0)[-1]


def _standardised(
    sums: tuple[Tensor, ...] | list[Tensor], count: Tensor, largest: Tensor, floor: float
) -> Float[Tensor, "*group unit"]:
    """The fourth standardised moment from sums of powers about anything near the mean."""
    a1, a2, a3, a4 = (part / count for part in sums)
    square = a1 * a1
    variance = a2 - square
    fourth = a4 - 4 * a1 * a3 + 6 * square * a2 - 3 * square * square
    varies = variance > (floor * largest).square()
    return torch.where(varies, (fourth / variance.square()).clamp_min(1), torch.nan)


def _of_all(values: Float[Tensor, "sample unit"]) -> Float[Tensor, " unit"]:
    """The same by torch, on any device."""
    parts = [_of_some(some.double(), _floor(values)) for some in values.split(_UNITS, dim=1)]
    return torch.cat(parts)


def _of_some(values: Float[Tensor, "sample unit"], floor: float) -> Float[Tensor, " unit"]:
    if len(values) == 0:
        return values.new_full(values.shape[1:], torch.nan)
    values, _ = scaled(values, 0)
    centred = values - values.mean(dim=0)
    variance = centred.square().mean(dim=0)
    largest = values.abs().amax(dim=0)
    # Beside a huge offset the mean's own rounding would count as spread.
    offset = variance <= (_CONSTANT * largest).square()
    if floor < _CONSTANT and bool(offset.any()):
        centred = torch.where(offset, centred - centred.mean(dim=0), centred)
        variance = torch.where(offset, centred.square().mean(dim=0), variance)
    fourth = centred.square().square().mean(dim=0)
    return torch.where(variance > (floor * largest).square(), fourth / variance.square(), torch.nan)
