"""What every member of a family keeps to, built in or of a plugin."""

import inspect

from impray.spec.base import canonical
from impray.spec.family import implementation
from impray.spec.measures.base import READS, TYPES, Column
from impray.spec.plugins.declared import COLUMNS
from impray.spec.plugins.listing import listed


def keeps_to_its_family(family, tag, member):
    spec = member.spec
    assert issubclass(spec, family.base) and family.tag_of(spec) == tag
    assert family.member(spec) is member and family.member(tag) is member
    assert inspect.cleandoc(spec.__doc__ or ""), "says what it is"
    assert spec.packable <= set(spec.model_fields) and spec.unidentifying <= set(spec.model_fields)
    assert implementation(member) is not None


def says_its_defaults(family, tag, member):
    """Written down and read again it is the same; where all is at its default only its name is said."""
    spec = member.spec
    if any(field.is_required() for field in spec.model_fields.values()):
        return
    made = spec()
    assert canonical(made) == {family.tag: tag}
    assert spec.model_validate(canonical(made, whole=True)) == made
    assert spec.model_validate_json(made.model_dump_json()) == made


def says_its_columns(family, tag, member):
    for kind in COLUMNS:
        columns = getattr(member.spec, kind, ())
        assert all(isinstance(column, Column) and column.type in TYPES and column.sentence for column in columns)
        assert len({column.name for column in columns}) == len(columns)
    if family.name == "measures":
        assert set(member.spec.reads) <= READS and any(getattr(member.spec, kind) for kind in COLUMNS)


def is_listed(family, tag, member):
    (entry,) = [entry for entry in listed(family) if entry["name"] == tag]
    assert entry["source"] == member.source and entry["about"]
    assert {parameter["name"] for parameter in entry["parameters"]} == set(member.spec.model_fields) - {family.tag}
    assert all(parameter["type"] and "anything" not in parameter["type"] for parameter in entry["parameters"])


LAWS = (keeps_to_its_family, says_its_defaults, says_its_columns, is_listed)
