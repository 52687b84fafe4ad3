"""Laws of S_i(d) and of the Gaussian fitted to it."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from impray.measures import autocorrelation as pairs
from impray.measures import rf_width as module
from impray.measures.autocorrelation import autocorrelation
from impray.measures.on_image import measure_rf_width, paths
from impray.measures.rf_width import rf_width
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec
from impray.spec.errors import ShapeError

torch.set_num_threads(1)
VARIANTS = [{"include_zero": zero, "offset": offset} for zero in (True, False) for offset in (False, True)]
variants = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def random_masks(units: int, inputs: int, density: float, seed: int) -> torch.Tensor:
    return torch.rand(units, inputs, generator=torch.Generator().manual_seed(seed)) < density


def bumps(units: int, row: int, col: int, fan_in: int, seed: int) -> torch.Tensor:
    """Masks of `fan_in` inputs: three quarters from a Gaussian bump of random place and widths, others anywhere."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:row, :col]
    masks = np.zeros((units, row * col), dtype=bool)
    for mask in masks:
        (cy, cx), (sy, sx) = draw.uniform(0.3, 0.7, 2) * (row, col), draw.uniform(0.08, 0.2, 2) * (row, col)
        chance = np.exp(-((y - cy) ** 2) / (2 * sy**2) - (x - cx) ** 2 / (2 * sx**2)).ravel() + 1e-9
        mask[draw.choice(row * col, fan_in - fan_in // 4, replace=False, p=chance / chance.sum())] = True
        mask[draw.choice(np.flatnonzero(~mask), fan_in // 4, replace=False)] = True
    return torch.tensor(masks)


def fit_to(correlation: torch.Tensor, include_zero: bool = True, offset: bool = False) -> torch.Tensor:
    """The fit alone, to any symmetric [unit, 2 row - 1, 2 col - 1]."""
    units, row, col = len(correlation), (correlation.shape[1] + 1) // 2, (correlation.shape[2] + 1) // 2
    half = [correlation[:, row - 1 :]]
    quadrant = module._quadrant(half, correlation, (row, col), include_zero, offset)
    return module._fit(quadrant, ())[:, :units]


def lags(row: int, col: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.meshgrid(
        torch.arange(1.0 - row, row, dtype=torch.float64),
        torch.arange(1.0 - col, col, dtype=torch.float64),
        indexing="ij",
    )


def double_loop(mask: torch.Tensor, shape: tuple[int, int, int], colours: str) -> torch.Tensor:
    _, row, col = shape
    counts = torch.zeros(2 * row - 1, 2 * col - 1, dtype=torch.float64)
    kept = mask.reshape(shape).nonzero().tolist()
    for (c, y, x), (other_c, other_y, other_x) in itertools.product(kept, kept):
        if colours == "all" or (c == other_c) == (colours == "same"):
            counts[other_y - y + row - 1, other_x - x + col - 1] += 1
    return counts


@pytest.mark.parametrize("colours", ["same", "different", "all"])
@pytest.mark.parametrize("density", [0.03, 0.5, 1.0])  # pairs are counted at the first, transformed at the others
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.float64])
def test_autocorrelation_is_the_double_loop_exactly(colours, density, dtype):
    shape = (3, 5, 8)
    masks = random_masks(6, 120, density, seed=1).to(dtype)
    expected = torch.stack([double_loop(mask, shape, colours) for mask in masks])
    assert torch.equal(autocorrelation(masks, shape, colours), expected)


@pytest.mark.parametrize("density", [0.02, 0.4, 1.0])
def test_counting_and_transforming_agree_exactly_also_for_the_fullest_masks(density):
    for shape in ((1, 32, 32), (3, 32, 32), (1, 40, 50)):
        kept = random_masks(2, math.prod(shape), density, seed=2).reshape(2, *shape)
        counted = pairs._counted(kept, int(kept.sum((1, 2, 3)).max()))
        assert torch.equal(counted.double(), pairs._transformed(kept, "same").double())


def test_a_full_image_has_the_triangle_in_closed_form():
    y, x = lags(6, 9)
    assert torch.equal(autocorrelation(torch.ones(1, 54), (6, 9))[0], (6 - y.abs()) * (9 - x.abs()))


def test_same_and_different_colours_add_up_to_all():
    masks, shape = random_masks(8, 3 * 49, 0.3, seed=3).reshape(2, 4, 147), (3, 7, 7)
    same, different, both = (autocorrelation(masks, shape, colours) for colours in ("same", "different", "all"))
    assert torch.equal(same + different, both)
    assert torch.equal(same[..., 6, 6], masks.sum(-1).double())
    assert torch.equal(both.sum((-1, -2)), masks.sum(-1).double().square())
    assert same.shape == (2, 4, 13, 13) and torch.equal(same, same.flip(-1, -2))


@variants
def test_a_gaussian_is_recovered(variant):
    y, x = lags(16, 20)
    true_x = torch.tensor([0.7, 1.5, 3.0, 5.0, 8.0], dtype=torch.float64)
    true_y = torch.tensor([2.0, 1.5, 0.9, 6.0, 2.5], dtype=torch.float64)
    correlation = 40 * torch.exp(-(x**2) / (2 * true_x[:, None, None] ** 2) - y**2 / (2 * true_y[:, None, None] ** 2))
    width_x, width_y, error = fit_to(correlation + (2.5 if variant["offset"] else 0.0), **variant)
    # The last step is below 1e-5 and quadratic: what is left is 1e-10, times a curvature of order 10.
    torch.testing.assert_close(width_x, true_x, rtol=1e-9, atol=0)
    torch.testing.assert_close(width_y, true_y, rtol=1e-9, atol=0)
    # The error is a difference of two sums of squares, below 42.5^2 per point, each of a few hundred
    # roundings.
    assert (error <= 42.5**2 * 1e3 * 2**-53).all()


@variants
def test_widths_are_those_of_curve_fit(variant):
    row, col, fan_in = 16, 18, 40
    masks = bumps(32, row, col, fan_in, seed=4)
    found = torch.stack(rf_width(masks, (row, col), **variant)).numpy()
    y, x = (lag.numpy() for lag in lags(row, col))
    used = np.ones(x.shape, dtype=bool)
    used[row - 1, col - 1] = variant["include_zero"]
    points = np.stack([x[used], y[used]])

    def gaussian(at, amplitude, sx, sy, offset=0.0):
        return amplitude * np.exp(-(at[0] ** 2) / (2 * sx**2) - at[1] ** 2 / (2 * sy**2)) + offset

    def without(at, amplitude, sx, sy):
        return gaussian(at, amplitude, sx, sy)

    for unit, counts in enumerate(autocorrelation(masks, (row, col)).numpy()):
        s = counts[used]
        start = [
            s.max(),
            np.sqrt((s * points[0] ** 2).sum() / s.sum()),
            np.sqrt((s * points[1] ** 2).sum() / s.sum()),
        ]
        model = gaussian if variant["offset"] else without
        best, _ = curve_fit(model, points, s, start + [0.0] * variant["offset"])
        assert found[:2, unit] == pytest.approx(
            np.abs(best[1:3]), rel=0.01
        )  # asked for; curve_fit stops at 1e-8 in cost
        their_error = ((model(points, *best) - s) ** 2).mean()
        # Theirs is no better (ours is told before the last step, below 1e-5, is taken: 1e-10 times a
        # curvature of order 10), and cannot be worse by more than its tolerance leaves.
        assert found[2, unit] <= their_error * (1 + 1e-9)
        assert found[2, unit] == pytest.approx(their_error, rel=1e-5)


@pytest.mark.filterwarnings("ignore")  # scipy's, about covariances that are not used
@pytest.mark.parametrize("offset", [False, True])
def test_without_s0_no_start_of_curve_fit_finds_a_deeper_minimum(offset):
    """With few inputs there are several minima; ours is the deepest of those that scipy finds within our bounds."""
    row, col = 16, 16
    masks = torch.cat([bumps(12, row, col, 12, seed=11), random_masks(12, row * col, 0.05, seed=12)])
    found = torch.stack(rf_width(masks, (row, col), include_zero=False, offset=offset)).numpy()
    y, x = (lag.numpy() for lag in lags(row, col))
    used = np.ones(x.shape, dtype=bool)
    used[row - 1, col - 1] = False

    def model(at, amplitude, sx, sy, *constant):
        return amplitude * np.exp(-(at[0] ** 2) / (2 * sx**2) - at[1] ** 2 / (2 * sy**2)) + sum(constant)

    compared = 0
    for unit, counts in enumerate(autocorrelation(masks, (row, col)).numpy()):
        s, points = counts[used], np.stack([x[used], y[used]])
        if np.isnan(found[2, unit]):
            continue
        for width in (0.8, 2.0, 4.0, 8.0):
            try:
                best, _ = curve_fit(model, points, s, [s.max(), width, width] + [0.0] * offset, maxfev=4000)
            except RuntimeError:  # it gave up
                continue
            inside = (np.abs(best[1:3]) > module.NARROWEST_PX) & (np.abs(best[1:3]) < module.WIDEST_SIDES * col)
            if best[0] > 0 and inside.all():
                compared += 1
                assert found[2, unit] <= ((model(points, *best) - s) ** 2).mean() * (1 + 1e-6)
    assert compared > 40


@variants
def test_a_unit_does_not_depend_on_its_batch_bit_for_bit(variant):
    # Two kinds of unit, so that both ways to S and both quick and slow convergence are in a batch.
    masks = torch.cat(
        [bumps(150, 12, 10, 25, seed=5), random_masks(50, 120, 0.5, seed=6), random_masks(60, 120, 0.05, 7)]
    )
    masks = masks[torch.randperm(260, generator=torch.Generator().manual_seed(8))]
    whole = torch.stack(rf_width(masks, (12, 10), **variant))
    for sizes in ([1] * 3 + [257], [63, 64, 65, 68], [129, 131], [7, 253]):
        parts = [torch.stack(rf_width(part, (12, 10), **variant)) for part in masks.split(sizes)]
        assert torch.equal(torch.cat(parts, 1).nan_to_num(-1), whole.nan_to_num(-1))
    packed = torch.stack(rf_width(masks.reshape(2, 130, 120), (12, 10), **variant))
    assert torch.equal(packed.reshape(3, 260).nan_to_num(-1), whole.nan_to_num(-1))


def test_blocks_do_not_change_a_bit(monkeypatch):
    masks = bumps(200, 10, 10, 20, seed=9)
    whole = torch.stack(rf_width(masks, (10, 10)))
    monkeypatch.setattr(module, "_MANY", {"cpu": 70})
    monkeypatch.setattr(pairs, "_FEW", {"cpu": 64})
    assert torch.equal(torch.stack(rf_width(masks, (10, 10))), whole)


def test_moving_a_mask_away_from_the_border_changes_nothing():
    patch = random_masks(4, 49, 0.5, seed=10).reshape(4, 7, 7)
    images = torch.zeros(2, 4, 20, 20, dtype=torch.bool)
    images[0, :, 0:7, 0:7], images[1, :, 9:16, 12:19] = patch, patch
    found = torch.stack(rf_width(images.flatten(2), (20, 20)))
    assert torch.equal(found[:, 0], found[:, 1])


@variants
def test_transposing_the_image_swaps_x_and_y(variant):
    masks = bumps(20, 14, 9, 30, seed=11)
    x, y, error = rf_width(masks, (14, 9), **variant)
    turned = masks.reshape(20, 14, 9).mT.flatten(1)
    turned_x, turned_y, turned_error = rf_width(turned, (9, 14), **variant)
    # The last step is below 1e-5, and what it leaves is of second order (1e-7 where convergence is slower).
    torch.testing.assert_close(torch.stack([turned_y, turned_x]), torch.stack([x, y]), rtol=1e-6, atol=0)
    torch.testing.assert_close(turned_error, error, rtol=1e-10, atol=0)


def test_a_larger_bump_is_wider_and_its_longer_side_is_found():
    side = 24
    images = torch.zeros(3, side, side)
    images[0, 8:12, 8:12] = images[1, 6:14, 6:14] = images[2, 8:12, 4:16] = 1
    x, y, _ = rf_width(images.flatten(1), (side, side))
    assert x[0] < x[1] and abs(float(x[0] - y[0])) < 1e-6
    assert x[2] > 2 * y[2]


@pytest.mark.parametrize("variant, needed", list(zip(VARIANTS, (3, 3, 3, 4), strict=True)), ids=str)
def test_too_few_inputs_are_nan(variant, needed):
    masks = torch.zeros(6, 81)
    for unit in range(6):
        masks[unit, [40, 41, 49, 50, 51][:unit]] = 1
    found = torch.stack(rf_width(masks, (9, 9), **variant))
    assert found[:, :needed].isnan().all() and found[0, needed:].isfinite().all()
    found = torch.stack(rf_width(masks, (9, 9), min_fan_in=5, **variant))
    assert found[:, :5].isnan().all() and found[:, 5].isfinite().all()


def test_what_cannot_be_seen_is_at_the_bound_or_nan():
    line = torch.zeros(1, 10, 10)
    line[0, 4, 2:7] = 1  # no pair at dy != 0
    _, y, _ = rf_width(line.flatten(1), (10, 10))
    assert y.item() == pytest.approx(module.NARROWEST_PX, rel=1e-15)
    x, y, error = rf_width(torch.ones(1, 12), (1, 12))
    assert x.isfinite() and y.isnan() and error.isfinite()
    apart = torch.zeros(1, 3, 4)
    apart[0, 0, 0] = apart[0, 1, 1] = apart[0, 2, 2] = 1  # one input per channel: no pair of one colour
    assert torch.stack(rf_width(apart.flatten(1), (3, 2, 2))).isnan().all()
    assert rf_width(apart.flatten(1), (3, 2, 2), colours="different")[0].isfinite().all()


def test_any_number_of_units_and_axes():
    for pack in ((), (0,), (2, 0), (2, 3)):
        results = rf_width(torch.ones(*pack, 16), (4, 4))
        assert all(result.shape == pack and result.dtype == torch.float64 for result in results)


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 4), (16,), (0, 16)])
def test_a_wrong_shape_is_an_error(shape):
    with pytest.raises(ShapeError):
        rf_width(torch.ones(2, 16), shape)
    with pytest.raises(ShapeError):
        autocorrelation(torch.ones(2, 16), shape)


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
