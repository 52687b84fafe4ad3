"""Who shares a pack, what is left to do, and what an Optuna study is told."""

import math

import pytest
from conftest import tiny_sweep

from impray.results.ledger import Fates, Ledger, Measured, Round
from impray.service.plan import axis_types, listed, packs, parts_for, planned, split
from impray.service.proposals import EarlierTrial, OptunaQueue, PackQueue
from impray.service.sizes import tensors
from impray.spec.base import canonical
from impray.spec.training import GRAPH_STEPS
from impray.spec.trial import Trial

NOTHING = Ledger()


def plan(sweep, slots, ledger=NOTHING):
    return packs(sweep, listed(sweep), ledger, axis_types(sweep), slots)


def test_packed_axes_share_a_pack_and_others_do_not():
    sweep = tiny_sweep(**{"search.space": {"data.gain": [0.1, 1, 3], "prune.fraction": [0.2, 0.3]}})
    found = plan(sweep, slots=1)
    assert len(found) == 2
    assert all(len(pack.lineages) == 3 * 3 * 2 for pack in found)
    assert all(len({lineage.trial.prune.fraction for lineage in pack.lineages}) == 1 for pack in found)


def test_on_a_gpu_the_memory_of_the_round_before_is_counted():
    """Six copies of all weights: Adam's weights, masks, gradients and moments, and what it computes in; and a graph's numbers, twice."""
    here, there = (plan(tiny_sweep(**{"resources.gpu": gpu}), slots=1) for gpu in (0, 1))
    trial = here[0].lineages[0].trial
    weights, numbers = 36 * 5 + 5 + 5 * 2 + 2, 2 * GRAPH_STEPS * trial.train.batch_size * trial.data.inputs
    assert tensors(there[0]) - tensors(here[0]) == 4 * (6 * weights + numbers) * len(here[0].lineages)


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 7, 100])
def test_packs_fill_the_slots_and_hold_each_lineage_once(slots):
    sweep = tiny_sweep(seeds=3)
    found = plan(sweep, slots)
    ids = [lineage.id for pack in found for lineage in pack.lineages]
    assert len(ids) == len(set(ids)) == 2 * 3 * 3
    # The smallest part is the three methods of one seed and trial, which share a trunk.
    assert len(found) == min(slots, 2 * 3)


@pytest.mark.parametrize(
    ("groups", "slots", "parts"),
    [(1, 1, 1), (1, 2, 2), (9, 2, 2), (9, 1, 1), (3, 16, 6), (45, 2, 1), (4, 2, 1)],
)
def test_packs_are_cut_so_that_slots_stay_busy(groups, slots, parts):
    assert parts_for([6] * groups, slots) == [parts] * groups


def test_splitting_keeps_trunks_together():
    sweep = tiny_sweep(seeds=4)
    parts = split(listed(sweep)[0].lineages, 3)
    trunks = [{lineage.trunk for lineage in part} for part in parts]
    assert all(not (a & b) for i, a in enumerate(trunks) for b in trunks[i + 1 :])


def test_finished_lineages_are_in_no_pack():
    sweep = tiny_sweep()
    first = plan(sweep, 1)[0]
    measured, of_fates = Measured(first.asked), Measured(first.asked_of_fates)
    done = first.lineages[0]
    whole = {round: Round("done", measured, True) for round in range(4)}
    fates_of = {round: of_fates for round in range(4)}
    ledger = Ledger({done.id: whole}, {done.id: Fates(3, fates_of)})
    assert done.id not in {lineage.id for pack in plan(sweep, 1, ledger) for lineage in pack.lineages}
    # ... but they are if a measure, a round or the fates are missing.
    for rounds, fates in (
        ({0: Round("done", measured, True)}, Fates(3, fates_of)),
        ({r: Round("done", measured, True, whole=False) for r in range(4)}, Fates(3, fates_of)),
        (whole, Fates(2, fates_of)),
        (whole, Fates(-1, fates_of)),
        (whole, Fates(3, {**fates_of, 1: Measured()})),
    ):
        again = Ledger({done.id: rounds}, {done.id: fates})
        assert done.id in {lineage.id for pack in plan(sweep, 1, again) for lineage in pack.lineages}


def test_axes_that_change_shapes_do_not_stack():
    sweep = tiny_sweep(**{"search.space": {"data.shape": [[6, 6], [4, 9]]}, "search.pack": []})
    assert len(plan(sweep, 1)) == 2


def test_listed_ends():
    sweep = tiny_sweep()
    proposals = PackQueue(plan(sweep, 1))
    assert proposals.next() is not None and proposals.next() == "finished"


SEARCH = {
    "search": {
        "algorithm": "optuna",
        "trials": 6,
        "seed": 3,
        "space": {
            "prune.fraction": {"low": 0.1, "high": 0.6},
            "train.batch": {"low": 4, "high": 64, "log": True},
            "data.xi": [[1, 2], [1, 3]],
        },
        "goals": [{"measure": "loss", "direction": "min"}, {"measure": "accuracy", "direction": "max"}],
    }
}


