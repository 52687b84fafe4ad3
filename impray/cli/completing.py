"""What a shell offers when Tab is pressed: names of sweeps, tables, measures, families, figures, and folders with results.

Each takes the word as far as it is typed. They look at names only, never into files or buckets, and import next to nothing: a shell
waits for them at each press.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from impray.shipped import figure_scripts, shipped

_MOST = 200  # entries of a folder that are looked into


def sweeps(incomplete: str) -> list[str]:
    """Shipped sweeps by name, and YAML files and folders on this machine."""
    names = [path.stem for path in shipped("sweeps").glob("*.yaml")]
    return sorted(
        {*_begun(names, incomplete), *_paths(incomplete, lambda entry: entry.name.endswith((".yaml", ".yml")))}
    )


def results(incomplete: str) -> list[str]:
    """Folders with a sweep's results: those here and in runs/; and any folder on the way to one."""
    found = set(_paths(incomplete, lambda entry: False))
    for place in ("", "runs"):
        found |= {str(Path(place, entry.name)) for entry in _entries(place or ".") if _has_results(entry)}
    return sorted(_begun(found, incomplete))


def tables(incomplete: str) -> list[str]:
    from impray.results.named import TABLES

    return _begun(TABLES, incomplete)


def exported(incomplete: str) -> list[str]:
    """Tables by the names that `impray export` knows; lists in them are tables of their own, which are not offered."""
    return _begun([*["quantities", "goals"], *tables("")], incomplete)


def measures(incomplete: str) -> list[str]:
    from impray.spec.families import measures

    return _begun(measures.tags, incomplete)


def families(incomplete: str) -> list[str]:
    from impray.spec.families import ALL

    return _begun(ALL, incomplete)


def figures(incomplete: str) -> list[str]:
    """Figures by name, and scripts of the user's own."""
    own = _paths(incomplete, lambda entry: entry.name.endswith(".py"))
    return sorted({*_begun(figure_scripts(), incomplete), *(own if incomplete else ())})


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Completes an option that takes one of a few words."""

    def offered(incomplete: str) -> list[str]:
        return _begun(words, incomplete)

    return offered


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _paths(incomplete: str, fits: Callable[[os.DirEntry[str]], bool]) -> Iterator[str]:
    """Folders (with a slash, as there is more behind it) and files that fit, as far as the last slash that was typed."""
    folder, slash, start = incomplete.rpartition("/")
    if "://" in incomplete:  # a bucket takes seconds to answer
        return
    for entry in _entries(os.path.expanduser(folder) if folder else slash or "."):
        if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
            path = f"{folder}{slash}{entry.name}"
            if entry.is_dir():
                yield f"{path}/" if not _has_results(entry) else path
            elif fits(entry):
                yield path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)[:_MOST]
    except OSError:  # there is no such folder, or it is not ours to read: nothing to offer
        return []


def _has_results(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and os.path.isfile(os.path.join(entry.path, "sweep.yaml"))
