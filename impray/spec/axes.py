"""Axes of a sweep: which trials they make, and what is wrong with them before any work starts.

A path starts below `trial` (`data.gain`). A grid is the cartesian product of its axes, the last one fastest;
random draws each axis by itself; Optuna asks for one trial at a time through `at`. `check` tries every
combination of listed values and ends of ranges, so that no trial turns out impossible in the middle of a
sweep.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from pydantic import ValidationError

from impray.spec.base import Spec, canonical, plain_types
from impray.spec.data import DATA_KINDS, Kur, Stimulus
from impray.spec.errors import Problem
from impray.spec.measure import MEASURE_KINDS, Cavity, Course, Flow, MeasureSpec, Sinusoid
from impray.spec.search import AtDensity, Axis, Range, Reading
from impray.spec.sweep import Sweep
from impray.spec.trial import Impossible, Trial
from impray.spec.wording import near, problems, show, tag_of, vocabulary

_SHOWN = 3  # problems told per axis; the rest are counted
_MOST_TRIALS = 100_000
_DRAWS_PER_TRIAL = 100


# --- trials ---


def trials(sweep: Sweep) -> list[tuple[dict[str, Any], Trial]]:
    """(axis values, trial) of each point of a grid or random search; none for Optuna, which suggests its own.

    Random draws depend on `search.seed` only, so asking for more trials keeps the first ones; a trial drawn
    twice counts once, and a space with fewer points than `search.trials` gives them all (or nearly: draws
    are bounded).
    """
    search = sweep.search
    if search.algorithm == "grid":
        points = (
            dict(zip(search.space, values, strict=True)) for values in product(*map(_choices, search.space.values()))
        )
        return [_with_values(sweep, point) for point in points]
    if search.algorithm == "random":
        return _drawn(sweep)
    return []


def at(sweep: Sweep, values: Mapping[str, object]) -> Trial:
    """The base trial with these axis values set.

    Raises: pydantic.ValidationError: there is no such trial (`check` tells what a search may ask for).
    """
    return Trial.model_validate(_described(sweep, values))


def value(trial: Trial, path: str) -> Any:
    """What `trial` has at a path, as JSON holds it (no tuples); None where its kind has no such field."""
    here: Any = trial
    for key in path.split("."):
        if not isinstance(here, Spec) or key not in type(here).model_fields:
            return None
        here = getattr(here, key)
    return canonical(here, whole=True) if isinstance(here, Spec) else _listed(here)


def takes_integers(sweep: Sweep, path: str) -> bool:
    """Whether a field takes whole numbers only: `train.steps`, or `net.hidden`, where one may stand alone."""
    owner, name = _owner(sweep.trial, path)
    types = plain_types(type(owner), name) if owner is not None else frozenset()
    return int in types and float not in types


def axis_type(sweep: Sweep, path: str) -> str:
    """Column type of an axis in tables: `float`, `int`, `str`, `bool`, or `json` for lists and mixtures."""
    values = [value(at(sweep, {path: choice}), path) for choice in _choices(sweep.search.space[path], sweep, path)]
    types = {type(item) for item in values if item is not None}
    if types == {int, float}:
        return "float"
    return types.pop().__name__ if len(types) == 1 and types <= {float, int, str, bool} else "json"


def _with_values(sweep: Sweep, point: Mapping[str, object]) -> tuple[dict[str, Any], Trial]:
    trial = at(sweep, point)
    return {path: value(trial, path) for path in point}, trial


def _drawn(sweep: Sweep) -> list[tuple[dict[str, Any], Trial]]:
    rng = random.Random(sweep.search.seed)
    wanted = sweep.search.trials or 0
    found: dict[str, tuple[dict[str, Any], Trial]] = {}
    for _ in range(wanted * _DRAWS_PER_TRIAL):
        if len(found) == wanted:
            break
        point = {path: _draw(rng, axis, takes_integers(sweep, path)) for path, axis in sweep.search.space.items()}
        try:
            drawn = _with_values(sweep, point)
        except ValidationError as error:
            if not _only_impossible(error):
                raise
            continue  # inside the corners that `check` tried, some spaces still have points that cannot be
        found.setdefault(drawn[1].id, drawn)
    return list(found.values())


def _draw(rng: random.Random, axis: Axis, whole: bool) -> object:
    """Uniform, or uniform in the logarithm.

    Whole numbers are rounded from an interval half a step wider, so that both ends count fully.
    """
    if not isinstance(axis, Range):
        return axis[rng.randrange(len(axis))]
    if whole and not axis.log:
        return rng.randint(int(axis.low), int(axis.high))
    margin = 0.5 if whole else 0.0
    low, high = axis.low - margin, axis.high + margin
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if axis.log else rng.uniform(low, high)
    drawn = min(max(drawn, axis.low), axis.high)
    return round(drawn) if whole else drawn


def _choices(axis: Axis, sweep: Sweep | None = None, path: str = "") -> tuple[Any, ...]:
    """The values of a list; both ends of a range, whole where the field wants it."""
    if not isinstance(axis, Range):
        return axis
    ends = (axis.low, axis.high)
    whole = sweep is not None and takes_integers(sweep, path) and all(end.is_integer() for end in ends)
    return tuple(int(end) for end in ends) if whole else ends


def _described(sweep: Sweep, values: Mapping[str, object]) -> dict[str, Any]:
    """The base trial as its YAML has it, with `values` set; defaults stay open for another kind to fill."""
    description = _written(sweep.trial)
    for path, choice in values.items():
        *parents, name = path.split(".")
        here = description
        for key in parents:
            here = here.setdefault(key, {})
        here[name] = choice
    return description


def _written(spec: Spec) -> dict[str, Any]:
    named = {name for name in type(spec).model_fields if name in spec.model_fields_set or name in ("kind", "optimizer")}
    pairs = ((name, getattr(spec, name)) for name in type(spec).model_fields if name in named)
    return {name: _written(item) if isinstance(item, Spec) else _listed(item) for name, item in pairs}


def _listed(item: Any) -> Any:
    return [_listed(part) for part in item] if isinstance(item, (tuple, list)) else item


def _owner(trial: Trial, path: str) -> tuple[Spec | None, str]:
    """The part of the trial that has the field, and the field's name; None where there is no such field."""
    *parents, name = path.split(".")
    here: Any = trial
    for key in parents:
        here = getattr(here, key, None) if isinstance(here, Spec) and key in type(here).model_fields else None
    return (here, name) if isinstance(here, Spec) and name in type(here).model_fields else (None, name)


