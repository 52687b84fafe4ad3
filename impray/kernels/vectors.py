"""Vectors as values in numba's code: `load`, `store`, `splat`, arithmetic lane by lane, and sums of lanes in one fixed order.

A vector of n lanes is a structure of LLVM vectors of 16, 8, 4, 2 and 1 lanes (40 is 16, 16, 8): LLVM keeps those in registers,
where it moves one vector of 40 lanes through memory, lane by lane. Lanes are the same on every CPU, however many of them one register
holds, so results are the same too.

Loads and stores have no bounds check. n must be a literal: a global or a closure's number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types

# As numba types them, intrinsics take the typing context; to callers they are functions of the rest.
intrinsic: Any = extending.intrinsic

WIDEST = 16
_I32 = ir.IntType(32)
_SUFFIX = {"float": "f32", "double": "f64", "i32": "i32"}


def widths(lanes: int) -> list[int]:
    """The parts of a vector, widest first."""
    parts, width = [], WIDEST
    while lanes:
        parts += [width] * (lanes // width)
        lanes, width = lanes % width, width // 2
    return parts


class Vector(types.Type):
    """The numba type of a vector of `lanes` numbers of type `scalar`."""

    def __init__(self, scalar: types.Type, lanes: int) -> None:
        self.scalar, self.lanes = scalar, lanes
        super().__init__(f"Vector({scalar}, {lanes})")


@extending.register_model(Vector)
class _Model(extending.models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        scalar = manager.lookup(vector.scalar).get_value_type()
        parts = [ir.VectorType(scalar, width) for width in widths(vector.lanes)]
        super().__init__(manager, vector, ir.LiteralStructType(parts))


# Making instructions: `build` is an LLVM IR builder, `context` numba's.


def spread(build: Any, number: Any, width: int) -> Any:
    """A vector with a number in every lane."""
    empty = ir.Constant(ir.VectorType(number.type, width), ir.Undefined)
    first = build.insert_element(empty, number, _I32(0))
    return build.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_I32, width), [0] * width))


def parts_of(context: Any, build: Any, value: Any, kind: types.Type, like: Vector) -> list[Any]:
    """The parts of a vector; those of a number are spread as those of `like`."""
    if isinstance(kind, Vector):
        return [build.extract_value(value, place) for place in range(len(widths(kind.lanes)))]
    number = context.cast(build, value, kind, like.scalar)
    return [spread(build, number, width) for width in widths(like.lanes)]


def whole_of(context: Any, build: Any, kind: Vector, parts: Sequence[Any]) -> Any:
    whole = ir.Constant(context.get_value_type(kind), ir.Undefined)
    for place, part in enumerate(parts):
        whole = build.insert_value(whole, part, place)
    return whole


def call(build: Any, name: str, *values: Any) -> Any:
    """LLVM's own function of that name."""
    kind = values[0].type
    of = f"v{kind.count}{_SUFFIX[str(kind.element)]}"
    function = cgutils.get_or_insert_function(
        build.module, ir.FunctionType(kind, [kind] * len(values)), f"llvm.{name}.{of}"
    )
    return build.call(function, values)


Emit = Callable[..., Any]


def _lanewise(emit: Emit, scalar: types.Type | None = None) -> Callable[..., Any]:
    """(typing arguments) -> signature and generator of what `emit(build, part, ...)` does part by part.

    scalar: of the result, where it is not the arguments'. One argument at least is a vector; numbers are spread.
    """

    def typed(*arguments: types.Type) -> Any:
        like = next((kind for kind in arguments if isinstance(kind, Vector)), None)
        if like is None:
            return None
        result = like if scalar is None else Vector(scalar, like.lanes)

        def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
            pairs = zip(values, signature.args, strict=True)
            columns = zip(*(parts_of(context, build, value, kind, like) for value, kind in pairs), strict=True)
            return whole_of(context, build, result, [emit(build, *column) for column in columns])

        return result(*arguments), generate

    return typed


def of_one(emit: Emit, scalar: types.Type | None = None) -> Any:
    """A function of one vector, part by part; see `_lanewise`."""
    typed = _lanewise(emit, scalar)

    @intrinsic
    def function(typing: Any, x: Any) -> Any:
        return typed(x)

    return function


