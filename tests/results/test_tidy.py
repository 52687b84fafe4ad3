"""The tidy loader: which rows a figure sees of a sweep whose tables are written by hand."""

import itertools
import math

import pytest
from conftest import sweep_into, tiny_sweep
from fake_sweep import Fake
from polars import col

import impray
from impray.results.axis_values import label, positions
from impray.results.quantities import ACCURACY, CLUSTERING, QUANTITIES, Quantity, quantity
from impray.results.schema import columns
from impray.results.tables import write
from impray.results.tidy import EVERY, LEAST, MOST, Density, NotMeasured, Round, results
from impray.spec.errors import DataError


@pytest.fixture
def fake(tmp_path):
    fake = Fake(tmp_path / "fake", gains=(0.01, 1.0, 30.0), methods=("imp", "random"), seeds=3, rounds=3)
    for number in range(3):
        for round in range(4):
            if (number, round) != (2, 3):  # the last trial is one round behind
                fake.round(
                    number,
                    round,
                    clustering_mean=lambda m, s, n=number, r=round: 100 * n + 10 * r + s + (m == "imp") / 2,
                )
    return fake


def test_every_trial_is_read_at_the_last_round_that_all_its_lineages_have(fake):
    of = results(fake.folder)
    found = of.values(CLUSTERING)
    assert len(found) == 18 and of.last == 2
    assert dict(found.group_by("number").agg(col("round").unique().first()).iter_rows()) == {0: 3, 1: 3, 2: 2}
    assert set(of.values(CLUSTERING, Round(1))["round"]) == {1}
    assert len(of.values(CLUSTERING, EVERY)) == 6 * (4 + 4 + 3)


def test_a_density_is_the_first_round_at_or_below_it(fake):
    found = results(fake.folder).values(CLUSTERING, Density(0.8))
    assert set(found["round"]) == {1} and found["density"].to_list() == [0.8] * 18
    assert set(results(fake.folder).values(CLUSTERING, Density(0.79))["round"]) == {2}
    with pytest.raises(NotMeasured, match="1 %"):
        results(fake.folder).values(CLUSTERING, Density(0.01))


def test_trials_know_what_they_are(fake):
    of = results(fake.folder).lineages.unique("number").sort("number")
    assert of["name"].to_list() == ["NLGP(0.01)", "NLGP(1)", "NLGP(30)"]
    assert of["end"].to_list() == [MOST, "", LEAST]  # a large gain is binary
    assert of["family"].to_list() == ["pointwise"] * 3
    excess = of["excess"].to_list()
    assert abs(excess[0]) < 1e-3 and excess[0] > excess[1] > excess[2] > -2


def test_a_diverged_lineage_has_no_values_and_holds_nobody_up(fake):
    def status(method, seed):
        return "diverged" if (method, seed) == ("imp", 1) else "done"

    fake.round(0, 1, file="again", status=status, clustering_mean=1.0)
    of = results(fake.folder)
    assert len(of.values(CLUSTERING).filter(col("number") == 0)) == 5
    assert "1 of 18 lineages diverged (1 of imp on NLGP(0.01)); left out." in of.missing


def test_undefined_is_null_and_not_measured_is_no_row(fake):
    fake.round(1, 3, file="again", clustering_mean=lambda m, s: math.nan if s == 0 else None if s == 1 else 5.0)
    found = results(fake.folder).values(CLUSTERING).filter(col("number") == 1)
    assert sorted(found["seed"].to_list()) == [0, 0, 2, 2]
    assert found.filter(col("seed") == 0)["value"].to_list() == [None, None]
    with pytest.raises(NotMeasured, match="rf_width"):
        results(fake.folder).values(QUANTITIES["rf_width_px_median"])


