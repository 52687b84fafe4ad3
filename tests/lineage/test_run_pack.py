"""Laws of a pack's journey: neighbours, interruptions and later measures change no number."""

import polars as pl
import pytest
import torch
from conftest import assert_same_tables, heavier, rows_of, run, tiny_pack

from impray.lineage.checkpoint import record_from_bytes
from impray.lineage.fates import fate_of
from impray.results.paths import Paths
from impray.results.tables import scan
from impray.spec.counts import counts
from impray.spec.training import Sgd
from impray.training import TRAINERS


def only(pack, *lineages):
    return pack.model_copy(update={"lineages": tuple(lineages)})


def no_training(*_, **__):
    raise AssertionError("nothing is left to train")


PACKS = {
    "plain": {},
    "batch_norm": {
        "trial.net": {"hidden": [5, 3], "batch_norm": True, "activation": "tanh"},
        "trial.prune.biases": "ranked",
    },
    "odd": {
        "trial.data": {"kind": "nlgp", "shape": [9, 5], "gain": 3.0, "gaussian_blend": 0.5, "held_out": 33},
        "trial.train.batch": 7,
    },
    "mse": {
        "trial.train": {"steps": 20, "batch": 8, "loss": "mse", "momentum": 0.9, "weight_decay": 1e-3},
        "trial.prune.scope": "global",
    },
    "cavity": {"methods": ["cavity", "cavity_lowest", "random"], "trial.prune.cavity": {"samples": 50}},
    "cavity_end": {
        "trial.net": {"hidden": [5, 4], "batch_norm": True},
        "trial.prune": {"biases": "ranked", "cavity": {"at": "end", "samples": 60}},
        "methods": ["cavity", "imp"],
    },
    "cavity_unit": {
        "trial.net": {"hidden": [5, 4]},
        "trial.prune": {"cavity": {"samples": 60, "within": "unit", "rescore": 3}},
        "methods": ["cavity", "cavity_lowest"],
    },
    "kur_committee": {
        "trial.data": {"kind": "kur", "shape": [5, 7], "k": 4.5, "covariance": "matched", "held_out": 33},
        "trial.net": {"hidden": [3], "outputs": 1, "readout": "mean", "activation": "sigmoid"},
        "trial.train": {"steps": 20, "batch": 7, "loss": "mse"},
        "measures": ["loss", "sinusoid", {"course": {"record_every": 8, "weights_every": 2, "samples": 20}}],
    },
    "elliptical_shared": {
        "trial.data": {
            "kind": "elliptical",
            "shape": [6, 6],
            "radius": "student_t",
            "gaussian_blend": 0.2,
            "draw": 4,
            "held_out": 33,
        },
        "trial.train": {"steps": 20, "batch": 9, "loss": "mse"},
    },
}


@pytest.mark.some(1)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("kind", heavier(PACKS, set(PACKS) - {"cavity", "cavity_unit", "mse"}))
def test_a_pack_equals_packs_of_one(tmp_path, kind):
    pack = tiny_pack(**PACKS[kind])
    run(pack, tmp_path / "together")
    for lineage in pack.lineages:
        run(only(pack, lineage), tmp_path / "alone")
    assert_same_tables(tmp_path / "together", tmp_path / "alone")


def test_counts_densities_and_nesting(tmp_path):
    pack = tiny_pack()
    run(pack, tmp_path)
    kept = counts(36 * 5, 0.3, 3)
    rounds = rows_of(tmp_path, "rounds")
    for (round,), group in rounds.group_by("round"):
        assert group["density"].to_list() == [kept[round] / kept[0]] * len(pack.lineages)
    fan_in = (
        rows_of(tmp_path, "units").filter(pl.col("layer") == 1).group_by("lineage", "round").agg(pl.col("fan_in").sum())
    )
    assert all(row["fan_in"] == kept[row["round"]] for row in fan_in.iter_rows(named=True))
    for lineage in pack.lineages:
        masks = [record_of(tmp_path, lineage, round).masks["weight1"] for round in range(1, 4)]
        assert all(not (after & ~before).any() for before, after in zip(masks, masks[1:], strict=False))