def asked(sweep, earlier=(), values=None):
    seen = []
    proposals = OptunaQueue(
        sweep, NOTHING, axis_types(sweep), earlier, values or (lambda t: [t.trial.prune.fraction, 1.0]), seen.append
    )
    return proposals, seen


def test_optuna_asks_within_the_space_and_never_twice():
    sweep = tiny_sweep(**SEARCH)
    proposals, seen = asked(sweep)
    while (pack := proposals.next()) != "finished":
        proposals.ended(pack, "done")
    assert [trial.number for trial in seen] == list(range(6))
    assert len({trial.trial.id for trial in seen}) == 6
    for trial in seen:
        assert 0.1 <= trial.trial.prune.fraction <= 0.6
        assert isinstance(trial.trial.train.batch, int) and 4 <= trial.trial.train.batch <= 64
        assert trial.trial.data.xi in ((1, 2), (1, 3))


def test_optuna_is_told_what_happened():
    from optuna.trial import TrialState

    sweep = tiny_sweep(**SEARCH)
    proposals, _ = asked(sweep, values=lambda t: [math.nan, 1.0] if t.number == 3 else [0.5, 0.5])
    for outcome in ("done", "stopped", "failed", "done"):
        pack = proposals.next()
        proposals.ended(pack, outcome)
    states = [trial.state for trial in proposals._study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]


def test_a_diverged_trial_of_an_earlier_run_is_told_as_failed_and_not_run_again():
    sweep = tiny_sweep(**SEARCH)
    first, seen = asked(sweep)
    first.next()
    again, heard = asked(sweep, earlier=[EarlierTrial(0, seen[0].trial, "diverged", [math.nan, math.nan])])
    assert again.told == 1 and [trial.state.name for trial in again._study.trials] == ["FAIL"]
    while again.next() != "finished":
        pass
    assert seen[0].trial.id not in {trial.trial.id for trial in heard}


def test_an_exhausted_space_ends_the_search():
    small = {**SEARCH["search"], "space": {"prune.fraction": [0.2, 0.3]}, "trials": 50}
    proposals, seen = asked(tiny_sweep(search=small))
    while (pack := proposals.next()) != "finished":
        proposals.ended(pack, "done")
    assert len(seen) == 2


def test_earlier_trials_are_told_and_interrupted_ones_asked_again_first():
    sweep = tiny_sweep(**SEARCH)
    first, seen = asked(sweep)
    for _ in range(4):
        first.ended(first.next(), "done")
    outcomes = ["done", None, "stopped", None]
    earlier = [
        EarlierTrial(
            trial.number, Trial.model_validate(canonical(trial.trial)), outcome, [0.5, 0.5] if outcome == "done" else []
        )
        for trial, outcome in zip(seen, outcomes, strict=True)
    ]
    again, heard = asked(sweep, earlier=earlier)
    assert again.told == 2
    while (pack := again.next()) != "finished":
        again.ended(pack, "done")
    # Those that are over count and are not run; the interrupted ones come first, under their numbers; then new ones.
    assert [trial.trial.id for trial in heard[:2]] == [seen[1].trial.id, seen[3].trial.id]
    assert [trial.number for trial in heard] == [1, 3, 4, 5]
    states = [trial.state.name for trial in again._study.trials]
    assert states.count("PRUNED") >= 1 and [0.5, 0.5] in [trial.values for trial in again._study.trials]


def test_trials_of_another_space_or_base_are_forgotten():
    sweep = tiny_sweep(**SEARCH)
    first, seen = asked(sweep)
    first.ended(first.next(), "done")
    earlier = [EarlierTrial(0, seen[0].trial, "done", [0.5, 0.5])]
    other, _ = asked(tiny_sweep(**SEARCH, **{"trial.train.lr": 0.5}), earlier=earlier)
    assert other.told == 0
    narrow = {**SEARCH["search"], "space": {**SEARCH["search"]["space"], "prune.fraction": {"low": 0.9, "high": 0.95}}}
    other, _ = asked(tiny_sweep(search=narrow), earlier=earlier)
    assert other.told == 0


def test_a_range_over_hidden_units_is_remembered():
    search = {**SEARCH["search"], "space": {"net.hidden": {"low": 2, "high": 9}}}
    sweep = tiny_sweep(search=search)
    first, seen = asked(sweep, values=lambda t: [1.0, 1.0])
    first.ended(first.next(), "done")
    again, _ = asked(sweep, earlier=[EarlierTrial(0, seen[0].trial, "done", [1.0, 1.0])])
    assert again.told == 1


def test_planned_trials_have_a_lineage_per_method_and_seed():
    sweep = tiny_sweep()
    assert len(planned(sweep, 0, {}, sweep.trial).lineages) == 3 * 2
