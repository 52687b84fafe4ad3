"""`--set path=value`: which key of the document it means, and whether any trial would hear of it.

Paths start below `trial` (`data.gain`), or with a key of the sweep (`rounds`). An axis sets its field in every trial: what is set on
the base trial in its place, inside it, or on a field that follows it, would change nothing, and is refused with what would.
"""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impray.spec.base import keys_of
from impray.spec.errors import Problem
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial
from impray.spec.wording import dotted, near, show, vocabulary

_OPEN = (("search", "space"), ("search", "follow"))  # mappings whose keys are paths, with dots in them


@dataclass(frozen=True)
class Override:
    """One `--set` that was applied: the key in the document, the value, and how it was typed."""

    path: tuple[str, ...]
    value: Any
    place: str


def place_of(item: str) -> str:
    """How an override is named in errors; shortened by the problem, after secrets are out of it."""
    return f"--set {item}"


def path_of(name: str, has_value: bool) -> tuple[tuple[str, ...], str | None]:
    """The document's path of a `--set` name, and what is wrong with the name."""
    if not has_value or not name:
        return (), "write path=value, such as data.gain=3"
    keys = name.split(".")
    if tuple(keys[:2]) in _OPEN and len(keys) > 2:
        return (*keys[:2], ".".join(keys[2:])), None
    if not all(keys):
        return (), "a path is keys with dots between them, such as data.gain"
    if keys[0] in keys_of(Trial):
        return ("trial", *keys), None
    if keys[0] in Sweep.model_fields:
        return tuple(keys), None
    known = (*keys_of(Trial), *Sweep.model_fields)
    return (), f"starts with none of {', '.join(known)}{_near_path(name, known)}"


def _near_path(name: str, known: Sequence[str]) -> str:
    ends = {dotted(path[1:]): path for path in vocabulary() if path[0] == "trial" and len(path) > 2}
    inner = [path for path in ends if path.rsplit(".", 1)[-1] == name]
    return f"; did you mean {inner[0]!r}?" if inner else near(name.split(".")[0], known)


# -- overrides that no trial would hear of ----------------------------------------------------------------------------


def unheard(document: Mapping[str, Any], applied: Sequence[Override]) -> Iterator[Problem]:
    """Overrides that change no trial of the document, each with what would; of those on one path the last counts."""
    search = document.get("search")
    search = search if isinstance(search, dict) else {}
    space, follow = (part if isinstance(part := search.get(name), dict) else {} for name in ("space", "follow"))
    for override in {override.path: override for override in applied}.values():
        head, *rest = override.path
        if head == "trial":
            yield from _of_trial(override, ".".join(rest), override.value, space, follow)
        elif override.path == ("search", "seed") and search.get("algorithm", "grid") == "grid":
            right = "changes nothing: a grid draws nothing; seeds of lineages are set by --set seeds=..."
            yield Problem("search.seed", show(override.value), right, place=override.place)


def _of_trial(
    override: Override, path: str, value: Any, space: Mapping[str, Any], follow: Mapping[str, Any]
) -> Iterator[Problem]:
    """What is told of a field of the base trial, or else of those inside it. Emptying one asks for no value, and is let through."""
    if value is None or value == {}:
        return
    asked = path == ".".join(override.path[1:])
    why = _on_axes(path, value, space, follow) if asked or not _required(path) else None
    if why is not None:
        yield Problem(f"trial.{path}", show(value), f"would change nothing: {why}", place=override.place)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _of_trial(override, f"{path}.{name}" if path else str(name), inner, space, follow)


def _required(path: str) -> bool:
    """Whether a mapping could not be written without this field, also where an axis sets it."""
    *_, name = path.split(".")
    return any(spec.model_fields[name].is_required() for spec in vocabulary().get(("trial", *path.split(".")), ()))


def _on_axes(path: str, value: Any, space: Mapping[str, Any], follow: Mapping[str, Any]) -> str | None:
    """Why no trial would have this value at a path, and what would do; None if some would."""
    if path in space:
        return f"{path} is an axis, which sets it in every trial; {_instead(path, [value])}"
    for axis, choices in space.items():
        if path.startswith(f"{axis}."):
            return f"the axis {axis} sets it in every trial; {_inside(axis, choices, path, value)}"
    for field, axis in follow.items():
        if path == field or path.startswith(f"{field}."):
            both = f"{_instead(str(axis), [value])}, which sets both, or take it out of search.follow"
            return f"{field} follows the axis {axis} in every trial; {both}"
    return None


def _instead(axis: str, values: Sequence[Any]) -> str:
    return f"use --set {shlex.quote(f'search.space.{axis}={json.dumps(values)}')}"


def _inside(axis: str, choices: Any, path: str, value: Any) -> str:
    """The axis with the field set in those of its values that have it."""
    *parents, name = path.removeprefix(f"{axis}.").split(".")
    changed = []
    for choice in copy.deepcopy(choices) if isinstance(choices, list) else []:
        here = choice
        for key in parents:
            here = here.get(key) if isinstance(here, dict) else None
        if isinstance(here, dict) and name in here:
            here[name] = value
            changed.append(choice)
    return _instead(axis, changed[:1]) if changed else f"write it into the values of search.space.{axis}"