def record_of(folder, lineage, round):
    return record_from_bytes(Paths(folder).lineage(lineage.id, round).read(), "test")


def test_methods_share_round_0(tmp_path):
    pack = tiny_pack()
    run(pack, tmp_path)
    dense = rows_of(tmp_path, "rounds").filter(pl.col("round") == 0)
    assert (
        dense.group_by("seed").agg(pl.col("accuracy", "loss", "kurtosis_mean").n_unique()).drop("seed").rows()
        == [(1, 1, 1)] * 2
    )
    assert len(list((tmp_path / "checkpoints" / "trunks").glob("*/end.safetensors"))) == 2


def test_pruned_weights_stay_zero(tmp_path):
    pack = tiny_pack()
    run(pack, tmp_path)
    for lineage in pack.lineages:
        record = record_of(tmp_path, lineage, 3)
        assert record.end is not None
        assert (record.end["weight1"][~record.masks["weight1"]] == 0).all()


def test_three_rounds_equal_one_then_two_more(tmp_path):
    pack = tiny_pack()
    run(pack, tmp_path / "at_once")
    run(pack.model_copy(update={"rounds": 1}), tmp_path / "bit_by_bit")
    run(pack.model_copy(update={"known": True}), tmp_path / "bit_by_bit")
    assert_same_tables(tmp_path / "at_once", tmp_path / "bit_by_bit")


def test_rounds_extend_also_where_the_last_round_did_not_train(tmp_path):
    pack = tiny_pack(measures=["fan_in", "kurtosis"])
    assert not pack.reads_end
    run(pack, tmp_path / "at_once")
    run(pack.model_copy(update={"rounds": 2}), tmp_path / "bit_by_bit")
    run(pack, tmp_path / "bit_by_bit")
    assert_same_tables(tmp_path / "at_once", tmp_path / "bit_by_bit", ("rounds", "units", "fates"))


def test_a_new_rewind_step_trains_only_the_way_there(tmp_path, monkeypatch):
    steps = []

    def counting(task, real=TRAINERS[Sgd]):
        steps.append(task.until)
        return real(task)

    run(tiny_pack(rounds=1), tmp_path / "grown")
    monkeypatch.setitem(TRAINERS, Sgd, counting)
    later = tiny_pack(rounds=1, **{"trial.prune.rewind_step": 7})
    run(later, tmp_path / "grown")
    assert steps == [7, 20]  # the trunks to step 7 only; then round 1
    run(later, tmp_path / "at_once")
    grown = rows_of(tmp_path / "grown", "rounds").filter(pl.col("lineage").is_in([i.id for i in later.lineages]))
    assert grown.equals(rows_of(tmp_path / "at_once", "rounds"), null_equal=True)


def test_divergence_in_a_round_that_was_not_trained_before_ends_the_lineage(tmp_path, monkeypatch):
    """A shorter sweep leaves its last round untrained; extending it must see what a longer one would have seen."""

    def breaks(task, real=TRAINERS[Sgd]):
        trained = real(task)
        if task.masks is not None and task.masks["weight1"].float().mean() < 0.6:  # from round 2 on
            trained.params["weight1"] *= torch.nan
        return trained

    monkeypatch.setitem(TRAINERS, Sgd, breaks)
    pack = tiny_pack(measures=["fan_in"], rounds=4, methods=["imp"])
    run(pack, tmp_path / "at_once")
    run(pack.model_copy(update={"rounds": 2}), tmp_path / "extended")
    run(pack, tmp_path / "extended")
    assert rows_of(tmp_path / "at_once", "rounds").filter(pl.col("status") == "diverged")[
        "round"
    ].unique().to_list() == [2]
    for table in ("rounds", "fates"):
        one, other = rows_of(tmp_path / "at_once", table), rows_of(tmp_path / "extended", table)
        key = ["lineage", "round", "status"] if table == "rounds" else one.columns
        assert one.select(key).equals(other.select(key), null_equal=True)


