"""Members of plugins as a results folder tells of them: names, parameters and columns, without code.

`status`, `top`, `tables`, `figures` and `mlflow` read a folder with these: ids and columns are those of the members themselves. What
only the code knows (the shape of an input, the sizes of layers) they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from pydantic import create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from impray.spec import families
from impray.spec.base import Origin, Spec, canonical
from impray.spec.family import SOURCELESS, Family, Member
from impray.spec.measures.base import Column
from impray.spec.plugins.declared import COLUMNS, tagged
from impray.spec.plugins.loading import Loaded

_SAID = (
    "reads",
    "revision",
    "first_number_since",
    "needs_image",
    "reads_classes",
    "ranks",
    "follows",
    "packable",
    "unidentifying",
)


def description(plugin: Loaded) -> dict[str, Any]:
    """JSON-ready; see `members`."""
    return {
        "version": plugin.version,
        "source": plugin.source,
        "hash": plugin.digest,
        "members": {f"{family.name}/{tag}": _of_member(family, member.spec) for family, tag, member in plugin.members},
    }


def _of_member(family: Family, spec: Any) -> dict[str, Any]:
    attributes = {name: getattr(spec, name) for name in _SAID if hasattr(spec, name)}
    plain = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in attributes.items()}
    fields = {name: field for name, field in spec.model_fields.items() if name != family.tag}
    return {
        "class": spec.__name__.removeprefix(f"{spec.origin.plugin}_"),
        "about": spec.__doc__ or "",
        "parameters": {name: _of_field(field) for name, field in fields.items()},
        "says": plain,
        "columns": {
            kind: [list(astuple(c)) for c in getattr(spec, kind)] for kind in COLUMNS if getattr(spec, kind, ())
        },
    }


def _of_field(field: FieldInfo) -> dict[str, Any]:
    if field.is_required():
        return {}
    default = canonical(field.get_default(call_default_factory=True))
    return {"default": json.loads(json.dumps(default, default=str))}


def members(name: str, told: Mapping[str, Any]) -> list[tuple[Family, str, Member]]:
    """The members that `description` tells of; they can be asked for, but do nothing."""
    origin = Origin(name, str(told.get("version", "")), described=True)
    placeholders = []
    for place, of_member in told.get("members", {}).items():
        family_name, _, tag = place.partition("/")
        family = families.ALL.get(family_name)
        if family is not None:
            placeholders.append(
                (family, tag, Member(_class_of(family, tag, of_member, origin), SOURCELESS, None, SOURCELESS))
            )
    return placeholders


def _class_of(family: Family, tag: str, told: Mapping[str, Any], origin: Origin) -> type[Spec]:
    fields: Any = {
        name: (Any, parameter.get("default", PydanticUndefined if parameter == {} else None))
        for name, parameter in told.get("parameters", {}).items()
    }
    made = create_model(str(told.get("class", "Member")), __base__=family.base, __doc__=told.get("about"), **fields)
    for name, value in told.get("says", {}).items():
        if name in _SAID:
            setattr(made, name, frozenset(value) if isinstance(value, list) else value)
    for kind, columns in told.get("columns", {}).items():
        if kind in COLUMNS:
            setattr(made, kind, tuple(Column(*column) for column in columns))
    return tagged(family, tag, made, origin)
