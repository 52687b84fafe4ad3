"""A sweep on one page: `report.html` in its folder, which needs no other file, no network and no JavaScript.

Everything is read from the folder: figures (`figures/*.png` with their texts), the table `findings`, the leaderboard, axes, where the
rows come from, what failed, and the commands that make it again. All of it may be half done: a sweep that runs has a report too.

What is a user's (the question, axis values, names of plugins, errors) is escaped by Jinja, and a policy in the page's head lets it load
and run nothing but its own style, pictures and script.
"""

from __future__ import annotations

import base64
import hashlib
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl
from jinja2 import Environment, StrictUndefined

from impray.figures.drawing import WORDS
from impray.figures.judge import NO_CLAIMS, NOT_MEASURED
from impray.figures.page import COLOURS, setting
from impray.results import leaderboard, outcomes, status, tables, text
from impray.results.paths import Paths
from impray.results.provenance import read_provenance, read_sweep
from impray.results.store import File, Place
from impray.results.tidy import Results, results
from impray.shipped import shipped
from impray.spec.errors import DataError, ImprayError
from impray.spec.load import read
from impray.spec.measure import measure_name
from impray.spec.search import Range
from impray.spec.sweep import Sweep

MOST_FAILURES = 50
MOST_VALUES = 12


@dataclass(frozen=True)
class Picture:
    """A figure of the folder: its picture, and its text as `impray.figures.page` writes it."""

    name: str
    png: bytes
    title: str
    lines: Sequence[
        str
    ]  # question, what the paper shows, what this run says, caption; claims and notes begin with "  - "

    @property
    def source(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @property
    def paragraphs(self) -> list[str]:
        """Without the caption, where the whole of it stands in the picture, and without a word on claims where there are none."""
        lines = [
            line for line in self.lines if line and not line.startswith("  - ") and line != f"This run: {NO_CLAIMS}"
        ]
        return lines[:-1] if lines and len(lines[-1].split()) <= WORDS else lines

    @property
    def listed(self) -> list[str]:
        return [line.removeprefix("  - ") for line in self.lines if line.startswith("  - ")]


def write(place: Place) -> File:
    """Write a folder's report.

    Raises:  DataError: not a sweep's folder, or damaged.
    """
    with tables.reading(place) as paths:
        file = paths.report
        file.write(document(paths).encode())
    return file


def document(paths: Paths) -> str:
    """The page of a sweep's folder, finished or not."""
    sweep, place = read_sweep(paths), paths.store
    try:
        of = results(place)
    except DataError:  # no row yet: there is nothing to read, and the rest of the page says so
        of = None
    pictures = list(_pictures(paths, sweep.drawn))
    listed = outcomes.trials(place)
    over = listed.height and not (listed["status"] == "running").any() and listed.height >= _trials_asked(sweep)
    yaml = _unsealed((paths.sweep.read() or b"").decode("utf-8-sig"))
    parts = {
        "name": paths.store.name,
        "folder": str(place),
        "sweep": sweep,
        "over": over,
        "state": status.sentence(place),
        "verdicts": _verdicts(place),
        "claims": _claims(place, [picture.name for picture in pictures]),
        "colours": COLOURS,
        "pictures": pictures,
        "board": _board(sweep, place),
        "axes": _axes(sweep),
        "setting": [] if of is None else _setting(of),
        "made": _made(paths, place, of),
        "diverged": outcomes.diverged_lines(place),
        "failures": _failures(place),
        "commands": _commands(paths, sweep),
        "yaml": yaml,
        "yaml_link": f"data:text/yaml;charset=utf-8;base64,{base64.b64encode(yaml.encode()).decode()}",
    }
    style, script = _asset("report.css"), _asset("report.js")
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'"
    return _template().render(style=style, script=script, policy=policy, **parts)


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("report.html"))


@cache
def _asset(name: str) -> str:
    return files("impray.figures").joinpath(name).read_text("utf-8")


# -- its parts --------------------------------------------------------------------------------------------------------


def _unsealed(text: str) -> str:
    """sweep.yaml as a file to change: its seal is for the folder alone."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("# Sealed by impray"))


def _trials_asked(sweep: Sweep) -> int:
    """How many trials the sweep asks for."""
    if sweep.search.trials is not None:
        return sweep.search.trials
    return math.prod(len(axis) for axis in sweep.search.space.values() if not isinstance(axis, Range))


def _pictures(paths: Paths, named: Sequence[str]) -> Iterator[Picture]:
    """Those of the figures that the sweep names, in its order, then all others."""
    wanted = [name.replace(".", "_") for name in named]
    found = [file for file in paths.figures() if file.name.endswith(".png")]
    place = {file.key: next((n for n, name in enumerate(wanted) if _is_of(file, name)), len(wanted)) for file in found}
    for file in sorted(found, key=lambda file: (place[file.key], file.name)):
        stem = file.name.removesuffix(".png")
        told = (_read(paths.figure(f"{stem}.txt")) or stem.encode()).decode("utf-8", "replace").splitlines() or [stem]
        picture = _read(file)
        if picture:
            yield Picture(stem, picture, told[0], told[1:])


def _read(file: File) -> bytes | None:
    """Raises:  DataError: it is there and cannot be read, such as a folder of that name."""
    try:
        return file.read()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); delete it, and run this again") from error


def _is_of(file: File, name: str) -> bool:
    stem = file.name.removesuffix(".png")
    return stem == name or stem.startswith(f"{name}_")


def _claims(place: Place, figures: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the table `findings` in the order of their figures, ready for the page."""
    order = pl.col("figure").replace_strict({name: n for n, name in enumerate(figures)}, default=len(figures))
    frame = tables.scan("findings", place).collect().sort(order, "figure", "number")
    return [
        row
        | {
            "ends": "" if _is_nan(row["low"]) else f"{_number(row['low'])} to {_number(row['high'])}",
            "effect_words": " ".join(filter(None, [_number(row["effect"]), _unit(row)])),
            "p_words": _number(row["p_holm"], 2),
            "counted": f"{row['held']} of {row['of']}" if row["verdict"] != NOT_MEASURED else "",
        }
        for row in frame.iter_rows(named=True)
    ]


