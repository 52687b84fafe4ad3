"""Laws of S(d) as images."""

import itertools

import numpy as np
import pytest
import torch

from impray.measures.autocorrelation import autocorrelation
from impray.measures.correlation import fitted, mean_correlation, measure
from impray.measures.rf_width import rf_width
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec

torch.set_num_threads(1)
VARIANTS = [{"include_zero": zero, "offset": offset} for zero in (True, False) for offset in (False, True)]
variants = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def random_masks(*shape: int, density: float = 0.3, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < density


def state_of(masks: torch.Tensor, shape: tuple[int, ...], round: int = 0) -> RoundState:
    nets, units, inputs = masks.shape
    start = {"weight1": torch.ones(nets, units, inputs)}
    arch = Architecture((inputs, units), "relu", False, True, input_shape=shape)
    return RoundState(round, arch, {"weight1": masks}, start, None, None, lambda net: (masks, masks), "mse")


def asked(**parameters) -> spec.Correlation:
    return spec.Correlation.model_validate({"name": "correlation", "min_fan_in": 1, **parameters})


def values(row: dict) -> np.ndarray:
    return np.frombuffer(row["values"], "<f4").reshape(row["shape"])


def named(rows: list[dict], name: str) -> list[dict]:
    return [row for row in rows if row["name"] == name]


def double_loop(masks: torch.Tensor, shape: tuple[int, int, int], same: bool) -> np.ndarray:
    """Eq. 1, word by word, averaged over units."""
    _, rows, cols = shape
    total = np.zeros((2 * rows - 1, 2 * cols - 1))
    for mask in masks:
        kept = mask.reshape(shape).nonzero().tolist()
        for (c, y, x), (other_c, other_y, other_x) in itertools.product(kept, kept):
            total[other_y - y + rows - 1, other_x - x + cols - 1] += (c == other_c) == same
    return total / len(masks)


@pytest.mark.parametrize("round", [0, 5])
def test_the_means_are_those_of_the_double_loop_in_every_round(round):
    masks, shape = random_masks(2, 9, 90), (3, 5, 6)
    found = measure(asked(examples=0), state_of(masks, shape, round)).images
    for net in range(2):
        assert [row["name"] for row in found[net]] == ["correlation_same", "correlation_different"]
        for row, same in zip(found[net], (True, False), strict=True):
            assert row["value"] == 9 and row["number"] == 0
            assert np.array_equal(values(row), double_loop(masks[net], shape, same).astype("<f4"))


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5)])
def test_without_colours_there_is_no_other_colour(shape):
    (found,) = measure(asked(examples=0), state_of(random_masks(1, 4, 30), shape)).images
    assert [row["name"] for row in found] == ["correlation_same"]


def test_only_the_units_that_count_are_averaged():
    masks = torch.zeros(1, 5, 30, dtype=torch.bool)
    for unit, fan_in in enumerate([7, 12, 3, 12, 9]):
        masks[0, unit, torch.randperm(30, generator=torch.Generator().manual_seed(unit))[:fan_in]] = True
    for parameters, units in (
        ({"min_fan_in": 8}, [1, 3, 4]),
        ({"most_connected": 2}, [1, 3]),
        ({"most_connected": 1}, [1]),
        ({"most_connected": 4, "min_fan_in": 10}, [1, 3]),
    ):
        (found,) = measure(asked(**parameters), state_of(masks, (5, 6))).images
        expected = autocorrelation(masks[0, units], (5, 6)).mean(dim=0)
        (row,) = named(found, "correlation_same")
        assert row["value"] == len(units) and np.array_equal(values(row), expected.float())
        order = sorted(units, key=lambda unit: (-int(masks[0, unit].sum()), unit))
        assert [row["value"] for row in named(found, "unit_correlation")] == order[:3]
        assert [row["number"] for row in named(found, "unit_fit")] == list(range(len(order[:3])))


def test_the_mean_over_no_unit_is_nan():
    (found,) = measure(asked(min_fan_in=31), state_of(random_masks(1, 4, 30), (5, 6))).images
    (row,) = found
    assert row["value"] == 0 and row["shape"] == [9, 11] and np.isnan(values(row)).all()