# --- checks ---


def check(sweep: Sweep) -> list[Problem]:
    """What is wrong with a sweep's axes, search, goals and measures, without lines; empty when it can run."""
    found = [*_search_problems(sweep)]
    sound: dict[str, Axis] = {}
    for path, axis in sweep.search.space.items():
        wrong = _axis_problems(sweep, path, axis)
        found += _capped(f"search.space.{path}", wrong)
        if not wrong:
            sound[path] = axis
    possible, wrong_together = _combinations(sweep, sound)
    found += wrong_together
    for rule in (_pack_problems, _reading_problems, _measure_problems, _theory_problems, _rule_problems):
        found += rule(sweep, possible)
    return [*found, *_figure_problems(sweep)]


def _search_problems(sweep: Sweep) -> Iterator[Problem]:
    search = sweep.search
    if search.algorithm == "grid" and search.trials is not None:
        yield Problem(
            "search.trials",
            show(search.trials),
            "is for random and optuna; a grid has a trial per combination",
        )
    if search.algorithm != "grid" and search.trials is None:
        yield Problem("search.trials", None, f"is missing: how many trials {search.algorithm} is to try")
    if search.algorithm != "grid" and not search.space:
        yield Problem(
            "search.space",
            None,
            f"is missing: {search.algorithm} needs axes, such as data.gain: {{low: 0.1, high: 10}}",
        )
    if search.algorithm == "optuna" and not search.goals:
        example = "{measure: accuracy, direction: max}"
        yield Problem("search.goals", None, f"is missing: optuna needs at least one goal, such as {example}")


def _axis_problems(sweep: Sweep, path: str, axis: Axis) -> list[Problem]:
    where = f"search.space.{path}"
    unknown = _unknown_path(sweep, path)
    if unknown:
        return [Problem(where, None, unknown)]
    owner, field = _owner(sweep.trial, path)
    if owner is not None and field in owner.unidentifying:
        return [Problem(where, None, f"says where {tag_of(type(owner))} lies, which changes no number: it is no axis")]
    outer = [other for other in sweep.search.space if path.startswith(f"{other}.") and not _is_tag(other)]
    if outer:
        return [Problem(where, None, f"lies inside the axis {outer[0]}, which sets it too; keep one of them")]
    if isinstance(axis, Range):
        return _range_problems(sweep, path, axis)
    found = [
        Problem(f"{where}[{i}]", show(item), why) for i, item in enumerate(axis) if (why := _why_not(sweep, path, item))
    ]
    seen: dict[str, int] = {}
    for position, item in enumerate(axis):
        if not found and seen.setdefault(_key(item), position) != position:
            found.append(Problem(f"{where}[{position}]", show(item), "is listed twice; each value counts once"))
    return found