def test_finite_weights_with_an_infinite_loss_have_diverged(tmp_path):
    wild = {
        "trial.net": {"hidden": [5], "activation": "linear"},
        "trial.train": {"steps": 3, "batch": 8, "loss": "mse", "lr": 30},
    }
    run(tiny_pack(**wild, **{"trial.prune.rewind_step": 0}), tmp_path)
    rounds = rows_of(tmp_path, "rounds")
    done = rounds.filter(pl.col("status") == "done")
    assert done["loss"].is_finite().all() and (rounds["status"] == "diverged").any()


def test_a_finished_pack_trains_nothing_and_writes_nothing(tmp_path, monkeypatch):
    pack = tiny_pack()
    run(pack, tmp_path)
    before = {
        path: path.stat().st_mtime_ns
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "provenance.json"
    }
    monkeypatch.setitem(TRAINERS, Sgd, no_training)
    run(pack, tmp_path)
    after = {
        path: path.stat().st_mtime_ns
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "provenance.json"
    }
    assert before == after


@pytest.mark.slow
def test_lost_rows_are_measured_again_without_training(tmp_path, monkeypatch):
    pack = tiny_pack()
    run(pack, tmp_path / "whole")
    run(pack, tmp_path / "hurt")
    for path in (tmp_path / "hurt" / "tables" / "rounds").glob("*-002-*"):
        path.unlink()
    for path in (tmp_path / "hurt" / "tables" / "fates").glob("*"):
        path.unlink()
    monkeypatch.setitem(TRAINERS, Sgd, no_training)
    run(pack, tmp_path / "hurt")
    assert_same_tables(tmp_path / "whole", tmp_path / "hurt")


@pytest.mark.slow
def test_a_lost_checkpoint_is_computed_again(tmp_path):
    pack = tiny_pack()
    run(pack.model_copy(update={"rounds": 2}), tmp_path / "hurt")
    for path in (tmp_path / "hurt" / "checkpoints" / "lineages").rglob("round-002*"):
        path.unlink()
    run(pack, tmp_path / "hurt")
    run(pack, tmp_path / "whole")
    assert_same_tables(tmp_path / "whole", tmp_path / "hurt")


@pytest.mark.slow
def test_a_measure_added_later_needs_no_training_and_loses_nothing(tmp_path, monkeypatch):
    whole = tiny_pack()
    run(whole, tmp_path / "at_once")
    first = tiny_pack(measures=["accuracy", {"masks": {"most_connected": 2}}])
    run(first, tmp_path / "later")
    monkeypatch.setitem(TRAINERS, Sgd, no_training)
    rest = [m for m in whole.measures if m.name not in ("accuracy", "masks")]
    run(whole.model_copy(update={"measures": tuple(rest)}), tmp_path / "later")
    assert_same_tables(tmp_path / "at_once", tmp_path / "later")


def test_networks_train_only_where_something_reads_their_end(tmp_path):
    pack = tiny_pack(measures=["fan_in", "kurtosis"])
    run(pack, tmp_path)
    for lineage in pack.lineages:
        trained = [record_of(tmp_path, lineage, round).end is not None for round in (1, 2, 3)]
        assert trained == ([True, True, False] if lineage.method == "imp" else [False] * 3)
    assert_same_masks(tmp_path, pack)


def assert_same_masks(folder, pack):
    """Masks do not depend on what is measured."""
    other = folder.parent / "other"
    run(tiny_pack(), other)
    for lineage in pack.lineages:
        for round in (1, 2, 3):
            mine, theirs = record_of(folder, lineage, round), record_of(other, lineage, round)
            assert torch.equal(mine.masks["weight1"], theirs.masks["weight1"])