def of_two(emit: Emit, scalar: types.Type | None = None) -> Any:
    """Of two."""
    typed = _lanewise(emit, scalar)

    @intrinsic
    def function(typing: Any, x: Any, y: Any) -> Any:
        return typed(x, y)

    return function


def of_three(emit: Emit, scalar: types.Type | None = None) -> Any:
    """Of three."""
    typed = _lanewise(emit, scalar)

    @intrinsic
    def function(typing: Any, x: Any, y: Any, z: Any) -> Any:
        return typed(x, y, z)

    return function


def _operator(op: Callable, floats: str | None, whole: str | None) -> None:
    """`op` of vectors, or of a vector and a number."""

    def emit(build: Any, x: Any, y: Any) -> Any:
        name = whole if isinstance(x.type.element, ir.IntType) else floats
        if name is None:
            raise TypeError(f"{op.__name__} of vectors of {x.type.element}")
        return getattr(build, name)(x, y)

    function = of_two(emit)

    @extending.overload(op, strict=False)  # strict: names alone, which annotations change
    def of(x: Any, y: Any) -> Any:
        if isinstance(x, Vector) or isinstance(y, Vector):
            return lambda x, y: function(x, y)
        return None


_operator(operator.add, "fadd", "add")
_operator(operator.sub, "fsub", "sub")
_operator(operator.mul, "fmul", "mul")
_operator(operator.truediv, "fdiv", None)
_operator(operator.xor, None, "xor")
_operator(operator.and_, None, "and_")
_operator(operator.or_, None, "or_")
_operator(operator.lshift, None, "shl")
_operator(operator.rshift, None, "lshr")

fma = of_three(lambda build, x, y, z: call(build, "fma", x, y, z))
"""x y + z, rounded once."""
sqrt = of_one(lambda build, x: call(build, "sqrt", x))


def retyped(element: Any, part: Any) -> Any:
    """The type of as many lanes as `part` has, of another element."""
    return ir.VectorType(element, part.type.count)


as_float = of_one(lambda build, x: build.bitcast(x, retyped(ir.FloatType(), x)), types.float32)
"""The same 32 bits as a float."""
as_bits = of_one(lambda build, x: build.bitcast(x, retyped(_I32, x)), types.uint32)
"""The bits of a float."""
to_float = of_one(lambda build, x: build.sitofp(x, retyped(ir.FloatType(), x)), types.float32)
"""The value of a signed whole number of 32 bits, rounded to nearest."""


def _pick(build: Any, x: Any, y: Any) -> Any:
    return build.sext(build.fcmp_ordered("<", x, y), retyped(_I32, x))


less = of_two(_pick, types.uint32)
"""All bits where x < y, else none."""


def address(context: Any, build: Any, array: Any, memory: Any, place: Any, kind: Any = None) -> Any:
    """Of an element of a flat array; of a vector of that LLVM type which begins there."""
    found = build.gep(context.make_array(array)(context, build, memory).data, [place])
    return found if kind is None else build.bitcast(found, kind.as_pointer())


def _places(context: Any, build: Any, array: Any, memory: Any, first: Any, kind: Any, vector: Vector) -> Any:
    """The address of each part in a flat array."""
    place = context.cast(build, first, kind, types.intp)
    number = context.get_value_type(vector.scalar)
    for width in widths(vector.lanes):
        yield address(context, build, array, memory, place, ir.VectorType(number, width))
        place = build.add(place, place.type(width))


@intrinsic
def element(typing: Any, array: Any, place: Any) -> Any:
    """One element of a flat array, counted from its begin: numba's own indexing asks every time whether the place is negative."""

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        at = context.cast(build, values[1], signature.args[1], types.intp)
        return build.load(address(context, build, array, values[0], at))

    return array.dtype(array, place), generate