def _unknown_path(sweep: Sweep, path: str) -> str | None:
    """Why `path` is no field of this sweep's trials, with the nearest that is."""
    keys = tuple(path.split("."))
    kinds = vocabulary().get(("trial", *keys), ())
    if _owner(sweep.trial, path)[0] is not None:
        return None
    if kinds and keys[0] == "data":
        offered = {type(sweep.trial.data), *_kinds_on_axes(sweep)}
        if offered & set(kinds):
            return None
        tags = " and ".join(str(tag_of(kind)) for kind in kinds)
        return f"is a parameter of {tags}; this trial's data are {tag_of(type(sweep.trial.data))}"
    if keys[0] == "trial":
        return f"axes start below trial: write {'.'.join(keys[1:])}"
    known = [".".join(map(str, other[1:])) for other in vocabulary() if other[0] == "trial" and len(other) > 1]
    same = [other for other in known if other.rsplit(".", 1)[-1] == keys[-1] and len(keys) == 1]
    hint = f"; did you mean {same[0]!r}?" if same else near(path, [other for other in known if "." in other])
    if keys[0] in Sweep.model_fields:
        return f"is not a field of a trial, and only those can be axes{hint}"
    return f"is not a field of this trial{hint}"


def _kinds_on_axes(sweep: Sweep) -> set[type[Spec]]:
    """Kinds of data that an axis over `data.kind` or over whole `data` brings in."""
    whole = [item.get("kind") for item in _choices(sweep.search.space.get("data", ())) if isinstance(item, dict)]
    named = [*_choices(sweep.search.space.get("data.kind", ())), *whole]
    return {kind for kind in DATA_KINDS if tag_of(kind) in named}


def _is_tag(path: str) -> bool:
    return path.rsplit(".", 1)[-1] in ("kind", "optimizer")


def _key(item: object) -> str:
    """Equal for values that ask for the same: 1 and 1.0."""
    return json.dumps(_integral(item), sort_keys=True)


def _integral(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _integral(part) for key, part in item.items()}
    return canonical([_integral(part) for part in item] if isinstance(item, (list, tuple)) else item)


def _range_problems(sweep: Sweep, path: str, axis: Range) -> list[Problem]:
    where = f"search.space.{path}"
    if sweep.search.algorithm == "grid":
        return [Problem(where, None, "a grid needs a list of values; a range is for random and optuna")]
    owner, name = _owner(sweep.trial, path)
    types = plain_types(type(owner), name) if owner is not None else {float}
    if not types & {int, float}:
        return [Problem(where, None, "a range needs a field that is a number; list the values instead")]
    if takes_integers(sweep, path) and not (axis.low.is_integer() and axis.high.is_integer()):
        wrong = [(end, limit) for end, limit in (("low", axis.low), ("high", axis.high)) if not limit.is_integer()]
        return [
            Problem(f"{where}.{end}", show(limit), "must be a whole number, as the field is") for end, limit in wrong
        ]
    ends = zip(("low", "high"), _choices(axis, sweep, path), strict=True)
    return [Problem(f"{where}.{end}", show(item), why) for end, item in ends if (why := _why_not(sweep, path, item))]


def _why_not(sweep: Sweep, path: str, item: object) -> str | None:
    """Why the field cannot be `item` whatever the other axes are; the rest is for `_combinations`."""
    try:
        at(sweep, {path: item})
    except ValidationError as error:
        if _only_impossible(error):
            return None
        wrong = problems(error, Trial, _described(sweep, {path: item}))
        own = [problem for problem in wrong if problem.path.startswith(path)]
        if own:
            listed = " (an axis is a list of values: here a list of lists)" if "must be a list" in own[0].right else ""
            inside = own[0].path.removeprefix(path).lstrip(".")
            return f"{inside + ': ' if inside else ''}{own[0].right}{listed}"
        # Another kind may not know what the base trial sets; other axes are for `_combinations` to try.
        others = [problem for problem in wrong if problem.path not in sweep.search.space]
        return f"then {others[0].path}: {others[0].right}" if others else None
    return None


