"""Batches of stored images in one pass: from rows of the files to inputs in the units of the nets, blended with their clones.

    x = (image - m) / s                                        of a recipe without a clone
    x = (image - m) / s * f + (clone * l * c + mu * d)         with one; f, c, d: `impray.data.images.blended.blend_factors`

Every operation rounds once, in this order, and none is fused with another: so x has the bits of torch's passes
(`impray.data.images.gathered`), which are the fallback. Images are bytes or float32, clones float16.

What it takes is the wait for rows that lie apart in memory: with all rows in the caches, a third. Asking for the next image's lines ahead
gains nothing that can be measured, nor does making the quotient of products.
"""

# ruff: noqa: ANN001, ANN202  (numba infers the types of what it compiles)

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt16
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import types

from impray.kernels.compiled import compiled
from impray.kernels.compiled import lacking as of_all
from impray.kernels.vectors import element, load, of_one, retyped, store

LANES = 64
"""Inputs at a time, and the fewest that an image may have."""


class Natural(NamedTuple):
    """The images, and what makes them inputs. kept: rows of those that a place counts; empty: every row. m: of all, or of each class."""

    labels: Int64[np.ndarray, " place"]
    kept: Int64[np.ndarray, " place"]
    pixels: Shaped[np.ndarray, "row input"]
    m: Float32[np.ndarray, "group input"]
    s: np.float32


class Clone(NamedTuple):
    """What is added. lengths: of a clone's unit; means: mu of each class, or none at all."""

    rows: Int64[np.ndarray, " place"]
    clones: UInt16[np.ndarray, "row input"]  # the bits of float16
    lengths: Float32[np.ndarray, " input"]
    means: Float32[np.ndarray, "class input"] | None


@cache
def lacking() -> str | None:
    """Why this machine cannot run this kernel, in words; None where it can."""
    return of_all() or (None if get_host_cpu_features().get("f16c") else "this CPU does not convert float16")


def made(
    places: Int64[np.ndarray, " sample"],
    out: Float32[np.ndarray, " number"],
    begin: int,
    labels: Int64[np.ndarray, " sample"],
    natural: Natural,
    clone: Clone | None,
    factors: tuple[np.float32, np.float32, np.float32],
) -> None:
    """Writes a batch's inputs [sample, input] into `out`, from `begin` on, and its labels. factors: f, c and d."""
    given, m = (places, out, begin, labels, *natural), natural.m
    if clone is None:
        _made(False, False)(*given, natural.kept, natural.pixels, m, m, *factors)
    else:
        rows, clones, lengths, means = clone
        _made(True, means is not None)(*given, rows, clones, lengths, m if means is None else means, *factors)


@cache
def _made(blended: bool, shifted: bool) -> Callable[..., Any]:
    lanes = LANES

    @compiled
    def make(places, out, begin, labels, of_labels, kept, pixels, m, s, rows, clones, lengths, means, f, c, d):
        inputs, groups = pixels.shape[1], m.shape[0]
        images, removed = pixels.reshape(-1), m.reshape(-1)
        halves, spread, middles = clones.reshape(-1), lengths.reshape(-1), means.reshape(-1)
        for sample in range(len(places)):
            place = element(places, sample)
            label = element(of_labels, place)
            labels[sample] = label
            image = (element(kept, place) if len(kept) > 0 else place) * inputs
            other = element(rows, place) * inputs if blended else 0
            middle, target = label * inputs, begin + sample * inputs
            below = middle if groups > 1 else 0
            for corner in range(0, inputs, lanes):
                at = min(corner, inputs - lanes)  # the last lanes lie over those before where they do not fit
                x = (number(load(images, image + at, lanes)) - load(removed, below + at, lanes)) / s
                if blended:
                    x = x * f
                    added = of_half(load(halves, other + at, lanes)) * load(spread, at, lanes) * c
                    if shifted:
                        added = added + load(middles, middle + at, lanes) * d
                    x = x + added
                store(out, target + at, x)

    return make


def _number(build: Any, part: Any) -> Any:
    if isinstance(part.type.element, ir.IntType):
        return build.sitofp(build.zext(part, retyped(ir.IntType(32), part)), retyped(ir.FloatType(), part))
    return part


number = of_one(_number, types.float32)
"""The value of a byte, as float32; of float32 itself."""
of_half = of_one(
    lambda build, part: build.fpext(build.bitcast(part, retyped(ir.HalfType(), part)), retyped(ir.FloatType(), part)),
    types.float32,
)
"""The float32 of a float16, from its bits."""
