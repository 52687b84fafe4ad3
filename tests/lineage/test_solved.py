"""Solved rounds: which rows there are, that neighbours do not matter, that a killed pack goes on, and that the other way gives the same."""

import dataclasses

import polars as pl
import pytest
import torch
from conftest import rows_of, run
from linear_sweeps import linear_pack, linear_sweep, pack_of

from impray.journey import run_pack
from impray.lineage.solved import NothingDone, SolvedRounds
from impray.results import ledger
from impray.spec import families
from impray.spec.family import changed
from impray.spec.pack import Pack, stackable

NESTED = ["imp", "oneshot", "random", "backward", "alignment", "hard_threshold"]


def test_rows_are_there_where_they_were_asked_for(tmp_path):
    pack = linear_pack()
    assert run(pack, tmp_path) == [0, 4, 7, 8]  # the last round in any case, for whoever counts rounds
    rounds = rows_of(tmp_path, "rounds")
    assert rounds.height == 9 * 3 * 3 and set(rounds["round"]) == {0, 4, 7}
    assert set(rounds["status"]) == {"done"} and rounds["exact"].all() and rounds["trained"].all()
    kept = rounds.select("round", pl.col("density") * 10).unique().sort("round")["density"].to_list()
    assert kept == pytest.approx([10, 6, 3])
    assert not (tmp_path / "checkpoints").exists()  # nothing is kept but rows
    assert rows_of(tmp_path, "fates").is_empty()


@pytest.mark.parametrize(("rows_at", "rounds"), [("all", list(range(9))), ("last", [8]), ("truth", [7])])
def test_other_ways_to_ask(tmp_path, rows_at, rounds):
    pack = linear_pack(rows_at=rows_at, methods=["imp"], measures=["support"])
    run(pack, tmp_path)
    assert sorted(set(rows_of(tmp_path, "rounds")["round"])) == rounds


@pytest.mark.slow
def test_a_row_does_not_depend_on_which_others_there_are(tmp_path):
    """The same numbers, bit for bit, whether all rounds have rows or one."""
    run(linear_pack(rows_at="all"), tmp_path / "all")
    run(linear_pack(rows_at="truth"), tmp_path / "one")
    every, one = (rows_of(tmp_path / name, "rounds").drop("rows_elsewhere") for name in ("all", "one"))
    assert one.equals(every.filter(pl.col("round") == 7), null_equal=True)


def test_removals_tell_the_story(tmp_path):
    """One for each weight that went, in the round whose mask first lacks it; what is left at the end are the kept ones."""
    pack = linear_pack(rows_at=[0, 2, 3], rounds=3, **{"trial.prune": {"keep": [7, 6, 2], "layers": "all"}})
    run(pack, tmp_path)
    removals = rows_of(tmp_path, "removals")
    assert set(removals["method"]) == set(NESTED)
    assert removals.height == len(NESTED) * 3 * 8
    for (_,), part in removals.group_by("lineage"):
        assert part.sort("removal")["round"].to_list() == [1, 1, 1, 2, 3, 3, 3, 3]
        assert part["feature"].n_unique() == 8 and part["feature"].is_between(0, 9).all()
        assert (part["weight"].abs() == part["abs_weight"]).all()
    found = removals.group_by("lineage").agg(pl.col("in_truth").sum().alias("lost"))
    rounds = rows_of(tmp_path, "rounds").filter(pl.col("round") == 3).join(found, on="lineage")
    assert (rounds["support_recall"] * 3 + rounds["lost"]).to_list() == pytest.approx([3] * rounds.height)


@pytest.mark.some(1)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("samples", [20, 6])
@pytest.mark.parametrize("train", [{"optimizer": "gradient_flow"}, {"optimizer": "gradient_flow", "time": 2.0}])
def test_a_pack_of_16_problems_is_16_packs_of_one(tmp_path, samples, train):
    measures = ["support", "estimation", "order", "design", "removals", "loss"]
    changes = {"trial.data.samples": samples, "trial.train": train, "measures": measures, "seeds": 16}
    together = linear_pack(**changes)
    run(together, tmp_path / "together")
    tables = {table: rows_of(tmp_path / "together", table) for table in ("rounds", "removals")}
    for seed in (0, 7, 15):
        alone = linear_pack(**{**changes, "seeds": [seed]})
        run(alone, tmp_path / str(seed))
        for table, rows in tables.items():
            assert rows_of(tmp_path / str(seed), table).equals(rows.filter(pl.col("seed") == seed), null_equal=True)


def test_a_pack_that_was_interrupted_goes_on_and_what_is_done_is_done(tmp_path):
    pack = linear_pack()
    run(pack, tmp_path / "whole")
    cut = tmp_path / "cut"
    run(pack.model_copy(update={"rows_at": (0,)}), cut)  # as if it had been killed after its first file
    written = {path: path.stat().st_mtime_ns for path in (cut / "tables" / "rounds").iterdir()}
    list(run_pack(pack, cut))
    assert {path: path.stat().st_mtime_ns for path in written} == written
    for table in ("rounds", "removals"):
        assert rows_of(cut, table).equals(rows_of(tmp_path / "whole", table), null_equal=True)
    before = {path: path.stat().st_mtime_ns for path in cut.rglob("*.parquet")}
    assert list(run_pack(pack, cut)) == [8]
    assert {path: path.stat().st_mtime_ns for path in cut.rglob("*.parquet")} == before


