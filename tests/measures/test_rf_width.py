"""Laws of S_i(d) and of the Gaussian fitted to it."""

import itertools
import math

import numpy as np
import pytest
import torch
from measures.drawn_masks import VARIANTS, bumps, lags, random_masks, variants
from scipy.optimize import curve_fit

from impray.measures import autocorrelation as pairs
from impray.measures import rf_width as module
from impray.measures.autocorrelation import autocorrelation
from impray.measures.rf_width import rf_width
from impray.spec.errors import ShapeError

torch.set_num_threads(1)


def fit_to(correlation: torch.Tensor, include_zero: bool = True, offset: bool = False) -> torch.Tensor:
    """The fit alone, to any symmetric [unit, 2 row - 1, 2 col - 1]."""
    units, row, col = len(correlation), (correlation.shape[1] + 1) // 2, (correlation.shape[2] + 1) // 2
    half = [correlation[:, row - 1 :]]
    quadrant = module._quadrant(half, correlation, (row, col), include_zero, offset)
    return module._fit(quadrant, ())[:, :units]


def double_loop(mask: torch.Tensor, shape: tuple[int, int, int], colours: str) -> torch.Tensor:
    _, row, col = shape
    counts = torch.zeros(2 * row - 1, 2 * col - 1, dtype=torch.float64)
    kept = mask.reshape(shape).nonzero().tolist()
    for (c, y, x), (other_c, other_y, other_x) in itertools.product(kept, kept):
        if colours == "all" or (c == other_c) == (colours == "same"):
            counts[other_y - y + row - 1, other_x - x + col - 1] += 1
    return counts


@pytest.mark.some(6)
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


@variants
def test_the_kernel_finds_what_torch_does(variant, monkeypatch):
    """On other processors, and on GPUs, torch fits many units at once."""
    masks = torch.cat([bumps(40, 16, 18, 40, seed=9), random_masks(40, 288, 0.1, seed=10)])
    found = torch.stack(rf_width(masks, (16, 18), **variant))
    monkeypatch.setattr(module, "lacking", lambda: "another processor")
    slow = torch.stack(rf_width(masks, (16, 18), **variant))
    # A last step is below 1e-5 and quadratic, or below 1e-7: where a step falls on one side of these for one and on the other for the
    # other, widths differ by so much. The sum of squares is flat there.
    torch.testing.assert_close(found[:2], slow[:2], rtol=1e-6, atol=0, equal_nan=True)
    torch.testing.assert_close(found[2], slow[2], rtol=1e-11, atol=0, equal_nan=True)
    median = ((found - slow) / slow)[:2].abs().nanmedian()
    assert median <= 1e-14  # rounding is all that most differ by


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("offset", [False, True])
def test_a_spike_without_its_middle_is_at_the_bound(kernel, offset, monkeypatch):
    """Only neighbours correlate, alike in x and y: the narrower, the better the fit, down to 0.2 px, where G is 4e-6 of its middle."""
    if not kernel:
        monkeypatch.setattr(module, "lacking", lambda: "another processor")
    correlation = torch.zeros(1, 31, 31, dtype=torch.float64)
    for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        correlation[0, 15 + y, 15 + x] = 3.0
    width_x, width_y, error = fit_to(correlation, include_zero=False, offset=offset)
    assert width_x.item() == pytest.approx(module.NARROWEST_PX, rel=1e-15) == width_y.item()
    assert error.item() <= 36 * 1e-10  # diagonal lags alone, whose G is the square of the neighbours'
