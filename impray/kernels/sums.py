"""Sums over the lanes of vectors, in one order: products as they are made, and sums that lie in lanes already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from impray.kernels.vectors import Vector, call, intrinsic, parts_of, taken, whole_of

_I32 = ir.IntType(32)

# Sums of lanes. The order, for any number of vectors at once: parts of one width are added by fma, then the upper half of the lanes is
# added to the lower one, and a part of that width comes in by fma, until one lane is left.


class _Sum(NamedTuple):
    """Sums of products that are being added up, in one vector: of each of `of` (places among the vectors), `width` lanes side by side."""

    lanes: Any
    of: list[int]
    width: int


class Dots:
    """Sums over lanes of the parts x times vectors, which come one by one: few are held at a time."""

    def __init__(self, build: Any, x: list[Any]) -> None:
        self._build, self._x, self._sizes = build, x, [part.type.count for part in x]
        self._whole = self._sizes.count(self._sizes[0])
        self._vectors: list[list[Any]] = []
        self._sums: list[_Sum] = []
        self._count = 0

    def add(self, y: list[Any]) -> None:
        total = self._build.fmul(self._x[0], y[0])
        for part in range(1, self._whole):
            total = call(self._build, "fma", self._x[part], y[part], total)
        self._vectors.append(y)
        self.put(total)

    def put(self, total: Any) -> None:
        """What the widest parts come to."""
        last = _Sum(total, [self._count], self._sizes[0])
        self._count += 1
        while self._sums and last.width > 1 and len(self._sums[-1].of) == len(last.of):
            last = self._paired(self._sums.pop(), last)
        self._sums.append(last)

    def _paired(self, x: _Sum, y: _Sum) -> _Sum:
        """Both, with half the lanes each. y's upper lanes stay where they are: one of two shuffles is a mere choice."""
        lanes, half = x.lanes.type.count, x.width // 2
        lower = [at % x.width < half for at in range(lanes)]
        own = [at if low else lanes + at for at, low in enumerate(lower)]
        others = [at + half if low else lanes + at - half for at, low in enumerate(lower)]
        added = self._build.fadd(
            taken(self._build, x.lanes, y.lanes, own), taken(self._build, x.lanes, y.lanes, others)
        )
        return self._with_part(_Sum(added, [place for pair in zip(x.of, y.of, strict=True) for place in pair], half))

    def _halved(self, x: _Sum) -> _Sum:
        half, lanes = x.width // 2, range(x.lanes.type.count)
        low = taken(self._build, x.lanes, x.lanes, [at for at in lanes if at % x.width < half])
        high = taken(self._build, x.lanes, x.lanes, [at for at in lanes if at % x.width >= half])
        return self._with_part(_Sum(self._build.fadd(low, high), x.of, half))

    def _with_part(self, x: _Sum) -> _Sum:
        """Where the vectors have a part as wide as the sums are now."""
        if x.width not in self._sizes[self._whole :]:
            return x
        part = self._sizes.index(x.width)
        own = _joined(self._build, [self._x[part]] * len(x.of))
        of = _joined(self._build, [self._vectors[place][part] for place in x.of])
        return x._replace(lanes=call(self._build, "fma", own, of, x.lanes))

    def end(self) -> Any:
        """The sums, side by side, as the vectors came."""
        for place, each in enumerate(self._sums):
            while each.width > 1:
                each = self._halved(each)
            self._sums[place] = each
        of = [place for each in self._sums for place in each.of]
        lanes = _joined(self._build, [each.lanes for each in self._sums])
        order = [of.index(place) for place in range(len(of))]
        return lanes if order == sorted(order) else taken(self._build, lanes, lanes, order)


def _joined(build: Any, parts: list[Any]) -> Any:
    """Parts side by side in one vector."""
    while len(parts) > 1:
        lanes = 2 * parts[0].type.count
        parts = [taken(build, x, y, range(lanes)) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _dots(build: Any, x: list[Any], of: list[list[Any]]) -> Any:
    """Sums over lanes of the parts x times each of `of` (a power of 2 of vectors), side by side."""
    dots = Dots(build, x)
    for y in of:
        dots.add(y)
    return dots.end()


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
    assert len(sums) == len(values), "vectors of one part"
    whole = Dots(build, sums[:1])
    for each in sums:
        whole.put(each)
    return whole.end()
