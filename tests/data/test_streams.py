"""Streams of random numbers: torch's own, for any device, against numba's on the CPU."""

import pytest
import torch
from scipy import stats

from impray.data import streams
from impray.data.streams import Steps

CPU = torch.device("cpu")
KEYS = [0x0123456789ABCDEF, 2**63 - 1, 5]
STEPS = [Steps(0, 1, 1), Steps(2**32 - 2, 4, 37)]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("places", [1, 4, 7])
def test_words_of_torch_are_those_of_numba(places, steps):
    assert torch.equal(streams._words(KEYS, steps, places, CPU), streams.words(KEYS, steps, places, CPU))


@pytest.mark.parametrize("steps", STEPS)
def test_whole_numbers_are_equal_bit_for_bit(steps):
    below = [2, 2**31, 50_000]
    found = streams._whole_numbers(KEYS, steps, below, CPU)
    assert torch.equal(found, streams.whole_numbers(KEYS, steps, below, CPU))


def test_uniform_numbers_are_uniform():
    u = streams.uniforms(KEYS, Steps(0, 1, 2**17), CPU)
    assert all(stats.kstest(of_key, "uniform").pvalue > 1e-3 for of_key in u[:, 0].numpy())


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("places", [1, 6])
def test_normals_are_equal_to_rounding(places, steps):
    """float64: to the C library's last bits, where torch has its own. float32: as `tests/kernels/test_philox.py` has it."""
    right = streams.normals(KEYS, steps, places, torch.float64, CPU)
    for dtype, error in ((torch.float64, 1e-14), (torch.float32, 5e-7)):
        found = streams._normals(KEYS, steps, places, dtype, CPU)
        assert found.dtype == dtype and found.shape == right.shape
        assert ((found.double() - right) / right).abs().max() < error


def test_gammas_are_equal_to_rounding():
    steps, shapes = Steps(0, 3, 2000), [0.3, 1.5, 40.0]
    found, right = streams._gammas(KEYS, steps, shapes, CPU), streams.gammas(KEYS, steps, shapes, CPU)
    assert ((found - right) / right).abs().max() < 1e-11  # U^(1 / 0.3), and d v where v is a difference cubed
