"""Layers that a `kind: module` leaves out and its factory says: filled in before anything is validated.

So every spec has them, whoever reads it, also where the factory cannot be imported; ids hash them. Asking is done by a function that is
passed in (`impray.nets.factory.sizes`): nothing here imports a factory, and reading a results folder asks none.

What is found must hold for all trials: axes that change the layers' sizes are written as an axis over whole `net`, whose mappings are
filled in one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice, product
from typing import Any

from pydantic import ValidationError

from impray.spec.errors import Problem, SweepError
from impray.spec.nets.module import plain
from impray.spec.trial import Trial
from impray.spec.wording import at_path, dotted, show

AskSizes = Callable[[str, Mapping[str, Any], tuple[int, ...], int], list[dict[str, Any]]]
"""From a factory, its arguments, the shape of the data's inputs and a number of outputs to `net.sizes`; raises SweepError."""

_MOST = 1000  # combinations of data that are looked at
_MATTER = ("factory", "arguments", "outputs")  # fields of a module that its layers follow from
_Path = tuple[str | int, ...]


def fill(document: dict[str, Any], ask: AskSizes, *, large: bool = False) -> list[Problem]:
    """Fill in `sizes` of every module in `document` (a sweep's YAML) that leaves them out.

    Args:    large: which sizes stand in where the factory fails: of few layers, or of many.
    Returns: what is wrong with factories.
    """
    space = at_path(document, ("search", "space"))
    axes = space if isinstance(space, dict) else {}
    problems: list[Problem] = []
    for path, net, own in _described(document, axes):
        if net.get("kind") == "module" and isinstance(net.get("factory"), str) and not net.get("sizes"):
            wrong = _fill(path, net, own, sorted(_data_sizes(document, axes)), ask)
            if "sizes" not in net:
                net["sizes"] = [{"shape": [2, 2]}] * (1000 if large else 2)
            problems += wrong
    return list(dict.fromkeys(problems))


def _described(
    document: dict[str, Any], axes: Mapping[str, Any]
) -> Iterator[tuple[_Path, dict[str, Any], dict[str, list[Any]]]]:
    """Path, description and the axes that change what the factory gives, of each network in a sweep."""
    base = at_path(document, ("trial", "net"))
    if isinstance(base, dict):
        own = {name: axes.get(f"net.{name}") for name in _MATTER}
        yield ("trial", "net"), base, {name: axis for name, axis in own.items() if isinstance(axis, list) and axis}
    whole = axes.get("net")
    for position, item in enumerate(whole if isinstance(whole, list) else ()):
        if isinstance(item, dict):
            yield ("search", "space", "net", position), item, {}


def _data_sizes(document: dict[str, Any], axes: Mapping[str, Any]) -> set[tuple[tuple[int, ...], int]]:
    """(shape of an input, classes) of the sweep's data at all points of its axes; what is wrong there is told by validation."""
    base, whole = at_path(document, ("trial", "data")), axes.get("data")
    described = [item for item in (base, *(whole if isinstance(whole, list) else ())) if isinstance(item, dict)]
    own = {
        str(path).removeprefix("data."): _choices(axis) for path, axis in axes.items() if str(path).startswith("data.")
    }
    data_sizes = set()
    for data in described:
        for values in islice(product(*own.values()), _MOST):
            try:
                trial = Trial.model_validate({"data": {**data, **dict(zip(own, values, strict=True))}})
            except ValidationError:
                continue
            data_sizes.add((trial.data.input_shape, trial.data.classes))
    return data_sizes


def _choices(axis: object) -> list[Any]:
    """The values of a list; both ends of a range."""
    if isinstance(axis, dict):
        return [axis[end] for end in ("low", "high") if end in axis]
    return axis if isinstance(axis, list) else []


def _fill(
    path: _Path,
    net: dict[str, Any],
    axes: dict[str, list[Any]],
    data: list[tuple[tuple[int, ...], int]],
    ask: AskSizes,
) -> list[Problem]:
    alternatives: dict[str, list[dict[str, Any]]] = {}
    problems: list[Problem] = []
    for values in product(*axes.values()):
        described = {**net, **dict(zip(axes, values, strict=True))}
        factory, arguments = described["factory"], described.get("arguments")
        if not isinstance(factory, str) or ":" not in factory:
            continue  # validation tells
        for input_shape, classes in data:
            outputs = 1 if described.get("outputs") == 1 else classes
            try:
                sizes = ask(factory, plain(arguments) if isinstance(arguments, dict) else {}, input_shape, outputs)
            except SweepError as error:
                problems += [_placed(path, problem, axes) for problem in error.problems]
                continue
            alternatives[repr(sizes)] = sizes
    if problems:
        return problems
    if len(alternatives) > 1:
        return [_differ(path, list(alternatives.values()), axes)]
    for sizes in alternatives.values():
        net["sizes"] = sizes
    return []


def _placed(path: _Path, problem: Problem, axes: Mapping[str, object]) -> Problem:
    name = problem.path.removeprefix("net.")
    where = f"search.space.net.{name}" if name in axes else dotted((*path, name))
    return Problem(where, problem.value, problem.right)


def _differ(path: _Path, alternatives: list[list[dict[str, Any]]], axes: Mapping[str, object]) -> Problem:
    shown = " and ".join(show([size["shape"] for size in sizes]) for sizes in alternatives[:2])
    right = f"gives layers of different sizes ({shown}): "
    if axes:
        return Problem(
            f"search.space.net.{next(iter(axes))}",
            None,
            right + "make whole net the axis, net: [{kind: module, factory: ..., arguments: ...}, ...]",
        )
    return Problem(
        dotted((*path, "factory")),
        None,
        right + "this sweep's data have different shapes or numbers of classes; make a sweep of each",
    )
