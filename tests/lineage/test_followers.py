"""`reinit` and `shuffled` follow imp's masks, whether imp is in the pack or not, and end where imp has diverged."""

import polars as pl
import pytest
import torch
from conftest import assert_same_tables, rounds_of, rows_of, run, tiny_pack

from impray.spec.pack import leader_of
from impray.spec.training import Sgd
from impray.training import TRAINERS


def by_method(pack):
    return {(lineage.method, lineage.seed): lineage for lineage in pack.lineages}


DEEP = {"trial.net": {"hidden": [5, 4]}, "trial.prune": {"fraction": 0.3, "rewind_step": 3, "biases": "ranked"}}


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_masks_are_those_of_imp_or_as_many_per_layer_elsewhere(tmp_path, scope):
    changes = {**DEEP, "trial.prune": {**DEEP["trial.prune"], "scope": scope}}
    pack = tiny_pack(methods=["imp", "reinit", "shuffled"], measures=["fan_in"], **changes)
    run(pack, tmp_path)
    lineages, records = by_method(pack), rounds_of(pack, tmp_path)._records
    for seed in {lineage.seed for lineage in pack.lineages}:
        before = None
        for round in range(1, 4):
            imp, reinit, shuffled = (
                records.of([lineages[method, seed]], round)[0].masks for method in ("imp", "reinit", "shuffled")
            )
            assert imp.keys() == {"weight1", "bias1", "weight2", "bias2"}
            for name, mask in imp.items():
                assert torch.equal(reinit[name], mask)
                assert shuffled[name].sum() == mask.sum()
                assert before is None or not (shuffled[name] & ~before[name]).any(), "nested"
            assert any(not torch.equal(shuffled[name], mask) for name, mask in imp.items())
            before = shuffled


def test_reinit_starts_from_weights_of_its_own_and_the_same_ones_in_every_round(tmp_path):
    pack = tiny_pack(methods=["imp", "reinit", "shuffled"], measures=["accuracy"], **DEEP)
    run(pack, tmp_path)
    lineages, records = by_method(pack), rounds_of(pack, tmp_path)._records
    seeds = sorted({lineage.seed for lineage in pack.lineages})
    starts = {key: records.start(lineage, {})["weight1"] for key, lineage in lineages.items()}
    for seed in seeds:
        assert torch.equal(starts["shuffled", seed], starts["imp", seed])
        assert not torch.isclose(starts["reinit", seed], starts["imp", seed]).any()
        for round in (1, 2):
            record = records.of([lineages["reinit", seed]], round)[0]
            assert record.end is not None
            assert (record.end["weight1"][~record.masks["weight1"]] == 0).all()
    assert not torch.equal(starts["reinit", seeds[0]], starts["reinit", seeds[1]])
    # Drawn as any initial weights are: the same law, so about the same size.
    assert starts["reinit", seeds[0]].std() / starts["imp", seeds[0]].std() == pytest.approx(1, abs=0.2)


@pytest.mark.some(1)
@pytest.mark.parametrize("method", ["reinit", "shuffled"])
def test_a_follower_is_the_same_beside_imp_and_alone(tmp_path, method):
    beside = tiny_pack(methods=["imp", method], measures=["fan_in", "accuracy", "cavity"], **DEEP)
    run(beside, tmp_path / "beside")
    alone = tiny_pack(methods=[method], measures=["fan_in", "accuracy", "cavity"], **DEEP)
    run(alone, tmp_path / "alone")
    ids = [lineage.id for lineage in alone.lineages]
    for table in ("rounds", "units", "fates"):
        rows = rows_of(tmp_path / "beside", table).filter(pl.col("lineage").is_in(ids))
        assert rows.height and rows.equals(rows_of(tmp_path / "alone", table), null_equal=True)


@pytest.mark.slow
def test_more_rounds_and_lost_checkpoints_of_the_leader_change_nothing(tmp_path):
    pack = tiny_pack(methods=["shuffled", "reinit"], measures=["fan_in", "accuracy"], **DEEP)
    run(pack, tmp_path / "whole")
    run(pack.model_copy(update={"rounds": 2}), tmp_path / "hurt")
    leaders = {leader.id for lineage in pack.lineages if (leader := leader_of(lineage)) is not None}
    for path in (tmp_path / "hurt" / "checkpoints" / "lineages").rglob("round-00*"):
        if any(leader in str(path) for leader in leaders):
            path.unlink()
    run(pack, tmp_path / "hurt")
    assert_same_tables(tmp_path / "whole", tmp_path / "hurt", ("rounds", "units", "fates"))


