"""The measure `pruned`: end weights of the round before times this round's mask, whatever came between."""

import polars as pl
import pytest
import torch
from conftest import assert_same_tables, changed, rows_of, run, tiny_pack

from impray.lineage.checkpoint import record_from_bytes, weights_from_bytes
from impray.results.paths import Paths
from impray.results.tables import scan
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.spec.training import Adam, Sgd
from impray.training import TRAINERS

METHODS = ["imp", "oneshot", "random", "shuffled", "reinit"]
COLUMNS = {"loss_pruned", "accuracy_pruned", "psnr_pruned", "psnr_train_pruned"}
PLANTED = {
    "question": "what does pruning leave?",
    "trial": {
        "data": {"kind": "planted", "samples": 90, "inputs_count": 6, "units": 3, "nonzero": 4, "held_out": 30},
        "net": {"hidden": [3], "bias": False, "outputs": 1, "readout": "sum"},
        "train": {"optimizer": "adam", "lr": 0.05, "steps": 8, "batch": 10, "loss": "mse", "dtype": "float64"},
        "prune": {"fraction": 0.3, "least": 4},
    },
    "methods": ["imp", "random", "reinit"],
    "seeds": 1,
    "rounds": 3,
    "measures": ["pruned"],
}


def pack_of(**changes) -> Pack:
    sweep = Sweep.model_validate(changed(PLANTED, changes))
    lineages = tuple(sweep.trial.lineages(sweep.methods, sweep.seeds))
    return Pack(lineages=lineages, rounds=sweep.rounds, measures=sweep.measures, rows_at=sweep.rows_at)


def end_of(folder, lineage, round):
    """The trained weights of a round, from its checkpoint."""
    if round == 0:
        return weights_from_bytes(Paths(folder).trunk(lineage.trunk, "end").read(), "test")[0]
    return record_from_bytes(Paths(folder).lineage(lineage.id, round).read(), "test").end


def psnr(y, output, peak):
    return float(20 * peak.log10() - 10 * (output - y).square().mean().log10())


def by_hand(pack, folder, lineage, round):
    """psnr_pruned and psnr_train_pruned, from what the checkpoints say."""
    from impray.lineage.training import PackTraining

    training = PackTraining(pack, torch.device("cpu"))
    mask = record_from_bytes(Paths(folder).lineage(lineage.id, round).read(), "test").masks["weight1"]
    weight = end_of(folder, lineage, round - 1)["weight1"] * mask
    held_out, whole = training.held_out(lineage), training.whole(lineage)
    peak = whole[1].abs().max()
    return [psnr(y[:, 0], torch.relu(x @ weight.T).sum(1), peak) for x, y in (held_out, whole)]


def test_it_is_the_end_of_the_round_before_under_this_rounds_mask(tmp_path):
    pack = pack_of(methods=METHODS)
    run(pack, tmp_path)
    rows = {(row["lineage"], row["round"]): row for row in rows_of(tmp_path, "rounds").iter_rows(named=True)}
    assert len(rows) == len(METHODS) * 4
    for lineage in pack.lineages:
        assert all(rows[lineage.id, 0][name] is None for name in COLUMNS)
        for round in range(1, 4):
            row = rows[lineage.id, round]
            assert [row["psnr_pruned"], row["psnr_train_pruned"]] == pytest.approx(
                by_hand(pack, tmp_path, lineage, round), rel=1e-9
            )
            assert row["accuracy_pruned"] is None and row["loss_pruned"] > 0
    # Nothing was trained in between: where no weight goes, it is what the round before ended with.
    still = pack_of(measures=["pruned", "psnr", "loss"], **{"trial.prune.least": 18, "methods": ["imp"]})
    run(still, tmp_path / "still")
    of_lineage = rows_of(tmp_path / "still", "rounds").sort("lineage", "round")
    for pruned, trained in (("psnr_pruned", "psnr"), ("loss_pruned", "loss"), ("psnr_train_pruned", "psnr_train")):
        pairs = of_lineage.select(pl.col(pruned), pl.col(trained).shift(1).over("lineage")).drop_nulls()
        assert pairs.height == 3 and pairs[pruned].equals(pairs[trained].alias(pruned))


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("rows_at", ["all", [1, 3]])
def test_a_pack_equals_packs_of_one(tmp_path, rows_at):
    """Also where the round before has no row: it trains for this one all the same."""
    pack = pack_of(rows_at=rows_at, methods=METHODS)
    run(pack, tmp_path / "together")
    for lineage in pack.lineages:
        run(pack.model_copy(update={"lineages": (lineage,)}), tmp_path / "alone")
    assert_same_tables(tmp_path / "together", tmp_path / "alone", ("rounds",))
    rows = rows_of(tmp_path / "together", "rounds").filter(pl.col("round") > 0)
    assert rows["psnr_train_pruned"].is_finite().all() and rows.height >= len(pack.lineages)
    last = rows.filter(pl.col("round") == rows["round"].max())
    assert not last["trained"].any()  # nobody reads its end


