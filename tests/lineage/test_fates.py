"""The cavity methods, and the fates of single weights, against scores computed anew."""

import polars as pl
import pytest
import torch
from conftest import assert_same_tables, rounds_of, rows_of, run, tiny_pack

from impray.measures.cavity import cavity_scores
from impray.spec.counts import counts
from impray.spec.training import Sgd
from impray.training import TRAINERS


def only(pack, *lineages):
    return pack.model_copy(update={"lineages": tuple(lineages)})


def no_training(*_, **__):
    raise AssertionError("nothing is left to train")


def test_fates_add_up(tmp_path):
    pack = tiny_pack()
    run(pack, tmp_path)
    kept = counts(36 * 5, 0.3, 3)
    fates = rows_of(tmp_path, "fates")
    for (_, round), group in fates.group_by("lineage", "round"):
        by_fate = dict(group.select("fate", "weights").iter_rows())
        assert by_fate == {**{n: kept[n - 1] - kept[n] for n in range(round + 1, 4)}, 0: kept[3]}


@pytest.mark.some(1)
@pytest.mark.parametrize("at", ["start", "end"])
def test_the_cavity_methods_remove_one_end_of_the_scores(tmp_path, at):
    """Scores recomputed from the checkpoints' weights with the measure's own function on the same training inputs."""
    prune = {"fraction": 0.3, "rewind_step": 3, "cavity": {"at": at, "samples": 200}}
    pack = tiny_pack(methods=["cavity", "cavity_lowest"], **{"trial.prune": prune})
    run(pack, tmp_path)
    rounds = rounds_of(pack, tmp_path)
    records = rounds._records
    for lineage in pack.lineages:
        of_rounds = [records.of([lineage], round)[0] for round in range(4)]
        for round in (1, 2, 3):
            before, after = of_rounds[round - 1], of_rounds[round]
            weights = records.start(lineage, before.masks) if at == "start" else before.end
            assert weights is not None
            inputs, labels = rounds._training.sample(lineage, round, 200)
            assert len(inputs) == 200
            scores = cavity_scores(weights["weight1"], inputs, labels)
            removed, kept = (
                scores[before.masks["weight1"] & ~after.masks["weight1"]],
                scores[after.masks["weight1"]],
            )
            kept = kept[~kept.isnan()]
            assert removed.min() >= kept.max() if lineage.method == "cavity" else removed.max() <= kept.min()


def test_rescoring_equals_so_many_smaller_steps(tmp_path):
    """A round in three parts removes what three rules of a third each would, one after another, with scores of what is left."""
    pack = tiny_pack(
        methods=["cavity"], seeds=1, rounds=1, **{"trial.prune": {"cavity": {"samples": 90, "rescore": 3}}}
    )
    run(pack, tmp_path)
    (lineage,) = pack.lineages
    rounds = rounds_of(pack, tmp_path)
    records = rounds._records
    inputs, labels = rounds._training.sample(lineage, 1, 90)
    mask = torch.ones(5, 36, dtype=torch.bool)
    for keep in (168, 156, 144):  # 0.2 of 180 is 36
        scores = cavity_scores(records.start(lineage, {"weight1": mask})["weight1"], inputs, labels)
        lowest = torch.where(mask & ~scores.isnan(), scores, -torch.inf).flatten().argsort(descending=True)
        mask.view(-1)[lowest[: int(mask.sum()) - keep]] = False
    assert torch.equal(records.of([lineage], 1)[0].masks["weight1"], mask)


def test_networks_of_the_cavity_rule_train_only_if_it_ranks_their_end():
    for at, expected in (("start", False), ("end", True)):
        pack = tiny_pack(methods=["cavity"], measures=["fan_in"], **{"trial.prune": {"cavity": {"at": at}}})
        assert pack.trains(pack.lineages[0], 1) is expected
        assert not pack.trains(pack.lineages[0], pack.rounds)


@pytest.mark.slow
def test_fates_group_the_scores_of_every_round(tmp_path):
    """Against scores computed anew from weights, masks and held-out inputs, and grouped with a loop over weights."""
    pack = tiny_pack()
    run(pack, tmp_path)
    rounds = rounds_of(pack, tmp_path)
    records = rounds._records
    rows = rows_of(tmp_path, "fates")
    for lineage in pack.lineages[:4]:
        masks = [records.of([lineage], round)[0].masks["weight1"] for round in range(4)]
        inputs, labels = rounds._training.held_out(lineage)
        for round in range(4):
            start = records.start(lineage, {"weight1": masks[round]})["weight1"]
            scores = cavity_scores(start, inputs, labels)
            groups: dict[int, list[float]] = {}
            for unit, place in masks[round].nonzero().tolist():
                if masks[round][unit].sum() >= 2 and not scores[unit, place].isnan():
                    fate = next((n for n in range(4) if not masks[n][unit, place]), 0)
                    groups.setdefault(fate, []).append(float(scores[unit, place]))
            found = rows.filter(pl.col("lineage") == lineage.id, pl.col("round") == round).sort("fate")
            for row in found.iter_rows(named=True):
                own = torch.tensor(groups.get(row["fate"], []), dtype=torch.float64)
                assert row["cavity_weights"] == len(own)
                if len(own) > 1:
                    assert row["cavity_mean"] == pytest.approx(float(own.mean()), rel=1e-9)
                    assert row["cavity_sem"] == pytest.approx(float(own.std()) / len(own) ** 0.5, rel=1e-9)
                    assert row["cavity_median"] == pytest.approx(float(own.quantile(0.5)), rel=1e-9)
                    assert row["cavity_scaled_mean"] == pytest.approx(int(masks[round].sum()) * float(own.mean()))
                    assert row["cavity_half_mean"] != row["cavity_mean"]


@pytest.mark.slow
def test_scores_are_measured_again_where_their_files_are_gone(tmp_path, monkeypatch):
    pack = tiny_pack()
    run(pack, tmp_path / "whole")
    run(pack, tmp_path / "hurt")
    for path in [
        *(tmp_path / "hurt" / "tables" / "fates").glob("*"),
        *(tmp_path / "hurt" / "checkpoints").rglob("cavity-*-002*"),
    ]:
        path.unlink()
    monkeypatch.setitem(TRAINERS, Sgd, no_training)
    run(pack, tmp_path / "hurt")
    assert_same_tables(tmp_path / "whole", tmp_path / "hurt")


@pytest.mark.slow
def test_extending_without_the_cavity_score_keeps_what_there_was(tmp_path):
    """What an earlier run measured of single weights stays in `fates`, grouped by the fates as they are now."""
    run(tiny_pack(rounds=2), tmp_path)
    early = rows_of(tmp_path, "fates")
    run(tiny_pack(measures=["fan_in"]), tmp_path)
    fates = rows_of(tmp_path, "fates").filter(pl.col("layer") == 1)
    old, new = fates.filter(pl.col("round") < 3), fates.filter(pl.col("round") == 3)
    assert old["cavity_weights"].null_count() == 0 and new["cavity_weights"].null_count() == new.height
    gone = pl.col("fate") > 0  # what was removed by then has the same fate still
    same = ["lineage", "round", "fate", "cavity_mean", "cavity_median"]
    assert old.filter(gone, pl.col("fate") < 3).select(same).equals(early.filter(gone).select(same), null_equal=True)
    run(tiny_pack(), tmp_path / "whole")
    run(tiny_pack(), tmp_path)
    assert rows_of(tmp_path, "fates").equals(rows_of(tmp_path / "whole", "fates"), null_equal=True)
