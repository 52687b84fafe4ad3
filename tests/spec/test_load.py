"""Every kind of wrong input is a `Problem` at its place, all of them at once, and never a traceback."""

import pytest
from spec.good_file import GOOD, replaced

from impray.spec import families
from impray.spec.errors import SweepError
from impray.spec.load import load

METHODS = ", ".join(families.rules.tags)
KINDS = "nlgp, kur, ising, elliptical, photographs, imagenet32, cifar10, cifar100, idx, arrays, linear, planted, digits, image_coordinates"


def test_a_good_file_loads(sweep_file):
    sweep = load(sweep_file())
    assert sweep.trial.train.lr == 1e-3
    assert sweep.trial.train.steps == 1000
    assert sweep.seeds == (0, 1)
    assert [measure.name for measure in sweep.measures] == ["accuracy", "rf_width", "kurtosis"]
    assert sweep.search.space["data.gain"] == (0.1, 3)


# --- places, values and what would be right ---

FIELDS = [
    (
        "gain: 1e-1",
        "gain: -1",
        "line 3: trial.data.gain = -1    must be above 0: slope of the error function",
    ),
    (
        "kind: nlgp",
        "kind: nlpg",
        f"line 3: trial.data.kind = 'nlpg'    not one of {KINDS}; did you mean 'nlgp'?",
    ),
    (
        "kind: nlgp, ",
        "",
        f"line 3: trial.data.kind    is missing: one of {KINDS}",
    ),
    (
        "gain: 1e-1",
        "gian: 1",
        "line 3: trial.data.gian = 1    not a key of trial.data (nlgp); did you mean 'gain'?",
    ),
    ("gain: 1e-1", "crops: 5", "line 3: trial.data.crops = 5    a parameter of photographs, not of nlgp"),
    (
        "shape: [12, 12]",
        "shape: [3, 3, 3]",
        "trial.data.shape = [3, 3, 3]    must be [n] (a ring) or [rows, cols]",
    ),
    ("shape: [12, 12]", "shape: 12", "trial.data.shape = 12    must be a list: [40] is a ring"),
    ("shape: [12, 12]", "shape: [12, 1.5]", "trial.data.shape[1] = 1.5    must be a whole number"),
    (
        "kind: nlgp, shape: [12, 12], gain: 1e-1",
        "kind: photographs, shape: [9]",
        "shape = [9]    must have 2 entries",
    ),
    (
        "kind: nlgp, shape: [12, 12], gain: 1e-1",
        "kind: photographs, shape: [2, 9]",
        "trial.data.shape = [2, 9]    each side",
    ),
    ("lr: 1e-3", "lr: fast", "line 4: trial.train.lr = 'fast'    must be a number"),
    (
        "lr: 1e-3",
        "lr: yes",
        "trial.train.lr = yes    must be a number: learning rate, before the schedule (YAML reads yes as true; in quotes it is text)",
    ),
    ("lr: 1e-3", "lr: .nan", "trial.train.lr = nan    must be a finite number"),
    (
        "lr: 1e-3",
        "loss: no",
        "without 1/2 (YAML reads no as false; in quotes it is text)",
    ),
    (
        "lr: 1e-3",
        "fraction: 0.2",
        "trial.train.fraction = 0.2    not a key of trial.train (sgd); it belongs to trial.prune",
    ),
    ("seeds: 2", "lr: 1", "line 5: lr = 1    not a key of a sweep; it belongs to trial.train"),
    (
        "seeds: 2",
        "seed: 2",
        "line 5: seed = 2    not a key of a sweep; it belongs to search; did you mean 'seeds'?",
    ),
    ("seeds: 2", "seeds: 0", "line 5: seeds = 0    must be at least 1, or a list of seeds such as [0, 1, 2]"),
    ("seeds: 2", "seeds: 1_000_000_000_000", "must be at most 100000, or a list of seeds"),
    ("seeds: 2", "seeds: [1, 1]", "line 5: seeds = [1, 1]    names something twice"),
    ("seeds: 2", "", "line 1: seeds    is missing: how many (3 means 0, 1, 2), or a list"),
    (
        "does it load?",
        "on",
        "line 1: question = on    must be text: what this sweep asks, in one sentence (YAML reads on as true",
    ),
    (
        "rounds: 3",
        "rounds: -1",
        "line 6: rounds = -1    must be at least 0: prunings: rounds 0 (dense) to this are trained",
    ),
    ("rounds: 3", "rounds: 3\nmethods: imp", "line 7: methods = 'imp'    must be a list"),
    (
        "rounds: 3",
        "rounds: 3\nmethods: [impp]",
        f"line 7: methods[0] = 'impp'    not one of {METHODS}; did you mean 'imp'?",
    ),
    ("rf_width", "rf_widht", "line 7: measures[1] = 'rf_widht'    not one of accuracy, loss,"),
    (
        "rf_width",
        "{rf_width: {ofset: 1}}",
        "measures[1].rf_width.ofset = 1    not a key of measures.rf_width; did you mean 'offset'?",
    ),
    (
        "rf_width",
        "{rf_width: {min_fan_in: 0}}",
        "measures[1].rf_width.min_fan_in = 0    must be at least 1: units with fewer",
    ),
    (
        "rf_width",
        "{name: rf_width, offset: 7}",
        "measures[1].offset = 7    must be true or false: whether a constant",
    ),
    ("rf_width", "{width: {offset: true}}", "measures[1] = 'width'    not one of accuracy"),
    ("rf_width", "7", "measures[1] = 7    must be a name, or {name: {parameter: value}}"),
    (
        "rf_width",
        "accuracy",
        "]    asked for twice: accuracy; columns would collide",
    ),
    ("data.gain: [1e-1, 3]", "data.gain: []", "line 9: search.space.data.gain = []    must not be empty"),
    (
        "data.gain: [1e-1, 3]",
        "data.gain: 3",
        "search.space.data.gain = 3    must be a mapping with the keys low, high, log or a list",
    ),
    ("data.gain: [1e-1, 3]", "data.gain: {low: 1}", "line 9: search.space.data.gain.high    is missing"),
    (
        "data.gain: [1e-1, 3]",
        "data.gain: {low: 3, high: 1}",
        "search.space.data.gain = {low: 3, high: 1}    low must be below high",
    ),
    (
        "search:",
        "search:\n  algorithm: grd",
        "line 9: search.algorithm = 'grd'    not one of grid, random, optuna; did you mean 'grid'?",
    ),
    (
        "search:",
        "search:\n  goals: [{measure: loss, direction: up, at: lats}]",
        "search.goals[0].direction = 'up'    not one of min, max",
    ),
    (
        "search:",
        "search:\n  goals: [{measure: loss, direction: min, at: lats}]",
        "goals[0].at = 'lats'    must be last, a whole number or a mapping",
    ),
    (
        "trial:",
        "trial:\n  prune: {layers: hiden}",
        "trial.prune.layers = 'hiden'    must be hidden, all or a list; did you mean 'hidden'?",
    ),
    (
        "trial:",
        "trial:\n  prune: {fraction: 20}",
        "trial.prune.fraction = 20    must be in (0, 1): share of the remaining weights removed",
    ),
    (
        "trial:",
        "trial:\n  net: {init: {scale: [1, -1]}}",
        "trial.net.init.scale[1] = -1    must be at least 0",
    ),
    (
        "trial:",
        "trial:\n  net: mlp",
        "line 3: trial.net = 'mlp'    must be a mapping such as {kind: mlp}",
    ),
    (
        "trial:",
        "trial:\n  prune: {rewind_step: 3000}",
        "line 3: trial.prune.rewind_step = 3000    must be at most train.steps = 1000",
    ),
    ("trial:", "trial:\n  net: {hidden: []}", "trial.prune.layers    hidden leaves nothing to prune"),
]