def test_rows_do_not_depend_on_which_others_there_are(tmp_path):
    run(pack_of(rows_at="all"), tmp_path / "all")
    run(pack_of(rows_at=[2]), tmp_path / "one")
    every, one = (rows_of(tmp_path / name, "rounds") for name in ("all", "one"))
    same = ["lineage", "loss_pruned", "psnr_pruned", "psnr_train_pruned"]
    assert one.select(same).equals(every.filter(pl.col("round") == 2).select(same), null_equal=True)


@pytest.mark.parametrize("rows_at", ["all", [1, 3]])
def test_killed_and_run_again_it_is_the_same(tmp_path, rows_at):
    """After rows, after some checkpoints, or after both were lost."""
    pack = pack_of(rows_at=rows_at)
    run(pack, tmp_path / "whole")
    run(pack.model_copy(update={"rounds": 1, "rows_at": (1,)}), tmp_path / "cut")
    run(pack.model_copy(update={"known": True}), tmp_path / "cut")
    assert_same_tables(tmp_path / "whole", tmp_path / "cut", ("rounds",))
    for path in (tmp_path / "cut" / "tables" / "rounds").glob("*-003-*"):
        path.unlink()
    for path in (tmp_path / "cut" / "checkpoints" / "lineages").rglob("round-002*"):
        path.unlink()
    run(pack.model_copy(update={"known": True}), tmp_path / "cut")
    assert_same_tables(tmp_path / "whole", tmp_path / "cut", ("rounds",))


def test_added_later_it_needs_no_training_where_rounds_were_trained(tmp_path, monkeypatch):
    both, first, later = (pack_of(measures=measures) for measures in (["psnr", "pruned"], ["psnr"], ["pruned"]))
    run(both, tmp_path / "at_once")
    run(first, tmp_path / "later")

    def no_training(*_, **__):
        raise AssertionError("nothing is left to train")

    monkeypatch.setitem(TRAINERS, Adam, no_training)
    run(later.model_copy(update={"known": True}), tmp_path / "later")
    assert_same_tables(tmp_path / "at_once", tmp_path / "later", ("rounds",))


def test_added_later_it_trains_what_nobody_needed_before(tmp_path):
    run(pack_of(), tmp_path / "at_once")
    first = pack_of(measures=["density"])
    run(first, tmp_path / "later")
    trained = scan("rounds", tmp_path / "later").filter(pl.col("trained") & (pl.col("round") > 0)).collect()
    assert set(trained["method"]) == {"imp"}
    run(pack_of().model_copy(update={"known": True}), tmp_path / "later")
    at_once, later = (
        rows_of(tmp_path / name, "rounds").select("lineage", "round", *COLUMNS) for name in ("at_once", "later")
    )
    assert at_once.equals(later, null_equal=True)


def test_of_classes_it_has_an_accuracy_and_no_psnr_with_the_statistics_of_the_training_before(tmp_path):
    changes = {"trial.net": {"hidden": [5], "batch_norm": True}, "trial.prune.fraction": 0.01, "trial.train.steps": 30}
    pack = tiny_pack(measures=["pruned", "accuracy", "loss"], rounds=2, seeds=1, **changes)
    run(pack, tmp_path)
    rows = rows_of(tmp_path, "rounds").sort("lineage", "round")
    assert rows["psnr_pruned"].null_count() == rows["psnr_train_pruned"].null_count() == rows.height
    # Two of 180 weights are little: as good as what the round before ended with, by whose statistics it is evaluated.
    before = [pl.col(name).shift(1).over("lineage").alias(f"{name}_before") for name in ("loss", "accuracy")]
    after = rows.with_columns(before).filter(pl.col("round") > 0)
    assert ((after["loss_pruned"] / after["loss_before"]).log().abs() < 0.2).all()
    assert ((after["accuracy_pruned"] - after["accuracy_before"]).abs() < 0.2).all()
    for lineage in pack.lineages[:3]:
        run(pack.model_copy(update={"lineages": (lineage,)}), tmp_path / "alone")
    alone, every = rows_of(tmp_path / "alone", "rounds"), rows_of(tmp_path, "rounds")
    assert alone.equals(every.filter(pl.col("lineage").is_in(alone["lineage"].to_list())), null_equal=True)


def test_a_lineage_that_diverges_in_a_round_without_a_row_ends_alone(tmp_path, monkeypatch):
    def breaks(task, real=TRAINERS[Sgd]):
        trained = real(task)
        if task.masks is not None:
            few = task.masks["weight1"].float().mean((1, 2)) < 0.6
            trained.params["weight1"][few] *= torch.nan
        return trained

    monkeypatch.setitem(TRAINERS, Sgd, breaks)
    changes = {"trial.train": {"steps": 8, "batch": 10, "loss": "mse"}, "rows_at": [3], "methods": ["imp", "random"]}
    run(pack_of(**changes), tmp_path)
    rows = rows_of(tmp_path, "rounds")
    assert set(rows["round"]) == {2} and set(rows["status"]) == {"diverged"} and rows["psnr_pruned"].is_nan().all()
