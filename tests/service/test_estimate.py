"""What is said before a sweep runs: what the folder has, what is left, and what that costs."""

import re

import pytest
from calls import Calls
from conftest import rows_of, sweep_into, tiny_sweep

from impray.kernels.compiled import lacking
from impray.results.files import locked
from impray.results.paths import Paths
from impray.service import cost, estimate, probe, solving_time
from impray.service.cost import Cost, PackSeconds
from impray.service.said import found, load_sweep
from impray.service.trials import Trials
from impray.spec.errors import SweepError
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep

SMALL = {"measures": ["accuracy", "fan_in"], "rounds": 2}


def plan(folder, sweep):
    return "\n".join(estimate.lines(sweep, "s", folder, "here"))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_results_does_not_hide_the_sweep_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "mine").mkdir()
    assert found("quickstart").is_file() and found("sweeps/quickstart.yaml") == found("quickstart")
    with pytest.raises(SweepError, match="this is a folder"):
        load_sweep("mine", [])
    (tmp_path / "quickstart.yaml").write_text("question: x\n")
    assert found("quickstart.yaml").resolve() == tmp_path / "quickstart.yaml"


# -- the folder -------------------------------------------------------------------------------------------------------

OTHERS = {
    "question": {"question": "quite another one?"},
    "base": {"trial.train.lr": 0.5},
    "question and base": {"question": "quite another one?", "trial.train.lr": 0.5},
    "type": {"search": {"space": {"data.gain": [0.1, 3.0], "net.init.scale": [0.5, [0.6, 1.0]]}}},
}
SCALES = {"search": {"space": {"data.gain": [3.0], "net.init.scale": [0.5, 1.0]}}}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_a_plan_refuses_a_folder_as_the_sweep_does_and_writes_nothing(tmp_path, changes):
    sweep_into(tmp_path / "s", tiny_sweep(**{**SMALL, "rounds": 0, "seeds": 1, **SCALES}))
    before = contents(tmp_path / "s")
    other = tiny_sweep(**{**SMALL, "rounds": 0, "seeds": 1, **SCALES, **changes})
    with pytest.raises(SweepError) as by_plan:
        plan(tmp_path / "s", other)
    assert contents(tmp_path / "s") == before
    with pytest.raises(SweepError) as by_sweep:
        sweep_into(tmp_path / "s", other)
    assert str(by_plan.value) == str(by_sweep.value)
    assert ("quite another one?" in str(by_plan.value)) == ("question" in changes)


def test_a_plan_refuses_a_folder_that_is_in_use_as_the_sweep_does(tmp_path):
    told = []
    with locked(tmp_path / "s" / "running.lock"):
        for call in (plan, sweep_into):
            with pytest.raises(SweepError, match="another impray sweep") as caught:
                call(tmp_path / "s", tiny_sweep(**SMALL))
            told.append(str(caught.value))
    assert told[0] == told[1]


def test_two_files_of_one_name_do_not_share_a_folder_and_each_way_out_keeps_what_is_there(tmp_path):
    one, other = tiny_sweep(**SMALL, seeds=1), tiny_sweep(**SMALL, seeds=2, question="quite another one?")
    sweep_into(tmp_path / "s", one)
    before = rows_of(tmp_path / "s", "rounds")
    with pytest.raises(SweepError) as caught:
        sweep_into(tmp_path / "s", other)
    (problem,) = caught.value.problems
    assert problem.path == "question" and one.question in problem.right
    sweep_into(tmp_path / "t", other)  # --out
    # Extended: the question stays.
    kept = re.search(r"--set 'question=([^']*)'", problem.right).group(1)
    sweep_into(tmp_path / "s", other.model_copy(update={"question": kept}))
    # Reworded: sweep.yaml goes, the rows stay.
    (tmp_path / "s" / "sweep.yaml").unlink()
    report, _ = sweep_into(tmp_path / "s", other)
    assert report.ran == 0 and "quite another one?" in (tmp_path / "s" / "sweep.yaml").read_text()
    after = rows_of(tmp_path / "s", "rounds")
    assert before.join(after, on=before.columns, how="anti", nulls_equal=True).is_empty()
    assert rows_of(tmp_path / "t", "rounds").equals(after, null_equal=True)


# -- what is left -----------------------------------------------------------------------------------------------------


def test_a_plan_of_nothing_makes_nothing(tmp_path):
    said = plan(tmp_path / "s", tiny_sweep(**SMALL))
    assert "trials: 2; lineages: 12 = trials x 3 methods x 2 seeds; packs: 1 of up to 12 lineages" in said
    assert "left to do" not in said and not (tmp_path / "s").exists()
    assert "an actor" in said and "disk: about" in said and "GPU" not in said


