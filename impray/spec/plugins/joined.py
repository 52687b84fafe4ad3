"""The plugins that have joined the families of this process, and how a sweep's come to join.

A driver joins them when it reads the YAML; what its actors need to do the same travels with each pack (`sent`, `receive`). A results
folder tells of its plugins' members without any code (`describe`): those never take the place of members that can run.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from impray.spec import families
from impray.spec.errors import Problem
from impray.spec.family import changed
from impray.spec.plugins import described
from impray.spec.plugins.loading import Loaded, PluginError, clashes, from_entry_point, from_file, from_text, installed
from impray.spec.sweep import Sweep, written
from impray.spec.wording import at_path

_TAG = re.compile(r"([a-z][a-z0-9_]*)\.[a-z][a-z0-9_]*")
_joined: dict[str, Loaded] = {}
_described: dict[str, Mapping[str, Any]] = {}


def joined() -> dict[str, Loaded]:
    """Plugins that can run, by name."""
    return dict(_joined)


def join(new: Loaded) -> None:
    """Let a plugin's members join; one of the same name that has joined before leaves.

    Raises:  PluginError: it clashes with members that are there.
    """
    if _joined.get(new.name) == new or (new.digest and _same(_joined.get(new.name), new)):
        return
    if wrong := clashes(new, {}):
        raise PluginError(wrong)
    _leave(new.name)
    _joined[new.name] = new
    for family, tag, member in new.members:
        family.members[tag] = member
    changed()


def _same(old: Loaded | None, new: Loaded) -> bool:
    return old is not None and (old.digest, old.path) == (new.digest, new.path)


def _leave(name: str) -> None:
    _joined.pop(name, None)
    _described.pop(name, None)
    for family in families.ALL.values():
        for tag in [tag for tag in family.members if tag.startswith(f"{name}.")]:
            del family.members[tag]


def leave(*names: str) -> None:
    """Take plugins out again, or all of them: for tests."""
    for name in names or (*_joined, *_described):
        _leave(name)
    changed()


# -- of a sweep's YAML ----------------------------------------------------------------------------------------------------


def join_named(document: dict[str, Any], folder: Path) -> tuple[list[Problem], set[str]]:
    """Join the plugins that a sweep's document names: files in `plugins`, which become absolute paths, and installed ones.

    Returns: what is wrong, and the names of plugins that could not join, so that their members are not told as unknown too.
    """
    wrong: list[Problem] = []
    failed: set[str] = set()
    here: dict[str, Loaded] = {}
    paths = document.get("plugins")
    for position, named in enumerate(paths if isinstance(paths, list) else ()):
        if not isinstance(named, str):
            continue  # told by validation
        path = folder / Path(named).expanduser()
        document["plugins"][position] = str(path.absolute())
        try:
            new = from_file(path.absolute())
            if reasons := clashes(new, here):
                raise PluginError(reasons)
            here[new.name] = new
            join(new)
        except PluginError as error:
            failed.add(path.stem)
            wrong += [Problem(f"plugins[{position}]", repr(named), f"cannot be used: {why}") for why in error.reasons]
    for name, tag in _tags_in(document):
        if name not in _joined and name not in failed and name not in here:
            try:
                join_installed(name)
            except PluginError as error:
                failed.add(name)
                wrong += [Problem(tag, None, f"cannot be used: {why}") for why in error.reasons]
    return wrong, failed


def join_installed(name: str) -> bool:
    """Join an installed plugin; whether there is one of this name.

    Raises:  PluginError: there is, and it cannot be used.
    """
    known = any(tag.startswith(f"{name}.") for family in families.ALL.values() for tag in family.members)
    if known and name in _joined:
        return True
    point = installed().get(name)
    if point is None:
        return False
    join(from_entry_point(point))
    return True


def _tags_in(value: object) -> Iterator[tuple[str, str]]:
    """(plugin, whole name) of all text that could name a plugin's member, but paths of axes."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _tags_in(key)
            yield from _tags_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tags_in(item)
    elif isinstance(value, str) and (match := _TAG.fullmatch(value)) and match[1] not in _PARTS:
        yield match[1], value