def test_means_over_units_are_those_of_a_slow_version(fake):
    keys = [lineage for lineage in fake.lineages(0) if lineage.method == "imp"]
    rows = []
    for each, layer, unit in itertools.product(keys, (1, 2), range(4)):
        row = {"lineage": each.id, "round": 3, "method": "imp", "seed": each.seed, "layer": layer, "unit": unit}
        rows.append(row | {"fan_in": 10 * layer + unit + each.seed})
    write(fake.paths, "units", "u", rows, {"data.gain": "float"})
    of = results(fake.folder)
    for how, slow in (("mean", 21.5), ("median", 21.5), ("count", 4.0)):
        asked = Quantity(f"x_{how}", "x", column="fan_in", reduce=how, layer=2)
        found = of.values(asked).sort("seed")
        assert found["value"].to_list() == [slow + (seed if how != "count" else 0) for seed in range(3)]
    second = QUANTITIES["fan_in_mean"].in_layer(2)
    assert (second.column, second.reduce, second.layer) == ("fan_in", "mean", 2)
    assert (
        of.values(second)["value"].to_list()
        == of.values(Quantity("y", "y", column="fan_in", reduce="mean", layer=2))["value"].to_list()
    )


def test_only_and_round_name_what_is_there(fake):
    assert set(results(fake.folder, {"data.gain": "1.0"}).lineages["number"]) == {1}
    assert results(fake.folder, {"data.gain": "1.0"}).lineages["name"].unique().to_list() == ["NLGP(1)"]
    with pytest.raises(DataError, match="there are 0.01, 1, 30"):
        results(fake.folder, {"data.gain": "2"})
    with pytest.raises(DataError, match="its axes: data.gain"):
        results(fake.folder, {"data.k": "2"})
    with pytest.raises(DataError, match="--round 9"):
        results(fake.folder, round=9)
    assert set(results(fake.folder, round=1).values(ACCURACY)["round"]) == {1}


def test_one_name_is_one_number():
    """Every entry reads columns that the schema has, and no two entries are the same number."""
    known = {column.name for table in ("rounds", "units") for column in columns(table)}
    entries = list(QUANTITIES.values())
    assert all(each.read in known for each in entries if each.make is None)
    assert len({(each.read, each.reduce, each.layer) for each in entries}) == len(entries)
    assert quantity("kurtosis_mean").read == "kurtosis_mean"
    assert quantity(entries[0]) is entries[0]


def test_a_name_that_is_wrong_is_told_with_what_would_be_right(tmp_path):
    """Of a quantity, a table's column, a column of a row: never an empty frame."""
    sweep_into(tmp_path / "x", tiny_sweep(rounds=1, seeds=1, measures=["accuracy"]))
    of, door = results(tmp_path / "x"), impray.load(tmp_path / "x")
    for ask in (quantity, of.values, door.quantity):
        with pytest.raises(DataError, match=r"'acuracy'.*did you mean 'accuracy'"):
            ask("acuracy")
        with pytest.raises(DataError, match=r"'no such column'.*docs/quantities.md"):
            ask("no such column")
    with pytest.raises(DataError, match="did you mean 'method'"):
        of.values("accuracy", metod="imp")
    with pytest.raises(DataError, match="no column densty; did you mean 'density'"):
        of.rows("rounds", ["densty"])
    with pytest.raises(DataError, match="no column rownd; did you mean 'round'"):
        of.rows("rounds", rownd=1)
    with pytest.raises(NotMeasured, match="method = impp"):
        of.values("accuracy", method="impp")
    with pytest.raises(NotMeasured, match="has not measured psnr"):
        of.values("psnr")
    with pytest.raises(DataError, match="has not measured it; it has accuracy"):
        door.quantity("psnr")
    assert of.values("accuracy").equals(of.values(quantity("accuracy")))
    assert door.quantity("accuracy")["value"].to_list() == door.rounds["accuracy"].to_list()


@pytest.mark.parametrize(
    ("values", "scale", "places"),
    [
        ([1, 2.0, 4], "linear", [1, 2, 4]),
        ([0.1, 10], "log", [0.1, 10]),
        (["b", "a", "b"], "names", [0, 1, 0]),
        ([True, False], "names", [0, 1]),
    ],
)
def test_places_on_an_axis(values, scale, places):
    assert positions(values) == ([label(value) for value in values], places, scale)


def test_what_a_trial_is_called_does_not_depend_on_which_others_are_read(fake):
    """Number and name are the table's own, also of one trial alone."""
    whole = results(fake.folder).lineages.select("trial", "number", "name").unique()
    for gain in ("0.01", "1", "30"):
        alone = results(fake.folder, {"data.gain": gain}).lineages.select("trial", "number", "name").unique()
        assert alone.join(whole, on=alone.columns).height == alone.height == 1
    fake.trial(1, "done", name="as it was called")
    assert "as it was called" in set(results(fake.folder).lineages["name"])
