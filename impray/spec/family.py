"""Families: kinds of things that can be extended, each with its members, built in or of a plugin.

A member is a class of `impray.spec` (parameters, requirements, columns) and the name of what it does, "module:function", which is
imported where it runs. Everything else asks the family: validation, JSON schema, near misses, `impray families`, contract tests.
The families themselves, with the members that are built in, are in `impray.spec.families`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Annotated, Any, TypeVar, Union

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticKnownError, core_schema

from impray.spec.base import Spec
from impray.spec.errors import ImprayError, MemberError, Problem, SweepError

BUILT_IN = "built in"
SOURCELESS = "its plugin is not loaded here"

Model = TypeVar("Model", bound=type[Spec])
Function = TypeVar("Function", bound=Callable[..., Any])
Value = TypeVar("Value")


@dataclass(frozen=True)
class Member:
    """One kind of a family.

    Args:
        spec: the class with its parameters. A plugin's leaves the field that says which member it is (`kind`, `name`, `optimizer`) to
            impray.
        does: what it does: a function or class, or where that is ("module:function"): imported when it is first needed.
        draws: of data alone: a function (spec, per_class, seed) that gives fresh inputs and labels, for `impray data`.
        solves: of rules alone: a function that makes whole problems' masks and weights (`impray.training.solver`).
        source: built in, a plugin's file, or the distribution that brings it.
    """

    spec: type[Spec]
    does: str | Callable[..., Any]
    draws: str | Callable[..., Any] | None = None
    solves: str | Callable[..., Any] | None = None
    source: str = BUILT_IN


@dataclass
class Family:
    """A kind of thing that can be extended.

    Args:
        name: how it is called: `measures`. base: what the classes of its members have in common.
        tag: the field that says which member a mapping is. built_in: its members, in the order in which they are told.
        default: the member that is meant where a mapping does not say.
    """

    name: str
    base: type[Spec]
    tag: str
    built_in: tuple[Member, ...] = ()
    default: str | None = None
    members: dict[str, Member] = field(init=False)

    def __post_init__(self) -> None:
        self.members = {self.tag_of(member.spec): member for member in self.built_in}

    def tag_of(self, spec: type[Spec]) -> str:
        """The name by which YAML asks for this class."""
        return str(spec.model_fields[self.tag].default)

    @property
    def specs(self) -> tuple[Any, ...]:
        """The classes of all members, the built-in ones first."""
        return tuple(member.spec for member in self.members.values())

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.members)

    def member(self, key: type[Spec] | str) -> Member:
        """Raises:  KeyError: there is no such member."""
        return self.members[key if isinstance(key, str) else self.tag_of(key)]

    # -- as a type --------------------------------------------------------------------------------------------------

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """`Annotated[base, family]` is any of the members that there are when a class is built; see `embeds`."""
        if len(self.specs) == 1:
            return handler.generate_schema(self.specs[0])
        union = handler.generate_schema(Annotated[Union[self.specs], Field(discriminator=self.tag)])  # noqa: UP007
        if self.default is None:
            return union
        return core_schema.no_info_before_validator_function(self._with_tag, union)

    def _with_tag(self, value: object) -> object:
        return {self.tag: self.default, **value} if isinstance(value, dict) else value

    @property
    def name_of_member(self) -> MemberName:
        """`Annotated[str, family.name_of_member]` is the name of a member."""
        return MemberName(self)


@dataclass(frozen=True)
class MemberName:
    """The name of a member, where no parameters stand beside it: a method."""

    family: Family

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._known, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(self, schema: object, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": list(self.family.tags), "type": "string"}

    def _known(self, value: object) -> str:
        if isinstance(value, str) and value in self.family.members:
            return value
        quoted = [repr(tag) for tag in self.family.tags]
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(quoted[:-1])} or {quoted[-1]}"})


# -- what members do ----------------------------------------------------------------------------------------------------


class Implementations(MutableMapping[Any, Value]):
    """Class of a member (or its name) -> what it does, imported when it is looked up; what is set here stands in for it.

    Args:  part: `does`, `draws` or `solves`. by_tag: whether keys are names.
    """

    def __init__(self, family: Family, part: str = "does", *, by_tag: bool = False) -> None:
        self.family, self.part, self.by_tag = family, part, by_tag
        self._instead: dict[Any, Any] = {}

    def call(self, key: type[Spec] | str, *args: Any, **options: Any) -> Any:
        """What a member does, done.

        Raises:  MemberError: a plugin's has raised something of its own; with its file and line.
        """
        does: Any = self[key]
        member = self.family.member(key)
        try:
            return does(*args, **options)
        except ImprayError:
            raise
        except Exception as error:
            if member.source == BUILT_IN:
                raise
            raise MemberError(self.family.tag_of(member.spec), member.source, _told(error, member.source)) from error

    def __getitem__(self, key: type[Spec] | str) -> Value:
        if key in self._instead:
            return self._instead[key]
        return implementation(self.family.member(key), self.part)

    def __setitem__(self, key: type[Spec] | str, value: Value) -> None:
        self._instead[key] = value

    def __delitem__(self, key: type[Spec] | str) -> None:
        del self._instead[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.family.tags if self.by_tag else self.family.specs)

    def __len__(self) -> int:
        return len(self.family.members)


def _told(error: Exception, path: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {error}"


def implementation(member: Member, part: str = "does") -> Any:
    """What a member does, imported now.

    Raises:  SweepError: it is known from a results folder alone, which nothing is imported from; or it cannot be imported.
    """
    where = getattr(member, part)
    if where is None or member.source == SOURCELESS:
        right = SOURCELESS if member.source == SOURCELESS else "does not say how samples of it are drawn"
        raise SweepError("plugins", [Problem(str(member.spec.__name__), None, right)])
    if not isinstance(where, str):
        return where
    module, _, name = where.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # a plugin's module is the user's code
        if member.source == BUILT_IN:
            raise
        why = f"cannot be imported ({type(error).__name__}: {error}); from {member.source}"
        raise SweepError("plugins", [Problem(where, None, why)]) from error


# -- when members join ----------------------------------------------------------------------------------------------------

_embedding: list[type[Spec]] = []
_forgetting: list[Callable[[], None]] = []


def embeds(model: Model) -> Model:
    """A class with fields of a family: it is built again when a member joins. Inner classes come before outer ones."""
    _embedding.append(model)
    return model


def until_changed(function: Function) -> Function:
    """`functools.cache`, forgotten when a member joins a family or leaves it."""
    cached = cache(function)
    _forgetting.append(cached.cache_clear)
    return cached  # type: ignore[return-value]


def changed() -> None:
    """Builds what depends on the families' members again; call it after members have joined or left."""
    for forget in _forgetting:
        forget()
    for model in _embedding:
        for of_field in model.model_fields.values():
            if type(of_field.default) in _embedding:  # made when the class was: it knows nothing of new members
                of_field.default = type(of_field.default)()
        model.model_rebuild(force=True)
