"""Axes: what they make, in which order, and what is refused before any work."""

import pytest

from impray.spec import axes
from impray.spec.data import Nlgp
from impray.spec.sweep import Sweep

IMAGE = {"kind": "nlgp", "shape": [12, 12]}


def sweep(space=None, trial=None, search=None, **keys):
    described = {"question": "?", "seeds": 2, "rounds": 3, "measures": ["accuracy"], **keys}
    return Sweep.model_validate(
        {
            **described,
            "trial": {"data": IMAGE, **(trial or {})},
            "search": {**({"space": space} if space else {}), **(search or {})},
        }
    )


def said(*args, **keys):
    return [str(problem) for problem in axes.check(sweep(*args, **keys))]


RANDOM = {"algorithm": "random", "trials": 5}
OPTUNA = {"algorithm": "optuna", "trials": 5, "goals": [{"measure": "accuracy", "direction": "max"}]}


# --- trials ---


def test_a_grid_is_the_product_in_the_order_written_last_axis_fastest():
    found = axes.trials(sweep({"prune.fraction": [0.5, 0.2], "data.xi": [[1, 2], [3, 4]]}))
    assert [list(values.items()) for values, _ in found] == [
        [("prune.fraction", fraction), ("data.xi", xi)] for fraction in (0.5, 0.2) for xi in ([1.0, 2.0], [3.0, 4.0])
    ]
    assert [trial.prune.fraction for _, trial in found] == [0.5, 0.5, 0.2, 0.2]
    assert all(axes.value(trial, path) == item for values, trial in found for path, item in values.items())


def test_no_axes_are_one_trial_the_base():
    asked = sweep()
    assert axes.trials(asked) == [({}, asked.trial)]


def test_random_is_reproducible_within_bounds_and_more_trials_keep_the_first():
    space = {
        "data.gain": {"low": 0.1, "high": 10, "log": True},
        "train.steps": {"low": 3, "high": 5},
        "net.bias": [True],
    }
    few = axes.trials(sweep(space, search={"algorithm": "random", "trials": 5}))
    many = axes.trials(sweep(space, search={"algorithm": "random", "trials": 40}))
    assert many[:5] == few and len(many) == 40 and len({trial.id for _, trial in many}) == 40
    assert all(0.1 <= values["data.gain"] <= 10 for values, _ in many)
    assert {values["train.steps"] for values, _ in many} == {3, 4, 5}
    other = axes.trials(sweep(space, search={"algorithm": "random", "trials": 5, "seed": 1}))
    assert other != few


def test_a_small_random_space_gives_each_trial_once():
    found = axes.trials(
        sweep({"train.batch": {"low": 1, "high": 4, "log": True}}, search={"algorithm": "random", "trials": 9})
    )
    assert sorted(values["train.batch"] for values, _ in found) == [1, 2, 3, 4]


def test_optuna_suggests_its_own():
    asked = sweep({"data.gain": {"low": 1, "high": 2}}, search=OPTUNA)
    assert axes.trials(asked) == []
    data = axes.at(asked, {"data.gain": 1.5}).data
    assert isinstance(data, Nlgp) and data.gain == 1.5


def test_at_keeps_what_the_base_says_and_its_identity():
    asked = sweep(trial={"net": {"hidden": 30}, "prune": {"fraction": 0.5}})
    assert axes.at(asked, {}) == asked.trial
    assert axes.at(asked, {"prune.fraction": 0.5}).id == asked.trial.id
    assert axes.at(asked, {"net.init.scale": 2}).net.hidden == (30,)


def test_an_axis_may_run_over_kinds():
    found = axes.trials(sweep({"data.kind": ["nlgp", "photographs"]}))
    assert [trial.data.kind for _, trial in found] == ["nlgp", "photographs"]
    whole = sweep({"data": [{"kind": "nlgp", "gain": 3}, {"kind": "photographs"}]})
    assert axes.check(whole) == [] and axes.axis_type(whole, "data") == "json"


def test_values_are_read_back():
    trial = sweep().trial
    assert axes.value(trial, "data.xi") == [1.0, 2.0]
    assert axes.value(trial, "data.crops") is None
    assert axes.value(trial, "net.init.scale") == 1.0
    assert axes.value(trial, "data.gain.x") is None


