"""All members of the families in words: parameters, requirements, columns, and where they come from; for `impray families`."""

from __future__ import annotations

import inspect
from typing import Any

from impray.spec.base import Spec
from impray.spec.family import Family, Member
from impray.spec.plugins import joined
from impray.spec.plugins.declared import COLUMNS
from impray.spec.plugins.loading import PluginError, installed

_TABLES = dict(
    zip(COLUMNS, ("rounds", "units", "masks", "fates", "images", "histograms", "steps", "removals"), strict=True)
)


def join_all_installed() -> list[str]:
    """Join every installed plugin; what is wrong with those that cannot."""
    wrong = []
    for name in installed():
        try:
            joined.join_installed(name)
        except PluginError as error:
            wrong += error.reasons
    return wrong


def listed(family: Family) -> list[dict[str, Any]]:
    """The members of a family, JSON-ready."""
    return [_described(family, tag, member) for tag, member in family.members.items()]


def _described(family: Family, tag: str, member: Member) -> dict[str, Any]:
    spec = member.spec
    version = {"version": spec.origin.version} if spec.origin else {}
    return {
        "family": family.name,
        "name": tag,
        "source": member.source,
        **version,
        "about": inspect.cleandoc(spec.__doc__ or ""),
        **({"limits": limits} if (limits := getattr(spec, "limits", "")) else {}),
        "parameters": _parameters(spec, family.tag),
        "requires": _requires(spec),
        "columns": [
            {"table": table, "name": column.name, "type": column.type, "unit": column.unit, "sentence": column.sentence}
            for kind, table in _TABLES.items()
            for column in getattr(spec, kind, ())
        ],
    }


def _parameters(spec: type[Spec], tag: str) -> list[dict[str, Any]]:
    schema = spec.model_json_schema()
    definitions, required = schema.get("$defs", {}), schema.get("required", ())
    return [
        {
            "name": name,
            "type": in_words(part, definitions),
            **({"required": True} if name in required else {"default": part.get("default")}),
            "about": part.get("description", ""),
        }
        for name, part in schema.get("properties", {}).items()
        if name != tag
    ]


def in_words(part: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A JSON schema in a few words: `number > 0`, `field or matched`, `list of integer`."""
    if "$ref" in part:
        keys = definitions[part["$ref"].rsplit("/", 1)[-1]].get("properties", {})
        return f"mapping of {', '.join(keys)}"
    if either := part.get("anyOf") or part.get("oneOf"):
        return " or ".join(dict.fromkeys(in_words(entry, definitions) for entry in either))
    if "enum" in part or "const" in part:
        return " or ".join(map(str, part.get("enum", [part.get("const")])))
    if part.get("type") == "array":
        items = part.get("prefixItems", [part.get("items", {})])  # of a fixed number, or of any
        return f"list of {' and '.join(dict.fromkeys(in_words(entry, definitions) for entry in items))}"
    ends = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    limits = [f"{sign} {part[end]:g}" for end, sign in ends.items() if end in part]
    return " ".join([str(part.get("type", "anything")), " and ".join(limits)]).strip()


def _requires(spec: Any) -> list[str]:
    """What a member needs of a sweep."""
    requirements = []
    if reads := getattr(spec, "reads", None):
        requirements.append(f"reads {', '.join(sorted(reads))}")
    if getattr(spec, "needs_image", False):
        requirements.append("inputs with rows and columns")
    if getattr(spec, "reads_classes", False):
        requirements.append("data with classes")
    if needs := getattr(spec, "needs", None):
        requirements += [f"data as {', '.join(sorted(needs))}"] if isinstance(needs, frozenset) else []
    if getattr(spec, "ranks", False):
        requirements.append("its networks train in every round")
    if follows := getattr(spec, "follows", None):
        requirements.append(f"the masks of {follows}, whose networks train even where it is no method of the sweep")
    return requirements
