"""Measures at the ends of floating point: what is free of scale or shift stays as it is, and nothing to measure is no error."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from impray.data.describe import covariance_by_distance, moments
from impray.measures import components, flow
from impray.measures.autocorrelation import autocorrelation
from impray.measures.cavity import cavity_scores
from impray.measures.clustering import clustering
from impray.measures.correlation import mean_correlation
from impray.measures.inputs import mean_over_inputs, summary
from impray.measures.ipr import ipr
from impray.measures.kurtosis import kurtosis, per_class
from impray.measures.on_image import centred
from impray.measures.rf_width import rf_width
from impray.measures.scale import norm, power_of_two, scaled, size_of
from impray.measures.spread import spread
from impray.spec.data import Nlgp
from impray.theory import scale as of_arrays
from impray.theory.localization import euler, sinusoid

SHAPE = (4, 5)
EDGES = {
    torch.float32: [1e-30, 1e-20, 1e-11, 1e11, 1e20, 1e30],
    torch.float64: [1e-300, 1e-200, 1e-80, 1e-59, 1e59, 1e80, 1e200, 1e300],
}
SCALES = [(dtype, scale) for dtype, scales in EDGES.items() for scale in scales]


def cubes(*size, seed=0, dtype=torch.float64):
    return (torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 3).to(dtype)


LABELS = torch.arange(60) % 3
BASE = cubes(60, 20, seed=9)  # inputs beside scaled weights, weights beside scaled inputs


# Each takes 60 rows of 20 numbers: samples and inputs, or units and their weights.
FREE_OF_SCALE = {
    "kurtosis": kurtosis,
    "kurtosis per class": lambda x: per_class(x, LABELS),
    "ipr": ipr,
    "spread": lambda x: spread(x, SHAPE),
    "place on the torus": lambda x: centred((x != 0).double(), SHAPE),
    "widths of weights": lambda x: torch.stack(rf_width(x.abs(), SHAPE, weighted=True)[:2]).log(),
    "clustering": lambda x: clustering(x, SHAPE),
    "distance from a wave": lambda x: torch.from_numpy(sinusoid(x.double().numpy(), SHAPE).relative_distance),
    "cavity scores, weights": lambda x: cavity_scores(x[:7], BASE.to(x.dtype), LABELS),
    "cavity scores, inputs": lambda x: cavity_scores(BASE[:7].to(x.dtype), x, LABELS),
    "cavity scores, last weights": lambda x: cavity_scores(x[:7] * (torch.arange(20) < 3), x, LABELS),
    "kurtosis of inputs": lambda x: summary(x).kurtosis,
    "components": lambda x: torch.cat([components.fit(x, 3).pca, components.fit(x, 3).kurtosis[:, None]], dim=1),
    "cosines": lambda x: components.cosines(torch.eye(20) > 0, components.fit(x, 3).ica),
    "distance from the flow": lambda x: flow._compared(x[None], x.flip(0)[None])["flow_distance"],
    "kurtosis of a stimulus": lambda x: torch.tensor(
        [moments(x.double().numpy())[k] for k in ("kurtosis", "standard_error")]
    ),
}


@pytest.mark.some(80)
@pytest.mark.parametrize("name", FREE_OF_SCALE)
@pytest.mark.parametrize(("dtype", "scale"), SCALES)
def test_scale_does_not_matter(name, dtype, scale):
    x = cubes(60, 20, dtype=dtype)
    function = FREE_OF_SCALE[name]
    # A number times the scale is rounded once more. 1e4: how much a kurtosis, or a fit, makes of it; cavity scores in float32 have
    # the precision that their file states.
    rounding = 1e4 * torch.finfo(dtype).eps
    torch.testing.assert_close(function(x * scale), function(x), rtol=rounding, atol=rounding, check_dtype=False)


@pytest.mark.parametrize("power", [-1000, -300, -201, 201, 300, 1000])
def test_by_a_power_of_two_not_a_bit_changes(power):
    x = cubes(60, 20)
    for name in ("kurtosis", "kurtosis per class", "spread", "distance from a wave", "cavity scores, weights"):
        assert torch.equal(FREE_OF_SCALE[name](x * 2.0**power), FREE_OF_SCALE[name](x)), name


HOMOGENEOUS = {
    "norm": (norm, 1),
    "mean magnitude": (lambda x: summary(x).abs_mean, 1),
    "mean over inputs": (lambda x: mean_over_inputs(x[0].abs()), 1),
    "variance": (lambda x: summary(x).variance, 2),
    "pairs": (lambda x: autocorrelation(x.abs(), SHAPE, weighted=True), 2),
    "wave": (lambda x: torch.from_numpy(sinusoid(x.numpy(), SHAPE).values), 1),
    "error of a fit": (lambda x: rf_width(x.abs(), SHAPE, weighted=True)[2], 4),
    "filters": (lambda x: components.fit(x, 3).ica, -1),
    "mean of a stimulus": (lambda x: torch.tensor(moments(x.numpy())["mean"]), 1),
    "variance of a stimulus": (lambda x: torch.tensor(moments(x.numpy())["variance"]), 2),
    "covariance": (lambda x: torch.from_numpy(covariance_by_distance(x.numpy().reshape(-1, 4, 5), True)[1]), 2),
}


@pytest.mark.parametrize("name", HOMOGENEOUS)
@pytest.mark.parametrize("power", [-980, -500, -250, 250, 500, 980])
def test_what_has_a_scale_has_that_of_the_numbers(name, power):
    """As far as it is a number: beyond, 0 or infinite, never NaN."""
    function, degree = HOMOGENEOUS[name]
    x = cubes(60, 20)
    expected = function(x)
    for _ in range(abs(degree)):
        expected = expected * 2.0**power if degree > 0 else expected / 2.0**power
    found = function(x * 2.0**power)
    least = 1e4 * torch.finfo(torch.float64).tiny  # below, numbers lose their digits
    # Sums over the numbers, and differences of such: relative to the largest.
    largest = expected.abs().max()
    atol = 1e-9 * float(largest) if math.isfinite(largest) else 0.0
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-9, atol=atol + least)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5, 1e7, -1e9, 1e10])
def test_offset_does_not_matter_to_a_kurtosis(offset):
    x = cubes(200, 7, seed=1)
    shifted = offset + x
    # What is left of the numbers themselves is the right answer; to it, an offset's rounding adds some eps of the offset.
    left = shifted - offset
    rounding = 1e3 * torch.finfo(torch.float64).eps * max(1, abs(offset))
    torch.testing.assert_close(kurtosis(shifted), kurtosis(left), rtol=rounding, atol=0)
    torch.testing.assert_close(summary(shifted).kurtosis, kurtosis(left), rtol=rounding, atol=0)
    pooled = moments(shifted.numpy())["kurtosis"]
    assert pooled == pytest.approx(scipy.stats.kurtosis(left.numpy().ravel(), fisher=False), rel=rounding)
    constant = torch.full((50, 3), offset + 0.1, dtype=torch.float64)
    assert kurtosis(constant).isnan().all() and math.isnan(moments(constant.numpy())["kurtosis"])
    assert len(components.fit(constant, 2).pca) == 0


def test_float32_values_are_constant_at_the_rounding_of_float32():
    x = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0 + 2**-23, 1.001]]).repeat(20, 1)
    assert kurtosis(x).isnan().tolist() == [True, True, False]
    assert summary(x).kurtosis.isnan().tolist() == [True, True, False]
    assert kurtosis(x.double()).isnan().tolist() == [True, False, False]


def test_the_speed_of_tiny_and_huge_weights_is_that_of_their_direction():
    """Eq. 5: the push depends on the direction of w only, and is all that moves weights near 0."""
    spec, w = Nlgp(shape=(12,), xi=(0.5, 1.5)), cubes(3, 12).numpy() * 0.1
    one, tiny = (euler(spec, w * scale, 1.0, 1) - w * scale for scale in (1e-30, 1e-300))
    np.testing.assert_allclose(tiny, one, rtol=1e-12, atol=1e-14)
    assert np.abs(one).max() > 0.1
    huge = euler(spec, w * 1e200, 0.1, 1)
    np.testing.assert_allclose(huge / 1e200, euler(spec, w * 1e30, 0.1, 1) / 1e30, rtol=1e-12, atol=1e-14)


def test_sizes_are_powers_of_two_and_ordinary_numbers_are_left_alone():
    smallest, largest = 5e-324, torch.finfo(torch.float64).max
    x = torch.tensor([0.0, math.inf, math.nan, 1.0, 1e-50, 1e60, smallest, 1e-310, 1e61, largest], dtype=torch.float64)
    size = power_of_two(x)
    assert (size[:6] == 1).all()
    ratio = x[6:] / size[6:]
    assert ((ratio >= 1) & (ratio < 2)).all() and (torch.frexp(size).mantissa == 0.5).all()
    np.testing.assert_array_equal(of_arrays.size_of(x[:, None].numpy(), axis=1)[:, 0], size)
    ordinary = cubes(5, 6)
    assert scaled(ordinary, 1)[0] is ordinary and size_of(ordinary[:, :0], 1).tolist() == [[1.0]] * 5
    assert of_arrays.size_of(np.empty((0, 3))).item() == 1


NOTHING = {
    "kurtosis": lambda x: kurtosis(x.T),
    "ipr": ipr,
    "spread": lambda x: spread(x, SHAPE),
    "widths": lambda x: torch.stack(rf_width(x != 0, SHAPE)).T,
    "widths of weights": lambda x: torch.stack(rf_width(x.abs(), SHAPE, weighted=True)).T,
    "widths between channels": lambda x: torch.stack(rf_width(x != 0, (5, 2, 2), colours="different")).T,
    "pairs of channels": lambda x: autocorrelation(x, (5, 2, 2), "all"),
    "clustering": lambda x: clustering(x, SHAPE),
    "place on the torus": lambda x: centred(x, SHAPE),
    "cavity scores": lambda x: cavity_scores(x, BASE),
    "cavity scores per class": lambda x: cavity_scores(x, BASE, LABELS),
    "norm": norm,
    "cosines": lambda x: components.cosines(x != 0, components.fit(BASE, 3).pca),
    "distance from a wave": lambda x: torch.from_numpy(sinusoid(x.numpy(), SHAPE).relative_distance),
}


@pytest.mark.parametrize("name", NOTHING)
def test_no_units_give_no_numbers_and_units_without_weights_none_that_are_infinite(name):
    assert len(NOTHING[name](torch.zeros(0, 20, dtype=torch.float64))) == 0
    found = NOTHING[name](torch.zeros(3, 20, dtype=torch.float64))
    assert len(found) == 3 and not found.isinf().any()


@pytest.mark.parametrize("samples", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_too_few_samples_have_no_kurtosis_and_are_no_error(samples, dtype):
    x, labels = cubes(samples, 5, dtype=dtype), torch.zeros(samples, dtype=torch.int64)
    assert kurtosis(x).isnan().all() and per_class(x, labels).isnan().all() and len(kurtosis(x)) == 5
    assert summary(x).kurtosis.isnan().all()
    scores = cavity_scores(cubes(3, 5, dtype=dtype), x, labels)
    assert scores.shape == (3, 5) and scores.isnan().all()
    assert len(components.fit(x, 2).pca) == len(components.fit(x, 2).ica) == 0


def test_images_of_one_input():
    one = torch.ones(2, 1, dtype=torch.float64)
    assert spread(one, (1, 1)).tolist() == [0, 0] and ipr(one).tolist() == [1, 1]
    assert clustering(one, (1, 1)).isnan().all() and torch.stack(rf_width(one, (1, 1), weighted=True)).isnan().all()
    assert mean_correlation(one > 0, (1, 1), "same").tolist() == [[1.0]]
    assert cavity_scores(one, BASE[:, :1]).isnan().all()
