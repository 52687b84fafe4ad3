"""RF widths of weighted inputs: numbers of paths in place of masks."""

import itertools
import math

import pytest
import torch
from measures.drawn_masks import bumps, lags, random_masks, variants

from impray.measures.autocorrelation import autocorrelation
from impray.measures.on_image import measure_rf_width, paths
from impray.measures.rf_width import rf_width
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec

# -- weighted: numbers of paths in place of masks -----------------------------------------------------------------------


def random_paths(units: int, inputs: int, most: int, seed: int) -> torch.Tensor:
    """Integers from 0 to `most`, a good half of them 0."""
    numbers = torch.randint(-most, most + 1, (units, inputs), generator=torch.Generator().manual_seed(seed))
    return numbers.clamp_min(0)


def weighted_double_loop(numbers: torch.Tensor, shape: tuple[int, int, int], colours: str) -> torch.Tensor:
    _, row, col = shape
    total = torch.zeros(2 * row - 1, 2 * col - 1, dtype=torch.float64)
    images = numbers.reshape(shape).tolist()
    places = list(itertools.product(*map(range, shape)))
    for (c, y, x), (other_c, other_y, other_x) in itertools.product(places, places):
        if colours == "all" or (c == other_c) == (colours == "same"):
            total[other_y - y + row - 1, other_x - x + col - 1] += images[c][y][x] * images[other_c][other_y][other_x]
    return total


@pytest.mark.parametrize("colours", ["same", "different", "all"])
@variants
def test_weights_of_0_and_1_give_what_masks_give_bit_for_bit(variant, colours):
    masks = torch.cat([random_masks(8, 3 * 72, density, seed=13) for density in (0.05, 0.5, 1.0)])
    for weights in (masks, masks.float(), masks.to(torch.int64)):
        counts = autocorrelation(weights, (3, 8, 9), colours, weighted=True)
        assert torch.equal(counts, autocorrelation(masks, (3, 8, 9), colours))
    found = torch.stack(rf_width(masks.float(), (3, 8, 9), colours=colours, weighted=True, **variant))
    expected = torch.stack(rf_width(masks, (3, 8, 9), colours=colours, **variant))
    assert torch.equal(found.nan_to_num(-1), expected.nan_to_num(-1))


@pytest.mark.parametrize("colours", ["same", "different", "all"])
def test_weighted_autocorrelation_is_the_double_loop(colours):
    shape = (3, 4, 5)
    numbers = random_paths(3, 60, 1000, seed=14)
    expected = torch.stack([weighted_double_loop(each, shape, colours) for each in numbers])
    assert torch.equal(autocorrelation(numbers, shape, colours, weighted=True), expected)  # integers: exactly
    reals = numbers * 0.1
    expected = torch.stack([weighted_double_loop(each, shape, colours) for each in reals])
    found = autocorrelation(reals, shape, colours, weighted=True)
    # The transforms' error is a few roundings of all of S; where there is no pair nothing is left of it.
    torch.testing.assert_close(found, expected, rtol=0, atol=16 * 2**-53 * float(expected.sum((1, 2)).max()))
    assert torch.equal(found == 0, expected == 0)


def test_the_largest_numbers_of_paths_are_exact():
    """A full layer of 1024 units below: S is the triangle, times 1024^2."""
    y, x = lags(32, 32)
    found = autocorrelation(torch.full((1, 3 * 1024), 1024.0), (3, 32, 32), weighted=True)[0]
    assert torch.equal(found, 3 * 2**20 * (32 - y.abs()) * (32 - x.abs()))


@variants
def test_scaled_weights_have_the_same_widths_and_the_fourth_power_of_the_scale_in_the_error(variant):
    numbers = bumps(24, 12, 10, 30, seed=15) * random_paths(24, 120, 9, seed=16).clamp_min(1)
    x, y, error = rf_width(numbers, (12, 10), weighted=True, **variant)
    assert x.isfinite().all()
    for scale in (
        2.0**-20,
        2.0**12,
    ):  # nothing rounds: only the bits of the exponent change, and the last steps with them
        found = rf_width(numbers * scale, (12, 10), weighted=True, **variant)
        torch.testing.assert_close(torch.stack(found), torch.stack([x, y, error * scale**4]), rtol=1e-9, atol=0)
    for scale in (0.001, 3.7):
        found = rf_width(numbers * scale, (12, 10), weighted=True, **variant)
        torch.testing.assert_close(torch.stack(found), torch.stack([x, y, error * scale**4]), rtol=1e-6, atol=0)


@variants
def test_a_weighted_unit_does_not_depend_on_its_batch_bit_for_bit(variant):
    numbers = random_paths(150, 120, 30, seed=17)
    whole = torch.stack(rf_width(numbers, (12, 10), weighted=True, **variant))
    parts = [torch.stack(rf_width(part, (12, 10), weighted=True, **variant)) for part in numbers.split([1, 64, 85])]
    assert torch.equal(torch.cat(parts, 1).nan_to_num(-1), whole.nan_to_num(-1))


