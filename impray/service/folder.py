"""A sweep's folder before it runs: what it holds must be of the same sweep, and it says what it holds."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import impray
from impray.results import files, tables
from impray.results.paths import Paths
from impray.service.plan import axis_types
from impray.spec.base import canonical
from impray.spec.data import FileData
from impray.spec.errors import Problem, SweepError
from impray.spec.load import load
from impray.spec.sweep import Sweep, written


def prepare(sweep: Sweep, name: str, paths: Paths, contents: Mapping[str, str]) -> None:
    """Write sweep.yaml (as run, overrides included) and provenance.json where they would change.

    Args:    contents: data set -> hash of its content, of those read from files.
    Raises:  SweepError: the folder's rows are of another base trial, of axes of another type, or of files with other content:
             means and figures over the folder would mix them.
    """
    earlier = _contents(paths)
    wrong = [*_other_trial(sweep, paths), *_other_types(sweep, paths), *_other_contents(earlier, contents, paths)]
    if wrong:
        raise SweepError(str(paths.folder), wrong)
    text = yaml.safe_dump(written(sweep), sort_keys=False, allow_unicode=True)
    _write_if_new(paths.sweep, "# The sweep as it was run, overrides included.\n" + text)
    description = {
        "sweep": name,
        # Axes of earlier runs in this folder stay columns: their rows are still here.
        "axes": {**tables.axes_of(paths), **axis_types(sweep)},
        "data": {**earlier, **contents},
        "version": impray.__version__,
        "git_sha": tables.git_sha(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    _write_if_new(paths.provenance, json.dumps(description, indent=2) + "\n")


def data_key(spec: FileData) -> str:
    """Names a data set, whatever is blended or how many held-out inputs are used of it."""
    plain = spec.model_copy(update={"gaussian_blend": 0.0, "clone": "channel", "clone_images": None, "held_out": None})
    return json.dumps(canonical(plain), sort_keys=True)


def _contents(paths: Paths) -> dict[str, str]:
    tables.axes_of(paths)  # says what is wrong with a file that cannot be read
    return json.loads(paths.provenance.read_text()).get("data", {}) if paths.provenance.is_file() else {}


def _other_contents(earlier: Mapping[str, str], contents: Mapping[str, str], paths: Paths) -> list[Problem]:
    """Data sets whose files have changed since this folder's rows were made."""
    if not any(paths.table("rounds").glob("*.parquet")):
        return []
    right = "the files are not those that this folder's rows were made from, which would be mixed; choose another --out"
    return [
        Problem("trial.data.path", key, right)
        for key, content in contents.items()
        if earlier.get(key, content) != content
    ]


def _write_if_new(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text() != text:
        files.write(path, text.encode())


def _other_trial(sweep: Sweep, paths: Paths) -> list[Problem]:
    """Fields in which the folder's base trial differs, axes of either apart."""
    if not paths.sweep.is_file() or not any(paths.table("trials").glob("*.parquet")):
        return []
    earlier = load(paths.sweep)
    axes = {*earlier.search.space, *sweep.search.space}
    old, new = (dict(_fields(each.trial.model_dump(mode="json"))) for each in (earlier, sweep))
    # Where a published data set lies may change; what it is may not.
    axes |= {f"data.{name}" for name in sweep.trial.data.unidentifying & earlier.trial.data.unidentifying}
    differing = [path for path in {**new, **old} if old.get(path) != new.get(path) and not _on(path, axes)]
    advice = "whose rows would be mixed with the new ones; choose another folder with --out"
    return [
        Problem(f"trial.{path}", json.dumps(new.get(path)), f"is {json.dumps(old.get(path))} in this folder, {advice}")
        for path in differing
    ]


def _on(path: str, axes: set[str]) -> bool:
    return any(path == axis or path.startswith(f"{axis}.") for axis in axes)


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _fields(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def _other_types(sweep: Sweep, paths: Paths) -> list[Problem]:
    """Axes whose column in this folder has another type: one number per trial there, a list here, say."""
    earlier = tables.axes_of(paths)
    return [
        Problem(
            f"search.space.{path}",
            None,
            f"gives a column of type {kind}; in this folder it is {earlier[path]}: choose another folder with --out",
        )
        for path, kind in axis_types(sweep).items()
        if earlier.get(path, kind) != kind
    ]
