"""What is in a store: the sweep's experiment and its runs, brought to what is wanted.

MLflow can neither delete a point nor change a parameter. Where the tables now say something else (more seeds or rounds
were asked for), the run is deleted and made again; runs are found by the tags `impray.sweep` and `impray.trial`, not by
their MLflow ids. Tags are compared here and not in a filter, where a name with quotes cannot be written.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from impray.results import tables
from impray.results.mlflow import charts
from impray.results.mlflow.chosen import is_server
from impray.results.mlflow.identity import identity
from impray.results.mlflow.points import Point, group_of
from impray.results.mlflow.store import leftovers
from impray.results.mlflow.wanted import WantedRun, title
from impray.results.paths import Paths
from impray.scratch import scratch

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

_NOTE = "mlflow.note.content"
FINDINGS = "findings.json"
SHOWN = (
    "figure",
    "claim",
    "verdict",
    "effect",
    "low",
    "high",
    "unit",
    "held",
    "of",
    "what",
    "expected",
    "p_holm",
    "source",
    "lacking",
)
Points = Mapping[Point, tuple[float, int]]


def experiment_of(client: MlflowClient, paths: Paths, uri: str | None) -> Experiment:
    """The sweep's experiment, named after its folder, made if it is not there."""
    from mlflow.exceptions import MlflowException

    name = title(paths)
    artifacts = None if is_server(uri) else paths.mlflow_artifacts.resolve().as_uri()
    mine = {"impray.sweep": identity(paths), "mlflow.experimentKind": "custom_model_development"}
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.get_experiment(client.create_experiment(name, artifacts, mine))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # another machine was quicker
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        # With it come all runs that were ever deleted in it, also those we had replaced: `View` removes them again.
        client.restore_experiment(experiment.experiment_id)
    return experiment


def put_charts(client: MlflowClient, experiment: Experiment, sweep: str, question: str, view: str | None) -> None:
    """Keep the view of a sweep's page on its experiment, and a link to it at the start of its note, where it has none."""
    tag = charts.TAG + charts.key(sweep)
    if view is None:
        return
    if not charts.same(experiment.tags.get(tag), view):
        client.set_experiment_tag(experiment.experiment_id, tag, view)
    if not experiment.tags.get(_NOTE):  # who comes by the list of experiments lands on a page without any chart
        link = f"[{charts.NAME}](#/experiments/{experiment.experiment_id}/runs?{charts.query(sweep)})"
        client.set_experiment_tag(experiment.experiment_id, _NOTE, f"{link} {question}")


class View:
    """The sweep's runs in the store, one for each trial."""

    def __init__(self, client: MlflowClient, experiment: str, sweep: str) -> None:
        self.client, self.experiment, self.sweep = client, experiment, sweep
        # One is kept by a rule that every sync follows: two that made each a run of one trial keep the same.
        # Of other sweeps too: restoring an experiment brings back what each of them had replaced.
        kept: dict[tuple[str, str | None], Run] = {}
        for run in sorted(self._active_runs(), key=lambda run: run.info.run_id):
            key = (run.data.tags["impray.sweep"], run.data.tags.get("impray.trial"))
            if kept.setdefault(key, run) is not run:
                client.delete_run(run.info.run_id)
        self.runs = {trial: run for (name, trial), run in kept.items() if name == sweep}

    def _active_runs(self) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=1000, page_token=token)
            runs += [run for run in page if "impray.sweep" in run.data.tags]
            token = page.token
            if not token:
                return runs

    def clear(self) -> None:
        """Delete every run of the sweep."""
        for run in self.runs.values():
            self.client.delete_run(run.info.run_id)
        self.runs = {}

    def put(self, wanted: WantedRun, tags: Mapping[str, str] | None = None) -> tuple[Run, int]:
        """Bring a run to what is wanted; the run as it was found or made, and the number of points added."""
        tags = {**wanted.tags, **(tags or {}), "impray.sweep": self.sweep}
        run, news = self.runs.get(wanted.trial), wanted.points
        if run is not None:
            lacking = self._lacking(run, wanted)
            if lacking is None:
                self.client.delete_run(run.info.run_id)
                run = None
            else:
                news = lacking
        if run is None:
            run = self.client.create_run(self.experiment, wanted.start, tags, tags["mlflow.runName"])
        self._log(run, wanted, tags, news)
        return run, len(news)

    def _log(self, run: Run, wanted: WantedRun, tags: Mapping[str, str], news: Points) -> None:
        from mlflow.entities import Metric, Param, RunTag

        id, tags = run.info.run_id, {**tags, "impray.exported": _synced(wanted.points)}
        metrics = [Metric(key, value, ms, step) for (key, step), (value, ms) in news.items()]
        params = [Param(key, value) for key, value in wanted.params.items() if key not in run.data.params]
        self.client.log_batch(id, metrics, params)
        # After the points it tells of: a kill in between logs the same points again, which adds nothing.
        changed = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
        self.client.log_batch(id, tags=changed)
        if wanted.end is not None and (run.info.status, run.info.end_time) != (wanted.status, wanted.end):
            self.client.set_terminated(id, wanted.status, wanted.end)
        elif wanted.end is None and run.info.status != wanted.status:
            self.client.update_run(id, wanted.status)

    def _lacking(self, run: Run, wanted: WantedRun) -> dict[Point, tuple[float, int]] | None:
        """Points that the run does not have yet; None if it has something that cannot be changed and is not wanted."""
        if any(wanted.params.get(key) != value for key, value in run.data.params.items()):
            return None
        if wanted.end is None and run.info.end_time is not None:
            return None  # a trial that goes on again: MLflow cannot take an end back
        known = {group: (int(last), digest) for group, last, digest in _parts(run.data.tags.get("impray.exported", ""))}
        last = {group: last for group, (last, _) in known.items()}
        told = all(_digest(wanted.points, group, last) == digest for group, (last, digest) in known.items())
        # The client shows steps nowhere else. A point past those told of was logged just before a kill.
        if told and all(metric.step <= last.get(group_of(metric.key), -1) for metric in run.data._metric_objs):
            return {at: value for at, value in wanted.points.items() if at[1] > last.get(group_of(at[0]), -1)}
        # A column was measured later, or a point has changed: ask for every point, which takes some ms per metric.
        there = [
            ((metric.key, metric.step), metric.value)
            for key in run.data.metrics
            for metric in self.client.get_metric_history(run.info.run_id, key)
        ]
        if len(dict(there)) < len(there):  # logged twice, with two timestamps
            return None
        if any(at not in wanted.points or not _same(wanted.points[at][0], value) for at, value in there):
            return None
        return {at: value for at, value in wanted.points.items() if at not in dict(there)}


