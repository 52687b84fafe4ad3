"""Axes of a sweep: which trials they make, and what is wrong with them before any work starts.

A grid is the cartesian product of its axes, the last one fastest; random draws each axis by itself; Optuna asks for one trial
at a time through `at`. `check` tries every combination of listed values and ends of ranges, so that no trial turns out
impossible in the middle of a sweep; what the rest of the sweep asks of those trials is in `impray.spec.checks`.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from pydantic import ValidationError

from impray.spec import checks
from impray.spec.base import Spec, canonical
from impray.spec.errors import Problem
from impray.spec.points import at, choices_of, description_of, is_possible, owner_of, takes_integers, types_at, value
from impray.spec.search import MOST_TRIALS, Axis, Range
from impray.spec.sweep import Sweep
from impray.spec.trial import ImpossibleTrial, Trial
from impray.spec.wording import TAGS, near, problems, show, tag_of, vocabulary

__all__ = ["at", "axis_type", "check", "takes_integers", "trials", "value"]

_SHOWN = 3  # problems told per axis; the rest are counted
_DRAWS_PER_TRIAL = 100
_LEAST_DRAWS = 10_000  # in vain, before a random search takes its space for exhausted


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
            dict(zip(search.space, values, strict=True)) for values in product(*map(choices_of, search.space.values()))
        )
        return [_with_values(sweep, point) for point in points]
    if search.algorithm == "random":
        return _drawn(sweep)
    return []


def axis_type(sweep: Sweep, path: str) -> str:
    """Column type of an axis in tables: `float`, `int`, `str`, `bool`, or `json` for lists and mixtures."""
    values = [_value_in(sweep, path, choice) for choice in choices_of(sweep.search.space[path], sweep, path)]
    types = {type(item) for item in values if item is not None}
    if types == {int, float}:
        return "float"
    return types.pop().__name__ if len(types) == 1 and types <= {float, int, str, bool} else "json"


def _value_in(sweep: Sweep, path: str, choice: object) -> Any:
    """What trials have where the axis is at `choice`; None where no trial can be."""
    for point in _points(sweep, path, choice):
        try:
            return value(at(sweep, point), path)
        except ValidationError:
            continue  # a parameter of another member of the family, which its tag's axis brings in
    return None


def _with_values(sweep: Sweep, point: Mapping[str, object]) -> tuple[dict[str, Any], Trial]:
    trial = at(sweep, point)
    return {path: value(trial, path) for path in point}, trial


def _drawn(sweep: Sweep) -> list[tuple[dict[str, Any], Trial]]:
    rng = random.Random(sweep.search.seed)
    wanted = sweep.search.trials or 0
    by_id: dict[str, tuple[dict[str, Any], Trial]] = {}
    in_vain = 0
    for _ in range(wanted * _DRAWS_PER_TRIAL):
        if len(by_id) == wanted or in_vain == max(_LEAST_DRAWS, _DRAWS_PER_TRIAL * len(by_id)):
            break
        in_vain += 1
        point = {path: _draw(rng, axis, takes_integers(sweep, path)) for path, axis in sweep.search.space.items()}
        try:
            drawn = _with_values(sweep, point)
        except ValidationError as error:
            if not _only_impossible(error):
                raise
            continue  # inside the corners that `check` tried, some spaces still have points that cannot be
        if drawn[1].id not in by_id:
            by_id[drawn[1].id], in_vain = drawn, 0
    return list(by_id.values())


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


def possible(sweep: Sweep) -> list[Trial]:
    """Trials that stand for all of a sweep that is right: every combination of listed values and ends of ranges that can be."""
    return _combinations(sweep, sweep.search.space)[0]


# --- checks ---


def check(sweep: Sweep) -> list[Problem]:
    """What is wrong with a sweep's axes, search, goals and measures, without lines; empty when it can run."""
    if too_many := list(checks.too_many(sweep)):
        return too_many
    all_problems = [*_search_problems(sweep), *_follow_problems(sweep)]
    sound: dict[str, Axis] = {}
    for path, axis in sweep.search.space.items():
        wrong = _axis_problems(sweep, path, axis)
        all_problems += _capped(f"search.space.{path}", wrong)
        if not wrong:
            sound[path] = axis
    possible, wrong_together = _combinations(sweep, sound)
    all_problems += wrong_together
    return [*all_problems, *checks.problems_with(sweep, [trial for trial in possible if not trial.described])]


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