_PARTS = ("data", "net", "train", "prune")  # what paths of axes begin with


def version_factories(document: dict[str, Any]) -> list[Problem]:
    """Give every `kind: module` whose factory is in a plugin's file that plugin's version, which is part of its id.

    Args:    document: a sweep's YAML; changed.
    Returns: where another version stands beside it.
    """
    files = {Path(new.path).stem: new for new in _joined.values() if new.path is not None}
    axis = at_path(document, ("search", "space", "net"))
    nets = {"trial.net": at_path(document, ("trial", "net"))}
    nets |= {f"search.space.net[{place}]": net for place, net in enumerate(axis if isinstance(axis, list) else ())}
    wrong = []
    for path, net in nets.items():
        factory = net.get("factory") if isinstance(net, dict) and net.get("kind") == "module" else None
        new = files.get(factory.partition(":")[0]) if isinstance(factory, str) else None
        if new is not None and net.setdefault("version", new.version) != new.version:
            right = f"is {new.version!r} in {new.path}; leave it out: it is that of the plugin"
            wrong.append(Problem(f"{path}.version", repr(net["version"]), right))
    return wrong


def blamed(error: BaseException) -> str | None:
    """The last line of a plugin's file that an error has passed through; None where it has not."""
    files = {
        getattr(sys.modules.get(member.spec.__module__), "__file__", None)
        for new in _joined.values()
        for _, _, member in new.members
    } | {new.path for new in _joined.values()}
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{lines[-1].filename}, line {lines[-1].lineno}" if lines else None


# -- on their way to actors -----------------------------------------------------------------------------------------------


def of_sweep(sweep: Sweep) -> list[Loaded]:
    """The plugins that a sweep uses: files that it names, and installed ones whose members it asks for."""
    names = {name for name, _ in _tags_in(_plain(written(sweep)))}
    return [new for new in _joined.values() if new.path in sweep.plugins or (new.path is None and new.name in names)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def sent(sweep: Sweep) -> list[dict[str, Any]]:
    """What an actor needs to join a sweep's plugins: a file's text, or the name and version of an installed one."""
    return [
        {"name": new.name, "version": new.version, "source": new.source, "path": new.path, "text": new.text}
        for new in of_sweep(sweep)
    ]


def receive(plugins: Sequence[Mapping[str, Any]]) -> None:
    """Join what the driver has sent.

    Raises:  PluginError: it cannot be used on this machine, or another version is installed here.
    """
    for told in plugins:
        if told["text"] is not None:
            here = _joined.get(told["name"])
            if here is None or (here.text, here.path) != (told["text"], told["path"]):  # not run again for every pack
                join(from_text(told["text"], told["path"]))
            continue
        if not join_installed(told["name"]):
            raise PluginError([f"{told['name']}: {told['source']} is not installed on this machine"])
        here = _joined[told["name"]]
        if here.version != told["version"]:
            why = f"is version {here.version} on this machine ({here.source}) and {told['version']} where the sweep was started"
            raise PluginError([f"{told['name']}: {why}"])


# -- of a results folder --------------------------------------------------------------------------------------------------


def describe(plugins: Mapping[str, Mapping[str, Any]]) -> None:
    """Let the members that a folder's provenance tells of be known, without their code; see `described`."""
    new = {name: told for name, told in plugins.items() if name not in _joined and _described.get(name) != told}
    for name, told in new.items():
        _leave(name)
        _described[name] = told
        for family, tag, member in described.members(name, told):
            family.members[tag] = member
    if new:
        changed()


def descriptions(plugins: Iterable[Loaded]) -> dict[str, dict[str, Any]]:
    """What a folder's provenance says of plugins, for `describe`."""
    return {new.name: described.description(new) for new in plugins}
