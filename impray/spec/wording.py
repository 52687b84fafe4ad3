"""Pydantic's complaints in plain words: the path as written, the value, what would be right, near misses.

Pydantic puts the tags of unions into its paths and answers one wrong value of a union once per member; here
a path is what stands in the document, and one wrong value is one problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from impray.spec.base import Spec, keys_of
from impray.spec.errors import Problem
from impray.spec.families import classes_in, family_of
from impray.spec.family import until_changed
from impray.spec.sweep import Sweep
from impray.spec.text import MOST_INTEGER, MOST_TEXT, PATH_SHOWN, beyond, hidden, refusal
from impray.spec.trial import ImpossibleTrial

Path = tuple[str | int, ...]

_NO_SENSE = 10_000  # a limit from here on keeps a sweep in bounds, and says nothing of what its field means
_MOST_COMPLAINTS = 500  # a list of a file's length may be wrong in all of its entries

TAGS = ("kind", "name", "optimizer")  # the fields that say which member of a family a mapping is

_NOUNS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
}
_MAPPINGS = ("dict_type", "model_type", "model_attributes_type")


@dataclass(frozen=True)
class _Complaint:
    """One of pydantic's errors: the path as written, and words, or (for a wrong type) nouns to join."""

    path: Path
    words: str | None = None
    noun: str | None = None
    options: tuple[str, ...] = ()
    described: bool = True  # whether the field's description helps here
    value: str | None = None


def problems(error: ValidationError, root: type[Spec], document: object) -> list[Problem]:
    """Every problem of `document` as a `root`, without lines: one for each wrong value."""
    by_path: dict[Path, list[_Complaint]] = {}
    for item in error.errors(include_url=False)[:_MOST_COMPLAINTS]:
        for complaint in _complaints(item, root, document):
            by_path.setdefault(complaint.path, []).append(complaint)
    # A list with a wrong entry is also "not a number" to other members of a union: the entry says it all.
    inside = {path[:depth] for path in by_path for depth in range(len(path))}
    return [_problem(path, told, root, document) for path, told in by_path.items() if path not in inside]


def dotted(path: Iterable[str | int]) -> str:
    """`search.goals[0].measure` of ("search", "goals", 0, "measure")."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def show(value: object) -> str:
    """A value as YAML would write it, text in quotes, cut when long."""
    text = hidden(_shown(value, 60)[:MOST_TEXT])
    return text if len(text) <= 60 else text[:57] + "..."


def _shown(value: object, most: int) -> str:
    """At least the first `most` characters: no more items than that are looked at, for a list may be long."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_shown(item, most) for item in value[:most]) + "]"
    if isinstance(value, dict):
        items = islice(value.items(), most)
        return "{" + ", ".join(f"{key}: {_shown(item, most)}" for key, item in items) + "}"
    if isinstance(value, int) and beyond(value):
        return repr(value) if value.bit_length() < 4096 else f"a number of {value.bit_length()} bits"
    return repr(value)


# What other programs call it: no slip of the hand, so no spelling is near.
_CALLED = {
    "low": ("min", "minimum", "lower", "start"),
    "high": ("max", "maximum", "upper", "stop", "end"),
    "log": ("log_scale", "loguniform", "log_uniform"),
    "min": ("minimize", "minimise", "minimum", "lower", "less", "down"),
    "max": ("maximize", "maximise", "maximum", "higher", "more", "up"),
    "direction": ("mode", "sense"),
    "measure": ("metric", "column"),
    "goals": ("objectives", "objective", "metrics", "metric"),
    "trials": ("n_trials", "num_samples"),
    "lr": ("learning_rate", "eta"),
    "batch": ("batch_size", "minibatch"),
    "steps": ("iterations", "updates"),
}