def test_weights_see_colours_and_count_inputs_not_paths():
    three = torch.zeros(1, 3, 4)
    three[0, 0, 0] = three[0, 1, 1] = three[0, 2, 2] = 0.3  # one input per channel: no pair of one colour
    assert torch.stack(rf_width(three.flatten(1), (3, 2, 2), weighted=True)).isnan().all()
    assert rf_width(three.flatten(1), (3, 2, 2), colours="different", weighted=True)[0].isfinite().all()
    many = torch.zeros(1, 81)
    many[0, 40:44] = 1000
    assert rf_width(many, (9, 9), min_fan_in=4, weighted=True)[0].isfinite().all()
    assert rf_width(many, (9, 9), min_fan_in=5, weighted=True)[0].isnan().all()


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_weights_that_count_nothing_are_an_error(wrong):
    weights = torch.ones(2, 16)
    weights[1, 3] = wrong
    with pytest.raises(ValueError, match="0 or more"):
        rf_width(weights, (4, 4), weighted=True)


def three_layers(nets: int, seed: int, density: float = 0.3) -> RoundState:
    """Nets of 2 x 5 x 6 inputs, hidden 7 and 4 units, 3 outputs; the second layer's mask is sparse, the last is not pruned."""
    sizes = (60, 7, 4, 3)
    masks = {
        f"weight{layer}": random_masks(nets * out, into, density, seed + layer).reshape(nets, out, into)
        for layer, (into, out) in enumerate(itertools.pairwise(sizes[:3]), start=1)
    }
    start = {f"weight{layer}": torch.ones(nets, sizes[layer], sizes[layer - 1]) for layer in (1, 2, 3)}
    held_out = {"held_out": lambda net: (torch.zeros(0, 60), torch.zeros(0))}
    return RoundState(
        1,
        Architecture(sizes, "relu", False, True, input_shape=(2, 5, 6)),
        masks,
        start,
        None,
        None,
        **held_out,
        loss="mse",
    )


def test_paths_are_counted_through_all_layers():
    state = three_layers(2, seed=18)
    for net in range(2):
        first, second = state.masks["weight1"][net].tolist(), state.masks["weight2"][net].tolist()
        slow = [[sum(second[i][j] and first[j][z] for j in range(7)) for z in range(60)] for i in range(4)]
        (two, found), (three, outputs) = paths(state, net, 3)
        assert (two, three) == (2, 3) and found.tolist() == slow
        assert outputs.tolist() == [[sum(unit[z] for unit in slow) for z in range(60)]] * 3


@pytest.mark.parametrize("colours", ["same", "different"])
def test_a_later_layer_is_measured_by_its_paths_and_layers_that_are_not_there_are_left_out(colours):
    state = three_layers(3, seed=19)
    asked = spec.RfWidth(layers=(1, 2), colours=colours, min_fan_in=4)
    found = measure_rf_width(asked, state)
    assert set(found.units) == {1, 2}
    first = measure_rf_width(spec.RfWidth(colours=colours, min_fan_in=4), state)
    assert all(
        torch.equal(values.nan_to_num(-1), found.units[1][c].nan_to_num(-1)) for c, values in first.units[1].items()
    )
    for net in range(3):
        ((_, numbers),) = paths(state, net, 2)
        expected = rf_width(numbers, (2, 5, 6), colours=colours, min_fan_in=4, weighted=True)
        expected = ((expected[0] + expected[1]) / 2, *expected)
        columns = ("rf_width_px", "rf_width_x_px", "rf_width_y_px", "rf_fit_mse")
        for values, column in zip(expected, columns, strict=True):
            assert torch.equal(found.units[2][column][net].nan_to_num(-1), values.nan_to_num(-1))
    assert found.units[2]["rf_width_x_px"].isfinite().any()
    assert set(measure_rf_width(spec.RfWidth(layers=(2, 3, 4)), state).units) == {2}  # 3 is the output layer


def test_a_later_layers_fan_in_is_its_inputs_with_a_path():
    state = three_layers(1, seed=20, density=0.1)
    ((_, numbers),) = paths(state, 0, 2)
    reached = (numbers > 0).sum(1)
    least = int(reached.sort().values[1])
    found = measure_rf_width(spec.RfWidth(layers=(2,), min_fan_in=max(least, 3), include_zero=True), state).units[2]
    assert torch.equal(found["rf_fit_mse"][0].isfinite(), reached >= max(least, 3))
    found = measure_rf_width(spec.RfWidth(layers=(2,), min_fan_in=3, most_connected=1), state).units[2]
    assert found["rf_fit_mse"][0].isfinite().nonzero()[:, 0].tolist() == [int(reached.argmax())]


@pytest.mark.gpu
def test_cuda_gives_the_same_s_and_widths():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    masks = bumps(100, 12, 12, 25, seed=12)
    there = masks.cuda()
    for colours in ("same", "all"):
        counts = autocorrelation(there, (12, 12), colours)
        assert torch.equal(counts.cpu(), autocorrelation(masks, (12, 12), colours))
    found = torch.stack(rf_width(there, (12, 12))).cpu()
    torch.testing.assert_close(found, torch.stack(rf_width(masks, (12, 12))), rtol=1e-6, atol=0)
