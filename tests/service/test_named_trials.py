"""Trials know their names: in the table `trials`, whoever wrote it."""

import polars as pl
import pytest
from conftest import sweep_into, tiny_sweep

from impray.results import tables
from impray.results.paths import Paths
from impray.results.tables import scan
from impray.spec.trial import Trial
from impray.theory.naming import named

SMALL = {"measures": ["accuracy"], "methods": ["imp"], "seeds": 1, "rounds": 0}
COLUMNS = ("name", "kind", "family", "excess_kurtosis")


def trials(folder) -> pl.DataFrame:
    return scan("trials", folder).sort("number").collect()


def of_gains(*gains, xis=((1, 2),)):
    return tiny_sweep(**SMALL, **{"search.space": {"data.xi": [*map(list, xis)], "data.gain": list(gains)}})


def test_a_row_says_what_its_data_are_called(tmp_path):
    sweep_into(tmp_path / "s", of_gains(0.01, 3.0))
    rows = trials(tmp_path / "s")
    assert rows["name"].to_list() == ["NLGP(0.01)", "NLGP(3)"]
    assert rows["kind"].to_list() == ["nlgp"] * 2 and rows["family"].to_list() == ["pointwise"] * 2
    described = [Trial.model_validate_json(text) for text in rows["description"]]
    assert rows["excess_kurtosis"].to_list() == [each.excess_kurtosis for each in named(described)]
    assert (
        -2 < rows["excess_kurtosis"][1] < rows["excess_kurtosis"][0] == pytest.approx(-8e-4, rel=1e-3)
    )  # -8 g^2 + O(g^4)


def test_a_name_stays_when_the_folder_takes_other_data_of_that_name(tmp_path):
    sweep_into(tmp_path / "s", of_gains(3.0))
    before = trials(tmp_path / "s")
    sweep_into(tmp_path / "s", of_gains(3.0, xis=((1, 3), (1, 2))))  # the new one comes first
    rows = dict(trials(tmp_path / "s").select("trial", "name").iter_rows())
    assert rows.pop(before["trial"][0]) == "NLGP(3)" and list(rows.values()) == ["NLGP(3), xi 1/3"]


def test_a_folder_that_has_no_names_gets_them_without_running_anything(tmp_path):
    sweep = of_gains(0.01, 3.0)
    sweep_into(tmp_path / "s", sweep)
    whole, paths = trials(tmp_path / "s"), Paths(tmp_path / "s")
    for file in paths.row_files("trials"):
        file.delete()
    paths.rows("trials", "all-old").write(tables.parquet("trials", whole.drop(COLUMNS)))
    assert trials(tmp_path / "s")["name"].to_list() == [None, None]
    report, _ = sweep_into(tmp_path / "s", sweep)
    assert report.ran == 0
    assert trials(tmp_path / "s").select(COLUMNS).equals(whole.select(COLUMNS))
