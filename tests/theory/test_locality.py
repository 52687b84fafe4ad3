"""Laws of the locality of components."""

import math

import numpy as np
import pytest
import torch

from impray.measures.spread import spread
from impray.theory.locality import locality


@pytest.mark.parametrize("side", [1, 3, 8])
def test_a_flat_field_fills_the_image(side):
    found = locality(np.full((3, side, side), -0.2))
    assert found.spread_px == pytest.approx(math.sqrt((side**2 - 1) / 12), rel=1e-12, abs=1e-7)
    assert found.area == pytest.approx(1, rel=1e-12)
    assert found.flat_px == math.sqrt((side**2 - 1) / 12)


def test_one_pixel_a_wave_and_nothing():
    pixel = np.zeros((1, 4, 5))
    pixel[0, 2, 3] = -7
    assert locality(pixel)[:2] == (0, 1 / 20)
    wave = np.cos(2 * np.pi * 2 * np.arange(12) / 12 + 0.4)[None, None] * np.ones((1, 6, 1))
    assert locality(wave).area == pytest.approx(2 / 3, rel=1e-12)
    assert all(math.isnan(value) for value in locality(np.zeros((1, 3, 3))))


def test_the_spread_is_that_of_squared_weights_and_the_area_that_of_single_pixels():
    values = np.random.default_rng(0).normal(size=(3, 6, 7))
    found = locality(values)
    squares = torch.from_numpy((values**2).reshape(-1))
    assert found.spread_px == pytest.approx(float(spread(squares, (3, 6, 7))), rel=1e-12)
    total = by_pixel = 0.0
    for row in range(6):
        for col in range(7):
            power = sum(values[channel, row, col] ** 2 for channel in range(3))
            total, by_pixel = total + power, by_pixel + power**2
    assert found.area == pytest.approx(total**2 / by_pixel / 42, rel=1e-12)