def test_removals_that_are_lost_are_made_again(tmp_path):
    pack = linear_pack()
    run(pack, tmp_path)
    whole = rows_of(tmp_path, "removals")
    for path in (tmp_path / "tables" / "removals").iterdir():
        path.unlink()
    imp = next(lineage for lineage in pack.lineages if lineage.method == "imp")
    iht = next(lineage for lineage in pack.lineages if lineage.method == "iht")
    left = ledger.read(tmp_path)
    assert not left.complete(imp, pack) and left.complete(iht, pack)
    list(run_pack(pack, tmp_path))
    assert rows_of(tmp_path, "removals").equals(whole, null_equal=True)
    assert ledger.read(tmp_path).complete(imp, pack)


@pytest.mark.slow
def test_a_longer_sweep_and_more_measures_extend_what_is_there(tmp_path):
    run(linear_pack(rows_at=[4], measures=["support", "removals"]), tmp_path)
    sweep = linear_sweep()
    list(run_pack(pack_of(sweep, known=True), tmp_path))
    run(linear_pack(), tmp_path / "fresh")
    for table in ("rounds", "removals"):
        assert rows_of(tmp_path, table).equals(rows_of(tmp_path / "fresh", table), null_equal=True)


def test_the_way_from_round_to_round_gives_the_same(tmp_path, monkeypatch):
    """imp, oneshot and random have rules too: without their solvers each round is trained by itself. Numbers agree to rounding."""
    changes = {"methods": ["imp", "oneshot", "random"], "rows_at": "all", "measures": ["support", "estimation", "loss"]}
    run(linear_pack(**changes), tmp_path / "solved")
    for tag in ("imp", "oneshot", "random"):
        member = dataclasses.replace(families.rules.member(tag), solves=None)
        monkeypatch.setitem(families.rules.members, tag, member)
    pack = linear_pack(**changes)
    assert not pack.solved
    run(pack, tmp_path / "trained")
    solved, trained = (rows_of(tmp_path / name, "rounds") for name in ("solved", "trained"))
    same = ["lineage", "round", "density", "exact_recovery", "support_recall", "support_precision", "kept"]
    assert solved.select(same).equals(trained.select(same))
    for column in ("estimation_error", "prediction_error", "loss"):
        assert solved[column].to_list() == pytest.approx(trained[column].to_list(), rel=1e-9, abs=1e-12)
    changed()


def test_a_problem_that_diverges_ends_alone(tmp_path):
    """Gradient descent with lr above 2 / lambda_max: some seeds' largest eigenvalue is beyond it, others' is not."""
    train = {"optimizer": "gradient_descent", "lr": 0.75, "steps": 20_000}
    pack = linear_pack(methods=["imp"], seeds=24, measures=["support", "removals"], **{"trial.train": train})
    run(pack, tmp_path)
    rounds = rows_of(tmp_path, "rounds")
    over = rounds.filter(pl.col("status") == "diverged")
    assert 0 < over["lineage"].n_unique() < 24
    for lineage in over["lineage"]:
        part = rounds.filter(pl.col("lineage") == lineage)
        assert part["round"].max() == part.filter(pl.col("status") == "diverged")["round"].item()
    fine = rounds.filter(~pl.col("lineage").is_in(over["lineage"].to_list()))
    assert set(fine["round"]) == {0, 4, 7}
    done = ledger.read(tmp_path)
    assert all(done.complete(lineage, pack) for lineage in pack.lineages)


def test_lineages_of_both_sorts_never_share_a_pack():
    solved = linear_sweep(methods=["imp"]).trial.lineages(("imp",), (0,))[0]
    trained = linear_sweep(methods=["imp"]).trial.lineages(("shuffled",), (0,))[0]
    assert solved.solved and not trained.solved
    assert stackable(solved) != stackable(trained)


def test_a_pack_is_written_with_each_trial_once():
    """Thousands of lineages go to an actor: they share their trial there too."""
    pack = linear_pack(seeds=200)
    text = pack.model_dump_json()
    again = Pack.model_validate_json(text)
    assert again == pack and again.id == pack.id and [i.id for i in again.lineages] == [i.id for i in pack.lineages]
    assert text.count('"linear"') <= 4
    assert all(lineage.trial is again.lineages[0].trial for lineage in again.lineages)


def test_nothing_is_solved_before_it_is_asked_for():
    rounds = SolvedRounds(linear_pack(), NothingDone(), torch.device("cpu"), lambda *_: None)
    assert not rounds._paths


@pytest.mark.parametrize("rows_at", ["last", "all"])
def test_a_shorter_sweep_leaves_a_longer_ones_removals(tmp_path, rows_at):
    """Also where it has something new to measure; and it is complete then."""
    run(linear_pack(rows_at=rows_at, methods=["imp"], measures=["support", "removals"]), tmp_path)
    whole = rows_of(tmp_path, "removals")
    sweep = linear_sweep(rows_at=rows_at, methods=["imp"], measures=["support", "removals", "estimation"], rounds=5)
    shorter = pack_of(sweep, known=True)
    list(run_pack(shorter, tmp_path))
    assert rows_of(tmp_path, "removals").equals(whole) and whole.height == 3 * 8
    done = ledger.read(tmp_path)
    assert all(done.complete(lineage, shorter) for lineage in shorter.lineages)


def test_removals_asked_for_later_by_a_shorter_sweep(tmp_path):
    run(linear_pack(rows_at="last", methods=["imp"], measures=["support"]), tmp_path)
    shorter = pack_of(
        linear_sweep(rows_at="last", methods=["imp"], measures=["support", "removals"], rounds=5), known=True
    )
    list(run_pack(shorter, tmp_path))
    assert rows_of(tmp_path, "removals").height == 3 * 5
    done = ledger.read(tmp_path)
    assert all(done.complete(lineage, shorter) for lineage in shorter.lineages)