def _only_impossible(error: ValidationError) -> bool:
    return all(isinstance(item.get("ctx", {}).get("error"), Impossible) for item in error.errors(include_url=False))


def _combinations(sweep: Sweep, space: Mapping[str, Axis]) -> tuple[list[Trial], list[Problem]]:
    """Trials of listed values and ends of ranges that can be, and the problems of those that cannot."""
    choices = [_choices(axis, sweep, path) for path, axis in space.items()]
    count = math.prod(map(len, choices))
    if sweep.search.algorithm == "grid" and count > _MOST_TRIALS:
        return [], [Problem("search.space", None, f"is a grid of {count} trials, more than {_MOST_TRIALS}; use random")]
    possible: list[Trial] = []
    wrong: dict[str, dict[Problem, None]] = {}
    for values in islice(product(*choices), _MOST_TRIALS):
        point = dict(zip(space, values, strict=True))
        try:
            possible.append(at(sweep, point))
        except ValidationError as error:
            for problem in problems(error, Trial, _described(sweep, point)):
                blamed = _blamed(sweep, point, problem.path)
                wrong.setdefault(blamed, {})[_combined(blamed, point, problem)] = None
    told = [problem for path, found in wrong.items() for problem in _capped(f"search.space.{path}", list(found))]
    return possible, told


def _blamed(sweep: Sweep, point: Mapping[str, object], path: str) -> str:
    """The axis to tell a combination's problem on: the field's own, or the first that fails by itself."""
    if path in point:
        return path
    return next((axis for axis, item in point.items() if not _alone(sweep, axis, item)), next(iter(point)))


def _alone(sweep: Sweep, axis: str, item: object) -> bool:
    try:
        at(sweep, {axis: item})
    except ValidationError:
        return False
    return True


def _combined(axis: str, point: Mapping[str, object], problem: Problem) -> Problem:
    right = problem.right if problem.path == axis else f"{problem.path}: {problem.right}"
    return Problem(f"search.space.{axis}", show(point[axis]), right)


def _capped(where: str, found: list[Problem]) -> list[Problem]:
    more = len(found) - _SHOWN
    return (
        found
        if more <= 0
        else [
            *found[:_SHOWN],
            Problem(where, None, f"and {more} more such values or combinations of this axis"),
        ]
    )


def _pack_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    search = sweep.search
    if search.pack and (search.algorithm == "optuna" or search.stop_early):
        reason = (
            "optuna asks for one trial at a time"
            if search.algorithm == "optuna"
            else "stop_early ends trials one by one"
        )
        yield Problem("search.pack", show(search.pack), f"must be empty: {reason}")
    for position, path in enumerate(search.pack):
        where = f"search.pack[{position}]"
        if path in search.pack[:position]:
            yield Problem(where, repr(path), "is listed twice; each axis counts once")
        elif path not in search.space:
            yield Problem(
                where,
                repr(path),
                f"is not an axis of search.space{near(path, search.space) or _axes_are(search.space)}",
            )
        elif why := _unpackable(sweep, path, possible):
            yield Problem(where, repr(path), why)


def _axes_are(space: Mapping[str, object]) -> str:
    return f"; its axes are {', '.join(space)}" if space else "; it has no axes"


def _unpackable(sweep: Sweep, path: str, possible: list[Trial]) -> str | None:
    owner, name = _owner(sweep.trial, path)
    if owner is not None and name not in type(owner).packable:
        can = [
            other
            for other in sweep.search.space
            if (part := _owner(sweep.trial, other))[0] and part[1] in part[0].packable
        ]
        others = f"; can: {', '.join(can)}" if can else ""
        return f"cannot share a pack: it changes tensor shapes or the program{others}"
    rewinds = {trial.prune.after_rewind for trial in possible}
    if path == "prune.rewind_step" and "remaining" in rewinds:
        why = "its lineages would end at different steps"
        return f"Rewind step with remaining steps as an axis cannot share a pack: {why}"
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for trial in possible:  # values that share a pack differ in the packed axes only
        rest = json.dumps([value(trial, other) for other in sweep.search.space if other not in sweep.search.pack])
        shapes.setdefault(rest, set()).add(trial.sizes)
    if any(len(sizes) > 1 for sizes in shapes.values()) and _changes_sizes(sweep, path):
        return "cannot share a pack: its values give different numbers of classes or inputs"
    return None


def _changes_sizes(sweep: Sweep, path: str) -> bool:
    alone = [choice for choice in _choices(sweep.search.space[path], sweep, path) if _alone(sweep, path, choice)]
    return len({at(sweep, {path: choice}).sizes for choice in alone}) > 1


