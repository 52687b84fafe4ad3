"""Numbers brought near 1 by powers of two, as `impray.measures.scale` does with tensors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_ORDINARY = (
    2.0**200
)  # fourth powers of such numbers, their sums, and those of numbers 2^-40 as large are normal numbers


def size_of(values: Float[np.ndarray, "*any"], axis: int | None = None) -> Float[np.ndarray, "*some"]:
    """Power of two to divide by along an axis (kept as 1; None: over all): near the largest magnitude there if that is not
    ordinary, else 1. 1 too for nothing but zeros, for infinities and NaN, and where there are no values."""
    largest = np.abs(values).max(axis=axis, keepdims=True, initial=0.0)
    fine = (largest == 0) | ((largest >= 1 / _ORDINARY) & (largest <= _ORDINARY)) | ~np.isfinite(largest)
    return np.where(fine, 1.0, np.divide(largest, 2 * np.frexp(largest)[0], out=np.ones_like(largest), where=~fine))
