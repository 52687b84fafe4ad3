"""What a search found: the front, best so far and rank correlations by hand; who is counted; what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import goals
import polars as pl
import pytest

from impray.results import tables
from impray.results.paths import Paths
from impray.spec.errors import DataError
from impray.spec.sweep import Sweep

AXES = {"prune.fraction": "float", "data.gain": "float"}
SCRIPT = Path(__file__).parents[2] / "analysis" / "goals.py"
WIDTH = {"measure": "rf_width", "at": {"density": 0.1}, "direction": "min"}
ACCURACY = {"measure": "accuracy", "direction": "max"}
LOSS = {"measure": "loss", "at": 4, "direction": "min"}
STOP = {"measure": "rf_width", "direction": "min", "grace": 3}
FIRST, SECOND = "goal 1: median rf_width_px of imp at density 0.1", "goal 2: accuracy of imp at the last round"
BOTH = [(0, [3.0, 0.9]), (1, [2.0, 0.8]), (2, [4.0, 0.9]), (3, [1.0, 0.5]), (4, [2.0, 0.7])]


def document(of: list[dict], trials: int = 5, **search) -> dict:
    space = {"prune.fraction": {"low": 0.25, "high": 0.5}, "data.gain": {"low": 0.01, "high": 100, "log": True}}
    search = {"algorithm": "optuna", "trials": trials, "space": space, "goals": of} | search
    return {
        "question": "Where are fields small?",
        "trial": {"data": {"kind": "nlgp", "shape": [8, 8]}, "train": {"steps": 5}},
        "methods": ["imp"],
        "seeds": 2,
        "rounds": 10,
        "measures": ["accuracy", "loss", "rf_width"],
        "search": search,
        "figures": ["goals"],
    }


def asked(of: list[dict], trials: int = 5, axes: dict[str, str] | None = None, **search) -> goals.Asked:
    return goals.Asked(Sweep.model_validate(document(of, trials, **search)), AXES if axes is None else axes)


def trial(number: int, values: list[float] | None, status: str = "done", **others: object) -> dict:
    """A row; fraction and gain rise with the number."""
    row = {"trial": f"t{number}", "number": number, "status": status, "rounds": 10 if status == "done" else 3}
    row |= {"goals": values, "lineages": [f"t{number}-0"], "description": "{}"}
    return row | {"prune.fraction": 0.3 + 0.04 * number, "data.gain": 10.0 ** (number - 2)} | others


def rows(*trials: dict) -> pl.LazyFrame:
    return pl.DataFrame(trials, infer_schema_length=None).lazy()


def two(*more: dict, **search) -> tuple[pl.DataFrame, goals.Asked]:
    of = asked([WIDTH, ACCURACY], 5 + len(more), **search)
    return goals.table(rows(*[trial(*each) for each in BOTH], *more), of), of


def told(table: pl.DataFrame, of: goals.Asked) -> str:
    assert goals.draw(table, of).axes
    return goals.text(table, of)


def test_front_is_what_no_other_beats():
    # trial 2 is as accurate as 0 and wider; 4 is as wide as 1 and less accurate.
    found, of = two()
    assert found["front"].to_list() == [True, True, False, True, False]
    assert found["best"].to_list() == [3.0, 2.0, 2.0, 1.0, 1.0]
    text = told(found, of)
    assert (
        "The goals conflict: 3 of 5 finished trials are on the front, from trial 3 (1, 0.5) to trial 0 (3, 0.9)" in text
    )
    assert f"{FIRST} (min): trial 3 (1, 0.5) at prune.fraction = 0.42, data.gain = 10" in text
    assert f"{SECOND} (max): trial 0 (3, 0.9)" in text
    lines = text.splitlines()
    start = lines.index("Front (no other trial beats these in all 2 goals):")
    assert [line.split(" at ")[0].strip() for line in lines[start + 1 : start + 4]] == [
        "trial 3 (1, 0.5)",
        "trial 1 (2, 0.8)",
        "trial 0 (3, 0.9)",
    ]


def test_two_equal_trials_are_both_on_the_front_and_one_best_in_all_is_no_conflict():
    of = asked([WIDTH, ACCURACY])
    found = goals.table(rows(trial(0, [1.0, 0.9]), trial(1, [1.0, 0.9]), trial(2, [2.0, 0.8])), of)
    assert found["front"].to_list() == [True, True, False]
    assert "No conflict: trial 0 (1, 0.9), is best in every goal." in told(found, of)


def test_rank_correlations_by_hand():
    # widths 3 2 4 1 2 have ranks 4 2.5 5 1 2.5 against 1..5: sum of d^2 = 9 + 0.25 + 4 + 9 + 6.25 = 28.5,
    # covariance of ranks -4.5, variances 10 and 9.5 (one tie): -4.5 / sqrt(95).
    found, of = two()
    links = goals.links(found, of, of.aims[0])
    assert {link.axis: link.rho for link in links} == pytest.approx(dict.fromkeys(AXES, -4.5 / 95**0.5))
    assert [link.trials for link in links] == [5, 5]
    assert f"{FIRST} with data.gain: -0.46 (5 trials)" in goals.text(found, of)
    assert goals.spearman(pl.Series([1.0, 2.0]), pl.Series([1.0, 2.0])) is None
    assert goals.spearman(pl.Series([1.0, 1.0, 1.0]), pl.Series([1.0, 2.0, 3.0])) is None
    assert goals.spearman(pl.Series([1.0, 2.0, 9.0]), pl.Series([0.1, 10.0, 11.0])) == pytest.approx(1)


def test_the_strongest_axis_colours_and_is_held_against_chance():
    widths = [5.0, 1.0, 4.0, 2.0, 3.0]  # gain in the same order, fraction in none
    of = asked([WIDTH])
    found = goals.table(rows(*[trial(n, [w], **{"data.gain": w}) for n, w in enumerate(widths)]), of)
    link = goals.strongest(found, of)
    assert link is not None and (link.axis, link.rho) == ("data.gain", pytest.approx(1))
    # Of 120 orders of 5 two are perfect; the strongest of two axes reaches 1 in 1 - (118/120)^2 = 3.3 % of searches.
    assert goals.by_chance(5, 1) == pytest.approx(0.9) == goals.by_chance(5, 2)
    assert "data.gain: rank correlation +1.00 over 5 trials, beyond what chance gives" in goals.text(found, of)
    assert goals.by_chance(3, 2) == 1


def test_ranges_are_logarithmic_where_the_sweep_says_so():
    found, of = two()
    assert [of.scale(found, path) for path in AXES] == ["linear", "log"]
    figure = goals.draw(found, of)
    assert [axes.get_xscale() for axes in figure.axes[:5]] == ["linear", "linear", "log", "linear", "log"]
    assert [t.get_text() for t in figure.axes[0].texts] == ["3", "1", "0"]


def test_stopped_failed_and_undefined_trials_are_counted():
    nan = float("nan")
    lost = [trial(5, [nan, nan], "stopped"), trial(6, None, "failed", rounds=None), trial(7, [2.5, nan])]
    # What a stopped trial had reached is no rival, however good.
    found, of = two(*lost, trial(8, [0.1, 1.0], "stopped"), trial(9, None, "running", rounds=None))
    assert found["front"].to_list() == [True, True, False, True, False] + [False] * 5
    text = told(found, of)
    assert (
        "10 trials asked for: 5 finished, 1 finished without a number for every goal, 2 stopped early, 1 failed, "
        in text
    )
    assert "1 running or interrupted. The search is not finished. Stopped at round 3" in text
    assert "those left had been selected" in text
    # Trial 7 has a width: ranks 5 2.5 6 1 2.5 4 against 1..6, -5 / sqrt(17.5 * 17).
    assert f"{FIRST} with data.gain: -0.29 (6 trials)" in text
    # Ranks 4.5 3 4.5 1 2 against 1..5: -7 / sqrt(10 * 9.5).
    assert f"{SECOND} with data.gain: -0.72 (5 trials)" in text


def test_diverged_trials_are_counted_and_marked():
    found, of = two(trial(5, [float("nan")] * 2, "diverged"))
    assert "6 trials asked for: 5 finished, 0 stopped early, 0 failed, 1 diverged in every seed." in told(found, of)
    assert "diverged" in goals._handles(found, True)


def test_an_unfinished_search_says_so():
    of = asked([WIDTH, ACCURACY], 24)
    found = goals.table(rows(*[trial(*each) for each in BOTH]), of)
    assert "24 trials asked for: 5 finished, 0 stopped early, 0 failed. The search is not finished." in told(found, of)
    assert "not finished" not in told(*two())


def test_early_stopping_at_equal_rounds_favours_large_fractions():
    text = told(*two(trial(5, None, "stopped", **{"prune.fraction": 0.26}), stop_early=STOP))
    assert (
        "at round 3, where prune.fraction 0.25 leaves 42.2 % of the pruned layers' weights and 0.5 leaves 12.5 %"
        in text
    )
    assert (
        "large fractions were favoured. Median prune.fraction: 0.38 of the 5 finished, 0.26 of the 1 stopped." in text
    )
    assert "small fractions were favoured" in told(*two(stop_early=ACCURACY))
    assert "favoured" not in told(*two())
    gain_only = {"data.gain": {"low": 0.01, "high": 100, "log": True}}
    assert "favoured" not in told(*two(stop_early=STOP, space=gain_only))


def test_one_goal_is_drawn_over_the_trials_with_the_best_so_far():
    of = asked([LOSS], 4)
    found = goals.table(rows(trial(0, [3.0]), trial(1, None, "stopped"), trial(2, [5.0]), trial(3, [1.0])), of)
    assert found["best"].to_list() == [3.0, 3.0, 3.0, 1.0]
    figure = goals.draw(found, of)
    steps = figure.axes[0].lines[0]
    assert (list(steps.get_xdata()), list(steps.get_ydata())) == ([0, 1, 2, 3], [3.0, 3.0, 3.0, 1.0])
    text = goals.text(found, of)
    assert "Best: trial 3 (1), of 3 finished trials." in text and "Front" not in text
    assert "goal 1: loss of imp at round 4" in text


def test_of_three_goals_two_are_drawn_and_the_front_is_that_of_all():
    of = asked([WIDTH, ACCURACY, LOSS], 2)
    found = goals.table(rows(trial(0, [1.0, 0.9, 7.0]), trial(1, [2.0, 0.8, 6.0])), of)
    assert found["front"].to_list() == [True, True]
    assert "the first two of 3 goals; the front (not connected) is that of all" in told(found, of)
    assert not goals.draw(found, of).axes[0].lines


def test_axes_without_an_order_have_no_correlation():
    of = asked([WIDTH], 3, {"net.activation": "str"}, space={"net.activation": ["relu", "tanh"]})
    names = zip("rtr", [3.0, 2.0, 1.0], strict=True)
    found = goals.table(rows(*[trial(n, [w], **{"net.activation": a}) for n, (a, w) in enumerate(names)]), of)
    text = told(found, of)
    assert "No axis has a rank correlation with goal 1." in text
    assert "with net.activation: none, its values have no order" in text


def test_of_many_axes_the_strongest_are_drawn():
    axes = {f"axis.{letter}": "float" for letter in "abcde"}
    of = asked([WIDTH], 5, axes)
    flat = {path: float(n) for n, path in enumerate(axes)}
    trials = [
        trial(n, [w], **flat | {p: 10.0 * n * (1 if p < "axis.e" else (-1) ** n) for p in axes})
        for n, w in enumerate([1.0, 2, 3, 4, 5])
    ]
    found = goals.table(rows(*trials), of)
    assert [axes.get_xlabel() for axes in goals.draw(found, of).axes[1:5]] == [f"axis.{letter}" for letter in "abcd"]
    assert "Drawn are 4 of 5 axes" in goals.text(found, of)


def test_no_goals_reached_is_refused_with_the_counts():
    of = asked([WIDTH])
    with pytest.raises(
        DataError, match=r"no trial has finished with its goals \(0 finished, 1 stopped early, 1 failed"
    ):
        goals.table(rows(trial(0, None, "stopped"), trial(1, None, "failed")), of)


# --- a folder and the command line -----------------------------------------------------------------------------------


@pytest.fixture
def search(folder):
    """A search's folder: sweep.yaml, trials, and rounds that step over the goal's density."""

    def write(of: list[dict], trials: list[dict]) -> Path:
        document_ = document(of) if of else document([], trials=None, algorithm="grid", space={"data.gain": [1, 2]})
        out = folder(trials, "trials", AXES)
        (out / "sweep.yaml").write_text(json.dumps({k: v for k, v in document_.items()}))
        shares = [
            {
                "lineage": f"{row['trial']}-0",
                "trial": row["trial"],
                "round": n,
                "method": "imp",
                "seed": 0,
                "status": "done",
                "density": (1 - row["prune.fraction"]) ** n,
            }
            for row in trials
            for n in range(11)
        ]
        tables.write(Paths(out), "rounds", "rows", shares, AXES)
        return out

    return write


def run(out: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPT, out, *words], capture_output=True, text=True)


def test_files_of_a_folder(search):
    out = search([WIDTH, ACCURACY], [trial(*each) for each in BOTH])
    done = run(out)
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.splitlines()] == ["goals.csv", "goals.png", "goals.txt"]
    assert (out / "figures" / "goals.png").read_bytes().startswith(b"\x89PNG")
    table = pl.read_csv(out / "figures" / "goals.csv")
    assert table["front"].to_list() == [True, True, False, True, False]
    # 0.7^7 and, at 0.34, 0.38, 0.42, 0.46: 0.66^6, 0.62^5, 0.58^5, 0.54^4
    assert table["density"].to_list() == pytest.approx([0.7**7, 0.66**6, 0.62**5, 0.58**5, 0.54**4])
    assert "Goal 1 was read with 6.56 to 9.16 % of the weights left" in (out / "figures" / "goals.txt").read_text()
    goals.main(out, None, {"data.gain": "10"})
    text = (out / "figures" / "goals.txt").read_text()
    assert "5 trials asked for: 1 finished" in text and "Only data.gain = 10." in text and "not finished" not in text


def test_without_goals_or_a_sweep_one_line_and_exit_2(search, tmp_path):
    out = search([], [trial(0, None)])
    for words, why in (((), "this sweep has no goals"), (("--round", "3"), "--round: goals are read at")):
        done = run(out, *words)
        assert done.returncode == 2 and done.stdout == ""
        assert why in done.stderr and len(done.stderr.splitlines()) == 1
    with pytest.raises(DataError, match=r"no sweep\.yaml here; give a sweep's own folder"):
        goals.main(tmp_path / "nowhere")
