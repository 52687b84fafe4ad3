"""goals: front, rank correlations and densities of version 0.5.0 come out again; who has none is counted."""

import json

import goals
import pytest

from analysis import stored
from impray.figures import NotMeasured, results, table
from impray.figures.drawing import draw
from impray.results import tables
from impray.results.paths import Paths
from impray.spec import axes
from impray.spec.sweep import Sweep

SWEEP = "search_small_fields"


def test_the_search_of_050_comes_out_again(of):
    """0.5.0 held the strongest axis against 2,000 shuffles; p by shuffling and Holm over the axes is that test, of every axis."""
    told, frame = stored.expected(SWEEP), goals.trials(of)
    assert frame.filter("best")["number"].to_list() == told["front"]
    assert frame["so_far"].to_list() == told["best"] and frame["status"].to_list() == told["status"]
    found = [(goal, *link) for goal in ("goal 1", "goal 2") for link in goals.links(of, goal)]
    assert found == [(*link[:2], pytest.approx(link[2], rel=1e-9), link[3]) for link in told["links"]]
    findings = table(goals.FIGURE, of).findings[1:]
    assert [each.effect for each in findings] == pytest.approx([abs(rho) for _, _, rho, _ in found], rel=1e-9)
    low, high = (f"{100 * share:.3g}" for share in told["density"])
    assert any(f"{low} to {high} %" in note for note in goals.notes(of))


@pytest.fixture
def search(tmp_path):
    """Opens a search's folder with these trials: (status, goals)."""

    def write(wanted, of_trials):
        values = [float(10**n) for n in range(len(of_trials))]
        sweep = {"question": "?", "trial": {"data": {"kind": "nlgp", "shape": [8, 8]}}, "seeds": 2, "rounds": 10}
        sweep |= {"methods": ["imp"], "measures": ["accuracy", "rf_width"]}
        sweep |= {"search": {"algorithm": "grid", "space": {"data.gain": values}, "goals": wanted}}
        (tmp_path / "sweep.yaml").write_text(json.dumps(sweep))
        trials = [trial.id for _, trial in axes.trials(Sweep.model_validate(sweep))]
        rows = []
        for number, (id, gain, (status, of_goals)) in enumerate(zip(trials, values, of_trials, strict=True)):
            row = {"trial": id, "data.gain": gain, "status": status, "number": number, "goals": of_goals}
            rows.append(row | {"lineages": [f"l{number}"], "rounds": 10})
            done = {"lineage": f"l{number}", "round": 10, "method": "imp", "seed": 0, "density": 0.03, "status": "done"}
            if status != "failed":
                tables.write(Paths(tmp_path), "rounds", f"l{number}", [row | done], {"data.gain": "float"})
        tables.write(Paths(tmp_path), "trials", "rows", rows, {"data.gain": "float"})
        return results(tmp_path)

    return write


WIDE, RIGHT = {"measure": "rf_width", "direction": "min"}, {"measure": "accuracy", "direction": "max"}


def test_who_has_no_goals_is_no_rival_and_stays_to_be_counted(search):
    done, nan = [("done", [3.0, 0.9]), ("done", [2.0, 0.8]), ("done", [4.0, 0.9])], float("nan")
    of = search([WIDE, RIGHT], [*done, ("stopped", [0.1, 1.0]), ("failed", None), ("done", [2.5, nan])])
    frame = goals.trials(of)
    assert frame["best"].to_list() == [True, True, False, False, False, False]
    assert frame["status"].to_list() == ["done"] * 3 + ["stopped", "failed", "undefined"]
    assert len(draw(table(goals.FIGURE, of)).axes) == 3


def test_of_one_goal_the_best_so_far_is_kept(search):
    of = search([WIDE], [("done", [3.0]), ("stopped", None), ("done", [5.0]), ("done", [1.0])])
    assert goals.trials(of)["so_far"].to_list() == [3.0, 3.0, 3.0, 1.0]
    assert [each.of for each in table(goals.FIGURE, of).findings] == [3]


MISSING = [([WIDE], None, "has finished"), ([WIDE], 10, "--round"), ([], None, "no goals")]


@pytest.mark.parametrize(("wanted", "round", "why"), MISSING)
def test_what_is_missing_is_said(search, wanted, round, why):
    with pytest.raises(NotMeasured, match=why):
        table(goals.FIGURE, results(search(wanted, [("stopped", None)] * 2).place, round=round))
