"""A sweep's folder before it runs: what it holds must be of the same sweep, and it says what it holds."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import yaml
from pydantic import ValidationError

import impray
from impray.results import provenance, tables
from impray.results.mlflow.identity import identity
from impray.results.paths import Paths, set_aside
from impray.results.schema import TYPES
from impray.results.store.base import File
from impray.results.store.lease import RUNNING, Lease, lease
from impray.service.plan import axis_types
from impray.spec.base import canonical
from impray.spec.data import FileData, ImageCoordinates, Linear
from impray.spec.errors import Problem, SweepError
from impray.spec.plugins import joined
from impray.spec.sweep import Sweep, written
from impray.spec.trial import Trial
from impray.spec.wording import show


@contextmanager
def held(paths: Paths, say: Callable[[str], None]) -> Iterator[Lease]:
    """Be the only driver that works in a folder, on this machine and on all others.

    Raises:  SweepError: another one does. StorageError: the folder takes nothing.
    """
    with paths.store.lock(paths.running, wait=False) as alone:
        if alone is False:
            raise _taken(paths, "another impray sweep on this machine")
        with lease(paths.store, RUNNING, wait=False, alone=bool(alone), say=say) as got:
            if isinstance(got, str):
                raise _taken(paths, f"another impray sweep ({got})")
            yield got


def free(paths: Paths) -> None:
    """Look whether a folder is free for a driver; nothing is written, and what is looked at is let go again. Where a machine's locks do
    not reach (a bucket, another machine's disk) only `held` can tell.

    Raises:  SweepError: another driver of this machine works there.
    """
    if paths.store.file(paths.running).is_file():
        with paths.store.lock(paths.running, wait=False) as alone:
            if alone is False:
                raise _taken(paths, "another impray sweep on this machine")


def _taken(paths: Paths, who: str) -> SweepError:
    right = f"{who} is working in this folder; wait for it, or choose another folder with --out"
    return SweepError(str(paths.folder), [Problem("--out", None, right)])


def prepare(sweep: Sweep, name: str, paths: Paths, contents: Mapping[str, str]) -> list[str]:
    """Write sweep.yaml (as run, overrides included) and provenance.json where they would change; broken ones are set aside.

    Args:    contents: data set -> hash of its content, of those read from files.
    Returns: what was set aside, with what was wrong with it.
    Raises:  SweepError: as `checked`.
    """
    axes = checked(sweep, paths, contents)
    _forget_other_device(sweep, paths)
    return write(sweep, name, paths, {**axes, **axis_types(sweep)}, contents)


def checked(sweep: Sweep, paths: Paths, contents: Mapping[str, str]) -> Mapping[str, str]:
    """The axes of the sweeps that a folder holds, if this one may go on there; nothing is written.

    Raises:  SweepError: the folder's rows answer another question, are of another base trial, of axes of another type, or of files with
             other content: means and figures over the folder would mix them.
    """
    earlier = _contents(paths)
    whole = provenance.wrong_with_provenance(paths) is None
    axes = tables.axes_of(paths) if whole else provenance.recovered_axes(paths)
    wrong = [*_other_question(sweep, paths), *_other_trial(sweep, paths, axes), *_other_types(sweep, axes)]
    wrong += [
        *_other_device(sweep, paths),
        *_other_contents(earlier, contents, paths),
        *_other_revisions(paths),
        *_other_versions(sweep, paths),
    ]
    if wrong:
        raise SweepError(str(paths.folder), wrong)
    return axes


def _other_question(sweep: Sweep, paths: Paths) -> list[Problem]:
    """Another question than the folder's: two files of one name, as a rule, the second of which would take the first one's place."""
    if not paths.row_files("trials") or not paths.sweep.is_file() or provenance.wrong_with_sweep(paths):
        return []
    there = provenance.read_sweep(paths).question
    if there.split() == sweep.question.split():
        return []
    keep = shlex.quote(f"question={there}")
    right = (
        f"is {show(there)} in this folder, which holds the results of that sweep: choose another folder with --out, or another name for "
        f"the file. If it is the same sweep, extended, keep its question (--set {keep}); or, to reword it, delete {paths.sweep} first, "
        "which is written again"
    )
    return [Problem("question", show(sweep.question), right)]


def write(sweep: Sweep, name: str, paths: Paths, axes: Mapping[str, str], contents: Mapping[str, str]) -> list[str]:
    """Write both files where they would change, whatever lies there.

    Args:    axes: of this sweep and of earlier ones in this folder, which stay columns: their rows are still here. contents: as for
             `prepare`; what provenance.json knows of other data sets stays.
    Returns: what was set aside, with what was wrong with it.
    """
    told = []
    wrong = (provenance.wrong_with_sweep(paths), provenance.wrong_with_provenance(paths))
    for path, why in zip((paths.sweep, paths.provenance), wrong, strict=True):
        if why:
            set_aside(path)
            told.append(f"{path}: {why}")
    text = yaml.safe_dump(written(sweep), sort_keys=False, allow_unicode=True)
    provenance.write_sweep(paths, "# The sweep as it was run, overrides included.\n" + text)
    description = {
        "sweep": name,
        "id": identity(paths),
        "axes": dict(axes),
        "data": {**_contents(paths), **contents},
        "version": impray.__version__,
        "git_sha": tables.git_sha(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if plugins := _plugins_now(sweep, _plugins(paths)):
        description["plugins"] = plugins
    provenance.write_provenance(paths, description)
    return told


def _contents(paths: Paths) -> dict[str, str]:
    """Data set -> hash of its content, as earlier runs knew it; nothing where that is lost."""
    return {} if provenance.wrong_with_provenance(paths) else provenance.read_provenance(paths).get("data", {})


def _plugins(paths: Paths) -> dict[str, dict[str, Any]]:
    """Plugin -> what earlier runs say of it; nothing where that is lost."""
    return {} if provenance.wrong_with_provenance(paths) else provenance.read_provenance(paths).get("plugins", {})


def _plugins_now(sweep: Sweep, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """What provenance.json says of plugins: this sweep's as they are now, with the hashes that their files had; earlier ones stay."""
    plugins = dict(earlier)
    for name, description in joined.descriptions(joined.of_sweep(sweep)).items():
        before = earlier.get(name, {})
        hashes = dict.fromkeys([*before.get("earlier_hashes", ()), before.get("hash", "")])
        plugins[name] = {
            **description,
            "earlier_hashes": [old for old in hashes if old not in ("", description["hash"])],
        }
    return plugins


def changed_plugins(sweep: Sweep, paths: Paths) -> list[str]:
    """A line for each plugin whose file has changed since this folder was written, under the same version."""
    earlier = _plugins(paths)
    return [
        f"{new.source}: has changed since this folder was written, and its version is still {new.version}: what is done is not computed "
        "again. If numbers change, raise its version"
        for new in joined.of_sweep(sweep)
        if new.digest != earlier.get(new.name, {}).get("hash", new.digest)
        and new.version == earlier[new.name].get("version")
    ]


def _other_versions(sweep: Sweep, paths: Paths) -> list[Problem]:
    """Plugins that decide lineages' numbers and are of another version than those that this folder's rows are of."""
    if not paths.row_files("rounds"):
        return []
    earlier = _plugins(paths)
    right = "whose rows would be mixed with the new ones; choose another folder with --out"
    return [
        Problem(
            "plugins",
            f"{new.name} version {new.version}",
            f"is version {earlier[new.name]['version']} in this folder, {right}",
        )
        for new in joined.of_sweep(sweep)
        if earlier.get(new.name, {}).get("version", new.version) != new.version
        and any(family.name in ("data", "nets", "training", "rules") for family, _, _ in new.members)
    ]


def data_key(spec: FileData | Linear | ImageCoordinates) -> str:
    """Names a data set, whatever is blended or how many held-out inputs are used of it; of linear models and images, their file."""
    if isinstance(spec, Linear):
        return json.dumps({"design": canonical(spec.design)}, sort_keys=True)
    if isinstance(spec, ImageCoordinates):
        return json.dumps({"image": spec.image})
    plain = spec.model_copy(update={"gaussian_blend": 0.0, "clone": "channel", "clone_images": None, "held_out": None})
    return json.dumps(canonical(plain), sort_keys=True)


_PATHS = {
    "design": "design.path",
    "image": "image",
}  # first key of a data set's name -> the field that says where its file is


def _other_contents(earlier: Mapping[str, str], contents: Mapping[str, str], paths: Paths) -> list[Problem]:
    """Data sets whose files have changed since this folder's rows were made."""
    if not paths.row_files("rounds"):
        return []
    right = "the files are not those that this folder's rows were made from, which would be mixed; choose another --out"
    return [
        Problem(f"trial.data.{_PATHS.get(next(iter(json.loads(key))), 'path')}", key, right)
        for key, content in contents.items()
        if earlier.get(key, content) != content
    ]


def _other_trial(sweep: Sweep, paths: Paths, axes_there: Mapping[str, str]) -> list[Problem]:
    """Fields in which the folder's base trial differs, axes of either apart."""
    earlier = _earlier_trial(sweep, paths)
    if earlier is None:
        return []
    axes = {*axes_there, *sweep.search.space}
    old, new = (dict(_fields(trial.model_dump(mode="json"))) for trial in (earlier, sweep.trial))
    # Where a published data set lies may change; what it is may not.
    axes |= earlier.following  # `_other_device` tells of these
    axes |= {f"data.{name}" for name in sweep.trial.data.unidentifying & earlier.data.unidentifying}
    differing = [path for path in {**new, **old} if old.get(path) != new.get(path) and not _on(path, axes)]
    advice = "whose rows would be mixed with the new ones; choose another folder with --out"
    return [
        Problem(f"trial.{path}", json.dumps(new.get(path)), f"is {json.dumps(old.get(path))} in this folder, {advice}")
        for path in differing
    ]


def _earlier_trial(sweep: Sweep, paths: Paths) -> Trial | None:
    """The base trial of the rows that are there: sweep.yaml's; where that is broken or gone, one that the table `trials` knows."""
    if not paths.row_files("trials"):
        return None
    if paths.sweep.is_file() and not provenance.wrong_with_sweep(paths):
        return provenance.read_sweep(paths).trial
    # An axis over kinds of data has trials of each.
    return next((trial for _, trial in _trials_there(paths) if type(trial.data) is type(sweep.trial.data)), None)


def _trials_there(paths: Paths) -> Iterator[tuple[str, Trial]]:
    """Id in the table `trials`, and trial, in the order of their numbers; those of other versions' vocabulary are left out."""
    # Not by `scan`, which asks provenance.json for the axes: it may be among what is broken.
    whole = [file for file in paths.row_files("trials") if tables.damage(file) is None]
    yield from _trials_in(whole)


def _trials_in(row_files: Sequence[File]) -> Iterator[tuple[str, Trial]]:
    names = ["number", "trial", "description"]
    contents = [content for file in row_files if (content := file.read())]
    rows = {row for content in contents for row in pl.read_parquet(content, columns=names, glob=False).iter_rows()}
    for _, id, description in sorted(rows):
        try:
            yield id, Trial.model_validate_json(description)
        except ValidationError:
            continue


def _other_revisions(paths: Paths) -> list[Problem]:
    """What made this folder's rows otherwise: the engine of versions before 0.11.0; before 0.4.0, fractions counted in floats."""
    old = [(trial, trial.earlier_ids[id]) for id, trial in _trials_there(paths) if id in trial.earlier_ids]
    mixed = "which would be mixed with new ones; choose another folder with --out (report, figures, top and export read this one as ever)"
    problems = []
    if any(by == "engine" for _, by in old):
        right = f"added in another order than this one, and before 0.10.0 drew other random numbers: its rows are here, {mixed}"
        problems.append(Problem("", "the engine of impray before 0.11.0", right))
    fractions = dict.fromkeys(trial.prune.fraction for trial, by in old if by == "counts")
    right = f"kept other numbers of weights here (floats rounded them), {mixed}"
    return problems + [Problem("trial.prune.fraction", json.dumps(fraction), right) for fraction in fractions]


def _other_device(sweep: Sweep, paths: Paths) -> list[Problem]:
    """Trials of this folder whose numbers the other device made; those of earlier engines are told as such."""
    devices = {trial.device for id, trial in _trials_there(paths) if id == trial.id}
    if not paths.row_files("rounds") or devices <= {sweep.trial.device}:
        return []
    gpu = f"{sweep.resources.gpu:g}"
    mixed = "whose samples and sums differ in their last bits: rows of both would be mixed"
    if sweep.trial.device == "cpu":
        right = (
            f"runs on the CPU; this folder's rows were made on a GPU, {mixed}. Ask for one (--set resources.gpu=1), "
        )
    else:
        right = f"runs on a GPU; this folder's rows were made on the CPU, or before 0.10.0, {mixed}. Set it to 0, "
    return [Problem("resources.gpu", gpu, right + "or choose another folder with --out")]


def _forget_other_device(sweep: Sweep, paths: Paths) -> None:
    """Delete what a run for the other device wrote down as planned, and made no row of: there was no GPU, as a rule."""
    if paths.row_files("rounds"):
        return
    for file in paths.row_files("trials"):
        devices = {trial.device for _, trial in _trials_in([file])} if tables.damage(file) is None else set()
        if devices and sweep.trial.device not in devices:
            file.delete()


def _on(path: str, axes: set[str]) -> bool:
    return any(path == axis or path.startswith(f"{axis}.") for axis in axes)


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _fields(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def _other_types(sweep: Sweep, earlier: Mapping[str, str]) -> list[Problem]:
    """Axes whose column in this folder has another type: one number per trial there, a list here, say."""
    return [
        Problem(
            f"search.space.{path}",
            None,
            f"gives a column of type {kind}; in this folder it is {earlier[path]}: choose another folder with --out",
        )
        for path, kind in axis_types(sweep).items()
        if TYPES[earlier.get(path, kind)] != TYPES[kind]
    ]
