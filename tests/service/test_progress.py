"""What a person sees while a sweep runs: trials by number and axis values, and a time left that counts what is left."""

import io
import re

import pytest
from conftest import rows_of, sweep_into, tiny_sweep
from rich.console import Console

from impray.results import status, tables
from impray.results.axis_values import numbers_in_words, trials_in_words
from impray.results.outcomes import failure_lines
from impray.results.paths import Paths
from impray.service import progress
from impray.service.listener import SweepStart
from impray.service.plan import packs
from impray.service.trials import Trials

SMALL = {"measures": ["accuracy"], "seeds": 2}
HASH = re.compile(r"\b[0-9a-f]{16}\b")


@pytest.fixture
def watched(tmp_path):
    """A sweep's live view that hears what the test says, by a clock of its own; and its packs."""

    def make(sweep, terminal=False, expected=None):
        trials = Trials(sweep, Paths(tmp_path / "s"), writes=False)
        left = packs(sweep, trials.left(), trials.ledger, trials.columns, 1)
        console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
        view = progress.Progress(console, lambda begun: expected)
        view.now = 0.0
        view.clock = lambda: view.now
        over = list(trials.outcomes.values())
        view.begun(SweepStart(sweep, "s", trials.paths, len(trials.planned), over, len(over), trials))
        return view, left

    return make


def test_time_left_is_that_of_the_rounds_that_are_left(watched):
    view, (pack,) = watched(tiny_sweep(**SMALL), expected=80.0)
    assert view.rounds_left == 4 * 12
    assert "starting" in view.summary() and "about 80 s left" in view.summary()
    view.now = 50.0  # Ray starts: it is no time of rounds
    view.started(pack)
    assert (
        "starting" not in view.summary() and "about 80 s left" in view.summary() and "rounds/min" not in view.summary()
    )
    view.now = 60.0
    view.finished_round(pack, 0)
    assert view.per_minute == pytest.approx(12 / 10 * 60) and "about 30 s left" in view.summary()
    for round in (1, 2, 3):
        view.now += 10
        view.finished_round(pack, round)
    assert "ending" in view.summary() and " 0 s" not in view.summary()


def test_no_round_is_told_once_the_sweep_stops_but_a_failure_is(watched, monkeypatch):
    view, (pack,) = watched(tiny_sweep(**SMALL), expected=80.0)
    view.started(pack)
    monkeypatch.setattr(progress.stopping, "begun", lambda: True)
    before = view.console.file.getvalue()
    view.finished_round(pack, 0)
    assert view.console.file.getvalue() == before
    assert "stopping" in view.summary() and "left" not in view.summary()
    view.pack_ended(pack, "failed", "out of memory")
    assert "out of memory" in view.console.file.getvalue().removeprefix(before)


def test_nothing_is_said_of_a_time_that_is_not_known(watched):
    view, (pack,) = watched(tiny_sweep(**SMALL))
    view.started(pack)
    assert "left" not in view.summary() and "?" not in view.summary()


def test_what_was_done_before_is_neither_left_nor_speed(watched, tmp_path):
    sweep_into(tmp_path / "s", tiny_sweep(**SMALL, rounds=1))
    view, (pack,) = watched(tiny_sweep(**SMALL))
    # The last round of the shorter sweep was perhaps not trained: then it is done again.
    assert view.rounds_left == sum(len(view._undone(i)) for i in pack.lineages) < 4 * 12
    view.started(pack)
    view.now = 0.01
    view.finished_round(pack, 0)  # replayed from checkpoints, in no time
    assert (view.rounds_run, view.per_minute) == (0, 0.0)
    view.now = 60.0
    view.finished_round(pack, 2)
    view.finished_round(pack, 2)  # an actor that started anew tells it again
    assert view.per_minute == pytest.approx(12)


def test_what_ends_early_is_not_left(watched):
    view, left = watched(tiny_sweep(**SMALL, **{"search.pack": []}))
    for pack in left:
        view.started(pack)
        view.finished_round(pack, 0)
    view.pack_ended(left[0], "failed", "broken on purpose")
    assert view.rounds_left - view.rounds_run == 3 * 6
    view.pack_ended(left[1], "done", "")
    assert view.rounds_left == view.rounds_run


@pytest.mark.parametrize("terminal", [False, True])
def test_trials_are_named_by_number_and_axis_values(watched, terminal):
    view, left = watched(tiny_sweep(**SMALL, **{"search.pack": []}), terminal)
    for pack in left:
        view.started(pack)
    console = Console(file=io.StringIO(), width=100)
    console.print(view.view())
    view.ran()
    shown = console.file.getvalue() if terminal else view.console.file.getvalue()
    assert "trial 0 (data.gain=0.1)" in shown and "trial 1 (data.gain=3)" in shown and not HASH.search(shown)


def test_seeds_and_methods_of_a_pack_that_has_not_all_are_told(watched):
    view, _ = watched(tiny_sweep(**SMALL))
    trials = Trials(view.sweep, Paths("nowhere"), writes=False)
    for pack in packs(view.sweep, trials.left(), trials.ledger, {}, 2):
        assert re.fullmatch(r"trials 0, 1 \(data.gain=0.1, 3\), seed [01]", view._in_words(pack))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([3], "3"), ([0, 1], "0, 1"), ([0, 1, 2, 5], "0-2, 5"), (range(0, 40, 2), "0, 2, 4, 6 and 16 more")],
)
def test_numbers_in_words(numbers, words):
    assert numbers_in_words(numbers) == words


def test_trials_in_words():
    one, other = (4, {"a.b": 0.5, "c": [1, 2]}), (3, {"a.b": 0.25, "c": [1, 2]})
    assert trials_in_words([one]) == "trial 4 (a.b=0.5, c=[1, 2])"
    assert trials_in_words([one, other]) == "trials 3, 4 (a.b=0.25, 0.5; c=[1, 2])"
    assert trials_in_words([(0, {})]) == "trial 0"
    assert trials_in_words([(0, {"c": "[1, 2]"})]) == trials_in_words([(0, {"c": (1, 2)})]), "as tables hold it"


def test_failures_and_status_name_trials(tmp_path, monkeypatch):
    from impray.lineage.rounds import Rounds

    def breaks(self, finished, real=Rounds.measured):
        if finished.lineages[0].trial.data.gain == 3.0:
            raise RuntimeError("broken on purpose")
        return real(self, finished)

    monkeypatch.setattr(Rounds, "measured", breaks)
    _, output = sweep_into(tmp_path / "s", tiny_sweep(**SMALL, rounds=1, **{"search.pack": []}))
    assert "trial 1 (data.gain=3) failed: RuntimeError: broken on purpose" in output and not HASH.search(output)
    line, *_ = failure_lines(tmp_path / "s", trace=False)
    assert "trial 1 (data.gain=3), round 0: RuntimeError: broken on purpose" in line
    assert "  failed: trial 1 (data.gain=3)" in status.lines(tmp_path / "s")
    # A failure of a trial that the table does not know any more still has its id.
    for file in Paths(tmp_path / "s").row_files("trials"):
        file.delete()
    (failed,) = rows_of(tmp_path / "s", "failures")["trials"].to_list()
    assert tables.scan("trials", tmp_path / "s").collect().is_empty()
    assert failed[0] in failure_lines(tmp_path / "s", trace=False)[0]
