"""What is checked of the shapes in annotations."""

import jaxtyping
import pytest
import shapes
import torch
from beartype import beartype
from jaxtyping import Float
from torch import Tensor

from impray.masks.magnitude import magnitude
from impray.nets.mlp import Architecture


@pytest.fixture
def doubled():
    """A function as the import hook leaves it, and with checks on."""
    before = shapes.Checks.on
    shapes.Checks.begin(True)

    @jaxtyping.jaxtyped(typechecker=beartype)
    def doubled(x: Float[Tensor, "a b"], y: Float[Tensor, " b"]) -> Float[Tensor, "a b"]:
        return 2 * x if y.sum() == 0 else x[0]

    yield doubled
    shapes.Checks.begin(before)


X, Y, WRONG = torch.ones(3, 2), torch.zeros(2), torch.zeros(3)


def test_what_comes_in_and_goes_out_is_checked(doubled):
    assert torch.equal(doubled(X, Y), 2 * X)
    with pytest.raises(jaxtyping.TypeCheckError):
        doubled(X, WRONG)
    with pytest.raises(jaxtyping.TypeCheckError):
        doubled(X, Y + 1)


def test_first_calls_are_checked_and_then_one_in_so_many(doubled):
    found = []
    for _ in range(shapes.FIRST + 3 * shapes.EVERY):
        try:
            doubled(X, WRONG)
        except jaxtyping.TypeCheckError:
            found.append(True)
        else:
            found.append(False)
    assert all(found[: shapes.FIRST]) and sum(found[shapes.FIRST :]) == 3
    shapes.Checks.begin(True)  # another test begins with checks
    with pytest.raises(jaxtyping.TypeCheckError):
        doubled(X, WRONG)


def test_where_a_test_wants_none_nothing_is_checked(doubled):
    shapes.Checks.begin(False)
    assert torch.equal(doubled(X, WRONG), 2 * X)


def test_what_the_tests_import_is_checked_so():
    for one in (Architecture.initial, Architecture.preactivations, magnitude):
        assert one.__code__.co_filename == shapes.__file__
