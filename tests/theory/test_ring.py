"""Laws of locality on a ring."""

import numpy as np
import pytest

from impray.theory.ring import LOCAL, apart, arc, ipr, local_ipr, noise_ipr


def arc_by_loops(w: np.ndarray) -> float:
    """Every stretch of the ring, by its start and length."""
    inputs, power = len(w), w**2
    for length in range(1, inputs + 1):
        for start in range(inputs):
            if sum(power[(start + i) % inputs] for i in range(length)) >= power.sum() / 2 * (1 - 1e-12):
                return length / inputs
    return np.nan


def test_the_ipr_has_its_closed_forms():
    wave = np.cos(2 * np.pi * 3 * np.arange(40) / 40 + 0.3)
    assert ipr(np.eye(40)[7] * -3) == 1
    assert ipr(np.full(40, 0.2)) == pytest.approx(1 / 40, rel=1e-14)
    assert ipr(wave) == pytest.approx(1.5 / 40, rel=1e-13)
    assert np.isnan(ipr(np.zeros((2, 40)))).all()


@pytest.mark.parametrize("inputs", [5, 40])
def test_white_noise_has_its_mean_ipr_within_4_standard_errors(inputs):
    found = ipr(np.random.default_rng(0).normal(size=(2**14, inputs)))
    assert abs(found.mean() - noise_ipr(inputs)) < 4 * found.std() / 2**7


def test_the_bound_of_a_small_ring_is_half():
    assert local_ipr(40) == pytest.approx(LOCAL * 3 / 42, rel=1e-15) and local_ipr(4) == 0.5


def test_the_arc_is_the_shortest_stretch_of_all():
    w = np.random.default_rng(1).normal(size=(30, 11)) ** 3
    np.testing.assert_array_equal(arc(w), [arc_by_loops(one) for one in w])


def test_the_arc_of_one_weight_of_a_wave_and_of_nothing_wherever_they_are():
    wave = np.cos(2 * np.pi * (np.arange(40) - 5) / 40)  # two humps of half a ring, a hump's half weight in its middle
    for shift in range(40):
        assert arc(np.roll(np.eye(40)[0], shift)) == 1 / 40
        assert arc(np.roll(wave, shift)) == arc(wave) == arc_by_loops(wave)
    assert np.isnan(arc(np.zeros(40)))


def test_two_inputs_are_apart_the_short_way_round():
    one, other = np.meshgrid(np.arange(7), np.arange(7))
    steps = np.minimum((one - other) % 7, (other - one) % 7)
    np.testing.assert_array_equal(apart(one, other, 7), steps)
    assert apart(0, 39, 40) == 1
