"""Packs of lineages that are trained and lineages that are solved: each part as if alone, told of together."""

import dataclasses

import pytest
from conftest import assert_same_tables, changed, rows_of, run

from impray.masks import Past, Scope, next_mask
from impray.results.ledger import Ledger
from impray.service import estimate
from impray.service.doctor.needs import tensors
from impray.service.plan import listed, packs
from impray.spec import families
from impray.spec.axes import check
from impray.spec.pack import Pack
from impray.spec.rules import RuleSpec
from impray.spec.sweep import Sweep

MIXED = {
    "question": "who shares a pack?",
    "trial": {
        "data": {"kind": "planted", "samples": 60, "inputs_count": 5, "units": 3, "nonzero": 4, "held_out": 20},
        "net": {"hidden": [3], "bias": False, "outputs": 1, "readout": "sum"},
        "train": {"optimizer": "adam", "lr": 0.05, "steps": 6, "batch": 10, "loss": "mse"},
        "prune": {"fraction": 0.3, "least": 4, "iht": {"epochs": 3}, "pursuit": {"epochs": 4}},
    },
    "methods": ["iht", "imp", "pursuit", "oneshot"],
    "seeds": 2,
    "rounds": 4,
    "measures": ["psnr", "solver", "pruned"],
}
FLOW = {
    "data": {"kind": "linear", "samples": 20, "features": 6, "nonzero": 2},
    "net": {"kind": "linear"},
    "train": {"optimizer": "gradient_flow"},
    "prune": {"layers": "all", "remove": 1},
}


def sweep_of(**changes) -> Sweep:
    return Sweep.model_validate(changed(MIXED, changes))


def pack_of(**changes) -> Pack:
    sweep = sweep_of(**changes)
    lineages = tuple(sweep.trial.lineages(sweep.methods, sweep.seeds))
    return Pack(lineages=lineages, rounds=sweep.rounds, measures=sweep.measures, rows_at=sweep.rows_at)


def part(pack, solved):
    return pack.model_copy(update={"lineages": tuple(i for i in pack.lineages if i.solved == solved)})


@pytest.mark.some(1)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    "changes", [{}, {"rows_at": [2]}, {"trial": FLOW, "methods": ["shuffled", "imp"], "measures": ["loss"]}]
)
def test_a_mixed_pack_gives_the_rows_of_its_parts(tmp_path, changes):
    pack = pack_of(**changes)
    assert run(pack, tmp_path / "together") == [0, 1, 2, 3, 4]
    for solved in (True, False):
        run(part(pack, solved), tmp_path / "apart")
    assert_same_tables(tmp_path / "together", tmp_path / "apart", ("rounds", "fates"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "together").rglob("*.parquet")}
    run(pack, tmp_path / "together")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "together").rglob("*.parquet")} == before


def test_a_round_is_told_of_when_all_parts_have_its_rows(tmp_path):
    from impray.journey import run_pack

    pack = pack_of(rows_at=[1, 3])
    (tmp_path / "provenance.json").write_text('{"axes": {}}')
    for round in run_pack(pack, tmp_path):
        there = rows_of(tmp_path, "rounds")
        for asked in (1, 3):
            if asked <= round:
                assert len(there.filter(there["round"] == asked)) == len(pack.lineages)


def test_what_is_pruned_from_round_to_round_alone_has_a_network_after_pruning(tmp_path):
    run(pack_of(), tmp_path)
    rows = rows_of(tmp_path, "rounds")
    known = rows["psnr_train_pruned"].is_not_null()
    trained = rows["method"].is_in(["imp", "oneshot"]) & (rows["round"] > 0)
    assert (known == trained).all() and rows["optimizer_bytes"].null_count() == 0


@pytest.mark.some(2)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("methods", [["iht", "imp"], ["imp", "iht"]])
@pytest.mark.parametrize("search", ["optuna", "stop_early"])
def test_a_trial_that_asks_for_both_is_one_pack_where_it_must_be(search, methods, tmp_path):
    """A search by optuna hands out a trial a pack, early stopping compares whole trials: estimates and needs know of both parts."""
    goal = {"measure": "psnr", "method": "imp", "direction": "max"}
    space = {"train.lr": [0.01, 0.1]} if search != "optuna" else {"train.lr": {"low": 0.01, "high": 0.1}}
    how = (
        {"algorithm": "optuna", "trials": 2, "goals": [goal]}
        if search == "optuna"
        else {"stop_early": {**goal, "grace": 1}}
    )
    sweep = sweep_of(methods=methods, search={"space": space, **how})
    assert check(sweep) == []
    assert any("takes about" in line for line in estimate.lines(sweep, "x", tmp_path))
    if search == "stop_early":
        whole = packs(sweep, listed(sweep), Ledger(), {}, 4)
        assert [len(pack.lineages) for pack in whole] == [4, 4] and all(len(pack.parts) == 2 for pack in whole)
        assert tensors(whole[0]) == sum(map(tensors, whole[0].parts))


def test_what_runs_one_sort_says_so(tmp_path):
    pack = pack_of()
    with pytest.raises(AssertionError, match="parts"):
        _ = pack.solved
    with pytest.raises(AssertionError, match="solver"):
        next_mask("iht", object.__new__(Past), object.__new__(Scope), 3)


class Follower(RuleSpec):
    """Takes another's masks."""

    follows = "iht"


@pytest.mark.parametrize("follows", ["iht", "imq"])
def test_a_method_follows_one_that_has_masks_from_round_to_round(monkeypatch, follows):
    tagged = type("Tagged", (Follower,), {"follows": follows, "__doc__": "x"})
    monkeypatch.setitem(
        families.rules.members, "shuffled", dataclasses.replace(families.rules.member("shuffled"), spec=tagged)
    )
    (problem,) = [
        found for found in check(sweep_of(methods=["shuffled"], measures=["psnr"])) if found.path.startswith("methods")
    ]
    assert problem.path == "methods[0]" and follows in problem.right
