"""Laws of the clustering measure."""

import itertools
import math

import pytest
import torch

from impray.measures.clustering import clustering
from impray.spec.errors import ShapeError

torch.set_num_threads(1)


def by_loops(mask: torch.Tensor, shape: tuple[int, int, int], radius_px: float) -> float:
    def near(places: list[list[int]]) -> int:
        return sum(a[0] == b[0] and math.dist(a[1:], b[1:]) <= radius_px for a, b in itertools.combinations(places, 2))

    kept = mask.reshape(shape).nonzero().tolist()
    expected = near(torch.ones(shape).nonzero().tolist()) * math.comb(len(kept), 2) / math.comb(math.prod(shape), 2)
    return near(kept) / expected


@pytest.mark.parametrize("radius_px", [1.0, math.sqrt(2), 2.0, 3.5])
def test_it_is_the_ratio_of_counted_pairs(radius_px):
    shape = (2, 5, 6)
    masks = torch.rand(5, 60, generator=torch.Generator().manual_seed(1)) < 0.3
    expected = torch.tensor([by_loops(mask, shape, radius_px) for mask in masks], dtype=torch.float64)
    # Integers up to the last division, here and there: one unit in the last place for each of two roundings.
    torch.testing.assert_close(clustering(masks, shape, radius_px), expected, rtol=4 * 2**-52, atol=0)


def test_random_masks_are_at_chance():
    units, side, fan_in = 2000, 16, 30
    order = torch.rand(units, side * side, generator=torch.Generator().manual_seed(2)).argsort(1)
    masks = torch.zeros(units, side * side).scatter_(1, order[:, :fan_in], 1.0)
    found = clustering(masks, (side, side))
    standard_error = found.std() / math.sqrt(units)
    assert abs(found.mean() - 1) < 4 * standard_error
    assert standard_error < 0.01


def test_a_full_image_is_exactly_at_chance_and_a_block_is_above():
    assert torch.equal(clustering(torch.ones(1, 3 * 25), (3, 5, 5)), torch.ones(1, dtype=torch.float64))
    block = torch.zeros(10, 10)
    block[3:6, 3:6] = 1
    assert clustering(block.flatten(), (10, 10)) > 5


def test_pairs_of_different_channels_do_not_count():
    mask = torch.zeros(2, 4, 4)
    mask[0, 1, 1] = mask[1, 1, 2] = 1
    assert clustering(mask.flatten(), (2, 4, 4)) == 0


def test_nan_below_two_inputs_and_below_one_pixel():
    masks = torch.zeros(2, 3, 16, dtype=torch.bool)
    masks[:, 1, 5] = masks[:, 2, 5] = masks[:, 2, 6] = True
    found = clustering(masks, (4, 4))
    assert found.shape == (2, 3) and found[:, :2].isnan().all() and (found[:, 2] > 1).all()
    assert clustering(masks, (4, 4), radius_px=0.5).isnan().all()
    assert clustering(masks[:, :0], (4, 4)).shape == (2, 0)


def test_a_wrong_shape_is_an_error():
    with pytest.raises(ShapeError):
        clustering(torch.ones(2, 16), (4, 5))
