"""Points of a sweep's axes: the base trial with values set on it, and what a trial has at a path.

A path starts below `trial` (`data.gain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from impray.spec.base import Spec, canonical, keys_of, plain_types
from impray.spec.search import Axis, Range
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial
from impray.spec.wording import vocabulary


def at(sweep: Sweep, values: Mapping[str, object]) -> Trial:
    """The base trial with these axis values set.

    Raises: pydantic.ValidationError: there is no such trial (`check` tells what a search may ask for).
    """
    return Trial.model_validate(description_of(sweep, values))


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
    types = types_at(sweep, path)
    return int in types and float not in types


def types_at(sweep: Sweep, path: str) -> frozenset[Any]:
    """The types that a field's values may be of; where the base trial has no such field, those of the classes that have it."""
    owner, name = owner_of(sweep.trial, path)
    specs = vocabulary().get(("trial", *path.split(".")), ()) if owner is None else (type(owner),)
    return frozenset[Any]().union(*(plain_types(spec, name) for spec in specs))


def choices_of(axis: Axis, sweep: Sweep | None = None, path: str = "") -> tuple[Any, ...]:
    """The values of a list; both ends of a range, whole where the field wants it."""
    if not isinstance(axis, Range):
        return axis
    ends = (axis.low, axis.high)
    whole = sweep is not None and takes_integers(sweep, path) and all(end.is_integer() for end in ends)
    return tuple(int(end) for end in ends) if whole else ends


def owner_of(trial: Trial, path: str) -> tuple[Spec | None, str]:
    """The part of the trial that has the field, and the field's name; None where there is no such field."""
    *parents, name = path.split(".")
    here: Any = trial
    for key in parents:
        here = getattr(here, key, None) if isinstance(here, Spec) and key in type(here).model_fields else None
    return (here, name) if isinstance(here, Spec) and name in keys_of(type(here)) else (None, name)


def description_of(sweep: Sweep, values: Mapping[str, object]) -> dict[str, Any]:
    """The base trial as its YAML has it, with `values` set, and what follows them; defaults stay open for another kind to fill."""
    description = _written(sweep.trial)
    followed = {field: values[axis] for field, axis in sweep.search.follow.items() if axis in values}
    for path, choice in {**values, **followed}.items():
        *parents, name = path.split(".")
        here = description
        for key in parents:
            here = here.setdefault(key, {})
        here[name] = choice
    return description


def is_possible(sweep: Sweep, axis: str, item: object) -> bool:
    """Whether there is a trial with this value, all else being the base trial's."""
    try:
        at(sweep, {axis: item})
    except ValidationError:
        return False
    return True


def _written(spec: Spec) -> dict[str, Any]:
    named = {name for name in type(spec).model_fields if name in spec.model_fields_set or name in ("kind", "optimizer")}
    pairs = ((name, getattr(spec, name)) for name in type(spec).model_fields if name in named)
    return {name: _written(item) if isinstance(item, Spec) else _listed(item) for name, item in pairs}


def _listed(item: Any) -> Any:
    return [_listed(part) for part in item] if isinstance(item, (tuple, list)) else item