TYPES = [
    ("data.gain", [1, 3], "float", False),
    ("data.gain", {"low": 1, "high": 3}, "float", False),
    ("train.steps", [1e3], "int", True),
    ("train.steps", {"low": 1, "high": 3}, "int", True),
    ("data.xi", [[1, 2]], "json", False),
    ("net.hidden", [10, [10, 20]], "json", True),
    ("net.activation", ["relu"], "str", False),
    ("net.bias", [True, False], "bool", False),
    ("net.init.scale", [1, 2], "float", False),
    ("net.init.scale", [1, [1, 2]], "json", False),
    ("prune.layers", ["all", [1]], "json", True),
]


@pytest.mark.parametrize("path, axis, kind, whole", TYPES)
def test_types_of_axes(path, axis, kind, whole):
    asked = sweep({path: axis}, search=RANDOM)
    assert axes.check(asked) == []
    assert (axes.axis_type(asked, path), axes.takes_integers(asked, path)) == (kind, whole)


# --- problems ---

SPACES = [
    ({"data.gian": [1]}, "search.space.data.gian    is not a field of this trial; did you mean 'data.gain'?"),
    ({"gain": [1]}, "search.space.gain    is not a field of this trial; did you mean 'data.gain'?"),
    ({"trial.data.gain": [1]}, "search.space.trial.data.gain    axes start below trial: write data.gain"),
    ({"seeds": [1]}, "search.space.seeds    is not a field of a trial, and only those can be axes"),
    (
        {"data.crops": [1]},
        "search.space.data.crops    is a parameter of photographs; this trial's data are nlgp",
    ),
    ({"data.gain": [1, -1]}, "search.space.data.gain[1] = -1    must be above 0: slope"),
    ({"data.gain": [1, 1.0]}, "search.space.data.gain[1] = 1.0    is listed twice"),
    ({"train.lr": [True]}, "search.space.train.lr[0] = true    must be a number"),
    (
        {"data.xi": [1.0, 2.0]},
        "search.space.data.xi[0] = 1.0    must be a list: length scale of each class, in pixels (an axis",
    ),
    ({"data.xi": [[1, "x"]]}, "search.space.data.xi[0] = [1, 'x']    [1]: must be a number"),
    (
        {"data": [{"kind": "nlgp", "gian": 1}]},
        "search.space.data[0] = {kind: 'nlgp', gian: 1}    gian: not a key of trial.data",
    ),
    (
        {"data": [IMAGE], "data.gain": [1]},
        "search.space.data.gain    lies inside the axis data, which sets it too",
    ),
    (
        {"data.gain": {"low": 1, "high": 2}},
        "search.space.data.gain    a grid needs a list of values; a range is for random",
    ),
    (
        {"net.outputs": [1]},
        "search.space.net.outputs = 1    a single output takes two classes and train.loss: mse",
    ),
    (
        {"train.steps": [10], "prune.rewind_step": [5, 20]},
        "prune.rewind_step = 20    must be at most train.steps = 10",
    ),
    (
        {"data.kind": ["nlgp", "photographs"], "data.gain": [1]},
        "data.gain = 1    a parameter of nlgp, not of photographs",
    ),
]


@pytest.mark.parametrize("space, message", SPACES, ids=[message[:50] for _, message in SPACES])
def test_a_wrong_axis(space, message):
    found = said(space)
    assert any(message in line for line in found), found


def test_values_possible_only_together_are_fine():
    assert said({"net.outputs": [1], "train.loss": ["mse"]}) == []


def test_three_problems_per_axis_are_told_and_the_rest_counted():
    found = said({"prune.fraction": [0.5, 1, 2, 3, 4, 5]})
    assert len(found) == 4 and "and 2 more" in found[-1]
    found = said({"prune.rewind_step": [1, 3000, 3001, 3002, 3003], "train.lr": [1, 2, 3]})
    assert len(found) == 4 and "and 1 more" in found[-1]


RANGES = [
    ({"data.gain": {"low": -1, "high": 2}}, "search.space.data.gain.low = -1.0    must be above 0"),
    (
        {"prune.fraction": {"low": 0.1, "high": 2}},
        "search.space.prune.fraction.high = 2.0    must be in (0, 1)",
    ),
    (
        {"train.steps": {"low": 1.5, "high": 9}},
        "search.space.train.steps.low = 1.5    must be a whole number",
    ),
    ({"net.bias": {"low": 0, "high": 1}}, "search.space.net.bias    a range needs a field that is a number"),
    ({"data.xi": {"low": 1, "high": 2}}, "search.space.data.xi.low = 1.0    must be a list"),
    (
        {"prune.rewind_step": {"low": 0, "high": 3000}},
        "prune.rewind_step = 3000    must be at most train.steps = 2000",
    ),
    ({}, "search.space    is missing: random needs axes"),
]


