"""impray from Python: `run` a sweep, `load` what it gave, `scan` its tables. docs/python.md has examples.

    import impray

    results = impray.run("sweeps/quickstart.yaml", where="here")   # or a dict, a YAML text, a Sweep
    results.quantities      # a polars frame: one row per lineage, round and quantity, with the trial's axes
    results["trials"]       # every table of `impray export`, by name

All of it lies in the sweep's folder, as if the command line had run it: running again goes on, `impray top` and the others read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from impray.results import flat, provenance, quantities, tables
from impray.results.schema import TABLES
from impray.results.store import Place
from impray.spec.errors import DataError, ImprayError, Problem, SweepError
from impray.spec.load import Check, read
from impray.spec.sweep import Sweep, written
from impray.spec.wording import near


class Frames(Mapping[str, pl.DataFrame]):
    """A sweep's results as polars frames without nested columns, each read when it is asked for and then kept.

    Tables are keys and attributes: `results["rounds"]` is `results.rounds`. `impray.results.flat.columns` says what a column is.
    """

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self._kept: dict[str, pl.DataFrame] = {}

    @cached_property
    def sweep(self) -> Sweep:
        """The sweep as it was run."""
        return provenance.read_sweep(tables.Paths(self.folder))

    def __getitem__(self, name: str) -> pl.DataFrame:
        if name not in flat.names():
            raise KeyError(f"{name}: not one of {', '.join(self)}{near(name, list(self))}")
        if name not in self._kept:
            self._kept[name] = flat.flat(name, self.folder)
        return self._kept[name]

    def quantity(self, name: str) -> pl.DataFrame:
        """The rows of `quantities` that are of one, such as "accuracy"; docs/quantities.md has their names.

        Raises:  DataError: no such quantity, or this sweep has not measured it.
        """
        rows = self["quantities"]
        found = rows.filter(pl.col("quantity") == name)
        if found.is_empty():
            if name not in quantities.QUANTITIES:
                known = list(quantities.QUANTITIES)
                right = near(name, known) or f"; {quantities.IN_DOCS} has them all"
                raise DataError(f"quantity = {name!r}: is in no catalogue{right}")
            measured = ", ".join(rows["quantity"].unique().sort()) or "none yet"
            raise DataError(f"quantity = {name!r}: this sweep has not measured it; it has {measured}")
        return found

    def __getattr__(self, name: str) -> pl.DataFrame:
        if name.startswith("_") or name not in flat.names():
            raise AttributeError(f"{name}: not one of {', '.join(flat.names())}")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(flat.names())

    def __len__(self) -> int:
        return len(flat.names())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *flat.names()]

    def __repr__(self) -> str:
        return f"Frames({str(self.folder)!r}: {', '.join(self)})"


class TrialsFailed(ImprayError):
    """Some trials of a sweep failed; the others are done, and `results` has them. `results.failures` says what happened."""

    def __init__(self, results: Frames, failed: int) -> None:
        self.results = results
        trials = "1 trial" if failed == 1 else f"{failed} trials"
        super().__init__(
            f"{trials} failed in {results.folder}; `results.failures` of this error has axes, traces and hints"
        )


def load(folder: str | Path) -> Frames:
    """The results in a sweep's own folder, such as `runs/quickstart` or `s3://bucket/runs/quickstart`; it may still run.

    Raises:  DataError: no such folder, or not a sweep's; or what it says of itself is damaged.
    """
    with tables.reading(folder):
        return Frames(folder)


def scan(folder: str | Path) -> dict[str, pl.LazyFrame]:
    """The tables of a sweep's folder as they are stored (`impray tables` says what is in them), read when they are collected.

    Raises:  DataError: as `load`.
    """
    with tables.reading(folder):
        return {table: tables.scan(table, folder) for table in TABLES}


def run(
    sweep: Mapping[str, Any] | Sweep | str | Path,
    folder: str | Path | None = None,
    *,
    sets: Sequence[str] = (),
    where: Literal["ray", "here"] = "ray",
    address: str | None = None,
    show: bool = False,
) -> Frames:
    """Run a sweep, or what is left of it, and load what it gave. Neither MLflow nor figures: `impray mlflow sync`, `impray figures`.

    Args:    sweep: a dict, a Sweep, a YAML text, a YAML file, or the name of one in `sweeps/`.
             folder: the sweep's own; `runs/NAME` for a file's sweep, to be named for any other.
             sets: as `--set`: `["prune.fraction=0.2", "rounds=3"]`.
             where: in Ray's actors, or in this process (grid and random searches without early stopping).
             address: a Ray cluster that this machine is part of (`auto`, `host:port`); None: a local Ray.
             show: tell of progress, on stderr.
    Raises:  SweepError: with every problem, in `problems`; nothing has been run. TrialsFailed: all else is done.
             StorageError: the folder takes nothing any more. KeyboardInterrupt: running again goes on.
    """
    from rich.console import Console

    from impray.service import driver
    from impray.service.progress import Progress
    from impray.service.where import pool

    checked, name = _read(sweep, folder, sets, lambda read: _call_problems(read, folder, sweep, where, address))
    place = Path("runs", name) if folder is None else folder
    console = Console(stderr=True, quiet=not show)
    request = driver.Request(checked, name, place)
    report = driver.run(request, pool(where, address), [Progress(console)] if show else [], console)
    if report.interrupted:
        raise KeyboardInterrupt
    results = load(place)
    if report.count("failed"):
        raise TrialsFailed(results, report.count("failed"))
    return results


def _read(
    sweep: Mapping[str, Any] | Sweep | str | Path, folder: str | Path | None, sets: Sequence[str], check: Check
) -> tuple[Sweep, str]:
    """The validated sweep, and what it is called."""
    from impray.service import said

    named = _is_file(sweep)
    text = sweep if isinstance(sweep, str) else "" if isinstance(sweep, Path) else _text(sweep)
    try:
        if named:
            checked, path = said.load_sweep(str(sweep), list(sets), check)
            return checked, said.name_of(path)
        checked = read(text, "impray.run", sets, check, said.sizes_in_files, Path("."), said.layers_of_factory)
    except SweepError as error:
        raise SweepError(
            error.source, [_as_called(problem, isinstance(sweep, str)) for problem in error.problems]
        ) from None
    return checked, str(folder).rstrip("/").rpartition("/")[2] if folder is not None else ""


def _is_file(sweep: object) -> bool:
    return isinstance(sweep, Path) or (isinstance(sweep, str) and "\n" not in sweep and not sweep.startswith("{"))


def _text(sweep: Mapping[str, Any] | Sweep) -> str:
    try:
        return yaml.safe_dump(written(sweep) if isinstance(sweep, Sweep) else dict(sweep), sort_keys=False)
    except yaml.representer.RepresenterError as error:
        value = error.args[1] if len(error.args) > 1 else None
        right = f"a {type(value).__name__} cannot stand in YAML; plain numbers, texts, lists and dicts can"
        raise SweepError("impray.run", [Problem("sweep", repr(value), right)]) from None


def _call_problems(
    checked: Sweep | None, folder: str | Path | None, sweep: object, where: str, address: str | None
) -> list[Problem]:
    from impray.results.store import problems as place_problems
    from impray.service.where import problems as where_problems

    wrong = where_problems(checked, where, address)
    if address is not None and "://" in address:
        wrong.append(
            Problem("--address", repr(address), "must be auto or host:port; from outside a cluster: impray sweep")
        )
    if folder is None and not _is_file(sweep):
        wrong.append(
            Problem("--folder", None, "is needed where the sweep is no file: where its results go, runs/mine say")
        )
    if folder is not None:
        wrong += place_problems("--folder", str(folder))
    return wrong


def _as_called(problem: Problem, lines: bool) -> Problem:
    """An argument is no option, and what is no text has no lines."""
    return replace(problem, path=problem.path.removeprefix("--"), line=problem.line if lines else None)
