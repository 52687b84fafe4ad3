"""What sweeps' runs say of their claims, read from the tables `findings`: as rows, as text, as Markdown.

A claim is judged when its figure is drawn; nothing is judged here. So a document made of these tables says what the runs say, and which
recipe, rows and version it says it of.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from impray.figures.judge import NOT_MEASURED
from impray.results import tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.results.text import aligned
from impray.shipped import shipped
from impray.spec.base import canonical
from impray.spec.errors import ImprayError
from impray.spec.load import load
from impray.spec.sweep import Sweep

DECIDES = ("trial", "methods", "seeds", "rounds", "search")  # what of a sweep decides which lineages there are


def recipe(sweep: Sweep) -> str:
    """A hash of what decides a sweep's lineages: two sweeps with the same one have the same."""
    text = json.dumps({name: canonical(getattr(sweep, name)) for name in DECIDES}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def shipped_recipe(name: str) -> str | None:
    """Of the shipped sweep of that name; None if there is none."""
    file = shipped("sweeps") / f"{name}.yaml"
    try:
        return recipe(load(file)) if file.is_file() else None
    except ImprayError:
        return None


@dataclass(frozen=True)
class Findings:
    """What one sweep's folder says.

    rows: of the table `findings`, figures in the order of the sweep. lineages, seeds: that have rows. measured_by, judged_by: versions.
    """

    name: str
    sweep: Sweep
    rows: list[dict[str, Any]]
    lineages: int
    seeds: int
    measured_by: list[str]
    judged_by: list[str]
    devices: list[str]

    @cached_property
    def recipe(self) -> str:
        return recipe(self.sweep)

    @property
    def figures(self) -> dict[str, list[dict[str, Any]]]:
        """Figure -> its claims."""
        of_figures: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            of_figures.setdefault(row["figure"], []).append(row)
        return of_figures

    def source(self) -> str:
        """Where the numbers come from, in a sentence."""
        judged = f"judged by impray {', '.join(self.judged_by)}" if self.judged_by else "no claims"
        return (
            f"{self.lineages:,} lineages of {self.seeds} seed{'s' * (self.seeds != 1)}, measured by impray "
            f"{', '.join(self.measured_by)} on {', '.join(self.devices)}; {judged}; recipe {self.recipe}"
        )

    def document(self) -> dict[str, Any]:
        """JSON-ready; what is undefined is null."""
        rows = [
            {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in row.items()
            }
            for row in self.rows
        ]
        return {
            "sweep": self.name,
            "question": self.sweep.question,
            "recipe": self.recipe,
            "lineages": self.lineages,
            "seeds": self.seeds,
            "measured_by": self.measured_by,
            "judged_by": self.judged_by,
            "devices": self.devices,
            "findings": rows,
        }


def findings(place: Place) -> Findings:
    """What a sweep's folder says of the claims of its figures, as far as they are drawn.

    Raises:  SweepError, DataError: it is no sweep's folder, or cannot be read.
    """
    paths = Paths(place)
    sweep = read_sweep(paths)
    frame = tables.scan("findings", place).drop("git_sha", "host", "device", "written_at", strict=False)
    order = pl.col("figure").replace_strict(
        {name: n for n, name in enumerate(sweep.figures)}, default=len(sweep.figures)
    )
    rows = frame.collect().sort(order, "figure", "number")
    of = tables.scan("rounds", place).select("lineage", "seed", "version", "device").unique().collect()
    return Findings(
        paths.store.name,
        sweep,
        list(rows.iter_rows(named=True)),
        of["lineage"].n_unique(),
        of["seed"].n_unique(),
        _known(of["version"]),
        _known(rows["version"]),
        _known(of["device"]),
    )


def _known(values: pl.Series) -> list[str]:
    return [str(value) for value in values.drop_nulls().unique().sort()]


# -- in words ---------------------------------------------------------------------------------------------------------


def text(found: Findings) -> Iterator[str]:
    """For a terminal: a line per claim, figure by figure."""
    yield f"{found.name}: {found.sweep.question}"
    yield f"  {found.source()}"
    if not found.rows:
        yield "  no claims: no figure of this sweep that makes any is drawn"
    for figure, rows in found.figures.items():
        yield f"\n  {figure}"
        columns = [
            ("", [f"    {row['verdict']}" for row in rows], False),
            ("effect (95 % interval)", [_effect(row) for row in rows], False),
            ("held", [_held(row) for row in rows], False),
            ("p", [_number(row["p_holm"], 2) for row in rows], True),
            ("claim", [_claim(row) for row in rows], False),
        ]
        yield from aligned(columns)


def markdown(found: Findings, level: int = 2) -> Iterator[str]:
    """A section: a table per figure."""
    yield f"{'#' * level} {found.name}\n"
    yield f"{found.sweep.question}\n"
    if found.sweep.caveat:
        yield f"**Caveat.** {found.sweep.caveat}\n"
    yield f"{found.source()}.\n"
    if not found.rows:
        yield "No claims: no figure of this sweep that makes any is drawn.\n"
    for figure, rows in found.figures.items():
        yield f"{'#' * (level + 1)} {found.name}: {figure}\n"
        yield "| claim | effect (95 % interval) | held | p | verdict |"
        yield "|---|---|---|---|---|"
        for row in rows:
            cells = (_claim(row), _effect(row), _held(row), _number(row["p_holm"], 2), row["verdict"])
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
        yield ""


def _cell(words: str) -> str:
    for mark in ("\\", "*", "[", "]"):
        words = words.replace(mark, f"\\{mark}")
    for mark, entity in (("<", "&lt;"), ("|", "&#124;"), ("~", "&#126;")):
        words = words.replace(mark, entity)
    return " ".join(words.split())


def _claim(row: dict[str, Any]) -> str:
    return f"{row['claim']}{' (control)' if row['control'] else ''}"


def _effect(row: dict[str, Any]) -> str:
    if row["verdict"] == NOT_MEASURED:
        return row["lacking"] or "-"
    unit = "of all" if row["interval"] == "exact binomial" else row["unit"] or ""
    ends = "" if _undefined(row["low"]) else f" ({_number(row['low'])} to {_number(row['high'])})"
    return f"{_number(row['effect'])}{f' {unit}' if unit else ''}{ends}"


def _held(row: dict[str, Any]) -> str:
    if row["verdict"] == NOT_MEASURED:
        return "-"
    return f"{row['held']} of {row['of']} {row['what'] or ''}{'s' * (row['of'] != 1)}".rstrip()


def _undefined(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}g}"


def missing(names: Sequence[str]) -> list[str]:
    """Shipped sweeps with figures of their own that are not among these."""
    files = [path for path in shipped("sweeps").glob("*.yaml") if path.stem not in names]
    return sorted(path.stem for path in files if load(path).figures)
