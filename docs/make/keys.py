"""docs/keys.md: every key of a sweep, from its JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docs.make.markdown import anchor, code, made_by, paragraphs, prose, table, value
from impray.spec import families
from impray.spec.plugins.listing import in_words
from impray.spec.schema import schema

HEAD = """# Every key of a sweep

A sweep is one YAML file. This page has all of its keys; [`sweeps/annotated.yaml`](../sweeps/annotated.yaml) has them in one file,
each with a sentence, and `impray schema schema.json` writes the JSON schema that editors complete keys and underline mistakes with.
What is left out has the default. Everything wrong with a file is told at once, with line, value and what would be right, before
anything starts.

A key below `trial` can be an axis: `search: {space: {data.gain: [0.1, 1, 3]}}` makes a trial of each value. On the command line
`--set data.gain=3` sets one value, and `--set 'search.space.data.gain=[1, 3]'` an axis.
"""
_TAGS = ("kind", "optimizer")  # keys that say which member of a family a mapping is


def page() -> str:
    made = schema()
    return "\n".join(_parts(made, made["$defs"]))


def _parts(made: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    names = _headings(definitions)
    yield made_by("the JSON schema of a sweep")
    yield HEAD
    yield "## The file\n"
    yield _keys(made, names, definitions)
    yield "## trial\n"
    yield paragraphs(definitions["Trial"]["description"]) + "\n"
    yield _keys(definitions["Trial"], names, definitions)
    for family in (families.data, families.nets, families.training):
        field = {"data": "data", "nets": "net", "training": "train"}[family.name]
        yield f"## trial.{field}\n"
        yield _choice(field, family) + "\n"
        for kind in family.specs:
            yield from _section(kind.__name__, names, definitions)
    for name in ("Prune", *(name for name in definitions if name.endswith("Rule")), "RuleParameters"):
        yield from _section(name, names, definitions, level=2 if name == "Prune" else 3)
    yield "## methods\n"
    yield "How masks come about. All keep the same numbers of weights in every round.\n"
    rows = (
        (code(tag), paragraphs(family_member.spec.__doc__ or "").replace("\n\n", " "))
        for tag, family_member in _rules()
    )
    yield table(("method", "what it does"), rows)
    for name in ("Search", "Range", "Goal", "StopEarly", "AtDensity", "Resources"):
        yield from _section(name, names, definitions, level=2 if name in ("Search", "Resources") else 3)
    yield "## Parts\n"
    yield "Mappings that keys above take.\n"
    for name in _others(definitions):
        yield from _section(name, names, definitions)
    yield "## measures\n"
    yield "[Measures](measures.md) has what each measures, its limits, parameters and columns.\n"


def _rules() -> Iterator[tuple[str, Any]]:
    yield from families.rules.members.items()


def _choice(field: str, family: Any) -> str:
    default = f" Left out, it is {code(family.default)}." if family.default else ""
    members = ", ".join(f"[{code(tag)}](#{anchor(_heading(field, family, tag))})" for tag in family.tags)
    return f"`{field}.{family.tag}` says which: {members}.{default}"


def _heading(field: str, family: Any, tag: str) -> str:
    return f"{field}.{family.tag}: {tag}"


def _headings(definitions: Mapping[str, Any]) -> dict[str, str]:
    """Definition -> the heading of its section."""
    named = {"Trial": "trial", "Prune": "trial.prune", "Search": "search", "Resources": "resources"}
    named |= {
        "CavityRule": "prune.cavity",
        "IhtRule": "prune.iht",
        "PursuitRule": "prune.pursuit",
        "RuleParameters": "prune.rules",
    }
    named |= {
        "Range": "An axis drawn from a range",
        "Goal": "search.goals",
        "StopEarly": "search.stop_early",
        "AtDensity": "at: a density",
    }
    named |= {"Init": "net.init, of an mlp", "LinearInit": "net.init, of a linear net", "LayerSize": "net.sizes"}
    for field, family in (("data", families.data), ("net", families.nets), ("train", families.training)):
        named |= {kind.__name__: _heading(field, family, family.tag_of(kind)) for kind in family.specs}
    for name in _others(definitions):
        field = "train.schedule" if name in ("Constant", "Cosine", "Step", "Milestones") else "data.design"
        if name not in named:
            named[name] = f"{field}.kind: {definitions[name]['properties']['kind']['const']}"
    return named


def _others(definitions: Mapping[str, Any]) -> list[str]:
    """Definitions that are no member of a family and no part with a place of its own."""
    members = {
        kind.__name__
        for family in (families.data, families.nets, families.training, families.measures)
        for kind in family.specs
    }
    placed = {
        "Trial",
        "Prune",
        "Search",
        "Range",
        "Goal",
        "StopEarly",
        "AtDensity",
        "Resources",
        "RuleParameters",
        "JsonValue",
    }
    return [name for name in definitions if name not in members | placed and not name.endswith("Rule")]


def _section(name: str, names: Mapping[str, str], definitions: Mapping[str, Any], level: int = 3) -> Iterator[str]:
    yield f"{'#' * level} {names[name]}\n"
    yield paragraphs(definitions[name]["description"]) + "\n"
    if definitions[name].get("properties"):
        yield _keys(definitions[name], names, definitions)


def _keys(definition: Mapping[str, Any], names: Mapping[str, str], definitions: Mapping[str, Any]) -> str:
    """Its keys as a table; that which says what the mapping is comes first."""
    required = definition.get("required", ())
    properties = sorted(definition["properties"].items(), key=lambda pair: "const" not in pair[1])
    rows = (
        (
            code(key),
            _type(part, names, definitions),
            "required" if key in required else _default(part),
            "this one" if "const" in part and key in _TAGS else prose(part["description"]),
        )
        for key, part in properties
    )
    return table(("key", "takes", "default", "what"), rows)


def _default(part: Mapping[str, Any]) -> str:
    default = part.get("default")
    return "its defaults" if isinstance(default, dict) and default else value(default)


def _type(part: Mapping[str, Any], names: Mapping[str, str], definitions: Mapping[str, Any]) -> str:
    """What a key takes, in words; parts with keys of their own are links to them."""
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[-1]
        if name == "JsonValue":
            return "any value"
        return f"[{names[name]}](#{anchor(names[name])})" if name in names else "[measures](measures.md)"
    if mapping := part.get("discriminator", {}).get("mapping"):
        return f"mapping with one of {len(mapping)} {code(part['discriminator']['propertyName'])}s: see below"
    if either := [entry for entry in part.get("anyOf") or part.get("oneOf") or () if entry.get("type") != "null"]:
        return " or ".join(dict.fromkeys(_type(entry, names, definitions) for entry in either))
    if part.get("type") == "array" and "prefixItems" not in part:
        return f"list of {_type(part.get('items', {}), names, definitions)}"
    if inner := part.get("additionalProperties"):
        return f"mapping of name to {_type(inner, names, definitions)}" if isinstance(inner, dict) else "mapping"
    if part.get("enum") and set(families.measures.tags) <= set(part["enum"]):
        return "[measures](measures.md)"
    if part.get("enum") and set(families.rules.tags) <= set(part["enum"]):
        return "[methods](#methods)"
    return prose(in_words(dict(part), dict(definitions)))
