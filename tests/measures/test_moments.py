"""Kurtosis, IPR, density, accuracy: closed forms, invariances, independent slow versions."""

import numpy as np
import pytest
import scipy.stats
import torch

from impray.measures import MEASURES
from impray.measures.forward import frequent, frequent_classes
from impray.measures.ipr import ipr
from impray.measures.kurtosis import kurtosis, per_class
from impray.spec import families


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def test_rare_classes_are_left_out_where_others_are_frequent():
    labels = torch.tensor([0] * 9 + [1] * 3 + [2] * 8)
    inputs = torch.arange(20.0)[:, None]
    kept, of = frequent_classes(inputs, labels)
    assert of.tolist() == [0] * 9 + [2] * 8 and torch.equal(kept, inputs[[*range(9), *range(12, 20)]])
    few, all_of = frequent_classes(inputs[9:12], labels[9:12])
    assert len(few) == len(all_of) == 3  # none is frequent: all that there is


def test_the_same_sample_many_times_is_one_unless_each_was_drawn_for_itself():
    different = torch.randn(11, 4, generator=gen(6))
    repeated = torch.cat([different[:3].repeat_interleave(torch.tensor([7, 3, 2]), dim=0), different[3:].repeat(5, 1)])
    labels = torch.tensor([0] * 12 + [1] * 40)
    assert (
        frequent(repeated, labels).tolist() == [False] * 12 + [True] * 40
    )  # 8 different ones, and all of their repeats
    assert frequent(repeated, labels, fresh=True).all()
    assert (
        frequent(repeated[:12], labels[:12]).all() and frequent(repeated[:-5], labels[:-5])[:12].any().item() is False
    )
    one_short = torch.cat([repeated[:12], different[3:10].repeat(600, 1)])
    assert frequent(
        one_short, torch.arange(len(one_short)).clamp(11, 12) - 11
    ).all()  # neither class: all that there is
    # Different ones that come late are found too.
    late = torch.cat([different[:1].repeat(2000, 1), different])
    assert frequent(torch.cat([late, repeated[:12]]), torch.tensor([0] * len(late) + [1] * 12)).sum() == len(late)
    assert len(frequent(repeated[:0], labels[:0])) == 0


def test_per_class_of_some_classes_is_their_mean():
    values, labels = torch.randn(90, 4, generator=gen(2), dtype=torch.float64), torch.arange(90) % 3
    some = labels != 1
    assert torch.equal(per_class(values, labels, torch.tensor([0, 2])), per_class(values[some], labels[some]))


def test_every_kind_of_measure_has_its_implementation():
    assert set(MEASURES) == set(families.measures.specs)
    names = [c.name for kind in families.measures.specs for c in (*kind.lineage_columns, *kind.unit_columns)]
    assert len(names) == len(set(names))


def test_kurtosis_is_scipys():
    values = torch.randn(500, 7, generator=gen(), dtype=torch.float64) ** 3
    expected = scipy.stats.kurtosis(values.numpy(), axis=0, fisher=False)
    np.testing.assert_allclose(kurtosis(values), expected, rtol=1e-12)


def test_kurtosis_of_two_equal_values_is_one_and_of_a_gaussian_three():
    assert kurtosis(torch.tensor([[1.0], [-1.0]])).item() == 1
    n = 2**18
    value = kurtosis(torch.randn(n, 1, generator=gen(3), dtype=torch.float64)).item()
    assert abs(value - 3) < 4 * (24 / n) ** 0.5


def test_kurtosis_ignores_scale_and_shift():
    values = torch.randn(300, 3, generator=gen(1), dtype=torch.float64)
    np.testing.assert_allclose(kurtosis(5 - 3e-4 * values), kurtosis(values), rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4])
def test_kurtosis_of_a_constant_is_undefined(constant, dtype):
    assert kurtosis(torch.full((50, 1), constant, dtype=dtype)).isnan().all()


def test_per_class_is_the_mean_of_the_classes_own():
    values, labels = torch.randn(90, 4, generator=gen(2), dtype=torch.float64), torch.arange(90) % 3
    slow = torch.stack([kurtosis(values[labels == c]) for c in range(3)]).mean(0)
    assert torch.equal(per_class(values, labels), slow)


@pytest.mark.parametrize("n", [1, 4, 40])
def test_ipr_of_n_equal_weights_is_one_over_n(n):
    w = torch.zeros(2, 40)
    w[:, :n] = torch.tensor([[3.0], [-1e-12]])
    np.testing.assert_allclose(ipr(w), 1 / n, rtol=1e-12)


def test_ipr_of_a_gaussian_vector_is_three_over_n():
    n = 2**16
    value = ipr(torch.randn(1, n, generator=gen(4), dtype=torch.float64)).item()
    # m4/m2^2 has variance 24/n for a Gaussian
    assert abs(n * value - 3) < 4 * (24 / n) ** 0.5


def test_ipr_without_weights_is_undefined():
    assert ipr(torch.zeros(1, 5)).isnan().all()