@pytest.mark.parametrize("old, new, message", FIELDS, ids=[message[:60] for *_, message in FIELDS])
def test_a_wrong_value_is_one_problem_with_place_value_and_what_would_be_right(wrong, old, new, message):
    said = wrong(replaced(old, new))
    assert any(message in line for line in said), said
    assert len({line.split("    ")[0] for line in said}) == len(said), "a place is told once"


def test_all_problems_come_at_once_in_the_order_of_the_file(wrong):
    text = replaced("gain: 1e-1", "gian: 1").replace("lr: 1e-3", "lr: yes").replace("rounds: 3", "rounds: x")
    said = wrong(text.replace("rf_width", "rf_widht").replace("seeds: 2", "seeds: 2\nseeds: 3"))
    lines = [line.split(":")[0] for line in said]
    assert lines == ["line 3", "line 4", "line 6", "line 7", "line 8"]
    assert "seeds    is written twice (first on line 5); keep one" in said[2]


def test_fields_that_cannot_be_together_are_told_beside_problems_elsewhere(wrong):
    said = wrong(GOOD.replace("trial:", "trial:\n  prune: {rewind_step: 3000, layers: [5]}").replace("rounds: 3", ""))
    assert [line.split("    ")[0] for line in said] == [
        "line 1: rounds",
        "line 3: trial.prune.rewind_step = 3000",
        "line 3: trial.prune.layers = [5]",
    ]


