"""What the tables say should be in MLflow: a parent run for the sweep, a child run per trial.

Its metrics are in `points`. Timestamps come from the rows (`written_at`), so syncing again adds nothing.
"""

from __future__ import annotations

import colorsys
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from impray.results import outcomes, tables
from impray.results.mlflow.points import Point, goal_points, round_points
from impray.results.paths import Paths
from impray.spec.measure import measure_name
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

STATUS = {"done": "FINISHED", "diverged": "FAILED", "stopped": "KILLED", "failed": "FAILED"}  # all else is RUNNING
PARAM_LENGTH = 500


@dataclass(frozen=True)
class WantedRun:
    """One run as it should be; times in ms. `trial` is None for the sweep's own run."""

    trial: str | None
    start: int
    end: int | None
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    points: dict[Point, tuple[float, int]] = field(default_factory=dict)  # -> value, timestamp


def runs(paths: Paths, sweep: Sweep) -> list[WantedRun]:
    """The sweep's own run, then one per trial in the order of their numbers.

    Raises:  DataError: a table cannot be read.
    """
    children = _children(paths, sweep)
    return [_parent(paths, sweep, children), *children]


def _now(paths: Paths) -> int:
    """When sweep.yaml was written, in ms, where nothing has run yet; in a bucket, now."""
    return int((paths.sweep.path.stat().st_mtime if paths.store.local is not None else time.time()) * 1000)


def title(paths: Paths) -> str:
    """What the sweep is called in a store: its folder's name."""
    return paths.store.name


def _parent(paths: Paths, sweep: Sweep, children: list[WantedRun]) -> WantedRun:
    ends = [child.end for child in children if child.end is not None]
    over = bool(children) and len(ends) == len(children)
    statuses = [child.tags["impray.status"] for child in children]
    start = min((child.start for child in children), default=_now(paths))
    tags = {
        "mlflow.runName": title(paths),
        "mlflow.note.content": sweep.question,
        "impray.question": sweep.question,
        **_findings(paths),
        "impray.trials": ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses)))
        or "none yet",
    }
    params = {
        "measures": _text([measure_name(measure) for measure in sweep.measures]),
        "search": sweep.search.algorithm,
    }
    params |= {
        f"space.{path}": _text(json.loads(sweep.search.model_dump_json())["space"][path]) for path in sweep.search.space
    }
    status = ("FAILED" if "failed" in statuses else "FINISHED") if over else "RUNNING"
    return WantedRun(None, start, max(ends) if over else None, status, {**_shared_params(sweep), **params}, tags)


def _findings(paths: Paths) -> dict[str, str]:
    """A tag per figure: its main claim with its verdict, and how many claims came out how."""
    findings = tables.scan("findings", paths.store).collect()
    tags = {}
    for (figure,), part in findings.group_by("figure", maintain_order=True):
        main = next((row for row in part.iter_rows(named=True) if not row["control"]), part.row(0, named=True))
        counts = ", ".join(f"{count} {word}" for word, count in part["verdict"].value_counts(sort=True).iter_rows())
        tags[f"impray.findings.{figure}"] = f"{main['claim']}: {main['verdict']} (of {len(part)} claims: {counts})"[
            :PARAM_LENGTH
        ]
    return tags


def _shared_params(sweep: Sweep) -> dict[str, str]:
    return {"rounds": _text(sweep.rounds), "methods": _text(sweep.methods), "seeds": _seeds(sweep)}


def _seeds(sweep: Sweep) -> str:
    """How many, or a list, as in the YAML."""
    counted = list(sweep.seeds) == list(range(len(sweep.seeds)))
    return _text(len(sweep.seeds) if counted else sweep.seeds)


def _children(paths: Paths, sweep: Sweep) -> list[WantedRun]:
    """One run per row of the table `trials`, in the order of their numbers."""
    axes = tables.axes_of(paths)
    points, first = round_points(paths, sweep)
    listed = outcomes.trials(paths.store)
    of_goals = goal_points(paths, sweep, listed)
    wanted = []
    for row in listed.iter_rows(named=True):
        written = int(row["written_at"].timestamp() * 1000)
        tags = {
            "mlflow.runName": _name(row, axes),
            "mlflow.note.content": sweep.question,
            "impray.trial": row["trial"],
            "impray.number": f"{row['number']:05d}",  # MLflow sorts tags as text
            "mlflow.runColor": _colour(row["number"]),
            "impray.status": row["status"],
            **({"impray.diverged": f"{row['diverged']}/{len(row['lineages'])}"} if row["diverged"] else {}),
            **{f"impray.{name}": row[name] for name in ("version", "host", "device") if row[name]},
            **({"mlflow.source.git.commit": row["git_sha"]} if row["git_sha"] else {}),
        }
        status = STATUS.get(row["status"], "RUNNING")
        start, end = min(written, first.get(row["trial"], written)), None if status == "RUNNING" else written
        params = {**_trial_params(row, axes), **_shared_params(sweep)}
        metrics = points.get(row["trial"], {}) | of_goals.get(row["trial"], {})
        wanted.append(WantedRun(row["trial"], start, end, status, params, tags, metrics))
    return wanted


def _name(row: Mapping[str, Any], axes: Mapping[str, str]) -> str:
    """`gain=1 fraction=0.2`; whole paths where two axes end alike; the trial's id where there is no axis."""
    given = [path for path in axes if row[path] is not None]
    last = [path.rpartition(".")[2] for path in given]
    words = given if len(set(last)) < len(last) else last
    shown = [f"{row[path]:.4g}" if isinstance(row[path], float) else str(row[path]) for path in given]
    return " ".join(f"{word}={value}" for word, value in zip(words, shown, strict=True))[:200] or row["trial"]


def _colour(number: int) -> str:
    """Of a trial's lines: the golden ratio keeps hues apart however many there are. MLflow's own, by run id, repeat."""
    hue = (0.6 + number * 0.618034) % 1
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.4 + 0.15 * (number % 2), 0.65))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _trial_params(row: Mapping[str, Any], axes: Mapping[str, str]) -> dict[str, str]:
    """Every field of the trial by its dotted path, defaults included."""
    description = json.loads(row["description"])
    try:
        description = Trial.model_validate(description).model_dump(mode="json")
    except ValidationError:
        pass  # written by another version of impray: its fields without the defaults are still right
    return {**{path: _text(row[path]) for path in axes if row[path] is not None}, **_flat(description)}


def _flat(value: Any, path: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {path: _text(value)}
    fields: dict[str, str] = {}
    for name, part in value.items():
        fields |= _flat(part, f"{path}.{name}" if path else name)
    return fields


def _text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:PARAM_LENGTH]