# -- what was synced, in one tag: last round and digest of each method and of the goals, `goal:9:5e0f36aa imp:9:c1d2e3f4`


def _synced(points: Points) -> str:
    last: dict[str, int] = {}
    for key, step in points:
        last[group_of(key)] = max(step, last.get(group_of(key), -1))
    return " ".join(f"{group}:{step}:{_digest(points, group, step)}" for group, step in sorted(last.items()))


def _parts(synced: str) -> list[list[str]]:
    """Of a tag that anyone can change: what does not read as one was never synced."""
    parts = [part.split(":") for part in synced.split()]
    return parts if all(len(part) == 3 and part[1].isdecimal() for part in parts) else []


def _digest(points: Points, group: str, last: int) -> str:
    # Fewer digits than a mean keeps, where a last bit could round either way. Without timestamps: rows that were
    # written again with the same numbers are nothing new.
    mine = sorted((at, value) for at, (value, _) in points.items() if at[1] <= last and group_of(at[0]) == group)
    text = " ".join(f"{key}@{step}={value:.9g}" for (key, step), value in mine)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _same(logged: float, wanted: float) -> bool:
    return math.isclose(logged, wanted, rel_tol=1e-8, abs_tol=1e-300)


def log_files(client: MlflowClient, run: Run, paths: Paths, figures: bool) -> None:
    """sweep.yaml, the figures and their findings, each when its content is new, or no longer there as it was logged."""
    drawn = [file for file in paths.figures() if file.name.endswith((".png", ".html"))] if figures else []
    wanted: list[tuple[str, str, bytes | None]] = [("", paths.sweep.name, paths.sweep.read())]
    wanted += [("figures", file.name, file.read()) for file in drawn]
    wanted += [("", FINDINGS, _findings(paths))] if figures else []
    leftovers(paths.mlflow_artifacts)
    for folder, name, content in wanted:
        if content is None:
            continue
        tag, digest = f"impray.file.{name}", hashlib.blake2b(content, digest_size=8).hexdigest()
        if run.data.tags.get(tag) != digest or not _there(run, Path(folder) / name, content):
            with scratch("mlflow") as aside:  # MLflow copies files only
                (aside / name).write_bytes(content)
                client.log_artifact(run.info.run_id, str(aside / name), folder or None)
            client.set_tag(run.info.run_id, tag, digest)
            if name == FINDINGS:  # what makes MLflow show it as a table
                client.set_tag(run.info.run_id, "mlflow.loggedArtifacts", json.dumps([{"path": name, "type": "table"}]))


def _findings(paths: Paths) -> bytes | None:
    """The table `findings` as MLflow's tables are kept: columns, and a list per row."""
    frame = tables.scan("findings", paths.store).select(SHOWN).collect()
    rows = [[None if value != value else value for value in row] for row in frame.iter_rows()]  # JSON has no NaN
    return json.dumps({"columns": list(SHOWN), "data": rows}).encode() if rows else None


def _there(run: Run, name: Path, content: bytes) -> bool:
    """Whether an artifact that is kept in files is whole; a server's own are believed."""
    place = urlsplit(run.info.artifact_uri)
    if place.scheme != "file":
        return True
    file = Path(unquote(place.path)) / name
    return file.is_file() and file.read_bytes() == content