def test_a_plan_knows_what_is_done(tmp_path):
    sweep_into(tmp_path / "s", tiny_sweep(**SMALL, **{"search.space": {"data.gain": [3.0]}}))
    before = contents(tmp_path / "s")
    said = plan(tmp_path / "s", tiny_sweep(**SMALL))
    assert "trials: 2 (1 done, 1 with something left to do); lineages: 12 (6 with something left to do)" in said
    assert re.search(r"left to do:\n  trial 0 \(data.gain=0.1\): 6 of 6 lineages, 18 of 18 rounds\n", said)
    said = plan(tmp_path / "s", tiny_sweep(**{**SMALL, "rounds": 3}))
    left = Trials(tiny_sweep(**{**SMALL, "rounds": 3}), Paths(tmp_path / "s"), writes=False)
    undone = sum(len(left.undone(lineage)) for lineage in left.planned[left.left()[1].trial.id].lineages)
    assert 6 <= undone < 24 and f"trial 1 (data.gain=3): 6 of 6 lineages, {undone} of 24 rounds" in said
    assert contents(tmp_path / "s") == before
    sweep_into(tmp_path / "s", tiny_sweep(**SMALL))
    assert "nothing is left to run" in plan(tmp_path / "s", tiny_sweep(**SMALL))


SHARING = {"search": {"space": {"data.gain": [0.1, 3.0], "prune.fraction": [0.2, 0.3]}}}


def test_a_plan_says_who_shares_packs_and_which_packing_would_help(tmp_path):
    assert "trials that differ in data.gain, prune.fraction share packs" in plan(
        tmp_path, tiny_sweep(**SMALL, **SHARING)
    )
    apart = plan(tmp_path, tiny_sweep(**SMALL, search={**SHARING["search"], "pack": []}))
    assert "search.pack left out would make 1 packs of these 4" in apart and "share packs" not in apart


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_a_sweep_takes_its_start_the_fullest_slot_and_its_end():
    packs = [PackSeconds(training=t, rounds=1.0) for t in (9.0, 4.0, 4.0)]
    took = Cost(packs, slots=2, opening=3.0, before=10.0, after=5.0)
    assert took.wall_s == 10 + 3 + 10 + 5 and took.slot_s == 20 + 2 * 3
    assert Cost(packs, 1, 3.0, 10.0, 5.0).wall_s == 10 + 3 + 20 + 5
    assert Cost([], 2, 3.0, 10.0, 5.0).wall_s == 0


def test_a_pack_takes_its_steps_and_what_its_rounds_take_besides(monkeypatch, tmp_path):
    """Step 1 s of a pack of 12; a round with rows 2 s and 0.1 s a lineage, what else it takes 3 s and 0.2 s a lineage."""
    monkeypatch.setattr(probe, "step_seconds", lambda pack, budget_s: (0.0, 1.0))
    monkeypatch.setattr(probe, "round_costs", lambda pack, budget_s: probe.RoundCosts((2.0, 0.1), (3.0, 0.2)))
    sweep = tiny_sweep(**SMALL)
    now = estimate.left(Trials(sweep, Paths(tmp_path / "s"), writes=False), "here")
    (took,) = now.cost("here", 1.0).packs
    # Trunks of 4 (trial, seed), and 2 rounds of 12 networks, of 20 steps each.
    assert took.training == pytest.approx(20 * (4 + 2 * 12) / 12)
    assert took.rounds == pytest.approx(3 * (2 + 12 * 0.1) + 3 * (3 + 12 * 0.2))
    sweep_into(tmp_path / "s", tiny_sweep(**{**SMALL, "rounds": 1}))
    now = estimate.left(Trials(sweep, Paths(tmp_path / "s"), writes=False), "here")
    share = sum(len(now.trials.undone(i)) for i in now.packs[0].lineages) / 36
    assert 1 / 3 <= share < 1 and now.cost("here", 1.0).packs[0].training == pytest.approx(share * took.training)


def test_what_a_probe_meets_is_told_and_is_no_reason_not_to_begin(monkeypatch, tmp_path):
    def broken(*_):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(probe, "run_part", broken)
    assert "not known: a part of it failed here (RuntimeError: broken on purpose)" in plan(
        tmp_path, tiny_sweep(**SMALL)
    )
    said, seconds = estimate.briefly(Trials(tiny_sweep(**SMALL), Paths(tmp_path), writes=False), "here", True, 0.0)
    assert seconds is None and "broken on purpose" in said[-1]


def test_gpus_are_counted_in_hours(tmp_path):
    assert re.search(
        r"\nGPU-hours: (about|below) [\d.e-]+", plan(tmp_path, tiny_sweep(**SMALL, resources={"gpu": 0.5}))
    )


def solved(**changes):
    """Two trials of linear models that are solved."""
    trial = {
        "data": {"kind": "linear", "samples": 12, "features": 6, "nonzero": 2, "law": "signs"},
        "net": {"kind": "linear"},
        "train": {"optimizer": "gradient_flow"},
        "prune": {"remove": 1, "layers": "all"},
    }
    asked = {"methods": ["imp", "oneshot"], "seeds": 6, "rounds": 3, "measures": ["support"], **changes}
    return Sweep.model_validate(
        {"question": "q?", "trial": trial, "search": {"space": {"data.noise_scale": [0.5, 1.0]}}, **asked}
    )


