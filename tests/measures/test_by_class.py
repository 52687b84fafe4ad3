"""Laws of kurtoses class by class: of preactivations and of inputs."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from measures.test_every_measure import asked, state_of

from impray.measures import MEASURES
from impray.measures.inputs import within
from impray.measures.kurtosis import by_class, by_label, median
from impray.spec import measure as spec

torch.set_num_threads(1)


def drawn(samples: int, inputs: int, seed: int = 0) -> torch.Tensor:
    return (1 + torch.randn(samples, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)) ** 3


def test_each_class_has_scipys_kurtosis():
    values, labels = drawn(120, 5), torch.arange(120) % 4
    found = by_class(values, labels, torch.tensor([0, 3]))
    expected = [scipy.stats.kurtosis(values[labels == label], axis=0, fisher=False) for label in (0, 3)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("classes", [1, 2, 5, 10])
def test_the_median_is_numpys_and_undefined_where_the_mean_is(classes):
    values = drawn(classes, 6, seed=classes)
    np.testing.assert_array_equal(median(values), np.median(values, axis=0))
    values[0, 2] = math.nan
    assert median(values).isnan().tolist() == values.mean(dim=0).isnan().tolist()


def test_a_list_has_a_place_for_every_label():
    listed = by_label(torch.tensor([5.0, 7.0]), torch.tensor([1, 4]), torch.tensor([4, 1, 2, 5]))
    assert [value for value in listed if not math.isnan(value)] == [5, 7]
    assert (len(listed), listed[1], listed[4]) == (6, 5, 7)
    assert by_label(torch.empty(0), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)) == []


def test_the_columns_of_a_unit_and_of_a_lineage_are_of_the_same_classes():
    state = state_of(samples=60)
    found = MEASURES[spec.Kurtosis](asked(spec.Kurtosis), state)
    inputs, labels = state.held_out(0)
    preactivations = inputs @ state.start["weight1"][0].T
    classes = np.array([scipy.stats.kurtosis(preactivations[labels == label], fisher=False) for label in (0, 1)])
    for suffix in ("", "_end"):
        units = {name: values[0] for name, values in found.units[1].items()}
        np.testing.assert_allclose(units["kurtosis_per_class" + suffix], classes.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(units["kurtosis_class_median" + suffix], np.median(classes, axis=0), rtol=1e-9)
        listed = found.lineage["kurtosis_by_class" + suffix]
        np.testing.assert_allclose(listed[0], classes.mean(axis=1), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, of the constant
def test_the_kurtosis_of_inputs_within_classes_is_that_of_each_class_alone():
    x, labels = drawn(90, 70, seed=1), torch.arange(90) % 3  # three portions of inputs
    x[labels == 2] *= 10
    x[:, 4] = torch.where(labels == 0, 1.5, x[:, 4])  # constant in one class: left out there
    found = within(x, labels)
    with np.errstate(invalid="ignore"):
        each = [scipy.stats.kurtosis(x[labels == label], axis=0, fisher=False) for label in range(3)]
    each[0][4] = math.nan
    np.testing.assert_allclose(found.kurtosis, np.nanmean(each, axis=1), rtol=1e-10)
    assert found.classes.tolist() == [0, 1, 2]


def test_gaussian_classes_of_different_variance_are_gaussian_within_and_heavy_tailed_together():
    n = 2**14
    labels = torch.arange(2 * n) % 2
    x = torch.randn(2 * n, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    x = x * torch.where(labels == 0, 1.0, 3.0)[:, None]
    assert (within(x, labels).kurtosis - 3).abs().max() < 4 * math.sqrt(24 / n)
    pooled = by_class(x, torch.zeros_like(labels), torch.tensor([0])).item()
    assert pooled == pytest.approx(3 * (1 + 81) / 2 / 25, rel=0.05)  # 3 E s^4 / (E s^2)^2


def test_rare_classes_have_no_number_and_no_say_in_the_median():
    x = drawn(43, 4, seed=3)
    labels = torch.tensor([0] * 20 + [1] * 3 + [3] * 20)
    found = within(x, labels)
    assert found.classes.tolist() == [0, 3]
    listed = by_label(found.kurtosis, found.classes, labels)
    assert [math.isnan(value) for value in listed] == [False, True, True, False]
