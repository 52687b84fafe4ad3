"""Laws of masks held against each other and against chance."""

import math

import numpy as np
import pytest
import torch

from impray.measures.clustering import clustering
from impray.theory.masks import overlap, touching, unpacked


def masks(units: int, inputs: int, density: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((units, inputs)) < density


def test_the_overlap_is_counted_weight_by_weight():
    one, other = masks(5, 21, 0.4, 0), masks(5, 21, 0.3, 1)
    found = overlap(np.packbits(one, axis=1), np.packbits(other, axis=1), 21)
    kept = [(unit, place) for unit in range(5) for place in range(21) if one[unit, place]]
    by_unit = sum(one[unit].sum() * other[unit].sum() / 21 for unit in range(5))
    expected = (sum(other[at] for at in kept) / len(kept), by_unit / len(kept), other.mean())
    assert found == pytest.approx(expected, rel=1e-14)


def test_a_mask_overlaps_itself_wholly_and_chance_is_met_on_average():
    one = masks(8, 64, 0.2, 2)
    assert overlap(np.packbits(one, axis=1), np.packbits(one, axis=1), 64).share == 1
    rng = np.random.default_rng(3)
    other = masks(8, 64, 0.5, 4)
    shares, expected = [], 0.0
    for _ in range(400):
        found = overlap(np.packbits(one, axis=1), np.packbits(rng.permuted(other, axis=1), axis=1), 64)
        shares.append(found.share)
        expected = found.by_fan_in
    assert abs(np.mean(shares) - expected) < 4 * np.std(shares) / 20


def test_a_mask_that_keeps_nothing_has_no_share():
    nothing = np.zeros((2, 3), dtype=np.uint8)
    found = overlap(nothing, np.full((2, 3), 255, dtype=np.uint8), 24)
    assert math.isnan(found.share) and math.isnan(found.by_fan_in) and found.by_chance == 1


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 4, 4)])
def test_touching_is_clustering_at_one_pixel(shape):
    kept = masks(6, math.prod(shape), 0.3, 5)
    expected = clustering(torch.from_numpy(kept), shape, 1.0)
    assert [touching(one.reshape(shape)) for one in kept] == pytest.approx(expected.tolist(), rel=1e-14)


def test_touching_is_nan_below_two_inputs_and_one_of_a_full_mask():
    assert math.isnan(touching(np.eye(4, dtype=bool)[:1].reshape(1, 2, 2)))
    assert touching(np.ones((2, 3, 4), dtype=bool)) == 1


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 3), (11,)])
def test_a_stored_mask_is_unpacked_as_it_was(shape):
    kept = masks(1, math.prod(shape), 0.5, 6)[0]
    found = unpacked(np.packbits(kept).tobytes(), shape)
    assert found.ndim == 3 and np.array_equal(found.ravel(), kept) and found.shape[-len(shape) :] == shape