def _reading_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """Goals and early stopping read columns that this sweep fills, of rounds and layers that it has."""
    readings: list[tuple[str, Reading]] = [(f"search.goals[{i}]", goal) for i, goal in enumerate(sweep.search.goals)]
    stop = sweep.search.stop_early
    if stop is not None:
        readings.append(("search.stop_early", stop))
        if stop.grace > sweep.rounds:
            yield Problem("search.stop_early.grace", show(stop.grace), f"must be at most rounds = {sweep.rounds}")
    for where, reading in readings:
        if reading.method not in sweep.methods:
            right = f"is not among this sweep's methods: {', '.join(sweep.methods)}"
            yield Problem(f"{where}.method", repr(reading.method), right)
        why = _unreadable(sweep, reading.measure)
        if why:
            yield Problem(f"{where}.measure", repr(reading.measure), why)
        elif why := _no_such_layer(sweep, reading, possible):
            yield Problem(f"{where}.layer", show(reading.layer), why)
    for position, goal in enumerate(sweep.search.goals):
        if isinstance(goal.at, int) and goal.at > sweep.rounds:
            yield Problem(f"search.goals[{position}].at", show(goal.at), f"must be at most rounds = {sweep.rounds}")
        if isinstance(goal.at, AtDensity) and (why := _too_dense(sweep, goal.at.density, possible)):
            yield Problem(f"search.goals[{position}].at.density", show(goal.at.density), why)


_ENDS = ("mask", "start", "end")  # of a column's name: the point of the round that it is read at


def _numbers(measure: MeasureSpec) -> list[str]:
    """The columns that a measure, with its parameters, fills with one number per lineage or unit."""
    columns = [c.name for c in (*measure.lineage_columns, *measure.unit_columns) if c.is_quantity]
    asked = getattr(measure, "at", None)
    if asked is None:
        return columns
    usual = type(measure).model_fields["at"].default[0]  # a column without _start or _end is this one
    return [c for c in columns if next((end for end in _ENDS if c.endswith(f"_{end}")), usual) in asked]


def _unreadable(sweep: Sweep, name: str) -> str | None:
    by_name = {measure.name: measure for measure in sweep.measures}
    columns = {column: measure for measure in sweep.measures for column in _numbers(measure)}
    if name in columns:
        return None
    measure = by_name.get(name)
    if measure is not None and _numbers(measure):
        first = (*measure.lineage_columns, *measure.unit_columns)[0].name
        filled = ", ".join(_numbers(measure))
        empty = f"its column {first} stays empty; filled with these parameters: {filled}"
        return None if first in columns else empty
    known = list(dict.fromkeys([*(n for n, m in by_name.items() if _numbers(m)), *columns]))
    if measure is not None:
        return f"has no single number to read; this sweep has {', '.join(known) or 'none'}"
    for kind in MEASURE_KINDS:
        if name in (tag_of(kind), *(column.name for column in (*kind.lineage_columns, *kind.unit_columns))):
            tag = tag_of(kind)
            return (
                f"is filled only when {tag} has at: [start, end]"
                if tag in by_name
                else f"needs {tag} among the measures"
            )
    return f"is not among this sweep's measures or their columns: {', '.join(known)}{near(name, known)}"


def _no_such_layer(sweep: Sweep, reading: Reading, possible: list[Trial]) -> str | None:
    names = {measure.name: measure for measure in sweep.measures}
    owner = names.get(reading.measure) or next(m for m in sweep.measures if reading.measure in _numbers(m))
    if not owner.unit_columns:
        return None
    asked, tag = owner.unit_layers, tag_of(type(owner))
    if asked is not None and reading.layer not in asked:
        if "layers" not in type(owner).model_fields:
            return f"must be 1: {tag} reads the first layer"
        return f"must be one of the layers that {tag} is asked for: {', '.join(map(str, asked))}"
    least = min((owner.last_layer(trial.net.layers) for trial in possible), default=reading.layer)
    if reading.layer <= least:
        return None
    return f"must be at most {least}: the last layer that {tag} reads in the smallest network of this sweep"


def _too_dense(sweep: Sweep, density: float, possible: list[Trial]) -> str | None:
    slowest = min((trial.prune.fraction for trial in possible), default=1.0)
    left = (1 - slowest) ** sweep.rounds
    if left <= density * 1.01:  # counts are rounded each round, so a hair's breadth is no problem
        return None
    return f"is never reached: {sweep.rounds} rounds of prune.fraction = {slowest:g} leave {left:.3g}"


