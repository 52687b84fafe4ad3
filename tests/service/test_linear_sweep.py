"""Sweeps of linear models through the service: in this process and in actors, going on, the plan, and large ones in parts."""

import polars as pl
import pytest
from conftest import assert_same_tables, rows_of, sweep_into
from linear_sweeps import linear_sweep

from impray.results import ledger, tables
from impray.results.ledger import Ledger
from impray.results.undone import undone
from impray.service import estimate, plan
from impray.service.doctor.needs import needs
from impray.spec.axes import check

TABLES = ("rounds", "removals", "trials")
AXES = {
    "search.space": {"data.law": ["gaussian", "signs"], "data.nonzero": [2, 3]},
    "search.pack": ["data.law"],
    "measures": ["support", "estimation", "order", "design", "removals", "loss"],
    "rows_at": "truth",
}


@pytest.mark.ray
@pytest.mark.slow
def test_here_and_on_ray_give_the_same_tables(tmp_path, keep_ray):
    sweep = linear_sweep(**AXES)
    assert check(sweep) == []
    report, _ = sweep_into(tmp_path / "here", sweep)
    assert report.count("done") == 4
    report, _ = sweep_into(tmp_path / "ray", sweep, "ray")
    assert report.count("done") == 4
    assert_same_tables(tmp_path / "here", tmp_path / "ray", TABLES)
    rows = rows_of(tmp_path / "here", "rounds")
    assert rows.height == 4 * 9 * 3
    assert set(rows.select("data.nonzero", "round").unique().iter_rows()) == {(2, 8), (3, 7)}
    assert (
        rows.filter(pl.col("method") != "lasso")["density"] * 10
        == rows.filter(pl.col("method") != "lasso")["data.nonzero"]
    ).all()


@pytest.mark.slow
def test_the_second_time_changes_nothing_and_more_seeds_extend_it(tmp_path):
    sweep = linear_sweep(**AXES)
    sweep_into(tmp_path, sweep)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    report, _ = sweep_into(tmp_path, sweep)
    assert report.ran == 0 and {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before
    report, _ = sweep_into(tmp_path, linear_sweep(**AXES, seeds=5))
    assert report.ran == 2  # packs
    sweep_into(tmp_path / "whole", linear_sweep(**AXES, seeds=5))
    assert_same_tables(tmp_path, tmp_path / "whole", TABLES)


def test_lost_removals_are_no_finished_sweep(tmp_path):
    sweep = linear_sweep(**AXES)
    sweep_into(tmp_path, sweep)
    whole = rows_of(tmp_path, "removals")
    for path in (tmp_path / "tables" / "removals").iterdir():
        path.unlink()
    assert rows_of(tmp_path, "removals").is_empty()
    assert undone(tmp_path) == set(rows_of(tmp_path, "trials")["trial"])
    sweep_into(tmp_path, sweep)
    assert rows_of(tmp_path, "removals").equals(whole) and undone(tmp_path) == frozenset()


def test_large_packs_are_cut(monkeypatch):
    """Masks and weights of a pack fit in memory, whatever the number of seeds."""
    sweep = linear_sweep(methods=["imp"], seeds=50, rows_at="all")
    trials = plan.listed(sweep)
    assert len(plan.packs(sweep, trials, Ledger(), {}, 1)) == 1
    monkeypatch.setattr(plan, "_MOST_ENTRIES", 50 * 9 * 10 // 4)
    cut = plan.packs(sweep, trials, Ledger(), {}, 1)
    assert len(cut) == 4
    assert sorted(i.seed for pack in cut for i in pack.lineages) == list(range(50))


@pytest.mark.slow
def test_the_plan_knows_the_cost_and_the_needs(tmp_path):
    sweep = linear_sweep(**AXES, seeds=40)
    text = "\n".join(estimate.lines(sweep, "linear", tmp_path))
    assert "as many weights are left as the truth has" in text and "solved and measured" in text
    of_sweep = needs(sweep, ledger.read(tmp_path))
    assert of_sweep.checkpoints == 0 and of_sweep.lineages == 4 * 9 * 40
    sweep_into(tmp_path, sweep)
    files = sum(path.stat().st_size for path in (tmp_path / "tables").rglob("*.parquet"))
    assert files < of_sweep.tables
    assert tables.scan("rounds", tmp_path).collect().height == 4 * 9 * 40
