"""The 1,797 handwritten digits that come with scikit-learn, 8 x 8 pixels of 0 to 16, scaled to [0, 1].

    all         label = digit          even_odd    label = digit mod 2 (even 0, odd 1), of all digits
    zero_one    0 -> 0, 1 -> 1         three_eight 3 -> 0, 8 -> 1, of these two alone

Which rows are held out depends on `draw` and the share alone: round(share n_c) of the n_c rows of each digit c, the same ones in every
task. The order of the training rows is the file's; a lineage's seed chooses batches only. Stream of the division: `held_out_rows` of
`draw`, a digit in the round's place.

Source: scikit-learn's load_digits, the test part of the UCI set "Optical Recognition of Handwritten Digits" (43 and 13 writers in the
original's two parts). Blind spot: a random division puts one writer's digits on both sides.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from impray.data.base import numbers
from impray.data.rows import RowsPack
from impray.spec.counts import share
from impray.spec.data import Digits

_LABELS: Mapping[str, Mapping[int, int]] = {
    "all": {digit: digit for digit in range(10)},
    "zero_one": {0: 0, 1: 1},
    "even_odd": {digit: digit % 2 for digit in range(10)},
    "three_eight": {3: 0, 8: 1},
}
_LARGEST = 16.0  # grey level of a full pixel


class Part(NamedTuple):
    inputs: Float[np.ndarray, "sample input"]
    labels: Int[np.ndarray, " sample"]


@lru_cache(maxsize=1)
def _read() -> Part:
    # Imported here: it takes a second, and nothing else needs it.
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    return Part(np.asarray(pixels) / _LARGEST, np.asarray(digits, dtype=np.int64))


def division(fraction: float, draw: int) -> Bool[np.ndarray, " sample"]:
    """Which of all rows are held out: of each digit at least one, and not all."""
    digits = _read().labels
    held_out = np.zeros(len(digits), dtype=bool)
    for digit in range(10):
        places = np.flatnonzero(digits == digit)
        count = min(max(1, share(fraction, len(places))), len(places) - 1)
        random = numbers(draw, "held_out_rows", digit)
        held_out[random.permutation(places)[:count]] = True
    return held_out


def parts(data: Digits) -> tuple[Part, Part]:
    """Training rows in the file's order, and held-out rows sorted by label; float64 and int64."""
    pixels, digits = _read()
    label_of = _LABELS[data.task]
    asked = np.isin(digits, list(label_of))
    labels = np.array([label_of.get(digit, -1) for digit in digits.tolist()])
    held_out = division(data.held_out_fraction, data.draw)
    training, aside = np.flatnonzero(asked & ~held_out), np.flatnonzero(asked & held_out)
    aside = aside[np.argsort(labels[aside], kind="stable")]
    return Part(pixels[training], labels[training]), Part(pixels[aside], labels[aside])


class DigitsPack(RowsPack):
    """The data of a pack, as `PackData`."""

    def __init__(
        self, specs: Sequence[Digits], seeds: Sequence[int], *, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._specs, self._parts = specs, {spec: parts(spec) for spec in specs}
        samples = [len(self._parts[spec][0].labels) for spec in specs]
        first = specs[0]
        super().__init__(first.inputs, first.classes, samples, seeds, batch=batch, dtype=dtype, device=device)

    def training(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        """See `RowsPack.training`."""
        return self._as_tensors(self._parts[self._specs[net]][0])

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        """See `PackData.held_out`."""
        return self._as_tensors(self._parts[self._specs[net]][1])

    def known_by(self, net: int) -> tuple[Hashable, Hashable]:
        """See `RowsPack.known_by`: the seed is not in it."""
        spec = self._specs[net]
        rows = spec.task, spec.held_out_fraction, spec.draw
        return rows, rows

    def _as_tensors(self, part: Part) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        return self._tensor(part.inputs), torch.tensor(part.labels, device=self._device)


def draw_samples(
    data: Digits, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """Training rows of each class, chosen by the seed, for `impray data`; sorted by class, float32."""
    pixels, labels = parts(data)[0]
    order = numbers(seed, "sample").permutation(len(labels))
    chosen = np.concatenate([order[labels[order] == label][:per_class] for label in range(data.classes)])
    return torch.tensor(pixels[chosen], dtype=torch.float32), torch.tensor(labels[chosen])
