"""The base of every class that can be written in a sweep YAML: frozen, strict about names, and canonical.

The canonical form of a description leaves out every field at its default, writes whole floats as integers (1 and 1.0
ask for the same thing) and sorts its keys. Ids hash it, so a released default must never change. It also leaves out
what a class calls `unidentifying`, unless asked for the `whole`: only that can be read again as the same spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from impray.spec.text import beyond, refusal


@dataclass(frozen=True)
class Origin:
    """The plugin that a class is of; `described`: known from a results folder alone, which nothing is imported from."""

    plugin: str
    version: str
    described: bool = False


class Spec(BaseModel):
    """One frozen part of a sweep's vocabulary; unknown keys are refused."""

    # Pydantic's own messages would repeat the input, and with it what is secret.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    # Fields whose values may differ between the lineages of one pack: they change numbers, never tensor shapes.
    packable: ClassVar[frozenset[str]] = frozenset()

    # Fields that say where something lies, not what it is: two values of them ask for the same numbers, so ids know
    # nothing of them.
    unidentifying: ClassVar[frozenset[str]] = frozenset()

    # Fields that follow from the rest of a sweep: descriptions have them, and nobody writes them.
    following: ClassVar[frozenset[str]] = frozenset()

    # Whether this member of its family is meant where a description names none.
    implied: ClassVar[bool] = False

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed. Pydantic's own would also copy cached properties, such as another pack's id."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_construct(**{**fields, **(update or {})})

    # Of a plugin's class alone.
    origin: ClassVar[Origin | None] = None

    @model_validator(mode="before")
    @classmethod
    def _fit_for_a_sweep(cls, values: Any) -> Any:
        # What no field of a sweep may hold, told once for all fields. Pydantic would read `lr: yes` as 1.0; a YAML 1.1 boolean is a
        # slip wherever a number is wanted. Whole numbers beyond 64 bits fit into no column, and texts may hold a login. In the place
        # of such a value goes an object that no field takes, so that the error is the field's own, beside those of other fields.
        # (A validator of each field would be plainer, but pydantic allows none before a discriminator.)
        if not isinstance(values, dict):
            return values
        return {name: _fit(value, _wants(cls, name)) for name, value in values.items()}


def keys_of(spec: type[Spec]) -> tuple[str, ...]:
    """The fields that a sweep's author may write."""
    return tuple(name for name in spec.model_fields if name not in spec.following)


@cache
def plain_types(spec: type[Spec], name: str) -> frozenset[Any]:
    """The types that a field's annotation is made of, through unions, literals and tuples."""
    return frozenset(_types(spec.model_fields[name].annotation)) if name in spec.model_fields else frozenset()


def _types(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Literal:
        return {type(member) for member in get_args(annotation)}
    if get_origin(annotation) is Annotated:
        return _types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType, tuple, list):
        return set().union(*(_types(part) for part in get_args(annotation) if part is not ...))
    return {annotation}


class _Wants(NamedTuple):
    number: bool  # and no boolean
    whole: bool  # a number without a fraction
    open: bool  # a mapping that is no part of the vocabulary, whose values nobody else looks at


@cache
def _wants(spec: type[Spec], name: str) -> _Wants:
    types = plain_types(spec, name)
    parts = any(isinstance(one, type) and issubclass(one, Spec) for one in types)
    return _Wants(bool(types & {int, float}) and bool not in types, int in types and float not in types, not parts)


def _fit(value: Any, wants: _Wants) -> Any:
    if isinstance(value, Spec):  # looked at when it was made: a pack has ten thousands of lineages
        return value
    if isinstance(value, (list, tuple)):
        return [_fit(item, wants) for item in value]
    if isinstance(value, dict) and wants.open:
        return {name: _NOTHING if refusal(name) else _fit(item, _ANY) for name, item in value.items()}
    if isinstance(
        value, dict
    ):  # a part of the vocabulary looks at its own fields, but pydantic first at the one that says which it is
        return {name: _NOTHING if name in _TAGS and refusal(item) else item for name, item in value.items()}
    unfit = (wants.number and isinstance(value, bool)) or (wants.whole and beyond(value)) or refusal(value) is not None
    return _NOTHING if unfit else value


_TAGS = ("kind", "optimizer", "name")
_ANY = _Wants(False, False, True)
_NOTHING = object()


def whole_number(value: Any) -> Any:
    """10 of 10.0 (a YAML's `1e1`): as a field that takes integers reads it. Anything else is left as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def canonical(value: Any, *, whole: bool = False) -> Any:
    """The JSON-ready canonical form of a spec, list or number; see the module's first words.

    Args:    whole: with unidentifying fields, for what is written to be read again rather than hashed.
    """
    if isinstance(value, Spec):
        fields = type(value).model_fields
        return {
            name: canonical(getattr(value, name), whole=whole)
            for name in sorted(fields)
            if (whole or name not in value.unidentifying) and _is_said(value, name)
        }
    if isinstance(value, (tuple, list)):
        return [canonical(item, whole=whole) for item in value]
    if isinstance(value, dict):
        return {name: canonical(item, whole=whole) for name, item in value.items()}
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _is_said(value: Spec, name: str) -> bool:
    """Whether a field is more than its default."""
    field = type(value).model_fields[name]
    if field.is_required() or is_tag(value, name):
        return True
    return getattr(value, name) != field.get_default(call_default_factory=True)


def is_tag(value: Spec, name: str) -> bool:
    """Whether `name` says which member of a family `value` is (`kind`): such a field is never left out."""
    return name in _TAGS and isinstance(getattr(value, name), str)