@pytest.mark.parametrize("space, message", RANGES, ids=[message[:50] for _, message in RANGES])
def test_a_wrong_range(space, message):
    found = said(space, search=RANDOM)
    assert any(message in line for line in found), found


def test_an_integer_range_over_a_single_layer_is_fine():
    asked = sweep({"net.hidden": {"low": 10, "high": 20}}, search=RANDOM)
    assert axes.check(asked) == []
    assert all(10 <= values["net.hidden"][0] <= 20 for values, _ in axes.trials(asked))


def goal(**keys):
    return {**OPTUNA, "goals": [{"measure": "accuracy", "direction": "max", **keys}]}


def kurtosis(at):
    return [{"kurtosis": {"at": at}}]


SEARCHES = [
    ({"algorithm": "grid", "trials": 3}, {}, "search.trials = 3    is for random and optuna"),
    ({"algorithm": "random"}, {}, "search.trials    is missing: how many trials random is to try"),
    ({"algorithm": "optuna", "trials": 2}, {}, "search.goals    is missing: optuna needs at least one goal"),
    (
        goal(measure="acuracy"),
        {},
        "goals[0].measure = 'acuracy'    is not among this sweep's measures or their columns: accuracy; did",
    ),
    (goal(measure="ipr"), {}, "search.goals[0].measure = 'ipr'    needs ipr among the measures"),
    (
        goal(measure="ipr_start"),
        {"measures": ["ipr"]},
        "'ipr_start'    is filled only when ipr has at: [start, end]",
    ),
    (
        goal(measure="kurtosis"),
        {"measures": kurtosis(["end"])},
        "its column kurtosis stays empty; filled with these parameters: kurtosis_end",
    ),
    (goal(measure="masks"), {"measures": ["masks"]}, "'masks'    has no single number to read"),
    (goal(measure="density"), {"measures": ["density"]}, "'density'    has no single number to read"),
    (
        goal(method="random"),
        {"methods": ["imp"]},
        "search.goals[0].method = 'random'    is not among this sweep's methods: imp",
    ),
    (
        goal(measure="fan_in", layer=3),
        {"measures": ["fan_in"]},
        "search.goals[0].layer = 3    must be at most 2",
    ),
    (
        goal(measure="rf_width", layer=2),
        {"measures": ["rf_width"]},
        "search.goals[0].layer = 2    must be one of the layers that rf_width is asked for: 1",
    ),
    (
        goal(measure="clustering", layer=2),
        {"measures": ["clustering"]},
        "search.goals[0].layer = 2    must be 1: clustering reads the first layer",
    ),
    (goal(at=4), {}, "search.goals[0].at = 4    must be at most rounds = 3"),
    (
        goal(at={"density": 0.1}),
        {},
        "at.density = 0.1    is never reached: 3 rounds of prune.fraction = 0.2 leave 0.512",
    ),
    (
        {**OPTUNA, "stop_early": {"measure": "accuracy", "direction": "max", "grace": 4}},
        {},
        "search.stop_early.grace = 4    must be at most rounds = 3",
    ),
    (
        {**OPTUNA, "stop_early": {"measure": "los", "direction": "min"}},
        {},
        "search.stop_early.measure = 'los'",
    ),
    (
        {**OPTUNA, "pack": ["data.gain"]},
        {},
        "search.pack = ['data.gain']    must be empty: optuna asks for one trial at a time",
    ),
    (
        {"stop_early": {"measure": "accuracy", "direction": "max"}, "pack": ["data.gain"]},
        {},
        "must be empty: stop_early ends trials",
    ),
    ({"pack": ["data.xi"]}, {}, "search.pack[0] = 'data.xi'    is not an axis of search.space"),
    ({"pack": ["data.gain", "data.gain"]}, {}, "search.pack[1] = 'data.gain'    is listed twice"),
    (
        {},
        {"figures": ["analysis/Width.py"]},
        "figures[0] = 'analysis/Width.py'    must be the bare name of a script in analysis/ or beside the sweep, such as width",
    ),
    (
        {},
        {"measures": [{"kurtosis": {"samples": 501}}]},
        "measures[0].kurtosis.samples = 501    must be at most data.held_out = 500",
    ),
    (
        {},
        {"measures": [{"components": {"samples": 501}}]},
        "measures[0].components.samples = 501    must be at most data.held_out = 500",
    ),
    (
        {},
        {"measures": [{"cavity": {"layers": [1, 5]}}]},
        "measures[0].cavity.layers = [1, 5]    must be at most 2: the last layer that cavity reads",
    ),
    (
        {},
        {"measures": [{"rf_width": {"layers": [2]}}]},
        "measures[0].rf_width.layers = [2]    must be at most 1: the last layer that rf_width reads",
    ),
    ({}, {"measures": [{"cavity": {"classes": 99}}]}, "measures[0].cavity.classes = 99    must be at most 2"),
    (
        {},
        {"methods": ["cavity"], "trial": {"data": {"kind": "photographs"}, "prune": {"cavity": {"samples": 50}}}},
        "trial.prune.cavity.samples = 50    must be at least 160 for the method cavity: 16 for each class",
    ),
    (
        goal(measure="kurtosis", layer=2),
        {"measures": ["kurtosis"]},
        "search.goals[0].layer = 2    must be at most 1: the last layer that kurtosis reads",
    ),
    (
        {},
        {"trial": {"data": {"kind": "nlgp"}}, "measures": ["rf_width"]},
        "'rf_width'    a ring has no image: rf_width needs data.shape",
    ),
]


