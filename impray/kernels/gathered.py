"""Rows that offsets lead to, read once for two uses: a sum of rows times weights, and each row's product with another, for the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

from impray.kernels.sums import Dots
from impray.kernels.vectors import Vector, address, call, intrinsic, parts_of, spread, taken, whole_of


@intrinsic(prefer_literal=True)
def rows(
    typing: Any, own: Any, x: Any, begin: Any, apart: Any, others: Any, place: Any, weights: Any, sink: Any, even: Any, odd: Any,
    count: Any, summed: Any, dotted: Any,
) -> Any:  # fmt: skip
    """Of `count` weights, a power of 2, from `place` on: the row of each is that one of x's which `others` says, from `begin` on, `apart`.

    summed (0 or 1): the weights times their rows are added in turns to `even` and `odd`, which are returned. dotted (0 or 1): the sums over
    lanes of own times each row (`impray.kernels.sums.dot`) are added to the sink, after that: it may be the weights. One instruction after
    another as registers allow it, where a function of loaded rows would keep them all.
    """
    many = Vector(sink.dtype, count.literal_value)
    adds, dots = bool(summed.literal_value), bool(dotted.literal_value)

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        kinds = signature.args
        parts = parts_of(context, build, values[0], own, own)
        first, apart, at = (context.cast(build, values[place], kinds[place], types.intp) for place in (2, 3, 5))
        sums = [parts_of(context, build, value, own, own) for value in values[8:10]]
        totals = Dots(build, parts)
        for each in range(many.lanes):
            here = build.add(at, at.type(each))
            other = context.cast(
                build, build.load(address(context, build, others, values[4], here)), others.dtype, types.intp
            )
            begin = build.add(first, build.mul(other, apart))
            row = []
            for part in parts:
                row.append(build.load(address(context, build, x, values[1], begin, part.type)))
                row[-1].align = x.dtype.bitwidth // 8
                begin = build.add(begin, begin.type(part.type.count))
            if adds:
                weight = build.load(address(context, build, weights, values[6], here))
                wide = spread(build, weight, parts[0].type.count)
                # Narrower parts take lanes of the widest: spread by themselves they would cost one instruction more each.
                factors = [taken(build, wide, wide, range(part.type.count)) for part in parts]
                sums[each % 2] = [
                    call(build, "fma", *three) for three in zip(factors, row, sums[each % 2], strict=True)
                ]
            if dots:
                totals.add(row)
        if dots:
            kind = ir.VectorType(context.get_value_type(many.scalar), many.lanes)
            put = address(context, build, sink, values[7], at, kind)
            before = build.load(put)
            before.align = sink.dtype.bitwidth // 8
            build.store(build.fadd(before, totals.end()), put).align = sink.dtype.bitwidth // 8
        return context.make_tuple(build, signature.return_type, [whole_of(context, build, own, each) for each in sums])

    result = types.UniTuple(own, 2)
    return result(own, x, begin, apart, others, place, weights, sink, even, odd, count, summed, dotted), generate