def test_axes_are_checked_though_other_keys_are_wrong(wrong):
    said = wrong(replaced("data.gain", "data.gian").replace("rounds: 3", "rounds: x"))
    assert ["rounds = 'x'" in said[0], "search.space.data.gian" in said[1]] == [True, True]


def test_the_message_has_the_form_of_the_style_guide(sweep_file):
    path = sweep_file(replaced("kind: nlgp", "kind: nlpg").replace("rounds: 3", "rounds: -1"))
    with pytest.raises(SweepError) as caught:
        load(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 2 problems",
        f"  line 3: trial.data.kind = 'nlpg'    not one of {KINDS}; did you mean 'nlgp'?",
        "  line 6: rounds = -1    must be at least 0: prunings: rounds 0 (dense) to this are trained",
    ]


# --- --set ---


def test_sets_override_in_order(sweep_file):
    sets = [
        "data.xi=[2, 3]",
        "rounds=5",
        "seeds=[3, 4]",
        "search.space.data.gain=[1, 1e1]",
        "prune.fraction=0.5",
    ]
    sweep = load(sweep_file(), [*sets, "search.algorithm=random", "search.trials=4", "measures=[loss]", "rounds=6"])
    assert (sweep.trial.data.xi, sweep.rounds, sweep.seeds) == ((2, 3), 6, (3, 4))  # pyright: ignore
    assert (sweep.search.space["data.gain"], sweep.search.trials, sweep.trial.prune.fraction) == (
        (1, 10),
        4,
        0.5,
    )
    assert [measure.name for measure in sweep.measures] == ["loss"]


def test_a_set_mapping_replaces_what_was_there(sweep_file):
    sweep = load(sweep_file(), ["data={kind: photographs}", "search={}"])
    assert sweep.trial.data.kind == "photographs"


SETS = [
    ("data.gain=x", "--set data.gain=x: trial.data.gain = 'x'    must be a number"),
    (
        "data.gian=1",
        "--set data.gian=1: trial.data.gian = 1    not a key of trial.data (nlgp); did you mean 'gain'?",
    ),
    ("trial.train.lr=0", "--set trial.train.lr=0: trial.train.lr = 0    must be above 0"),
    (
        "train.lr=no",
        "--set train.lr=no: trial.train.lr = no    must be a number: learning rate, before the schedule (YAML reads no as false",
    ),
    ("rounds", "--set rounds: rounds    write path=value, such as data.gain=3"),
    ("=3", "--set =3: --set    write path=value"),
    ("roundss=3", "--set roundss=3: roundss    starts with none of data, net,"),
    ("roundss=3", "did you mean 'rounds'?"),
    ("gain=3", "did you mean 'data.gain'?"),
    ("data..gain=3", "a path is keys with dots between them"),
    ("rounds={", "--set rounds={: rounds = '{'    the value is not YAML"),
    ("rounds=", "--set rounds=: rounds = null    must be a whole number"),
    ("measures.rf_width.offset=true", "has no keys of its own to set; a list is replaced whole"),
    ("rounds.x=3", "--set rounds.x=3: rounds = 3    has no keys of its own to set"),
    (
        "search.space.data.gain=[x]",
        "search.space.data.gain=[x]: search.space.data.gain[0] = 'x'    must be a number",
    ),
    (
        "search.space.data.gian=[1]",
        "search.space.data.gian    is not a field of this trial; did you mean 'data.gain'?",
    ),
    ("data={gain: 1, gain: 2, kind: nlgp}", "trial.data.gain    is written twice; keep one"),
    ("data.kind=photographs", "line 3: trial.data.gain = 0.1    a parameter of nlgp, not of photographs"),
]


@pytest.mark.parametrize("item, message", SETS, ids=[item for item, _ in SETS])
def test_a_wrong_override_names_itself_as_the_place(wrong, item, message):
    said = wrong(GOOD, item)
    assert any(message in line for line in said), said
