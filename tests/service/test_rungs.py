"""Early stopping compares a trial with those of earlier runs, as if they had run now."""

import math
from types import SimpleNamespace

import pytest
from conftest import sweep_into, tiny_sweep
from ray.tune.schedulers import TrialScheduler

from impray.results.paths import Paths
from impray.results.tables import scan
from impray.service.ray.scheduling import scheduler
from impray.service.trials import Trials

STOP = {"measure": "loss", "direction": "min", "grace": 1, "factor": 2}
CHEAP = {"measures": ["loss"], "methods": ["imp", "random"], "rounds": 3, "seeds": 2}


def told(of, name, values):
    """Decisions on a trial that tells these values round by round, until it is stopped."""
    trial, decisions = SimpleNamespace(trial_id=name), []
    of.on_trial_add(None, trial)
    for round, value in enumerate(values):
        decisions.append(of.on_trial_result(None, trial, {"training_iteration": round + 1, "progress": value}))
        if decisions[-1] == TrialScheduler.STOP:
            break
    return decisions


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("cut", range(5))
def test_a_resumed_search_decides_as_one_in_one_go(direction, cut):
    sweep = tiny_sweep(**CHEAP, **{"search.stop_early": {**STOP, "direction": direction}})
    trials = [[3, 2, 2, 2], [1, 1, 1, 1], [9, 8, 7, 6], [2, 5, 2, 2], [1, 2, 3, 4]]
    whole = scheduler(sweep)
    expected = [told(whole, f"t{number}", values) for number, values in enumerate(trials)]
    assert any(TrialScheduler.STOP in decisions[:-1] or len(decisions) < 4 for decisions in expected)
    first = scheduler(sweep)
    decided = [told(first, f"t{number}", values) for number, values in enumerate(trials[:cut])]
    rungs = [dict(enumerate(values[: len(of)])) for values, of in zip(trials, decided, strict=False)]
    second = scheduler(sweep, rungs)
    decided += [told(second, f"u{number}", values) for number, values in enumerate(trials[cut:])]
    assert decided == expected


def test_undefined_is_the_worst():
    sweep = tiny_sweep(**CHEAP, **{"search.stop_early": STOP})
    undefined, good = {0: math.nan, 1: math.nan}, {0: 1.0, 1: 1.0}
    assert told(scheduler(sweep, [undefined, good, good]), "a", [5.0, 5.0])[-1] == TrialScheduler.STOP
    assert told(scheduler(sweep, [undefined, undefined, good]), "a", [5.0, 5.0])[-1] == TrialScheduler.CONTINUE


def test_rungs_are_read_from_the_tables(tmp_path):
    sweep_into(tmp_path / "s", tiny_sweep(**CHEAP))
    trials = Trials(tiny_sweep(**CHEAP, **{"search.stop_early": STOP}), Paths(tmp_path / "s"))
    rows = scan("rounds", tmp_path / "s").collect()
    rungs = trials.rungs()
    assert len(rungs) == 2 and all(list(values) == [0, 1, 2, 3] for values in rungs)
    for trial in rows["trial"].unique():
        of_imp = rows.filter(trial=trial, method="imp")
        means = [of_imp.filter(round=round)["loss"].mean() for round in range(4)]
        assert any(list(values.values()) == pytest.approx(means, rel=1e-12) for values in rungs)
    assert not Trials(tiny_sweep(**CHEAP), Paths(tmp_path / "s")).rungs()
