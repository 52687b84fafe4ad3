"""Sums over the lanes of vectors, in one order: products as they are made, and sums that lie in lanes already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from impray.kernels.vectors import Vector, call, intrinsic, parts_of, taken, whole_of

_I32 = ir.IntType(32)

# Sums of lanes. The order, for any number of vectors at once: parts of one width are added by fma, then the upper half of the lanes is
# added to the lower one, and a part of that width comes in by fma, until one lane is left.


def _halved(build: Any, sums: list[Any], width: int) -> list[Any]:
    """Vectors that each hold several sums of `width` lanes, with half the lanes each; pairs of vectors become one."""
    half, halved = width // 2, []
    for place in range(0, len(sums), 2):
        x, y = (sums[place], sums[place + 1]) if len(sums) > 1 else (sums[place], sums[place])
        lanes = x.type.count * (2 if len(sums) > 1 else 1)
        low = [at for at in range(lanes) if at % width < half]
        high = [at for at in range(lanes) if at % width >= half]
        halved.append(build.fadd(taken(build, x, y, low), taken(build, x, y, high)))
    return halved


def _joined(build: Any, parts: list[Any]) -> Any:
    """Parts side by side in one vector."""
    while len(parts) > 1:
        lanes = 2 * parts[0].type.count
        parts = [taken(build, x, y, range(lanes)) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _dots(build: Any, x: list[Any], of: list[list[Any]]) -> Any:
    """Sums over lanes of the parts x times each of `of` (1, 2 or 4 vectors), side by side."""
    sizes = [part.type.count for part in x]
    width = sizes[0]
    sums = [build.fmul(x[0], y[0]) for y in of]
    for place in range(1, sizes.count(width)):
        sums = [call(build, "fma", x[place], y[place], total) for y, total in zip(of, sums, strict=True)]
    rest = sizes.count(width)
    while width > 1:
        sums, width = _halved(build, sums, width), width // 2
        if rest < len(sizes) and sizes[rest] == width:
            each = len(of) // len(sums)
            for place, total in enumerate(sums):
                some = _joined(build, [y[rest] for y in of[place * each : (place + 1) * each]])
                sums[place] = call(build, "fma", _joined(build, [x[rest]] * each), some, total)
            rest += 1
    return _joined(build, sums)


@intrinsic
def dot(typing: Any, x: Any, y: Any) -> Any:
    """The sum of x y over lanes."""

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        one, other = (parts_of(context, build, value, x, x) for value in values)
        return build.extract_element(_dots(build, one, [other]), _I32(0))

    return x.scalar(x, y), generate


@intrinsic
def dots(typing: Any, x: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """The sums over lanes of x a, x b, x c and x d: a vector of four, with the bits of four calls of `dot`."""
    four = Vector(x.scalar, 4)

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        one, *others = (parts_of(context, build, value, x, x) for value in values)
        return whole_of(context, build, four, [_dots(build, one, others)])

    return four(x, a, b, c, d), generate


@intrinsic
def totals(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """The sums over the lanes of each, of WIDEST lanes or fewer: a vector of four."""
    four = Vector(a.scalar, 4)

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        return whole_of(context, build, four, [_total(context, build, a, values)])

    return four(a, b, c, d), generate


@intrinsic
def total(typing: Any, x: Any) -> Any:
    """The sum over the lanes, with the bits of `totals`."""

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        return build.extract_element(_total(context, build, x, values), _I32(0))

    return x.scalar(x), generate


def _total(context: Any, build: Any, kind: Vector, values: Sequence[Any]) -> Any:
    sums = [part for value in values for part in parts_of(context, build, value, kind, kind)]
    width = kind.lanes
    assert len(sums) == len(values), "vectors of one part"
    while width > 1:
        sums, width = _halved(build, sums, width), width // 2
    return sums[0]