def test_a_diverged_lineage_ends_and_its_neighbours_go_on(tmp_path):
    # MSE with a linear net and a huge rate overflows within a few steps.
    calm = {
        "trial.net": {"hidden": [5], "activation": "linear"},
        "trial.train": {"steps": 20, "batch": 8, "loss": "mse"},
    }
    well = tiny_pack(**{**calm, "trial.train": {**calm["trial.train"], "lr": 0.01}})
    wild = tiny_pack(**{**calm, "trial.train": {**calm["trial.train"], "lr": 1e9}})
    run(only(well, *well.lineages, *wild.lineages), tmp_path / "together")
    run(well, tmp_path / "alone")
    rounds = rows_of(tmp_path / "together", "rounds")
    diverged = rounds.filter(pl.col("status") == "diverged")
    assert set(diverged["lineage"]) == {lineage.id for lineage in wild.lineages}
    assert diverged.height == len(wild.lineages) and (diverged["round"] == 0).all()
    assert diverged["accuracy"].is_nan().all()
    healthy = rounds.filter(pl.col("status") == "done")
    assert healthy.equals(rows_of(tmp_path / "alone", "rounds"), null_equal=True)


def test_imp_removes_the_smallest_of_each_round(tmp_path):
    """The mean |w| at the end of round n of those pruned next is below that of every other fate."""
    pack = tiny_pack()
    run(pack, tmp_path)
    fates = rows_of(tmp_path, "fates").filter(pl.col("method") == "imp")
    for (_, round), group in fates.group_by("lineage", "round"):
        sizes = dict(group.select("fate", "abs_weight_end_mean").iter_rows())
        if round < 3:
            assert sizes[round + 1] == min(sizes.values())


def test_fewer_images_leave_no_stale_ones(tmp_path):
    def pack(count):
        measures = [
            {"components": {"count": count}},
            {"inputs": {"examples": count}},
            {"masks": {"most_connected": count}},
        ]
        return tiny_pack(measures=measures, rounds=1, methods=["random"])

    run(pack(4), tmp_path / "again")
    run(pack(2), tmp_path / "again")
    run(pack(2), tmp_path / "once")
    for table in ("images", "masks"):
        again, once = rows_of(tmp_path / "again", table), rows_of(tmp_path / "once", table)
        assert again.equals(once, null_equal=True), table


def test_a_histogram_counts_every_weight_with_a_score(tmp_path):
    run(tiny_pack(), tmp_path)
    histograms, fates = rows_of(tmp_path, "histograms"), rows_of(tmp_path, "fates")
    scored = fates.filter(pl.col("layer") == 1).group_by("lineage", "round").agg(pl.col("cavity_weights").sum())
    assert set(histograms["name"]) == {"weight_cavity", "weight_cavity_half"}
    both = histograms.join(scored, on=["lineage", "round"])
    assert both.height == histograms.height > 0
    for row in both.iter_rows(named=True):
        assert sum(row["counts"]) == row["cavity_weights"]
        assert len(row["counts"]) == (len(row["x_edges"]) - 1) * (len(row["y_edges"]) - 1)


def test_fate_of():
    masks = [torch.tensor(m, dtype=torch.bool) for m in ([1, 1, 1], [1, 0, 1], [1, 0, 0])]
    assert fate_of(masks).tolist() == [0, 1, 2]


@pytest.mark.slow
def test_remaining_steps_are_fewer(tmp_path):
    full, rest = tiny_pack(), tiny_pack(**{"trial.prune.after_rewind": "remaining"})
    run(full, tmp_path / "full")
    run(rest, tmp_path / "rest")
    a, b = (rows_of(tmp_path / name, "rounds").sort("method", "seed", "round") for name in ("full", "rest"))
    same = (a["loss"] == b["loss"]).to_list()
    assert same == [round == 0 for round in a["round"]]


def test_rows_carry_provenance(tmp_path):
    run(tiny_pack(), tmp_path)
    rounds = scan("rounds", tmp_path).collect()
    for column in ("version", "host", "device", "written_at", "wall_s"):
        assert rounds[column].null_count() == 0