def _unit(row: Mapping[str, Any]) -> str:
    if _is_nan(row["effect"]):
        return ""
    return "of all" if row["interval"] == "exact binomial" else row["unit"] or ""


def _verdicts(place: Place) -> list[tuple[str, int]]:
    """How many claims, controls apart, came out how."""
    frame = tables.scan("findings", place).filter(~pl.col("control")).collect()
    counts = dict(frame.group_by("verdict").len().iter_rows())
    return [(verdict, counts[verdict]) for verdict in COLOURS if verdict in counts]


def _board(sweep: Sweep, place: Place) -> dict[str, Any]:
    board = leaderboard.of(sweep, place)
    columns, constant = text.table(board)
    return {
        "heads": [(name.replace("_", "_\u200b").replace(".", ".\u200b"), right) for name, _, right in columns],
        "rows": [[_plus_minus(cell) for cell in row] for row in zip(*(cells for _, cells, _ in columns), strict=True)],
        "notes": [_plus_minus(note) for note in (*constant, *board.notes)],
    }


def _plus_minus(words: str) -> str:
    """As a page can write it, not as every terminal can."""
    return words.replace("+-", "±")


def _axes(sweep: Sweep) -> list[tuple[str, str, str]]:
    """(path, values, how many) of every axis."""
    rows = []
    for path, axis in sweep.search.space.items():
        if isinstance(axis, Range):
            rows.append((path, f"{axis.low:g} to {axis.high:g}{', logarithmic' if axis.log else ''}", "drawn"))
            continue
        shown = [_value(value) for value in axis[:MOST_VALUES]]
        more = [f"and {len(axis) - MOST_VALUES} more"] if len(axis) > MOST_VALUES else []
        rows.append((path, ", ".join([*shown, *more]), str(len(axis))))
    rows += [(path, f"as {other}", "follows") for path, other in sweep.search.follow.items()]
    seeds = ", ".join(map(str, sweep.seeds[:MOST_VALUES])) + (", ..." if len(sweep.seeds) > MOST_VALUES else "")
    rows.append(("methods", ", ".join(sweep.methods), str(len(sweep.methods))))
    rows.append(("seeds", seeds, str(len(sweep.seeds))))
    rows.append(("rounds", f"0 (dense) to {sweep.rounds}", str(sweep.rounds + 1)))
    rows.append(("measures", ", ".join(measure_name(spec) for spec in sweep.measures), str(len(sweep.measures))))
    return rows


def _setting(of: Results) -> list[tuple[str, str]]:
    """Data, network, training and pruning in words; rounds and seeds stand among the axes."""
    return [(name, words) for name, words in setting(of).items() if words and name not in ("rounds", "seeds")]


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_value(inner)}" for name, inner in value.items()) + "}"
    if hasattr(value, "model_dump"):
        return _value(value.model_dump(exclude_defaults=True))  # type: ignore[attr-defined]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _made(paths: Paths, place: Place, of: Results | None) -> list[tuple[str, str]]:
    """Versions, machines and times: of the rows themselves, and what provenance.json adds."""
    told = read_provenance(paths)
    rows: list[tuple[str, str]] = []
    if of is not None:
        frame = of.rounds
        for column, words in (
            ("version", "impray"),
            ("git_sha", "commit"),
            ("host", "machines"),
            ("device", "devices"),
        ):
            rows.append((words, ", ".join(map(str, frame[column].drop_nulls().unique().sort())) or "not known"))
        first, last = frame["written_at"].min(), frame["written_at"].max()
        if first is not None and last is not None:
            rows.append(("rows written", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"))
        seconds = frame["wall_s"].sum()
        rows.append(("computing", f"{seconds / 3600:.3g} h" if seconds > 3600 else f"{seconds:.3g} s"))
    rows += [(word, str(told[word])) for word in ("python", "platform", "id") if told.get(word)]
    rows += [
        (f"plugin {name}", f"version {about.get('version', '?')}") for name, about in told.get("plugins", {}).items()
    ]
    return rows


def _failures(place: Place) -> list[dict[str, Any]]:
    """The newest failures, with their traces."""
    frame = tables.scan("failures", place).sort("written_at", descending=True).head(MOST_FAILURES).collect()
    return list(frame.iter_rows(named=True))


def _commands(paths: Paths, sweep: Sweep) -> list[str]:
    """What makes this folder again, from its YAML or a shipped sweep that is the same, and this page."""
    name, again = paths.store.name, "again"
    file = name if _is_shipped(name, sweep) else f"{name}.yaml"
    return [
        shlex.join(["impray", "sweep", file, "--out", again]),
        shlex.join(["impray", "report", f"{again}/{name}"]),
    ]


def _is_shipped(name: str, sweep: Sweep) -> bool:
    file = shipped("sweeps") / f"{name}.yaml"
    if not file.is_file():
        return False
    try:
        return read(file.read_text("utf-8"), str(file)) == sweep
    except ImprayError:
        return False


def _is_nan(value: float | None) -> bool:
    return value is None or value != value


def _number(value: float | None, digits: int = 3) -> str:
    return "" if _is_nan(value) else f"{value:.{digits}g}"