def test_leaders_that_are_no_methods_train_together(tmp_path, monkeypatch):
    nets = []

    def counting(task, real=TRAINERS[Sgd]):
        nets.append(len(task.specs))
        return real(task)

    monkeypatch.setitem(TRAINERS, Sgd, counting)
    run(tiny_pack(methods=["shuffled"], seeds=3, measures=["fan_in"], rounds=3), tmp_path)
    assert nets == [3, 3, 3]  # the trunks; imp's rounds 1 and 2; shuffled itself is never trained


@pytest.mark.parametrize("with_leader", [True, False])
def test_where_imp_has_diverged_its_followers_end_too(tmp_path, monkeypatch, with_leader):
    def breaks(task, real=TRAINERS[Sgd]):
        trained = real(task)
        if task.masks is not None and task.masks["weight1"].float().mean() < 0.6:  # from round 2 on
            trained.params["weight1"] *= torch.nan
        return trained

    monkeypatch.setitem(TRAINERS, Sgd, breaks)
    methods = ["imp", "shuffled"] if with_leader else ["shuffled"]
    pack = tiny_pack(methods=methods, measures=["fan_in"], rounds=4)
    run(pack, tmp_path)
    rows = rows_of(tmp_path, "rounds").filter(pl.col("method") == "shuffled")
    assert rows.filter(pl.col("status") == "diverged")["round"].unique().to_list() == [3]
    assert rows["round"].max() == 3 and not rows.filter(pl.col("round") == 3)["trained"].any()
    before = rows
    run(pack, tmp_path)  # and stay ended
    assert rows_of(tmp_path, "rounds").filter(pl.col("method") == "shuffled").equals(before, null_equal=True)


def test_round_0_is_the_trunk_for_all_and_says_so(tmp_path):
    """What is measured at the start of round 0 is of the weights that it trained from."""
    pack = tiny_pack(methods=["imp", "reinit"], seeds=1, measures=["kurtosis", "course"], rounds=1, **DEEP)
    run(pack, tmp_path)
    units = rows_of(tmp_path, "units").sort("layer", "unit")
    same = {
        round: units.filter(pl.col("round") == round, pl.col("method") == "imp")["kurtosis"].equals(
            units.filter(pl.col("round") == round, pl.col("method") == "reinit")["kurtosis"], null_equal=True
        )
        for round in (0, 1)
    }
    assert same == {0: True, 1: False}


def test_new_weights_train_for_all_steps_where_rewound_ones_go_on(tmp_path, monkeypatch):
    tasks = []

    def noting(task, real=TRAINERS[Sgd]):
        tasks.append((len(task.specs), task.begin, task.until))
        return real(task)

    monkeypatch.setitem(TRAINERS, Sgd, noting)
    prune = {"fraction": 0.3, "rewind_step": 8, "after_rewind": "remaining"}
    pack = tiny_pack(methods=["imp", "reinit"], seeds=1, rounds=1, measures=["accuracy"], **{"trial.prune": prune})
    run(pack, tmp_path / "both")
    assert tasks == [(1, 0, 20), (1, 0, 20), (1, 8, 12)]  # the trunk; reinit; imp
    alone = pack.model_copy(update={"lineages": pack.lineages[1:]})
    run(alone, tmp_path / "alone")
    rows = rows_of(tmp_path / "both", "rounds").filter(pl.col("method") == "reinit")
    assert rows.equals(rows_of(tmp_path / "alone", "rounds"), null_equal=True)


def test_courses_are_taken_of_what_is_measured_only(tmp_path, monkeypatch):
    observed = []

    def noting(task, real=TRAINERS[Sgd]):
        observed.append(task.observe is not None)
        return real(task)

    monkeypatch.setitem(TRAINERS, Sgd, noting)
    run(tiny_pack(methods=["shuffled"], seeds=1, measures=["course"], rounds=2), tmp_path)
    assert observed == [True, True, False, True]  # the trunk; shuffled; its leader in round 1; shuffled
