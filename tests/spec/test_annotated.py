"""sweeps/annotated.yaml has every key of the schema, each with a sentence, and all that it offers instead is valid in its place."""

import json
import re

import pytest
import yaml
from plugins.written import of_docs

from impray.shipped import shipped
from impray.spec.load import load
from impray.spec.plugins import joined

TEXT = (shipped("sweeps") / "annotated.yaml").read_text()
BASE = yaml.safe_load(TEXT)
INSTEAD = "#| "  # a part of a sweep behind it takes the place of the keys that it names
BLOCKS = ["".join(f"{line}\n" for line in part) for part in (
    [line.removeprefix(INSTEAD) for line in block.splitlines()]
    for block in re.findall(rf"(?:^{re.escape(INSTEAD)}.*\n)+", TEXT, re.MULTILINE)
)]  # fmt: skip


def instead(part):
    return BASE | part | {"trial": BASE["trial"] | part.get("trial", {})}


SWEEPS = [BASE, *(instead(yaml.safe_load(block)) for block in BLOCKS)]


def written(value, part, definitions):
    """(definition, key) of every key that stands in a value, which the schema `part` describes."""
    part = definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    for choice in [*part.get("anyOf", ()), *part.get("oneOf", ())]:
        if fits(value, choice, definitions):
            yield from written(value, choice, definitions)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in part.get("properties", {}):
                yield part.get("title"), key
                yield from written(inner, part["properties"][key], definitions)
            elif isinstance(part.get("additionalProperties"), dict):
                yield from written(inner, part["additionalProperties"], definitions)
    elif isinstance(value, str) and part.get("properties", {}).get("name", {}).get("const") == value:
        yield part["title"], "name"  # a measure that stands there by its name
    elif isinstance(value, list) and isinstance(part.get("items"), dict):
        for item in value:
            yield from written(item, part["items"], definitions)


def fits(value, choice, definitions):
    """Whether a member of a family is the one that a value names by its tag, or has all of its keys where it names none."""
    of = definitions[choice["$ref"].rpartition("/")[2]] if "$ref" in choice else choice
    if not isinstance(value, dict):
        return of.get("type") != "object" or isinstance(value, str)
    tags = {key: part["const"] for key, part in of.get("properties", {}).items() if "const" in part}
    named = all(value.get(key, word) == word for key, word in tags.items())
    return named and ("additionalProperties" in of or set(value) <= set(of.get("properties", {})))


def test_every_key_of_the_schema_stands_in_it():
    made = json.loads((shipped("sweeps") / "sweep.schema.json").read_text())
    definitions = made["$defs"]
    there = {pair for sweep in SWEEPS for pair in written(sweep, made, definitions)}
    wanted = {(part["title"], key) for part in [made, *definitions.values()] for key in part.get("properties", {})}
    assert wanted - there == set()


def test_every_key_has_a_sentence_where_it_stands_first():
    told, before = {}, ""
    for line in TEXT.splitlines():
        line = line.removeprefix("#| ").strip().removeprefix("- ")
        found = re.match(r"(\w+):", line)
        if found:
            told.setdefault(found[1], "  # " in line or before.startswith("#"))
        before = line
    assert len(told) > 150
    assert {key for key, said in told.items() if not said} <= {"trial"}


@pytest.mark.parametrize("block", range(len(SWEEPS)))
def test_what_may_stand_instead_is_valid_there(block, tmp_path):
    of_docs(tmp_path)
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(SWEEPS[block], sort_keys=False))
    try:
        load(path)
    finally:
        joined.leave()  # the plugin of one of them


def test_no_other_comment_looks_like_a_block():
    assert len(BLOCKS) > 30
    assert not [line for line in TEXT.splitlines() if line.startswith("#|") and not line.startswith(INSTEAD)]