def _follow_problems(sweep: Sweep) -> Iterator[Problem]:
    space = sweep.search.space
    for path, axis in sweep.search.follow.items():
        where = f"search.follow.{path}"
        if axis not in space:
            right = f"is not an axis of search.space{near(axis, space)}"
            yield Problem(where, repr(axis), right)
        elif unknown := _unknown_path(sweep, path):
            yield Problem(where, None, unknown)
        elif any(path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.") for other in space):
            yield Problem(
                where, repr(axis), "is an axis itself, or lies inside one, which sets it too; keep one of them"
            )


def _axis_problems(sweep: Sweep, path: str, axis: Axis) -> list[Problem]:
    where = f"search.space.{path}"
    unknown = _unknown_path(sweep, path)
    if unknown:
        return [Problem(where, None, unknown)]
    owner, field = owner_of(sweep.trial, path)
    if owner is not None and field in owner.unidentifying:
        return [Problem(where, None, f"says where {tag_of(type(owner))} lies, which changes no number: it is no axis")]
    outer = [other for other in sweep.search.space if path.startswith(f"{other}.") and not _is_tag(other)]
    if outer:
        return [Problem(where, None, f"lies inside the axis {outer[0]}, which sets it too; keep one of them")]
    if isinstance(axis, Range):
        return _range_problems(sweep, path, axis)
    wrong_values = [
        Problem(f"{where}[{i}]", show(item), why) for i, item in enumerate(axis) if (why := _why_not(sweep, path, item))
    ]
    seen: dict[str, int] = {}
    for position, item in enumerate(axis):
        if not wrong_values and seen.setdefault(_key(item), position) != position:
            wrong_values.append(Problem(f"{where}[{position}]", show(item), "is listed twice; each value counts once"))
    return wrong_values


def _unknown_path(sweep: Sweep, path: str) -> str | None:
    """Why `path` is no field of this sweep's trials, with the nearest that is."""
    keys = tuple(path.split("."))
    kinds = vocabulary().get(("trial", *keys), ())
    if owner_of(sweep.trial, path)[0] is not None:
        return None
    base = _part(sweep.trial, ".".join(keys[:-1]))
    if kinds and base is not None and tag_of(type(base)):
        if _named_on_axes(sweep, ".".join(keys[:-1])) & {tag_of(kind) for kind in kinds}:
            return None
        tags = " and ".join(str(tag_of(kind)) for kind in kinds)
        this = "data are" if keys[:-1] == ("data",) else f"{'.'.join(keys[:-1])} is"
        return f"is a parameter of {tags}; this trial's {this} {tag_of(type(base))}"
    if keys[0] == "trial":
        return f"axes start below trial: write {'.'.join(keys[1:])}"
    known = [".".join(map(str, other[1:])) for other in vocabulary() if other[0] == "trial" and len(other) > 1]
    same = [other for other in known if other.rsplit(".", 1)[-1] == keys[-1] and len(keys) == 1]
    hint = f"; did you mean {same[0]!r}?" if same else near(path, [other for other in known if "." in other])
    if keys[0] in Sweep.model_fields:
        return f"is not a field of a trial, and only those can be axes{hint}"
    return f"is not a field of this trial{hint}"


def _part(trial: Trial, path: str) -> Spec | None:
    """What the trial has at a path, where that has fields of its own."""
    owner, name = owner_of(trial, path)
    part = None if owner is None else getattr(owner, name)
    return part if isinstance(part, Spec) else None


def _named_on_axes(sweep: Sweep, path: str) -> set[str | None]:
    """The members of a family that an axis over its tag (`data.kind`), or over the whole of it, brings in."""
    space = sweep.search.space
    whole = [item for item in choices_of(space.get(path, ())) if isinstance(item, dict)]
    named = [item.get(tag) for item in whole for tag in TAGS]
    named += [item for tag in TAGS for item in choices_of(space.get(f"{path}.{tag}", ()))]
    return {name for name in named if isinstance(name, str)}


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
    if not types_at(sweep, path) & {int, float}:
        return [Problem(where, None, "a range needs a field that is a number; list the values instead")]
    if takes_integers(sweep, path) and not (axis.low.is_integer() and axis.high.is_integer()):
        wrong = [(end, limit) for end, limit in (("low", axis.low), ("high", axis.high)) if not limit.is_integer()]
        return [
            Problem(f"{where}.{end}", show(limit), "must be a whole number, as the field is") for end, limit in wrong
        ]
    ends = zip(("low", "high"), choices_of(axis, sweep, path), strict=True)
    return [Problem(f"{where}.{end}", show(item), why) for end, item in ends if (why := _why_not(sweep, path, item))]


def _why_not(sweep: Sweep, path: str, item: object) -> str | None:
    """Why the field cannot be `item` whatever the other axes are; the rest is for `_combinations`."""
    whys = [_why_not_with(sweep, path, point) for point in _points(sweep, path, item)]
    return None if None in whys else whys[0]


def _points(sweep: Sweep, path: str, item: object) -> list[dict[str, object]]:
    """The axis at `item`: with the base trial, and with each member of its family that an axis over the tag brings in."""
    parent = path.rpartition(".")[0]
    tags = [f"{parent}.{tag}" for tag in TAGS if f"{parent}.{tag}" != path]
    members = [(tag, member) for tag in tags for member in choices_of(sweep.search.space.get(tag, ()))]
    return [{path: item}, *({tag: member, path: item} for tag, member in members)]


def _why_not_with(sweep: Sweep, path: str, point: Mapping[str, object]) -> str | None:
    try:
        at(sweep, point)
    except ValidationError as error:
        if _only_impossible(error):
            return None
        wrong = problems(error, Trial, description_of(sweep, point))
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
    return all(
        isinstance(item.get("ctx", {}).get("error"), ImpossibleTrial) for item in error.errors(include_url=False)
    )


def _combinations(sweep: Sweep, space: Mapping[str, Axis]) -> tuple[list[Trial], list[Problem]]:
    """Trials of listed values and ends of ranges that can be, and the problems of those that cannot."""
    choices = [choices_of(axis, sweep, path) for path, axis in space.items()]
    possible: list[Trial] = []
    wrong: dict[str, dict[Problem, None]] = {}
    for values in islice(product(*choices), MOST_TRIALS):
        point = dict(zip(space, values, strict=True))
        try:
            possible.append(at(sweep, point))
        except ValidationError as error:
            for problem in problems(error, Trial, description_of(sweep, point)):
                blamed = _blamed(sweep, point, problem.path)
                wrong.setdefault(blamed, {})[_combined(blamed, point, problem)] = None
    told = [problem for path, on_axis in wrong.items() for problem in _capped(f"search.space.{path}", list(on_axis))]
    return possible, told


def _blamed(sweep: Sweep, point: Mapping[str, object], path: str) -> str:
    """The axis to tell a combination's problem on: the field's own, or the first that fails by itself."""
    if path in point:
        return path
    return next((axis for axis, item in point.items() if not is_possible(sweep, axis, item)), next(iter(point)))


def _combined(axis: str, point: Mapping[str, object], problem: Problem) -> Problem:
    right = problem.right if problem.path == axis else f"{problem.path}: {problem.right}"
    return Problem(f"search.space.{axis}", show(point[axis]), right)


def _capped(where: str, wrong: list[Problem]) -> list[Problem]:
    more = len(wrong) - _SHOWN
    return (
        wrong
        if more <= 0
        else [
            *wrong[:_SHOWN],
            Problem(where, None, f"and {more} more such values or combinations of this axis"),
        ]
    )
