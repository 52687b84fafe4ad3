"""Laws of the spread."""

import math

import pytest
import torch

from impray.measures.spread import spread
from impray.spec.errors import ShapeError

torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.float64])
@pytest.mark.parametrize("side", [1, 2, 5, 9])
def test_a_flat_field_has_its_closed_form_anywhere(side, dtype):
    images = torch.zeros(2, 12, 12)
    images[0, :side, :side] = images[1, 12 - side :, 2 : 2 + side] = 1
    found = spread(images.flatten(1).to(dtype), (12, 12))
    expected = torch.full((2,), math.sqrt((side**2 - 1) / 12), dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)  # a few roundings; 0 exactly for one input


def test_a_gaussian_bump_of_weights_has_its_own_width_whatever_sign_and_scale():
    place = torch.arange(-20.0, 21.0, dtype=torch.float64)
    bump = torch.exp(-place.square() / (2 * 2.5**2))
    weights = bump[:, None] * bump * torch.tensor([1.0, -7.0], dtype=torch.float64)[:, None, None]
    # Cut off at 8 standard deviations; the sum over integers differs from the integral by exp(-2 pi^2 2.5^2).
    found = spread(weights.flatten(1), (41, 41))
    torch.testing.assert_close(found, torch.full((2,), 2.5, dtype=torch.float64), rtol=1e-12, atol=0)


def test_two_far_inputs_reach_the_largest_value_and_channels_add_up():
    mask = torch.zeros(2, 5, 9)
    mask[0, 0, 0] = mask[1, 4, 8] = 1
    assert spread(mask.flatten(), (2, 5, 9)).item() == pytest.approx(math.sqrt(4**2 + 8**2) / math.sqrt(8), rel=1e-15)


def test_none_is_nan_one_is_zero_and_axes_are_kept():
    masks = torch.zeros(2, 2, 16, dtype=torch.bool)
    masks[:, 1, 7] = True
    found = spread(masks, (4, 4))
    assert found.shape == (2, 2) and found[:, 0].isnan().all() and (found[:, 1] == 0).all()
    assert spread(masks[:0], (4, 4)).shape == (0, 2)


def test_a_unit_does_not_depend_on_its_batch_bit_for_bit():
    weights = torch.randn(70, 3 * 42, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = spread(weights, (3, 6, 7))
    for size in (1, 3, 64):
        assert torch.equal(torch.cat([spread(part, (3, 6, 7)) for part in weights.split(size)]), whole)


def test_a_wrong_shape_is_an_error():
    with pytest.raises(ShapeError):
        spread(torch.ones(2, 16), (4, 5))
