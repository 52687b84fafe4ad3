"""Packs that a sweep makes by itself: who shares one, how large they are, and that no number depends on them."""

import pytest
from conftest import assert_same_tables, rows_of, sweep_into, tiny_sweep
from linear_sweeps import linear_sweep

from impray.results.ledger import Ledger
from impray.service import plan
from impray.service.plan import axis_types, listed, packs, parts_for
from impray.spec.pack import stackable

ALL = ("rounds", "units", "fates", "masks", "images", "histograms", "trials")
AXES = {"data.gain": [0.1, 3.0], "prune.fraction": [0.2, 0.3], "train.steps": [20, 24]}


def planned(sweep, slots=1):
    return packs(sweep, listed(sweep), Ledger(), axis_types(sweep), slots)


def itself(**search):
    return tiny_sweep(search={"space": AXES, **search})


def test_what_stacks_shares_a_pack_unless_it_is_told_otherwise():
    by_steps = planned(itself())
    assert [len({i.trial.train.steps for i in pack.lineages}) for pack in by_steps] == [1, 1]
    assert [len({i.trial.id for i in pack.lineages}) for pack in by_steps] == [4, 4]
    assert all(len({stackable(i) for i in pack.lineages}) == 1 for pack in by_steps)
    assert len(planned(itself(pack=[]))) == 8
    assert len(planned(itself(pack=["data.gain"]))) == 4
    assert len(planned(itself(stop_early={"measure": "loss", "direction": "min"}))) == 8


def test_values_of_one_axis_share_packs_with_those_that_stack():
    kinds = [
        {"kind": kind, "shape": [6, 6], "held_out": 40, name: value}
        for kind, name, values in (("nlgp", "gain", (0.1, 3)), ("kur", "k", (3, 5)))
        for value in values
    ]
    found = planned(tiny_sweep(search={"space": {"data": kinds}}))
    assert [{i.trial.data.kind for i in pack.lineages} for pack in found] == [{"nlgp"}, {"kur"}]


def test_numbers_of_modules_depend_on_their_neighbours_so_trials_stay_alone():
    factory = "nets.factories:cnn"
    net = {"kind": "module", "factory": factory, "sizes": [{"shape": [4, 36]}, {"shape": [2, 4]}]}
    found = planned(tiny_sweep(**{"trial.net": net}, search={"space": {"data.gain": [0.1, 3.0]}}))
    assert len(found) == 2


@pytest.mark.parametrize("slots", [1, 2, 3, 5])
def test_a_pack_stays_within_the_memory_but_no_trial_is_cut_for_it(monkeypatch, slots):
    sweep = tiny_sweep(seeds=4, search={"space": {"data.gain": [0.1, 1.0, 3.0]}})
    alone = planned(tiny_sweep(seeds=4, search={}))
    one_trial = plan.tensors(alone[0])
    for most, fewest in ((4 * one_trial, 1), (one_trial, 3), (1, 3)):
        monkeypatch.setattr(plan, "MOST_BYTES", most)
        found = planned(sweep, slots)
        assert len(found) >= max(fewest, min(slots, 12))
        assert all(plan.tensors(pack) <= max(most, one_trial) for pack in found)
        assert sorted(i.id for pack in found for i in pack.lineages) == sorted(
            i.id for trial in listed(sweep) for i in trial.lineages
        )
    assert len(planned(sweep)) == 3, "a trial by itself stays whole, however small the memory"


def test_linear_models_share_packs_up_to_a_number(monkeypatch):
    sweep = linear_sweep(seeds=4, search={"space": {"data.nonzero": [2, 3]}})
    assert len(planned(sweep)) == 1
    monkeypatch.setattr(plan, "_MOST_SOLVED", 1)
    assert len(planned(sweep)) == 2


@pytest.mark.parametrize("groups", [[210, 180, 150, 120], [7, 1], [1, 1, 1], [60, 60], [5, 4, 3, 2, 1], [100, 1, 1]])
@pytest.mark.parametrize("slots", [1, 2, 3, 4])
def test_slots_stay_busy_also_where_groups_differ(groups, slots):
    parts = parts_for(groups, slots)
    assert all(1 <= some <= size for some, size in zip(parts, groups, strict=True))
    empty = plan._empty(groups, parts, slots)
    units = plan._empty(groups, groups, slots)  # every unit a pack of its own: no schedule is better
    assert empty <= max(0.08, units)
    assert slots > 1 or parts == [1] * len(groups), "one slot is never empty"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["here", pytest.param("ray", marks=pytest.mark.ray)])
def test_no_number_depends_on_who_shares_a_pack(tmp_path, where, request):
    if where == "ray":
        request.getfixturevalue("keep_ray")
    of = {"seeds": 2, "rounds": 2}
    report, _ = sweep_into(tmp_path / "alone", tiny_sweep(**of, search={"space": AXES, "pack": []}))
    itself, _ = sweep_into(tmp_path / "itself", tiny_sweep(**of, search={"space": AXES}), where)
    assert itself.ran < report.ran
    assert_same_tables(tmp_path / "alone", tmp_path / "itself", ALL)


@pytest.mark.slow
def test_a_folder_that_was_run_in_other_packs_goes_on_and_ends_the_same(tmp_path):
    of = {"seeds": 1, "measures": ["accuracy", "loss", "fan_in"]}
    sweep_into(tmp_path / "grown", tiny_sweep(**of, rounds=1, search={"space": AXES, "pack": []}))
    ids = rows_of(tmp_path / "grown", "trials")["trial"].to_list()
    sweep_into(tmp_path / "grown", tiny_sweep(**of, rounds=2, search={"space": AXES}))
    sweep_into(tmp_path / "at_once", tiny_sweep(**of, rounds=2, search={"space": AXES, "pack": []}))
    assert_same_tables(tmp_path / "grown", tmp_path / "at_once", ("rounds", "units", "fates", "trials"))
    assert rows_of(tmp_path / "at_once", "trials")["trial"].to_list() == ids
