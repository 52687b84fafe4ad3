"""Products of A = [a_1 diag(1[X h_1 > 0]) X, ..., a_m diag(1[X h_m > 0]) X] without A, in row blocks and chunks of units.

Row blocks and chunks are constants of the algorithm, not of the machine: sums run over blocks in order, so that their last bits are
always the same. Up to `GRAM` weights a block of A's columns on a support is made, `ROWS` x s, which is what memory grows with there, and
its products with itself, s x s. Of more weights only vectors are held: their products are taken unit by unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

ROWS = 2_048  # samples of a block
CHUNK = 64  # units of a chunk
GRAM = 500  # weights of a support up to which its columns and their Gram matrix are made


@dataclass
class Ledger:
    """Bytes of the arrays that are held at once, beside the data; `most` is the largest sum."""

    now: int = 0
    most: int = 0

    @contextmanager
    def holding(self, *arrays: np.ndarray) -> Iterator[None]:
        """Count arrays while they are held."""
        size = sum(array.nbytes for array in arrays)
        self.now += size
        self.most = max(self.most, self.now)
        try:
            yield
        finally:
            self.now -= size


@dataclass(frozen=True)
class Support:
    """Weights that are not 0: places in [m, d] row by row, rising, and their values."""

    places: Int[np.ndarray, " weight"]
    values: Float[np.ndarray, " weight"]

    def __len__(self) -> int:
        return len(self.places)

    def with_values(self, values: Float[np.ndarray, " weight"]) -> Support:
        """The same places."""
        return Support(self.places, values)

    def dense(self, size: int) -> Float[np.ndarray, " place"]:
        """All `size` weights."""
        weights = np.zeros(size)
        weights[self.places] = self.values
        return weights

    def rows(self, units: Int[np.ndarray, " unit"], inputs: int) -> Float[np.ndarray, "unit input"]:
        """Some units (rising), dense."""
        return self.at(units[:, None] * inputs + np.arange(inputs))

    def at(self, places: Int[np.ndarray, "*some"]) -> Float[np.ndarray, "*some"]:
        """Weights at any places, 0 where there is none."""
        if len(self.places) == 0:
            return np.zeros(places.shape)
        found = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
        return np.where(self.places[found] == places, self.values[found], 0.0)

    def units(self, inputs: int) -> Int[np.ndarray, " unit"]:
        """Units with a weight, rising."""
        return np.unique(self.places // inputs)


NOTHING = Support(np.zeros(0, dtype=np.int64), np.zeros(0))

Gates = Callable[[Int[np.ndarray, " unit"]], Float[np.ndarray, "unit input"]]
"""Units, rising -> their h."""


@dataclass(frozen=True)
class Layer:
    """A of one problem at some gates.

    Args:
        x: [sample, input], float64, contiguous. signs: the readout of each unit, of solvers +1 or -1. gates: h.
        closed: whether x.h = 0 is active. live: units whose columns are not all 0, rising. ledger: what counts the bytes.
    """

    x: Float[np.ndarray, "sample input"]
    signs: Float[np.ndarray, " unit"]
    gates: Gates
    closed: bool
    live: Int[np.ndarray, " some"]
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def inputs(self) -> int:
        return self.x.shape[1]

    def blocks(self) -> Iterator[slice]:
        """Row blocks, in order."""
        for first in range(0, len(self.x), ROWS):
            yield slice(first, min(first + ROWS, len(self.x)))

    def _chunked(self, units: Int[np.ndarray, " unit"]) -> Iterator[Int[np.ndarray, " unit"]]:
        for first in range(0, len(units), CHUNK):
            yield units[first : first + CHUNK]

    # -- on a support -------------------------------------------------------------------------------------------------

    def columns(self, places: Int[np.ndarray, " weight"]) -> Iterator[tuple[slice, Float[np.ndarray, "row weight"]]]:
        """A's columns at places (rising), row block by row block."""
        owners, features = np.divmod(places, self.inputs)
        units, owner = np.unique(owners, return_inverse=True)
        signs = self.signs[owners]
        for block in self.blocks():
            rows = self.x[block]
            active = np.empty((len(rows), len(units)), dtype=bool)
            for first, chunk in enumerate(self._chunked(units)):
                active[:, first * CHUNK : (first + 1) * CHUNK] = self.active(rows, chunk)
            taken, own = rows[:, features], active[:, owner]
            with self.ledger.holding(active, own, taken):
                taken *= own
                if (signs != 1).any():
                    taken *= signs
                yield block, taken

    def times(self, support: Support) -> Float[np.ndarray, " sample"]:
        """A_S x_S."""
        product = np.zeros(len(self.x))
        if len(support) > GRAM:
            for units in self._chunked(support.units(self.inputs)):
                weights = support.rows(units, self.inputs) * self.signs[units, None]
                for block in self.blocks():
                    rows = self.x[block]
                    outputs = self.active(rows, units) * (rows @ weights.T)
                    with self.ledger.holding(product, weights, outputs):
                        product[block] += outputs.sum(axis=1)
            return product
        for block, columns in self.columns(support.places):
            product[block] = columns @ support.values
        return product

    def onto(
        self, places: Int[np.ndarray, " weight"], vector: Float[np.ndarray, " sample"]
    ) -> Float[np.ndarray, " weight"]:
        """A_S^T vector."""
        product = np.zeros(len(places))
        if len(places) > GRAM:
            for some, values in self.chunks(vector, np.unique(places // self.inputs)):
                own = slice(*np.searchsorted(places, (some[0], some[-1] + 1)))
                product[own] = values[np.searchsorted(some, places[own])]
            return product
        for block, columns in self.columns(places):
            product += columns.T @ vector[block]
        return product

    def normal(
        self, places: Int[np.ndarray, " weight"], vector: Float[np.ndarray, " sample"]
    ) -> tuple[Float[np.ndarray, "weight weight"], Float[np.ndarray, " weight"]]:
        """A_S^T A_S and A_S^T vector."""
        gram, product = np.zeros((len(places), len(places))), np.zeros(len(places))
        with self.ledger.holding(gram, gram):  # a block's product is as large as their sum
            for block, columns in self.columns(places):
                gram += columns.T @ columns
                product += columns.T @ vector[block]
        return gram, product

    def curvature(self, support: Support) -> float:
        """|A_S v|^2."""
        if len(support) > GRAM:
            return float(np.square(self.times(support)).sum())
        return sum(
            float(image @ image) for image in (columns @ support.values for _, columns in self.columns(support.places))
        )

    # -- on all units -------------------------------------------------------------------------------------------------

    def chunks(
        self, vector: Float[np.ndarray, " sample"], of: Int[np.ndarray, " some"] | None = None
    ) -> Iterator[tuple[Int[np.ndarray, " weight"], Float[np.ndarray, " weight"]]]:
        """A^T vector of some units, or the live ones, chunk by chunk: places, values."""
        for units in self._chunked(self.live if of is None else of):
            product = np.zeros((len(units), self.inputs))
            for block in self.blocks():
                rows = self.x[block]
                weighted = self.active(rows, units) * vector[block, None]
                with self.ledger.holding(weighted, product, product):
                    product += weighted.T @ rows
            product *= self.signs[units, None]
            places = units[:, None] * self.inputs + np.arange(self.inputs)
            yield places.ravel(), product.ravel()

    def squares(self, units: Int[np.ndarray, " unit"]) -> Float[np.ndarray, "unit input"]:
        """|A_i|^2 of all weights of some units."""
        summed = np.zeros((len(units), self.inputs))
        for block in self.blocks():
            rows = self.x[block]
            active, squared = self.active(rows, units).astype(np.float64), np.square(rows)
            with self.ledger.holding(active, squared, summed, summed):
                summed += active.T @ squared
        return summed * np.square(self.signs[units, None])

    def active(
        self, rows: Float[np.ndarray, "row input"], units: Int[np.ndarray, " unit"]
    ) -> Bool[np.ndarray, "row unit"]:
        """Which of some units are active."""
        gates = self.gates(units)
        fields = rows @ gates.T
        with self.ledger.holding(gates, fields):
            return fields >= 0 if self.closed else fields > 0


class Largest:
    """The `count` largest |value| of a stream, zeros left out; of equal ones the later places stay."""

    def __init__(self, count: int, ledger: Ledger) -> None:
        self._count, self._ledger = count, ledger
        self.kept = NOTHING
        self._score = np.zeros(0)

    def add(self, places: np.ndarray, values: np.ndarray, score: np.ndarray | None = None) -> None:
        """Places that have not been seen. score: what decides in the place of |value|, not negative."""
        score = np.abs(values) if score is None else score
        # What is below all that is kept cannot come in: few are left to be sorted.
        least = self._score.min() if len(self._score) == self._count > 0 else 0.0
        able = ~(score < least) & (score != 0)
        places = np.concatenate([self.kept.places, places[able]])
        values = np.concatenate([self.kept.values, values[able]])
        score = np.concatenate([self._score, score[able]])
        with self._ledger.holding(places, values, score):
            order = np.lexsort((places, score))[max(0, len(places) - self._count) :]
            order = order[np.argsort(places[order])]
            self.kept, self._score = Support(places[order], values[order]), score[order]
