"""The Gaussian clone and the blend against the moments they promise."""

import math

import pytest
import torch

from impray.data import blend as blends
from impray.data.blend import blend, gaussian_clone
from impray.spec.errors import ShapeError

COUNT = 20_000


def images(classes=2, samples=30, channels=2, pixels=4, seed=0):
    """Skewed, correlated across pixels and channels, another mean and covariance for every class."""
    random = torch.Generator().manual_seed(seed)
    white = torch.empty(classes, samples, channels * pixels, dtype=torch.float64).exponential_(generator=random)
    mix = torch.randn(classes, channels * pixels, channels * pixels, dtype=torch.float64, generator=random)
    return torch.bmm(white, mix).view(classes, samples, channels, pixels)


def covariance(x):
    return torch.cov(x.flatten(1).T)


@pytest.mark.parametrize("samples", [2, 5, 30], ids=lambda n: f"{n} images")  # below and above the 8 inputs
@pytest.mark.parametrize("clone", ["channel", "joint"])
@pytest.mark.parametrize("portion", [2**22, 1000])
def test_a_clone_has_the_mean_and_covariance_of_its_class(samples, clone, portion, monkeypatch):
    monkeypatch.setattr(blends, "_NUMBERS", portion)
    natural = images(samples=samples)
    cloned = gaussian_clone(natural, COUNT, torch.Generator().manual_seed(1), clone)
    for of_class, drawn in zip(natural, cloned, strict=True):
        expected = covariance(of_class)
        if clone == "channel":
            expected = expected * torch.block_diag(torch.ones(4, 4), torch.ones(4, 4))
        variance = expected.diag()
        # Gaussian sampling errors; 2 x 72 numbers: 4.5 of them. A covariance of rank 1 leaves only float
        # error in places.
        error = ((expected**2 + variance.outer(variance)) / COUNT).sqrt()
        assert ((covariance(drawn) - expected).abs() < 4.5 * error + 1e-9).all()
        drift = drawn.flatten(1).mean(0) - of_class.flatten(1).mean(0)
        assert (drift.abs() < 4.5 * (variance / COUNT).sqrt() + 1e-9).all()


def test_the_mean_and_covariance_stay_and_the_kurtosis_falls_to_3_along_the_blend():
    random = torch.Generator().manual_seed(0)
    white = torch.empty(COUNT, 2, 5, dtype=torch.float64).exponential_(generator=random)  # kurtosis 9
    mix = torch.eye(5, dtype=torch.float64) + 0.5
    natural = (white @ mix)[None]
    mean = natural.mean(dim=1, keepdim=True)
    cloned = gaussian_clone(natural, COUNT, torch.Generator().manual_seed(1))
    expected = covariance(natural[0])
    kurtosis = []
    for b in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = blend(natural, cloned, mean, b)[0].flatten(1)
        centred = x - x.mean(0)
        products = centred[:, :, None] * centred[:, None, :]
        # `expected` is of the natural draw: the difference has at most the error of x, natural and their
        # cross term
        error = products.flatten(1).std(0).view(10, 10) / math.sqrt(COUNT)
        within = torch.block_diag(torch.ones(5, 5), torch.ones(5, 5)).bool()
        assert ((covariance(x) - expected).abs()[within] < 4.5 * math.sqrt(2) * error[within]).all()
        assert (x.mean(0) - mean.flatten()).abs().max() < 4.5 * math.sqrt(expected.diag().max() / COUNT)
        z = centred[:, 0] / centred[:, 0].std()
        kurtosis.append((z**4).mean().item())
    assert kurtosis == sorted(kurtosis, reverse=True)
    assert kurtosis[0] > 5 and kurtosis[-1] == pytest.approx(3, abs=4 * math.sqrt(24 / COUNT))


def test_the_ends_of_the_blend_are_natural_and_clone_bit_for_bit():
    natural = images().float()
    cloned = gaussian_clone(natural, 30, torch.Generator().manual_seed(1))
    mean = natural.mean(dim=1, keepdim=True)
    assert cloned.dtype == torch.float32
    assert torch.equal(blend(natural, cloned, mean, 0.0), natural)
    assert torch.equal(blend(natural, cloned, mean, 1.0), cloned)
    assert blends.weights(0.0) == (1, 0, 0) and blends.weights(1.0) == (0, 1, 0)


def test_clones_are_a_function_of_the_generator():
    first, again, other = (gaussian_clone(images(), 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_single_image_per_class_is_refused():
    with pytest.raises(ShapeError, match="2 samples or more"):
        gaussian_clone(torch.zeros(2, 1, 1, 8), 3, torch.Generator())