@pytest.mark.parametrize("search, keys, message", SEARCHES, ids=[message[:50] for *_, message in SEARCHES])
def test_a_wrong_search_goal_pack_or_measure(search, keys, message):
    found = said({"data.gain": [1, 3]}, search=search, **keys)
    assert any(message in line for line in found), found


READABLE = [
    ("accuracy", {}),
    ("rf_width_y_px", {"measures": ["rf_width"]}),
    ("ipr", {"measures": ["ipr"]}),
    ("kurtosis_end", {"measures": kurtosis(["end"])}),
]


@pytest.mark.parametrize("name, keys", READABLE)
def test_goals_are_measures_or_columns(name, keys):
    assert said({"data.gain": [1, 3]}, search=goal(measure=name, at={"density": 0.52}), **keys) == []


def test_a_ring_among_the_values_of_an_axis_has_no_image():
    found = said({"data.shape": [[12, 12], [40]]}, measures=["accuracy", "clustering"])
    assert found == ["measures[1] = 'clustering'    a ring has no image: clustering needs data.shape: [rows, cols]"]


PACKS = [
    ({"data.gain": [1, 3]}, {}, None),
    ({"data.xi": [[1, 2], [2, 3]], "prune.fraction": [0.1, 0.2]}, {}, None),
    ({"prune.rewind_step": [0, 10]}, {}, None),
    ({"train.lr": [0.1, 0.2]}, {}, None),
    ({"net.init.scale": [1, [1, 2]]}, {}, None),
    ({"train.steps": [10, 20]}, {}, "cannot share a pack: it changes tensor shapes or the program"),
    ({"data.shape": [[12, 12], [16, 16]]}, {}, "cannot share a pack"),
    (
        {"data.xi": [[1, 2], [1, 2, 3]]},
        {},
        "cannot share a pack: its values give different numbers of classes",
    ),
    (
        {"prune.rewind_step": [0, 10]},
        {"prune": {"after_rewind": "remaining"}},
        "Rewind step with remaining steps as an axis cannot share a pack",
    ),
]


@pytest.mark.parametrize("space, trial, message", PACKS)
def test_only_axes_that_keep_the_tensors_shapes_share_a_pack(space, trial, message):
    found = said(space, trial, {"pack": list(space)})
    assert (found == []) if message is None else any(message in line for line in found), found


def test_rewind_steps_share_no_pack_when_an_axis_brings_remaining_steps():
    space = {"prune.rewind_step": [0, 10], "prune.after_rewind": ["full", "remaining"]}
    found = said(space, search={"pack": ["prune.rewind_step"]})
    assert len(found) == 1 and "Rewind step with remaining steps" in found[0]


def test_an_endless_grid_is_refused():
    values = [round(0.001 * n, 3) for n in range(1, 400)]
    found = said({"data.gain": values, "train.lr": values})
    assert "is a grid of 159201 trials" in found[0]
