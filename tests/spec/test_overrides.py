"""`--set` never changes nothing in silence, and what it is told to write instead does what was meant."""

import re
import shlex

import pytest

from impray.spec import axes
from impray.spec.errors import SweepError
from impray.spec.load import load, read

PLAIN = """\
question: who hears of it?
trial:
  data: {kind: nlgp, shape: [12, 12], gain: 0.5}
  net: {hidden: [4]}
  train: {steps: 20}
  prune: {fraction: 0.3, least: 1}
seeds: 1
rounds: 1
search:
  space: {data.gain: [0.1, 3], net.hidden: [4, 6], data.xi: [[1, 2], [1, 3]]}
  follow: {prune.least: net.hidden}
"""
WHOLE = (
    PLAIN.split("search:")[0]
    + """\
search:
  space: {data: [{kind: nlgp, shape: [6, 6], gain: 2}, {kind: kur, shape: [6, 6], k: 10}]}
"""
)
INTEGERS = PLAIN.replace("net.hidden: [4, 6]", "train.steps: [20, 30]").replace(
    "prune.least: net.hidden", "prune.least: train.steps"
)

UNHEARD = [  # text, override, the path that no trial would hear of, the value
    (PLAIN, "data.gain=7", "data.gain", 7),
    (PLAIN, "trial.data.gain=1e1", "data.gain", 10),
    (PLAIN, "net.hidden=9", "net.hidden", [9]),
    (PLAIN, "data.xi=[2, 3]", "data.xi", [2, 3]),
    (INTEGERS, "prune.least=7", "prune.least", 7),
    (PLAIN, "data={kind: nlgp, gain: 7}", "data.gain", 7),
    (PLAIN, "trial={data: {kind: nlgp, gain: 7}}", "data.gain", 7),
    (WHOLE, "data.gain=7", "data.gain", 7),
    (WHOLE, "data.k=6", "data.k", 6),
    (WHOLE, "data={kind: nlgp, gain: 7}", "data.gain", 7),
]


def asked(text, *sets):
    return read(text, "x.yaml", sets)


@pytest.mark.parametrize("text, item, path, value", UNHEARD)
def test_an_override_that_no_trial_would_hear_of_is_refused_with_one_that_all_do(text, item, path, value):
    with pytest.raises(SweepError) as caught:
        asked(text, item)
    (problem,) = (problem for problem in caught.value.problems if "would change nothing" in problem.right)
    assert problem.place == f"--set {item}"
    instead = shlex.split(re.search(r"use (--set .*)", problem.right).group(1))[1].rstrip(",")
    heard = [axes.value(trial, path) for _, trial in axes.trials(asked(text, instead))]
    assert heard and all(found == value for found in heard)


@pytest.mark.parametrize(
    "item",
    [
        "prune.fraction=0.1",
        "data.draw=3",
        "data={kind: nlgp, shape: [6, 6]}",
        "rounds=1",
        "search.space.data.gain=[7]",
        "search.follow={}",
        "search.follow.prune.rewind_step=net.hidden",
        "search={}",
    ],
)
def test_every_other_override_is_let_through(item):
    text = (
        INTEGERS
        if "follow." not in item
        else INTEGERS.replace("train.steps", "net.hidden").replace("[20, 30]", "[4, 6]")
    )
    asked(text, item)


def test_an_axis_that_an_override_takes_away_is_no_axis():
    assert asked(PLAIN, "data.gain=7", "search={}").trial.data.gain == 7
    assert asked(PLAIN, "search.follow={}", "prune.least=2").trial.prune.least == 2


def test_a_seed_of_a_search_that_draws_nothing_is_refused():
    with pytest.raises(SweepError, match="search.seed = 3    changes nothing"):
        asked(PLAIN, "search.seed=3")
    assert asked(PLAIN, "search.seed=3", "search.algorithm=random", "search.trials=2").search.seed == 3


def test_where_only_the_base_trial_is_asked_for_it_hears(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(PLAIN)
    assert load(path, ["data.gain=7"], base=True).trial.data.gain == 7


CALLED = [
    ("data.gain: {min: 0.1, high: 3}", "search.space.data.gain.min = 0.1", "did you mean 'low'?"),
    ("data.gain: {low: 0.1, max: 3}", "search.space.data.gain.max = 3", "did you mean 'high'?"),
    (
        "data.gain: {low: 0.1, high: 3, log_scale: true}",
        "search.space.data.gain.log_scale = true",
        "did you mean 'log'?",
    ),
]


@pytest.mark.parametrize("axis, told, meant", CALLED)
def test_what_other_programs_call_an_interval_is_understood(axis, told, meant):
    text = PLAIN.split("search:")[0] + f"search: {{algorithm: random, trials: 2, space: {{{axis}}}}}\n"
    with pytest.raises(SweepError) as caught:
        asked(text)
    assert any(told in str(problem) and meant in str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize("word, meant", [("maximize", "max"), ("minimise", "min"), ("MAXIMUM", "max")])
def test_what_other_programs_call_a_direction_is_understood(word, meant):
    with pytest.raises(SweepError, match=f"did you mean '{meant}'"):
        asked(PLAIN, f"search.goals=[{{measure: loss, direction: {word}}}]")
