"""Fields of `trial.data` that a sweep leaves out and its files say: filled in before anything is validated.

So every spec has them, whoever reads it; ids hash what was found, and files that change later contradict it. The reading is done by
a function that is passed in (`impray.data.formats.said`): nothing here opens a file.

A field is filled in where it has no default or its files say something else. What is found must hold for all trials: axes over
files of different sizes are written as an axis over whole `data`, whose mappings are filled in one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice, product
from typing import Any

from impray.spec import families
from impray.spec.base import canonical, whole_number
from impray.spec.data import FileData
from impray.spec.errors import DataError, Problem
from impray.spec.wording import at_path, dotted, show, tag_of

ReadSizes = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From a description of data to the fields that its files say; raises DataError."""

_MOST = 1000  # combinations of files that are looked at


def _kinds() -> dict[str | None, type[FileData]]:
    """Kinds of data with fields that files say, by name."""
    return {tag_of(kind): kind for kind in families.data.specs if issubclass(kind, FileData) and kind.said_by_files}


def fill(document: dict[str, Any], read: ReadSizes, *, large: bool = False) -> list[Problem]:
    """Fill in what `document` (a sweep's YAML) leaves out.

    Args:    large: which values stand in for those of files that cannot be read: small ones, or large ones.
    Returns: what is wrong with files. Their fields are stood in for, so that the rest can be validated in the same go; what is wrong
             with small and with large ones alike is wrong whatever the files hold.
    """
    space = at_path(document, ("search", "space"))
    axes = space if isinstance(space, dict) else {}
    problems = [
        problem for path, data, own in _described(document, axes) for problem in _fill(path, data, own, read, large)
    ]
    return list(dict.fromkeys(problems))


def _described(
    document: dict[str, Any], axes: dict[str, Any]
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any], dict[str, list[Any]]]]:
    """Path, description and the axes that change which files are meant, of each description of data in a sweep."""
    base = at_path(document, ("trial", "data"))
    if isinstance(base, dict):
        own = {path.removeprefix("data."): axis for path, axis in axes.items() if str(path).startswith("data.")}
        names = {"kind"}.union(*(kind.sources for kind in _kinds().values()))
        yield ("trial", "data"), base, {name: axis for name, axis in own.items() if name in names and _is_list(axis)}
    whole = axes.get("data")
    for position, item in enumerate(whole if isinstance(whole, list) else ()):
        if isinstance(item, dict):
            yield ("search", "space", "data", position), item, {}


def _is_list(axis: object) -> bool:
    return isinstance(axis, list) and len(axis) > 0


def _fill(
    path: tuple[str | int, ...], data: dict[str, Any], axes: dict[str, list[Any]], read: ReadSizes, large: bool
) -> list[Problem]:
    alternatives: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for values in islice(product(*axes.values()), _MOST):
        described = {**data, **dict(zip(axes, values, strict=True))}
        kind = _kinds().get(_text(described.get("kind")))
        names = sorted(kind.said_by_files - data.keys()) if kind is not None else []
        if kind is None or not names:
            alternatives.setdefault("{}", {})
            continue
        try:
            sizes = read(described)
        except DataError as error:
            problems += _unread(path, described, axes, names, str(error))
            data.update(_stand_ins(data, names, large))
            continue
        sizes = sizes or _stand_ins(data, names, large)  # what names the files is wrong, which validation tells
        new = {name: sizes[name] for name in names if not _is_default(kind, name, sizes[name])}
        alternatives.setdefault(show(new), new)
    if problems:
        return problems
    if len(alternatives) > 1:
        return [_differ(axes, list(alternatives.values()))]
    for new in alternatives.values():
        data.update(new)
    return []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _stand_ins(data: Mapping[str, Any], names: list[str], large: bool) -> dict[str, Any]:
    """Values for fields that no file has said, so small or so large that a rule that depends on them sees the difference."""
    kept = whole_number(data.get("keep_classes"))
    few = kept if isinstance(kept, int) and kept > 2 else 2
    shape = [28, 28] if not large or data.get("kind") == "idx" else [10_000]
    known = {"shape": shape, "class_count": 1_000_000 if large else few}
    return {name: known[name] for name in names}


def _is_default(kind: type[FileData], name: str, value: object) -> bool:
    field = kind.model_fields[name]
    return not field.is_required() and canonical(field.default) == value


def _unread(
    path: tuple[str | int, ...], described: Mapping[str, Any], axes: Mapping[str, object], names: list[str], why: str
) -> list[Problem]:
    axis = next((name for name in axes if name == "path"), next(iter(axes), None))
    where = dotted((*path, "path")) if axis is None else f"search.space.data.{axis}"
    value = show(described.get("path" if axis is None else axis))
    verb = "are" if len(names) > 1 else "is"
    missing = f"{' and '.join(reversed(names))} {verb} left out and cannot be read"
    return [Problem(where, value, f"{missing}: {line}") for line in why.splitlines()]


def _differ(axes: Mapping[str, object], alternatives: list[dict[str, Any]]) -> Problem:
    shown = " and ".join(show(sizes) if sizes else "the default" for sizes in alternatives[:3])
    right = (
        f"gives data of different sizes ({shown}): make whole data the axis, data: [{{kind: ..., path: ...}}, ...], "
        "or say shape and class_count in trial.data"
    )
    return Problem(f"search.space.data.{next(iter(axes))}", None, right)
