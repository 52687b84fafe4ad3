"""From a file, its text, or an entry point to a plugin's members; what is wrong is told with its line.

A file is run as a module of its own, here from disk and in actors from its text: nothing is written there. It is code that the user
chose by naming it. Nothing that lies in a results folder is run.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
import traceback
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from impray.spec import families
from impray.spec.base import Origin
from impray.spec.errors import ImprayError
from impray.spec.family import Family, Member
from impray.spec.plugins.declared import Flaw, Plugin, columns_of, flaws, members_of
from impray.spec.wording import near

OBJECT = "PLUGIN"
GROUP = "impray."  # of entry points: impray.data, impray.measures ...


class PluginError(ImprayError):
    """A plugin cannot be used; `reasons` are all of them, each with file and line."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(reasons))


@dataclass(frozen=True)
class Loaded:
    """A plugin that can join: its members by family and full name. Of a file: where it lies, its text and the text's hash."""

    name: str
    version: str
    source: str
    members: tuple[tuple[Family, str, Member], ...]
    path: str | None = None
    text: str | None = None
    digest: str = ""


def from_file(path: Path) -> Loaded:
    """Raises:  PluginError: with all that is wrong."""
    if lies_in_results(path):
        raise PluginError(
            [f"{path} lies in the folder of a sweep's results, which nothing is run from: copy it elsewhere"]
        )
    try:
        return from_text(path.read_bytes().decode(), str(path))
    except FileNotFoundError:
        beside = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise PluginError([f"{path}: there is no such file{near(path.name, beside)}"]) from None
    except UnicodeDecodeError:
        raise PluginError([f"{path}: is not text in UTF-8"]) from None
    except OSError as error:
        raise PluginError([f"{path}: cannot be read: {error.strerror}"]) from None


def lies_in_results(path: Path) -> bool:
    """Whether a file is in a folder that a sweep has written its provenance into, or below one; links do not help."""
    return any(
        (folder / "provenance.json").exists() for place in (path.absolute(), path.resolve()) for folder in place.parents
    )


def from_text(text: str, path: str) -> Loaded:
    """A plugin from the text of its file, which need not be on this machine.

    Raises:  PluginError: it cannot be run, or is no plugin.
    """
    stem = Path(path).stem
    module = ModuleType(f"impray_plugins.{stem}")
    module.__file__ = path
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)  # for traces where the file is not
    sys.modules[module.__name__] = module  # pydantic looks names of annotations up there
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: whatever a file does must not end the sweep without a word
        raise PluginError([_told(error, path)]) from error
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    plugin = getattr(module, OBJECT, None)
    if not isinstance(plugin, Plugin):
        what = "has no PLUGIN" if plugin is None else f"PLUGIN is a {type(plugin).__name__}"
        raise PluginError([f"{path}: {what}; write PLUGIN = impray.plugin.Plugin(version='1', measures={{...}})"])
    name = plugin.name or stem
    wrong = flaws(plugin, name)
    plugin, absent = _functions(plugin, module)
    if wrong := [*wrong, *absent]:
        raise PluginError([f"{path}{_line(text, flaw.about)}: {flaw.where}: {flaw.right}" for flaw in wrong])
    members = members_of(plugin, Origin(name, plugin.version), path)
    return Loaded(name, plugin.version, path, tuple(members), path, text, digest)


def _functions(plugin: Plugin, module: ModuleType) -> tuple[Plugin, list[Flaw]]:
    """The plugin with functions that are given by name in place of their names, and those that the file has not."""
    absent: list[Flaw] = []

    def looked_up(where: str, named: Any, about: Any) -> Any:
        if not isinstance(named, str) or ":" in named:
            return named
        if not hasattr(module, named):
            absent.append(Flaw(where, f"this file has no {named!r}{near(named, vars(module))}", about))
        return getattr(module, named, None)

    members: dict[str, dict[str, Any]] = {family: {} for family in families.ALL}
    for family, name, member in plugin.declared() if _is_whole(plugin) else ():
        where = f"{family.name}.{name}"
        if isinstance(member, Member):
            does, draws = (looked_up(where, part, member.spec) for part in (member.does, member.draws))
            member = Member(member.spec, does, draws)
        else:
            member = looked_up(where, member, None)
        members[family.name][name] = member
    return Plugin(plugin.version, **members, name=plugin.name), absent


def _is_whole(plugin: Plugin) -> bool:
    return all(hasattr(getattr(plugin, family), "items") for family in families.ALL)


def _told(error: BaseException, path: str) -> str:
    """What running a file ended with, and in which of its lines."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}, line {error.lineno}: is not Python: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    words = (str(error).strip().splitlines() or [""])[0]
    where = f", line {lines[-1]}" if lines else ""
    return f"{path}{where}: cannot be imported: {type(error).__name__}{': ' if words else ''}{words}"


def _line(text: str, about: Any) -> str:
    """`, line 7` where a class or function of a file begins."""
    name = getattr(about, "__name__", None)
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.ClassDef, ast.FunctionDef)))
    line = next((node.lineno for node in nodes if node.name == name), None)
    return f", line {line}" if line else ""


def clashes(new: Loaded, others: dict[str, Loaded]) -> list[str]:
    """Columns of a plugin that members have already: built-in ones, or those of other plugins."""
    taken = {
        column: tag
        for tag, member in families.measures.members.items()
        if tag.partition(".")[0] != new.name
        for column in columns_of(member.spec)
    }
    reasons = []
    for family, tag, member in new.members:
        shared = (
            [column for column in columns_of(member.spec) if column in taken] if family is families.measures else []
        )
        if shared:
            what = f"its columns {', '.join(shared)} are" if len(shared) > 1 else f"its column {shared[0]} is"
            reasons.append(f"{new.source}: {tag}: {what} filled by {taken[shared[0]]} already; choose another name")
    # Factories and classes of a file are found by its name.
    reasons += [
        f"{new.source}: {other.source} has the same file name; give one another"
        for other in others.values()
        if other.name != new.name and new.path and other.path and Path(new.path).stem == Path(other.path).stem
    ]
    return reasons + [
        f"{new.source}: is called {new.name}, as is {other.source}; give one another name: Plugin(name=...)"
        for other in others.values()
        if other.name == new.name and other.source != new.source
    ]


# -- installed packages ---------------------------------------------------------------------------------------------------


@cache
def installed() -> dict[str, metadata.EntryPoint]:
    """Entry points by the plugin's name, of all families; none is loaded."""
    entry_points = {}
    for family in families.ALL:
        for point in metadata.entry_points(group=f"{GROUP}{family}"):
            entry_points.setdefault(point.name, point)
    return entry_points


def from_entry_point(point: metadata.EntryPoint) -> Loaded:
    """Raises:  PluginError: it cannot be imported, or is no plugin."""
    source = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    try:
        plugin = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError([f"{source}: {point.value} cannot be imported: {type(error).__name__}: {error}"]) from error
    if not isinstance(plugin, Plugin):
        raise PluginError([f"{source}: {point.value} is a {type(plugin).__name__}, no impray.plugin.Plugin"])
    if plugin.name not in ("", point.name):
        raise PluginError([f"{source}: the entry point is called {point.name}, its plugin {plugin.name}"])
    if wrong := flaws(plugin, point.name):
        raise PluginError([f"{source}: {flaw.where}: {flaw.right}" for flaw in wrong])
    members = members_of(plugin, Origin(point.name, plugin.version), source)
    return Loaded(point.name, plugin.version, source, tuple(members))