class Clock:
    """Time that passes only where parts of packs are run: so much for a pack, for each of its lineages, and once for all."""

    def __init__(self, pack_s: float, lineage_s: float, once_s: float = 0.0):
        self.pack_s, self.lineage_s, self.once_s, self.now, self.ran = pack_s, lineage_s, once_s, 0.0, []

    def part(self, pack: Pack) -> probe.Part:
        begun = self.now
        self.now += self.pack_s + self.lineage_s * len(pack.lineages) + (0 if self.ran else self.once_s)
        self.ran.append(len({lineage.seed for lineage in pack.lineages}))
        return probe.Part(self.now - begun)


@pytest.mark.parametrize("budget_s", [cost.WHOLE_S, cost.QUICK_S])
@pytest.mark.parametrize("lineage_s", [1e-4, 0.02, 0.2])
@pytest.mark.parametrize("seeds", [1, 2, 6, 100])
def test_solving_takes_what_a_pack_takes_once_and_what_each_problem_takes(
    monkeypatch, tmp_path, budget_s, lineage_s, seeds
):
    """Exactly, where time is that simple; whatever the first of all takes besides, as imports and compilers do. And looking has an end."""
    clock = Clock(pack_s=0.05, lineage_s=lineage_s, once_s=7.0)
    monkeypatch.setattr(probe, "clock", lambda: clock.now)
    monkeypatch.setattr(probe, "run_part", clock.part)
    trials = Trials(solved(seeds=seeds), Paths(tmp_path / "s"), writes=False)
    took = estimate.left(trials, "here").cost("here", budget_s)
    # A trial's lineages are timed by themselves, whoever shares their pack: 2 trials of 2 methods.
    assert took.slot_s == pytest.approx(2 * (0.05 + 2 * seeds * lineage_s))
    assert took.part("solving") == took.slot_s
    assert max(clock.ran) <= solving_time.PROBLEMS
    assert clock.now - 7.0 <= budget_s + 5 * (0.05 + 2 * lineage_s * 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elesedy2020_small", "pilanci2025_small"])
@pytest.mark.parametrize("budget_s", [cost.WHOLE_S, cost.QUICK_S])
def test_estimates_are_right_to_a_quarter(tmp_path, monkeypatch, name, budget_s):
    """Of all that is really run, and counted in calls of functions: on a busy machine seconds differ by as much."""
    sweep, _ = load_sweep(name, [])
    with Calls() as calls:
        monkeypatch.setattr(probe, "clock", lambda: calls.count / 3e6)  # a second makes some millions
        trials = Trials(sweep, Paths(tmp_path / "s"), writes=False)
        expected = estimate.left(trials, "here").cost("here", budget_s).slot_s
        start = probe.clock()
        sweep_into(tmp_path / "s", sweep)
        took = probe.clock() - start
    assert 0.75 < expected / took < 1.25


def test_what_is_compiled_in_the_first_steps_is_no_part_of_a_step(monkeypatch):
    seen = []

    def trained(pack, network, params, masks, data, until):
        seen.append(until)
        return 1000.0 if len(seen) == 1 else until * 0.01

    monkeypatch.setattr(probe, "_trained", trained)
    sweep = tiny_sweep(**{"trial.train.steps": 100})
    pack = Pack(lineages=tuple(sweep.trial.lineages(("imp",), (0,))), rounds=1, measures=())
    _, step = probe.step_seconds(pack, 10.0)
    assert step == pytest.approx(0.01) and max(seen) == probe.PROBE_STEPS


def test_steps_are_timed_at_the_densities_of_rounds_where_these_cost_otherwise(monkeypatch):
    """Sparse layers: dense up to a round, then cheaper and cheaper; a step is the mean over all rounds."""
    changes = {"trial.net.hidden": [600], "trial.prune.fraction": 0.5, "rounds": 6, "seeds": 1}
    sweep = tiny_sweep(**changes)
    lineages = sweep.trial.lineages(("imp",), (0,))
    pack = Pack(lineages=tuple(lineages), rounds=6, measures=(), rows_at=(6,))
    seen = []

    def trained(pack, network, params, masks, data, until):
        (mask,) = (mask for name, mask in masks.items() if name == "weight1")
        seen.append(round(float(mask.float().mean()), 2))
        return until * {1.0: 8.0, 0.5: 8.0, 0.25: 4.0, 0.12: 2.0, 0.06: 2.0, 0.02: 1.0}[seen[-1]]

    monkeypatch.setattr(probe, "_trained", trained)
    _, step = probe.step_seconds(pack, 1.0)
    if lacking() is None:
        # 36 x 600 weights: rounds 0 and 1 (all, a half) are dense, rounds 2 (a quarter) to 6 are not.
        assert set(seen) == {1.0, 0.5, 0.25, 0.06, 0.02} and step == pytest.approx((8 + 8 + 4 + 3 + 2 + 1.5 + 1) / 7)
    else:
        assert set(seen) == {1.0} and step == 8.0
