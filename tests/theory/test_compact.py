"""Laws of the most pairs that a mask can have."""

import itertools
import math

import numpy as np
import pytest

from impray.theory.compact import ends, half_steps, most_pairs, most_pairs_of_pixels

RADII = [1.0, math.sqrt(2), 2.0, math.sqrt(5), 3.0]


def by_brute_force(rows: int, cols: int, radius_px: float) -> np.ndarray:
    """Every mask there is."""
    places = list(itertools.product(range(rows), range(cols)))
    near = np.array([[0 < math.dist(a, b) <= radius_px for b in places] for a in places], dtype=np.float32)
    masks = (np.arange(2 ** len(places))[:, None] >> np.arange(len(places)) & 1).astype(np.float32)
    most = np.zeros(len(places) + 1, dtype=np.int64)
    np.maximum.at(most, masks.sum(1).astype(int), (((masks @ near) * masks).sum(1) / 2).astype(int))
    return most


@pytest.mark.parametrize("radius_px", RADII)
@pytest.mark.parametrize("shape", [(1, 9), (2, 6), (3, 5), (4, 4)])
def test_it_is_the_maximum_over_all_masks(shape, radius_px):
    np.testing.assert_array_equal(most_pairs_of_pixels(*shape, radius_px), by_brute_force(*shape, radius_px))


def test_the_closed_form_of_side_neighbours_on_a_large_image():
    kept = np.arange(1, 200)  # Harary and Harborth
    expected = [2 * k - math.ceil(2 * math.sqrt(k)) for k in kept]
    assert most_pairs_of_pixels(16, 16, 1.0)[1:200].tolist() == expected


@pytest.mark.parametrize("radius_px", RADII)
def test_a_full_image_has_all_pairs_and_none_has_more_than_all_neighbours(radius_px):
    rows, cols = 6, 9
    steps = half_steps(rows, cols, radius_px)
    found = most_pairs_of_pixels(rows, cols, radius_px)
    assert found[-1] == sum((rows - y) * (cols - abs(x)) for y, x in steps)
    kept = np.arange(len(found))
    assert (found <= np.minimum(kept * (kept - 1) // 2, kept * len(steps))).all()
    assert (np.diff(found) >= 0).all() and found[:2].tolist() == [0, 0]


def test_the_transposed_image_has_as_many():
    np.testing.assert_array_equal(most_pairs_of_pixels(4, 11, 2.0), most_pairs_of_pixels(11, 4, 2.0))


def test_what_the_issue_counted_on_16_by_16():
    assert most_pairs_of_pixels(16, 16, 2.0)[[8, 24, 40]].tolist() == [21, 97, 179]


def test_channels_are_filled_one_after_another():
    one = most_pairs_of_pixels(2, 3, 1.0)
    assert [most_pairs(kept, (2, 2, 3), 1.0) for kept in range(13)] == [*one, *(one[-1] + one[1:])]
    assert most_pairs(5, (2, 3), 0.5) == 0
    # Every way to share them out between two channels.
    assert all(
        most_pairs(k, (2, 2, 3), 1.0) >= one[a] + one[k - a] for k in range(13) for a in range(7) if 0 <= k - a < 7
    )


@pytest.mark.parametrize("step", [(0, 2), (1, -2), (2, 0), (1, 1)])
def test_ends_are_the_pairs_at_a_displacement(step):
    image = np.random.default_rng(0).random((4, 5))
    y, x = step
    pairs = [(image[i, j], image[i + y, j + x]) for i in range(4 - y) for j in range(5) if 0 <= j + x < 5]
    one, other = ends(image, step)
    assert list(zip(one.ravel(), other.ravel(), strict=True)) == pairs
