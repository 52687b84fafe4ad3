"""Laws of kurtoses that one reading of the numbers gives: of all samples, and within each class."""

import numpy as np
import pytest
import torch

from impray.measures import moments
from impray.measures.kurtosis import by_class, kurtosis
from impray.measures.moments import Classes, kurtoses

torch.set_num_threads(1)


def drawn(dtype=torch.float32, offset=0.0, samples=900, units=35):
    """Preactivations of classes that differ in mean, spread and shape; the last unit is constant, the one before in one class."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 5, (samples,), generator=generator)
    values = torch.randn(samples, units, generator=generator, dtype=torch.float64)
    values = values ** (1 + 2 * (labels % 2))[:, None] * (1 + labels)[:, None] + 2.0 * labels[:, None] + offset
    values[:, -1] = 0.3
    values[labels == 2, -2] = -1.7
    return values.to(dtype), labels


def oracle(values: torch.Tensor) -> np.ndarray:
    """In extended precision, one after the other; NaN for a constant."""
    x = values.numpy().astype(np.longdouble)
    centred = x - x.mean(axis=0)
    centred -= centred.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (centred**4).mean(axis=0) / variance**2
    return np.where(x.max(axis=0) > x.min(axis=0), found, np.nan).astype(float)


@pytest.mark.parametrize("offset", [0.0, -300.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_are_those_of_extended_precision(dtype, offset):
    values, labels = drawn(dtype, offset)
    classes = torch.tensor([4, 0, 2])  # the others count where all do
    found = kurtoses(values, Classes(labels, classes))
    # Sums of 900 numbers in 29 chains of 32 at most: some 70 roundings of 2^-53 in the fourth power, and twice in the variance's square.
    tolerance = 3 * 70 * 2**-53
    np.testing.assert_allclose(found.pooled, oracle(values), rtol=tolerance)
    slow = np.stack([oracle(values[labels == label]) for label in (4, 0, 2)])
    np.testing.assert_allclose(found.within, slow, rtol=tolerance)
    assert found.pooled[-1].isnan() and found.within[2, -2:].isnan().all() and not found.within[:2, -2].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_unit_and_no_class_sees_another_bit_for_bit(dtype):
    values, labels = drawn(dtype)
    classes = labels.unique()
    found = kurtoses(values, Classes(labels, classes))
    for unit in (0, 17, 33):
        alone = kurtoses(values[:, unit : unit + 1].clone(), Classes(labels, classes))
        assert torch.equal(alone.pooled, found.pooled[unit : unit + 1])
        assert torch.equal(alone.within.nan_to_num(-1), found.within[:, unit : unit + 1].nan_to_num(-1))
    for label in classes.tolist():
        own = kurtosis(values[labels == label])
        assert torch.equal(own.nan_to_num(-1), by_class(values, labels, classes[label : label + 1])[0].nan_to_num(-1))
        assert torch.equal(own[:-2], found.within[label, :-2])
    # Wherever the numbers lie.
    assert torch.equal(kurtosis(values.T.contiguous().T)[:-1], kurtosis(values)[:-1])
    assert torch.equal(kurtosis(values[:, 3:9]), kurtosis(values)[3:9])


def test_without_the_kernel_numbers_are_the_same_to_rounding(monkeypatch):
    values, labels = drawn(offset=5.0)
    of = Classes(labels, labels.unique())
    fast = kurtoses(values, of)
    monkeypatch.setattr(moments, "lacking", lambda: "another processor")
    for one, other in zip(fast, kurtoses(values, of), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)


@pytest.mark.parametrize("power", [-1000, 980])
def test_classes_may_be_of_any_size_beside_one_another(power):
    values, labels = drawn(torch.float64)
    of = Classes(labels, labels.unique())
    scale = torch.ones(len(labels), 1, dtype=torch.float64)
    scale[labels == 3] = 2.0**power
    assert torch.equal(kurtoses(values * scale, of).within.nan_to_num(-1), kurtoses(values, of).within.nan_to_num(-1))


def test_numbers_that_are_not_finite_spoil_their_own_unit_and_class_alone():
    values, labels = drawn()
    of, spoiled = Classes(labels, labels.unique()), values.clone()
    place = int((labels == 1).nonzero()[0])
    spoiled[place, 4], spoiled[place, 5] = torch.inf, torch.nan
    fine, found = kurtoses(values, of), kurtoses(spoiled, of)
    assert found.pooled[4:6].isnan().all() and found.within[1, 4:6].isnan().all()
    fine.pooled[4:6] = fine.within[1, 4:6] = torch.nan
    assert torch.equal(found.pooled.nan_to_num(-1), fine.pooled.nan_to_num(-1))
    assert torch.equal(found.within.nan_to_num(-1), fine.within.nan_to_num(-1))
