"""JSON schema of a sweep YAML as people write it: editors complete keys and underline what is misspelt.

Derived from the classes, then adapted to the short forms that validation takes: `seeds: 3`, `hidden: 100`,
measures by name. What depends on several fields at once (a rewind step beyond the steps) is for `load` to
tell.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from impray.spec import families
from impray.spec.data import FileData
from impray.spec.family import Family
from impray.spec.sweep import Sweep
from impray.spec.wording import vocabulary


def schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    made = Sweep.model_json_schema()
    definitions, keys = made["$defs"], made["properties"]
    keys["seeds"] = _or({"type": "integer", "minimum": 1}, keys["seeds"])
    hidden = definitions["Mlp"]["properties"]["hidden"]
    definitions["Mlp"]["properties"]["hidden"] = _or({"type": "integer", "minimum": 1}, hidden)
    schedules = {"fraction": "number", "densities": "array", "remove": "integer", "keep": "array"}
    definitions["Prune"]["not"] = {
        "anyOf": [
            {"required": [one, other], "properties": {name: {"type": schedules[name]} for name in (one, other)}}
            for one, other in combinations(schedules, 2)
        ]
    }
    keys["measures"]["items"] = _measure(definitions)
    _tags_are_described(definitions)
    for family in (families.nets, families.training):
        _tags_are_required(family, definitions)
    for kind in families.data.specs:
        of_kind = definitions[kind.__name__]
        read = kind.said_by_files if issubclass(kind, FileData) else frozenset()
        of_kind["required"] = sorted({"kind", *of_kind.get("required", ())} - read)
        for name in read:
            of_kind["properties"][name].pop("default", None)  # left out, it is what the files say
    paths = [".".join(map(str, path[1:])) for path in vocabulary() if path[0] == "trial" and len(path) > 1]
    definitions["Search"]["properties"]["space"]["propertyNames"] = {"enum": paths}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "impray sweep"}


def _tags_are_required(family: Family, definitions: dict[str, Any]) -> None:
    """Of a family with a default: a mapping that does not say which member it is, is that one, and no other."""
    for tag, member in family.members.items():
        of_member = definitions[member.spec.__name__]
        if tag != family.default:
            of_member["required"] = sorted({family.tag, *of_member.get("required", ())})


def _tags_are_described(definitions: dict[str, Any]) -> None:
    """A key that takes one word, such as `kind: nlgp`, is described by the first paragraph of its class."""
    for definition in definitions.values():
        about = " ".join(definition.get("description", "").split("\n\n")[0].split())
        for part in definition.get("properties", {}).values():
            if "const" in part and about:
                part.setdefault("description", about)


def _or(short: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """Either form; what describes the field stays outside."""
    outside = {key: full[key] for key in ("description", "default", "title") if key in full}
    return {**outside, "anyOf": [short, {key: part for key, part in full.items() if key not in outside}]}


def _measure(definitions: dict[str, Any]) -> dict[str, Any]:
    """`rf_width`, `{rf_width: {offset: true}}` or `{name: rf_width, offset: true}`."""
    names = list(families.measures.tags)
    by_name: dict[str, Any] = {}
    full = []
    for kind, name in zip(families.measures.specs, names, strict=True):
        whole = definitions[kind.__name__]
        whole["required"] = ["name"]
        full.append({"$ref": f"#/$defs/{kind.__name__}"})
        parameters = {key: part for key, part in whole["properties"].items() if key != "name"}
        bare = {"type": "object", "additionalProperties": False, "properties": parameters}
        by_name[name] = {"anyOf": [{"type": "null"}, bare], "description": whole.get("description", "")}
    single_key = {
        "type": "object",
        "additionalProperties": False,
        "properties": by_name,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": names}, single_key, *full]}
