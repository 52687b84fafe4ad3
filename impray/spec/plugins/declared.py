"""What a plugin says of itself (`Plugin`), and what is wrong with that.

Names are the plugin's to choose, but for the prefix: its member `sparsity` is asked for as `my_measures.sparsity`. The field that says
which member a mapping is (`name`, `kind`, `optimizer`) is added here, so that no class can be asked for by two names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import create_model

from impray.spec import families
from impray.spec.base import Origin, Spec
from impray.spec.family import Family, Member
from impray.spec.figures import FigureSpec
from impray.spec.measures.base import IMAGE_COLUMNS, READS, RESERVED, TYPES, Column
from impray.spec.wording import TAGS, near, tag_of

NAME = re.compile(r"[a-z][a-z0-9_]*")
COLUMNS = (
    "lineage_columns",
    "unit_columns",
    "mask_columns",
    "fate_columns",
    "image_columns",
    "histogram_columns",
    "step_columns",
    "removal_columns",
)
# What the classes of a family leave open, and each member must say.
_MUST_SAY = {"data": ("input_shape", "classes"), "nets": ("kernels",), "training": ("length",)}


@dataclass(frozen=True)
class Plugin:
    """A plugin's members, by name, in each family.

    Args:
        version: text, part of the ids of all that the members make: raise it when their numbers change.
        name: what stands before its members' names; the file's name (or the entry point's) where it is left out.
        figures: by name, an `impray.figures.Figure` or `Paper`, or a function without arguments that gives one.
    """

    version: str
    data: Mapping[str, Member] = field(default_factory=dict)
    nets: Mapping[str, Member] = field(default_factory=dict)
    training: Mapping[str, Member] = field(default_factory=dict)
    rules: Mapping[str, Member] = field(default_factory=dict)
    measures: Mapping[str, Member] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def declared(self) -> Iterator[tuple[Family, str, Any]]:
        """Family, name and what stands there, of each member."""
        for family in families.ALL.values():
            members = getattr(self, family.name)
            yield from ((family, name, member) for name, member in members.items())


@dataclass(frozen=True)
class Flaw:
    """Something wrong with a plugin: of which class or function it is, for its line, and what would be right."""

    where: str
    right: str
    about: Any = None


def flaws(plugin: Plugin, name: str) -> list[Flaw]:
    """All that is wrong with what a plugin of this name says of itself, clashes with members that have joined apart."""
    all_flaws = []
    if not isinstance(plugin.version, str) or not re.fullmatch(r"[\w.+-]+", plugin.version):
        all_flaws.append(Flaw("version", f"is {plugin.version!r}; must be text such as '1': letters, digits, . + - _"))
    if why := _wrong_name(name):
        all_flaws.append(Flaw("name", f"is {name!r}; {why}; say another: Plugin(name=...)"))
    for family in families.ALL.values():
        if not isinstance(getattr(plugin, family.name), Mapping):
            all_flaws.append(Flaw(family.name, "must be a mapping such as {'sparsity': Member(Sparsity, sparsity)}"))
    if all_flaws:
        return all_flaws
    for family, member_name, member in plugin.declared():
        where = f"{family.name}.{member_name}"
        if why := _wrong_name(member_name):
            all_flaws.append(Flaw(where, why))
        if family is not families.figures:
            all_flaws += [replace(flaw, where=where) for flaw in _of_member(family, member)]
    return all_flaws or list(_same_columns(plugin))


def _wrong_name(name: object) -> str | None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return "a name has small letters, digits and _, and begins with a letter"
    return "is a name that every class here has" if hasattr(Spec, name) else None


def _of_member(family: Family, member: Any) -> Iterator[Flaw]:
    if not isinstance(member, Member):
        yield Flaw("", f"must be Member(class, function), not {type(member).__name__}", member)
        return
    spec = member.spec
    if not isinstance(spec, type) or not issubclass(spec, family.base):
        yield Flaw("", f"its class must be derived from impray.plugin.{family.base.__name__}", spec)
        return
    if not callable(member.does) and not isinstance(member.does, str):
        yield Flaw("", f"what it does must be a function, not {type(member.does).__name__}", spec)
    tags = [tag for tag in TAGS if tag in spec.model_fields and tag_of(spec) not in family.tags]
    if tags:
        yield Flaw("", f"leave out its field {tags[0]}: impray adds it", spec)
    for name in _MUST_SAY.get(family.name, ()):
        if getattr(spec, name) is getattr(family.base, name):
            yield Flaw("", f"must say its `{name}`, as impray.plugin.{family.base.__name__} describes it", spec)
    if family is families.measures:
        yield from _of_measure(spec)
    if family is families.rules:
        needed = [name for name, of_field in spec.model_fields.items() if of_field.is_required()]
        if needed:
            yield Flaw("", f"its parameter {needed[0]} needs a default: a method is asked for by its name", spec)


def _of_measure(spec: Any) -> Iterator[Flaw]:
    if not set(spec.reads) <= READS:
        unknown = min(set(spec.reads) - READS)
        yield Flaw("", f"reads {unknown!r}, which is none of {', '.join(sorted(READS))}{near(unknown, READS)}", spec)
    of_kinds = [(kind, column) for kind in COLUMNS for column in getattr(spec, kind)]
    if not of_kinds:
        yield Flaw("", f"has no columns: give {' or '.join(COLUMNS[:2])}", spec)
    for kind, column in of_kinds:
        if not isinstance(column, Column):
            yield Flaw("", f"{kind} must hold Column(name, type, unit, sentence), not {type(column).__name__}", spec)
        elif column in IMAGE_COLUMNS and kind == "image_columns":
            continue
        elif not isinstance(column.name, str) or not NAME.fullmatch(column.name):
            yield Flaw("", f"its column {column.name!r} must have small letters, digits and _ alone", spec)
        elif column.name in RESERVED:
            yield Flaw("", f"its column {column.name} is one that every table has; choose another name", spec)
        elif column.type not in TYPES:
            right = f"its column {column.name} has the type {column.type!r}, none of {', '.join(TYPES)}"
            yield Flaw("", right + near(column.type, TYPES), spec)


def _same_columns(plugin: Plugin) -> Iterator[Flaw]:
    """Columns that two members, or a column's mean and another column, would both fill."""
    owners: dict[str, str] = {}
    for name, member in plugin.measures.items():
        for column in columns_of(member.spec):
            if column in owners:
                yield Flaw(f"measures.{name}", f"its column {column} is one of {owners[column]} too", member.spec)
            owners[column] = f"measures.{name}"


def columns_of(spec: Any) -> list[str]:
    """Names of the columns that a measure fills, means and medians over units included."""
    columns = [
        c for kind in COLUMNS for c in getattr(spec, kind) if not (kind == "image_columns" and c in IMAGE_COLUMNS)
    ]
    over_units = [
        f"{c.name}_{statistic}" for c in spec.unit_columns if c.is_quantity for statistic in ("mean", "median")
    ]
    return [*(column.name for column in columns), *over_units]


def tagged(family: Family, tag: str, spec: type[Spec], origin: Origin) -> type[Spec]:
    """The plugin's class with the field that says which member it is, and whose it is."""
    of_tag: Any = {family.tag: (Literal[tag], tag)}
    name = f"{origin.plugin}_{spec.__name__}"
    made = create_model(name, __base__=spec, __module__=spec.__module__, __doc__=spec.__doc__, **of_tag)
    made.origin = origin  # type: ignore[misc]
    if family is families.rules:  # a method's parameters change no shape: lineages that differ in them may share a pack
        made.packable = frozenset(spec.model_fields)  # type: ignore[misc]
    return made


def members_of(plugin: Plugin, origin: Origin, source: str) -> list[tuple[Family, str, Member]]:
    """Family, full name and member with its tagged class, of each member of a plugin without flaws."""
    members = []
    for family, name, member in plugin.declared():
        of_figure = family is families.figures
        member = Member(FigureSpec, member) if of_figure and not isinstance(member, Member) else member
        tag = f"{origin.plugin}.{name}"
        members.append((family, tag, replace(member, spec=tagged(family, tag, member.spec, origin), source=source)))
    return members