def _measure_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """Measures that some trial's data cannot feed."""
    flat = [trial for trial in possible if not trial.data.is_image]
    least = min((held_out for trial in possible if (held_out := getattr(trial.data, "held_out", None))), default=None)
    for position, measure in enumerate(sweep.measures):
        where = f"measures[{position}]"
        if measure.needs_image and flat:
            yield Problem(
                where,
                repr(measure.name),
                f"a ring has no image: {measure.name} needs data.shape: [rows, cols]",
            )
        least_layer = min((measure.last_layer(trial.net.layers) for trial in possible), default=None)
        if measure.unit_layers is not None and least_layer is not None and max(measure.unit_layers) > least_layer:
            right = f"must be at most {least_layer}: the last layer that {measure.name} reads in the smallest network"
            yield Problem(f"{where}.{measure.name}.layers", show(list(measure.unit_layers)), right)
        classes = min((trial.data.classes for trial in possible), default=None)
        if isinstance(measure, Cavity) and measure.classes and classes and measure.classes > classes:
            right = f"must be at most {classes}: the data's classes"
            yield Problem(f"{where}.cavity.classes", show(measure.classes), right)
        samples = None if isinstance(measure, Course) else getattr(measure, "samples", None)
        if samples is not None and least is not None and samples > least:
            right = f"must be at most data.held_out = {least}: held-out inputs per class"
            yield Problem(f"{where}.{measure.name}.samples", show(samples), right)


def _theory_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """Measures that have a theory behind them, and trials that it is not of."""
    for position, measure in enumerate(sweep.measures):
        where = f"measures[{position}]"
        if isinstance(measure, Sinusoid) and any(len(trial.data.input_shape) > 2 for trial in possible):
            yield Problem(where, repr(measure.name), "needs inputs on a ring or in one colour: [n] or [rows, cols]")
        if isinstance(measure, Flow):
            told = dict.fromkeys(why for trial in possible for why in _not_of_the_flow(trial, measure))
            yield from (Problem(where, repr(measure.name), why) for why in told)


def _not_of_the_flow(trial: Trial, asked: Flow) -> Iterator[str]:
    """Why eq. 5 of Lufkin et al. (2024) is not about this trial."""
    net = trial.net
    if not isinstance(trial.data, Stimulus) or trial.data.classes != 2:
        yield "is about two classes of nlgp, kur, ising or elliptical inputs"
    if (net.hidden, net.activation, net.bias, net.readout) != ((1,), "relu", False, "mean"):
        yield "is about a single neuron: net: {hidden: [1], activation: relu, bias: false, outputs: 1, readout: mean}"
    if trial.train.momentum or trial.train.weight_decay:
        yield "is about plain gradient descent: no momentum, no weight_decay"
    if trial.prune.rewind_step != 0:
        yield "starts at the initial weights: prune.rewind_step: 0"
    if isinstance(trial.data, Stimulus) and not trial.data.variance_is_finite:
        yield "needs inputs with a finite variance"
    if asked.form == "taylor" and isinstance(trial.data, Kur) and trial.data.k <= 4:
        yield "has no Taylor form for kur with k <= 4, whose kurtosis is infinite; use form: exact"


SAMPLES_PER_CLASS = 16  # of the cavity rule, on average: a kurtosis within a class needs 8, and the draw varies


def _rule_problems(sweep: Sweep, possible: list[Trial]) -> Iterator[Problem]:
    """What the methods of the sweep need of the trials."""
    if not {"cavity", "cavity_lowest"} & set(sweep.methods):
        return
    short = [t for t in possible if t.prune.cavity.samples < SAMPLES_PER_CLASS * t.data.classes]
    if short:
        least = SAMPLES_PER_CLASS * max(trial.data.classes for trial in short)
        right = f"must be at least {least} for the method cavity: {SAMPLES_PER_CLASS} for each class"
        yield Problem("trial.prune.cavity.samples", show(short[0].prune.cavity.samples), right)


def _figure_problems(sweep: Sweep) -> Iterator[Problem]:
    for position, name in enumerate(sweep.figures):
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            bare = re.sub(r"\W", "_", name.rsplit("/", 1)[-1].removesuffix(".py")).lower()
            right = f"must be the bare name of a script in analysis/, such as {bare or 'width_by_gain'}"
            yield Problem(f"figures[{position}]", repr(name), right)
