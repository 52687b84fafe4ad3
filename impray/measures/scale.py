"""Numbers brought near 1 by powers of two, where fourth powers of them, or their sums, would leave floating point.

    values = size * scaled          size: 1 wherever scaling is not needed, else a power of two

For quantities that do not depend on the scale. Products with powers of two are exact, and ordinary values stay as they are: what is
computed from `scaled` has the same bits as what would be computed from the values themselves, had floating point no ends.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Fourth powers of what is 2^-40 (1e-12) of the largest are normal numbers still, and sums of 2^200 of them finite.
_ORDINARY = 2.0**200


def size_of(values: Float[Tensor, "*any"], dim: int) -> Float[Tensor, "*some"]:
    """Power of two to divide by along an axis, which stays as 1: near the largest magnitude there if that is not ordinary, else 1.

    1 too for nothing but zeros, for infinities and NaN, and for an axis without values.
    """
    if values.shape[dim] == 0:
        return values.sum(dim=dim, keepdim=True) + 1
    return power_of_two(values.abs().amax(dim=dim, keepdim=True))


def power_of_two(largest: Float[Tensor, "*any"], ordinary: float = _ORDINARY) -> Float[Tensor, "*any"]:
    """Largest power of two in each number, and 1 for those from 1 / `ordinary` to `ordinary`, 0, infinities and NaN."""
    fine = (largest == 0) | ((largest >= 1 / ordinary) & (largest <= ordinary)) | ~torch.isfinite(largest)
    # Not by 2^exponent: that of the largest number, and the inverse of the smallest one, are beyond floating point.
    return torch.where(fine, 1.0, largest / (2 * torch.frexp(largest).mantissa))


def scaled(values: Float[Tensor, "*any"], dim: int) -> tuple[Float[Tensor, "*any"], Float[Tensor, "*some"]]:
    """Values over their size along an axis, and that size; ordinary ones as they are, no copy: sums round by how numbers lie."""
    size = size_of(values, dim)
    return (values if bool((size == 1).all()) else values / size), size


def norm(values: Float[Tensor, "*unit input"]) -> Float[Tensor, "*unit"]:
    """Euclidean length along the last axis in float64; finite wherever it is a finite number."""
    near_1, size = scaled(values.double(), -1)
    return torch.linalg.vector_norm(near_1, dim=-1) * size[..., 0]