def near(word: object, options: Iterable[str]) -> str:
    """`; did you mean 'nlgp'?`, or nothing when no option is close, in spelling or in what other programs call it."""
    if len(str(word)) > PATH_SHOWN:
        return ""  # no name is so long
    lower = {option.lower(): option for option in options}
    written = str(word).lower()
    called = [option for option in lower if written in _CALLED.get(option, ())]
    close = called or get_close_matches(written, lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""


def _no_plugin(name: object) -> str:
    """What a name with a dot wants: a plugin that is not there."""
    if not isinstance(name, str) or "." not in name:
        return ""
    plugin = name.partition(".")[0]
    return f"; there is no plugin {plugin!r} here: name its file, plugins: [{plugin}.py], or install its package"


def at_path(document: Any, path: Path, absent: object = None) -> Any:
    """The value at `path`, or `absent`."""
    for key in path:
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and isinstance(key, int) and key < len(document):
            document = document[key]
        else:
            return absent
    return document


@until_changed
def vocabulary() -> dict[Path, tuple[type[Spec], ...]]:
    """Every path of a sweep, without positions in lists, and the classes that have it."""
    classes: dict[Path, tuple[type[Spec], ...]] = {}
    for path, owner in _walk(Sweep, ()):
        classes[path] = tuple(dict.fromkeys((*classes.get(path, ()), owner)))
    return classes


def _walk(spec: type[Spec], path: Path) -> Iterator[tuple[Path, type[Spec]]]:
    for name in keys_of(spec):
        yield (*path, name), spec
        for part in specs_in(spec.model_fields[name].annotation):
            yield from _walk(part, (*path, name))


def specs_in(annotation: Any) -> tuple[type[Spec], ...]:
    """The classes in an annotation: both kinds of `Nlgp | Photographs`, the `Goal` of `tuple[Goal, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return classes_in(annotation)
    if get_origin(annotation) is Annotated:
        return specs_in(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType, tuple, dict):
        return tuple(spec for part in get_args(annotation) for spec in specs_in(part))
    return ()


def tag_of(spec: type[Spec]) -> str | None:
    """The name by which YAML asks for this class, where it is one of a family."""
    field = tag_field(spec)
    return None if field is None else spec.model_fields[field].default


def tag_field(spec: type[Spec]) -> str | None:
    """The field by which YAML says that name: `kind`, `optimizer`, or a measure's `name`."""
    return next(
        (tag for tag in TAGS if tag in spec.model_fields and isinstance(spec.model_fields[tag].default, str)), None
    )


def owners(root: type[Spec], document: object, path: Path) -> tuple[tuple[type[Spec], ...], FieldInfo | None]:
    """The classes the value at `path` may be of, and the field it fills (None in an open mapping)."""
    specs: tuple[type[Spec], ...] = (root,)
    field = None
    for depth, key in enumerate(path):
        if isinstance(key, int):
            continue
        holders = [spec for spec in _chosen(specs, at_path(document, path[:depth])) if key in spec.model_fields]
        if holders:
            field = holders[0].model_fields[key]
            parts = (part for holder in holders for part in specs_in(holder.model_fields[key].annotation))
            specs = tuple(dict.fromkeys(parts))
        else:
            field = None
            specs = tuple(spec for spec in specs if tag_of(spec) == key) or specs  # `- rf_width: {...}` names its class
    return _chosen(specs, at_path(document, path)), field


def _chosen(specs: tuple[type[Spec], ...], value: object) -> tuple[type[Spec], ...]:
    if not isinstance(value, dict):
        return specs
    named = [value.get(tag) for tag in TAGS if tag in value]
    if named or not specs:
        return tuple(spec for spec in specs if tag_of(spec) in named) or specs
    family = family_of(specs[0])
    return tuple(spec for spec in specs if spec.implied or (family and tag_of(spec) == family.default)) or specs


def _problem(path: Path, complaints: list[_Complaint], root: type[Spec], document: object) -> Problem:
    value = at_path(document, path)
    worded = next((c for c in complaints if c.words is not None), None)
    words = worded.words if worded and worded.words else _joined(complaints)
    options = () if worded else tuple(option for c in complaints for option in c.options)
    closest = (near(value, options) or (_no_plugin(value) if options else "")) if isinstance(value, str) else ""
    field = owners(root, document, path)[1]
    if closest:
        words += closest
    elif field is not None and field.description and (worded is None or worded.described):
        words += f": {field.description}"
    written = show(value) if at_path(document, path, absent=...) is not ... else None  # a default has no writing
    return Problem(dotted(path), worded.value if worded and worded.value else written, words)


def _joined(complaints: list[_Complaint]) -> str:
    """`must be a number or a list`; for a single literal, what the value is none of."""
    nouns = list(dict.fromkeys(c.noun for c in complaints if c.noun))
    options = tuple(option for c in complaints for option in c.options)
    if not nouns:
        return f"not one of {', '.join(options)}" if len(options) > 1 else f"must be {''.join(options)}"
    alternatives = [*options, *nouns]
    if len(alternatives) == 1:
        return f"must be {alternatives[0]}"
    return f"must be {', '.join(alternatives[:-1])} or {alternatives[-1]}"


def _complaints(item: Any, root: type[Spec], document: object) -> list[_Complaint]:
    """What one of pydantic's errors says, about the document as written."""
    kind, context, loc = item["type"], item.get("ctx", {}), item["loc"]
    path = _as_written(loc, document, kind)
    if unfit := _unfit(path, kind, document):
        return [_Complaint(path, unfit, described=False)]
    if kind == "missing" and isinstance(loc[-1], int):
        field = owners(root, document, path)[1]
        return [_Complaint(path, f"must have {len(get_args(field.annotation)) if field else 'more'} entries")]
    if kind == "missing":
        return [_Complaint(path, "is missing")]
    if kind == "value_error":
        return _raised(context["error"], path, root, document)
    if kind == "extra_forbidden":
        return [_unknown_key(path, root, document)]
    if kind in ("union_tag_invalid", "union_tag_not_found") or (kind in _MAPPINGS and _is_family(path, root, document)):
        return [_wrong_member(path, root, document)]
    if kind == "literal_error":
        return [_Complaint(path, options=_options(context["expected"]))]
    if kind in _NOUNS:
        return [_Complaint(path, noun=_NOUNS[kind])]
    if kind == "dict_type":  # an open mapping, such as search.space: its keys are the user's
        return [_Complaint(path, noun="a mapping")]
    if kind in _MAPPINGS:
        specs = owners(root, document, path)[0]
        keys = ", ".join(dict.fromkeys(name for spec in specs for name in keys_of(spec)))
        return [_Complaint(path, noun=f"a mapping with the keys {keys}" if keys else "a mapping")]
    return [_Complaint(path, _limits(kind, context, owners(root, document, path)[1]) or item["msg"].lower())]


def _unfit(path: Path, kind: str, document: object) -> str | None:
    """Why no field takes what stands there, nor its key: see `impray.spec.text`."""
    value = at_path(document, path)
    if beyond(value) and kind in _NOUNS:
        return f"must be a whole number of at most {MOST_INTEGER} (2^63 - 1) in size"
    return refusal(value) or (refusal(path[-1]) if path else None)


def _as_written(loc: Path, document: object, kind: str) -> Path:
    """`loc` without the tags of unions: what is left are keys and positions of the document."""
    path: Path = ()
    for key in loc:
        here = at_path(document, path)
        is_key = isinstance(here, dict) and key in here
        is_position = isinstance(here, list) and isinstance(key, int) and key < len(here)
        if is_key or is_position:
            path = (*path, key)
    if kind == "missing" and isinstance(loc[-1], str):
        path = (*path, loc[-1])
    return path


def _options(expected: str) -> tuple[str, ...]:
    """The members in pydantic's "'a', 'b' or 1"."""
    return tuple(quoted or bare for quoted, bare in re.findall(r"'([^']*)'|([^\s,']+)", expected) if bare != "or")


def _raised(error: Exception, path: Path, root: type[Spec], document: object) -> list[_Complaint]:
    """A validator's own words; those of a whole class begin with the field that is to blame."""
    if isinstance(error, ImpossibleTrial):
        return [_Complaint((*path, *where.split(".")), why, described=False) for where, why in error.pairs]
    name, colon, words = str(error).partition(": ")
    if colon and any(name in spec.model_fields for spec in owners(root, document, path)[0]):
        return [_Complaint((*path, name), words, described=False)]
    return [_Complaint(path, str(error), described=False)]


def _is_family(path: Path, root: type[Spec], document: object) -> bool:
    specs = owners(root, document, path)[0]
    return len(specs) > 1 and all(tag_of(spec) for spec in specs)


def _wrong_member(path: Path, root: type[Spec], document: object) -> _Complaint:
    """An unknown kind of data, optimizer or measure, or one that does not say what it is."""
    value = at_path(document, path)
    specs = owners(root, document, path)[0]
    members = [str(tag_of(spec)) for spec in specs]
    listed = ", ".join(members)
    if "name" in specs[0].model_fields:  # a measure: `rf_width`, `{rf_width: {...}}` or `{name: rf_width, ...}`
        named = isinstance(value, dict) and ("name" in value or len(value) == 1)
        name = (value.get("name") or next(iter(value))) if isinstance(value, dict) and named else value
        if not isinstance(name, str) or name in members or (isinstance(value, dict) and not _has_parameters(value)):
            return _Complaint(path, f"must be a name, or {{name: {{parameter: value}}}}; the names are {listed}")
        return _Complaint(path, f"not one of {listed}{near(name, members) or _no_plugin(name)}", value=repr(name))
    tag = str(tag_field(specs[0]))
    if isinstance(value, dict) and tag not in value:
        return _Complaint((*path, tag), f"is missing: one of {listed}", described=False)
    if isinstance(value, dict):
        hint = near(value[tag], members) or _no_plugin(value[tag])
        return _Complaint((*path, tag), f"not one of {listed}{hint}", described=False)
    right = f"must be a mapping such as {{{tag}: {members[0]}}}; the {tag}s are {listed}"
    return _Complaint(path, right, described=False)


def _has_parameters(measure: dict) -> bool:
    return "name" in measure or isinstance(next(iter(measure.values())), (dict, type(None)))


def _unknown_key(path: Path, root: type[Spec], document: object) -> _Complaint:
    specs = owners(root, document, path[:-1])[0]
    key = str(path[-1])
    fields = [name for spec in specs for name in keys_of(spec)]
    below = _plain(path[:-1]) if root is Sweep else ("trial", *_plain(path[:-1]))
    homes = {home: kinds for home, kinds in vocabulary().items() if home[-1] == key and key not in TAGS}
    siblings = homes.pop((*below, key), ())
    if siblings:
        tags = " and ".join(str(tag_of(spec)) for spec in siblings)
        return _Complaint(path, f"a parameter of {tags}, not of {tag_of(specs[0])}", described=False)
    words = f"not a key of {_place_name(below, specs)}"
    if homes:
        words += f"; it belongs to {' or '.join(dotted(home[:-1]) or 'the top level' for home in list(homes)[:3])}"
    elif not near(key, fields):
        words += f"; its keys are {', '.join(fields)}" if fields else _no_plugin(f"{key}.")
    return _Complaint(path, words + near(key, fields), described=False)


def _plain(path: Path) -> Path:
    return tuple(key for key in path if isinstance(key, str))


def _place_name(path: Path, specs: tuple[type[Spec], ...]) -> str:
    tag = tag_of(specs[0]) if len(specs) == 1 else None
    place = dotted(path) or "a sweep"
    return f"{place} ({tag})" if tag and tag not in path else place


def _limits(kind: str, context: dict[str, Any], field: FieldInfo | None) -> str | None:
    """`must be in (0, 1)`, `must be at least 1`, `must have at least 2 entries`."""
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} entries"
    if kind == "too_long":
        bounded = field is not None and any(getattr(rule, "max_length", None) for rule in field.metadata)
        return f"must have {'at most ' if bounded else ''}{context['max_length']} entries"
    limits = {name: context[name] for name in ("gt", "ge", "lt", "le") if name in context}
    of_field = {
        name: getattr(rule, name) for rule in (field.metadata if field else ()) for name in limits_of(rule)
    }  # both ends of an interval are told, though only one is passed
    if limits.keys() <= of_field.keys() and max(of_field.values(), default=0) < _NO_SENSE:
        limits = of_field
    low, high = limits.get("gt", limits.get("ge")), limits.get("lt", limits.get("le"))
    if low is not None and high is not None:
        opening, closing = "(" if "gt" in limits else "[", ")" if "lt" in limits else "]"
        return f"must be in {opening}{_short(low)}, {_short(high)}{closing}"
    if low is not None:
        return f"must be {'above' if 'gt' in limits else 'at least'} {_short(low)}"
    return f"must be {'below' if 'lt' in limits else 'at most'} {_short(high)}" if high is not None else None


def limits_of(rule: object) -> tuple[str, ...]:
    """Which of gt, ge, lt, le a field's constraint sets."""
    return tuple(name for name in ("gt", "ge", "lt", "le") if getattr(rule, name, None) is not None)


def _short(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) and number >= 10**6 else f"{number:g}"