@intrinsic
def expect(typing: Any, array: Any, place: Any) -> Any:
    """Has an element's cache line brought to the second-level cache, without waiting for it; any place may be asked for."""

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        at = context.cast(build, values[1], signature.args[1], types.intp)
        byte = ir.IntType(8).as_pointer()
        prefetch = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(build.module, prefetch, "llvm.prefetch.p0")
        where = build.bitcast(address(context, build, array, values[0], at), byte)
        read, second_level, data = _I32(0), _I32(2), _I32(1)
        build.call(function, [where, read, second_level, data])
        return context.get_dummy_value()

    return types.void(array, place), generate


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, first: Any, lanes: Any) -> Any:
    """Elements first, first + 1, ... first + lanes - 1 of a flat array."""
    vector = Vector(array.dtype, lanes.literal_value)

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        places = _places(context, build, array, values[0], values[1], signature.args[1], vector)
        parts = [build.load(place) for place in places]
        for part in parts:
            part.align = array.dtype.bitwidth // 8
        return whole_of(context, build, vector, parts)

    return vector(array, first, lanes), generate


@intrinsic
def store(typing: Any, array: Any, first: Any, vector: Any) -> Any:
    """Writes a vector to elements first, first + 1, ... of a flat array."""

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        places = _places(context, build, array, values[0], values[1], signature.args[1], vector)
        for place, part in zip(places, parts_of(context, build, values[2], vector, vector), strict=True):
            build.store(part, place).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, first, vector), generate


@intrinsic(prefer_literal=True)
def splat(typing: Any, number: Any, lanes: Any) -> Any:
    """A number in every lane."""
    number = types.unliteral(number)
    vector = Vector(number, lanes.literal_value)

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        return whole_of(context, build, vector, parts_of(context, build, values[0], number, vector))

    return vector(number, lanes), generate


@intrinsic(prefer_literal=True)
def count(typing: Any, first: Any, lanes: Any) -> Any:
    """first, first + 1, ... as whole numbers of 32 bits."""
    kind = types.unliteral(first)
    vector = Vector(types.uint32, lanes.literal_value)

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        number, parts, done = context.cast(build, values[0], kind, types.uint32), [], 0
        for width in widths(vector.lanes):
            steps = ir.Constant(ir.VectorType(_I32, width), list(range(done, done + width)))
            parts.append(build.add(spread(build, number, width), steps))
            done += width
        return whole_of(context, build, vector, parts)

    return vector(kind, lanes), generate


def taken(build: Any, x: Any, y: Any, places: Sequence[int]) -> Any:
    """Lanes of one part and then another, counted through both."""
    return build.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, len(places)), list(places)))


@intrinsic
def turn(typing: Any, source: Any, first: Any, apart: Any, target: Any, begin: Any, spaced: Any) -> Any:
    """A square block of WIDEST rows, transposed: row i of it begins at first + i apart in `source`, and goes to column i of `target`,
    whose rows begin at begin + i spaced."""
    row = Vector(source.dtype, WIDEST)

    def generate(context: Any, build: Any, signature: Any, values: Sequence[Any]) -> Any:
        kinds = signature.args
        first, apart, begin, spaced = (context.cast(build, values[at], kinds[at], types.intp) for at in (1, 2, 4, 5))

        def places(array: Any, memory: Any, begin: Any, apart: Any) -> list[Any]:
            found = []
            for place in range(WIDEST):
                at = build.add(begin, build.mul(apart, apart.type(place)))
                found += _places(context, build, array, memory, at, types.intp, row)
            return found

        rows = [build.load(place) for place in places(source, values[0], first, apart)]
        for one in rows:
            one.align = source.dtype.bitwidth // 8
        # The two halves of a square change places across its diagonal, then those of each quarter, and so on.
        width = WIDEST // 2
        while width:
            low = [at // width % 2 * (WIDEST - width) + at for at in range(WIDEST)]
            high = [at + width if at // width % 2 == 0 else at + WIDEST for at in range(WIDEST)]
            for at in range(WIDEST):
                if at // width % 2 == 0:
                    x, y = rows[at], rows[at + width]
                    rows[at], rows[at + width] = taken(build, x, y, low), taken(build, x, y, high)
            width //= 2
        for place, one in zip(places(target, values[3], begin, spaced), rows, strict=True):
            build.store(one, place).align = source.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(source, first, apart, target, begin, spaced), generate