def test_blocks_of_units_do_not_change_a_bit(monkeypatch):
    masks = random_masks(50, 3 * 48)
    whole = mean_correlation(masks, (3, 6, 8), "different")
    monkeypatch.setattr("impray.measures.correlation._UNITS", 7)
    assert torch.equal(mean_correlation(masks, (3, 6, 8), "different"), whole)


@pytest.mark.parametrize("colours", ["same", "different", "all"])
@variants
def test_the_residual_is_the_rf_fit_mse(variant, colours):
    masks, shape = random_masks(1, 30, 3 * 80, density=0.15, seed=1), (3, 8, 10)
    (found,) = measure(asked(examples=12, colours=colours, **variant), state_of(masks, shape)).images
    _, _, error = rf_width(masks[0], shape, colours=colours, min_fan_in=1, **variant)
    fits, correlations = named(found, "unit_fit"), named(found, "unit_correlation")
    assert len(fits) == len(correlations) == 12
    for fit, correlation in zip(fits, correlations, strict=True):
        unit = int(correlation["value"])
        assert np.array_equal(values(correlation), autocorrelation(masks[0, unit], shape, colours).float())
        # rf_width tells the error before its last step, to 1e-9 of it.
        assert fit["value"] == pytest.approx(float(error[unit]), rel=1e-8)
        used = np.ones(values(fit).shape, dtype=bool)
        used[7, 9] = variant["include_zero"]
        # The image is rounded to float32, here and there 1e-7 of values that are as large as S.
        shown = ((values(fit) - values(correlation))[used].astype(float) ** 2).mean()
        assert shown == pytest.approx(fit["value"], rel=1e-4)


@variants
def test_amplitude_and_offset_are_the_linear_least_squares(variant):
    masks = random_masks(6, 80, density=0.4, seed=2)
    s = autocorrelation(masks, (8, 10))
    width_x, width_y = torch.linspace(0.5, 6, 6, dtype=torch.float64), torch.linspace(4, 1, 6, dtype=torch.float64)
    surface, residual = fitted(s, width_x, width_y, **variant)
    y, x = np.mgrid[-7:8, -9:10]
    used = np.ones(x.shape, dtype=bool)
    used[7, 9] = variant["include_zero"]
    for unit in range(6):
        g = np.exp(-0.5 * (x / float(width_x[unit])) ** 2 - 0.5 * (y / float(width_y[unit])) ** 2)
        columns = np.stack([g, np.ones_like(g)][: 1 + variant["offset"]], axis=-1)
        best, left, *_ = np.linalg.lstsq(columns[used], s[unit].numpy()[used], rcond=None)
        np.testing.assert_allclose(surface[unit], columns @ best, rtol=1e-10, atol=1e-10)
        assert float(residual[unit]) == pytest.approx(left[0] / used.sum(), rel=1e-10)


def test_what_cannot_be_fitted_is_shown_without_a_fit():
    masks = torch.zeros(1, 2, 64, dtype=torch.bool)
    masks[0, 0, :2] = True  # two inputs: no fit
    masks[0, 1, [9, 10, 17, 18, 20]] = True
    (found,) = measure(asked(), state_of(masks, (8, 8))).images
    assert [row["value"] for row in named(found, "unit_correlation")] == [1, 0]
    good, bad = named(found, "unit_fit")
    assert np.isfinite(values(good)).all() and np.isnan(values(bad)).all() and np.isnan(bad["value"])
    line = torch.ones(1, 1, 9, dtype=torch.bool)  # a side of one pixel has no width, and needs none
    (found,) = measure(asked(), state_of(line, (1, 9))).images
    (fit,) = named(found, "unit_fit")
    assert np.isfinite(values(fit)).all()
    assert fit["value"] == pytest.approx(float(rf_width(line[0], (1, 9))[2]), rel=1e-8)


def test_a_pack_equals_each_net_alone_bit_for_bit():
    masks = random_masks(3, 20, 3 * 36, seed=3)
    pack = measure(asked(), state_of(masks, (3, 6, 6))).images
    for net in range(3):
        (alone,) = measure(asked(), state_of(masks[net : net + 1].clone(), (3, 6, 6))).images
        assert alone == pack[net]
