"""Vectors of whole numbers, and picking between lanes: what random numbers and functions need beside `impray.kernels.vectors`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from impray.kernels.vectors import of_one, of_three, of_two, retyped

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _every(part: Any, number: int) -> ir.Constant:
    """That number in every lane of something like `part`."""
    return ir.Constant(part.type, [number] * part.type.count)


widened = of_one(lambda build, x: build.zext(x, retyped(_I64, x)), types.uint64)
"""Whole numbers of 32 bits as such of 64."""
low = of_one(lambda build, x: build.trunc(x, retyped(_I32, x)), types.uint32)
"""The lower 32 bits of 64."""
shifted = of_two(lambda build, x, y: build.ashr(x, y))
"""A signed whole number shifted to the right: its sign stays."""
where = of_three(lambda build, x, y, bits: build.select(build.icmp_unsigned("!=", bits, _every(bits, 0)), x, y))
"""x where `bits` has any, else y."""
lesser = of_two(lambda build, x, y: build.select(build.fcmp_ordered("<", x, y), x, y))
"""The lesser of two floats; y where one is no number."""
greater = of_two(lambda build, x, y: build.select(build.fcmp_ordered(">", x, y), x, y))
"""The greater; y where one is no number."""
