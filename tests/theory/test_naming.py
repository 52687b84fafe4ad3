"""Laws of names: two different data never share one, and each kind says what it is and how far from Gaussian."""

import itertools
import math
from pathlib import Path

import pytest
from data.linear_data import linear

from impray.spec.axes import trials as listed
from impray.spec.data import Arrays, Digits, Elliptical, ImageCoordinates, Ising, Kur, Nlgp, Photographs, Planted
from impray.spec.load import load
from impray.spec.trial import Trial
from impray.theory.naming import Names, described, named, short

SHORT = {
    "NLGP(0.01)": Nlgp(gain=0.01),
    "Kur(5)": Kur(k=5),
    "Kur(4.5), blend 0.3": Kur(k=4.5, gaussian_blend=0.3),
    "Ising": Ising(),
    "t(6)": Elliptical(degrees_of_freedom=6),
    "shell": Elliptical(radius="shell"),
    "photographs": Photographs(),
    "photographs, blend 0.4": Photographs(gaussian_blend=0.4),
    "photographs, clone": Photographs(gaussian_blend=1),
    "linear, identity": linear(),
    "linear, uniform(0.1)": linear(design={"kind": "uniform"}),
    "linear, hub(2)": linear(design={"kind": "hub", "spokes": 2}),
    "planted(10, 5)": Planted(units=10, nonzero=5),
    "digits": Digits(),
    "digits even_odd": Digits(task="even_odd"),
    "image camera": ImageCoordinates(),
    "image mine": ImageCoordinates(image="folder/mine.png"),
}
SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))


def names(*data):
    return [each.name for each in named(Trial.model_validate({"data": one, "train": {"loss": "mse"}}) for one in data)]


@pytest.mark.parametrize("name", SHORT)
def test_the_short_name_is_the_papers(name):
    assert short(SHORT[name]) == name


def test_data_that_share_a_short_name_say_where_they_differ():
    base = Nlgp(gain=0.01, xi=(0.3, 0.7))
    far, flat = base.model_copy(update={"xi": (1.0, 3.0)}), base.model_copy(update={"shape": (6, 6)})
    assert names(base, far, base, flat) == ["NLGP(0.01)", "NLGP(0.01), xi 1/3", "NLGP(0.01)", "NLGP(0.01), shape 6/6"]


def test_numbers_beyond_six_digits_do_not_read_alike():
    one, other = Nlgp(gain=0.12345678), Nlgp(gain=0.12345679)
    assert names(one, other) == ["NLGP(0.123457)", "NLGP(0.123457), gain 0.12345679"]


def test_no_two_data_share_a_name_whatever_their_order():
    fields = {"gain": (1.0, 1.0000001), "xi": ((1.0, 2.0), (1.0, 3.0)), "gaussian_blend": (0.0, 1.0), "draw": (None, 0)}
    data = [Nlgp(**dict(zip(fields, values, strict=True))) for values in itertools.product(*fields.values())]
    for order in (data, data[::-1], data[5:] + data[:5]):
        assert len(set(names(*order))) == len(data)


def test_a_name_that_was_given_stays_and_is_not_given_again():
    kept = Names()
    kept.keep("NLGP(1)", Nlgp(gain=1, xi=(1, 3)))
    assert kept.of(Nlgp(gain=1, xi=(1, 3))) == "NLGP(1)"
    assert kept.of(Nlgp(gain=1, xi=(1, 2))) == "NLGP(1), xi 1/2"
    kept.keep("NLGP(1)", Nlgp(gain=1, xi=(1, 4)))
    assert kept.of(Nlgp(gain=1, xi=(1, 4))) == "NLGP(1), xi 1/4"
    # In another list NLGP(2) had this name already, of other data than it would be given to here.
    kept.keep("NLGP(2), xi 1/9", Nlgp(gain=2, xi=(1, 9), draw=3))
    assert kept.of(Nlgp(gain=2)) == "NLGP(2)"
    assert kept.of(Nlgp(gain=2, xi=(1, 9))) not in ("NLGP(2)", "NLGP(2), xi 1/9")


@pytest.mark.parametrize(
    ("data", "kind", "family", "excess"),
    [
        (Ising(), "ising", "pointwise", -2),
        (Ising(gaussian_blend=0.5), "ising", "pointwise", -0.5),
        (Nlgp(gaussian_blend=1), "nlgp", "pointwise", 0),
        (Kur(k=4), "kur", "pointwise", math.inf),
        (Elliptical(degrees_of_freedom=6), "elliptical", "elliptical", 3),  # 6 / (v - 4)
        (Elliptical(degrees_of_freedom=3), "elliptical", "elliptical", math.inf),
        (Photographs(gaussian_blend=1), "photographs", "images", None),
        (Arrays(path="a.npz", shape=(4, 4), class_count=2), "arrays", "images", None),
        (Arrays(path="a.npz", shape=(16,), class_count=2), "arrays", "arrays", None),
    ],
)
def test_kind_family_and_excess_kurtosis(data, kind, family, excess):
    found = described(data)
    assert (found.kind, found.family) == (kind, family)
    assert found.excess_kurtosis == (None if excess is None else pytest.approx(excess, abs=1e-12))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_trial_of_a_shipped_sweep_keeps_apart(path):
    sweep = load(path)
    if sweep.search.algorithm == "optuna":
        pytest.skip("lists no trials beforehand")
    of = [trial for _, trial in listed(sweep)]
    by_name = dict(zip((each.name for each in named(of)), (trial.data for trial in of), strict=True))
    assert len(by_name) == len({trial.data.model_dump_json() for trial in of})


def test_linear_models_say_where_they_differ_and_have_no_kurtosis():
    tall, exact = linear(samples=50), linear(design={"exact": True})
    assert names(linear(), tall, exact) == [
        "linear, identity",
        "linear, identity, samples 50",
        "linear, identity, design exact True kind identity",
    ]
    told = described(linear(design={"kind": "relu_features"}))
    assert (told.family, told.kind, told.excess_kurtosis) == ("linear", "linear", None)
