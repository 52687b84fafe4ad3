"""A sweep's runs in a store, and how they are brought to what the tables say.

MLflow can neither delete a point nor change a parameter. Where the tables now say something else (more seeds or rounds were asked
for), the run is deleted and made again. Runs are found by the tags `impray.sweep` and `impray.trial`, not by their MLflow ids; of
several with the same tags (two machines that exported at once, an experiment that was deleted and restored) one stays.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from impray.results.mlflow.wanted import Point, Wanted
from impray.results.paths import Paths

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class View:
    """The sweep's runs in the store, by trial."""

    def __init__(self, client: MlflowClient, experiment: str, sweep: str) -> None:
        self.client, self.experiment, self.sweep = client, experiment, sweep
        self.runs: dict[str | None, Run] = {}
        self.surplus: list[Run] = []
        # By id, so that two machines that tidy up the same store keep the same run.
        for run in sorted(self._active(), key=lambda run: run.info.run_id):
            trial = run.data.tags.get("impray.trial")
            if trial in self.runs:
                self.surplus.append(run)
            else:
                self.runs[trial] = run

    def _active(self) -> list[Run]:
        """Compared here, not by a filter: a folder's name may hold any quotes."""
        found, token = [], None
        while True:
            page = self.client.search_runs([self.experiment], max_results=1000, page_token=token)
            found += [run for run in page if run.data.tags.get("impray.sweep") == self.sweep]
            token = page.token
            if not token:
                return found

    def keep_only(self, trials: Collection[str | None]) -> None:
        """Delete runs that are there twice, and those of trials that the tables do not know."""
        for run in [*self.surplus, *(run for trial, run in self.runs.items() if trial not in trials)]:
            self.client.delete_run(run.info.run_id)
        self.surplus = []
        self.runs = {trial: run for trial, run in self.runs.items() if trial in trials}

    def clear(self) -> None:
        """Delete every run of the sweep."""
        self.keep_only(())

    def put(self, wanted: Wanted, tags: Mapping[str, str] | None = None) -> tuple[Run, int]:
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
        self.runs[wanted.trial] = run
        return run, len(news)

    def _log(self, run: Run, wanted: Wanted, tags: Mapping[str, str], news: Mapping[Point, tuple[float, int]]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        id, tags = run.info.run_id, {**tags, "impray.exported": _exported(wanted.points)}
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

    def _lacking(self, run: Run, wanted: Wanted) -> dict[Point, tuple[float, int]] | None:
        """Points that the run does not have yet; None if it has something that cannot be changed and is not wanted."""
        if any(run.data.params.get(key, value) != value for key, value in wanted.params.items()):
            return None
        known = {
            method: (int(last), digest) for method, last, digest in _parts(run.data.tags.get("impray.exported", ""))
        }
        if all(_digest(wanted.points, method, last) == digest for method, (last, digest) in known.items()):
            last = {method: last for method, (last, _) in known.items()}
            return {at: value for at, value in wanted.points.items() if at[1] > last.get(_method(at[0]), -1)}
        # A column was measured later, or a point has changed: ask for every point, which takes some ms per metric.
        there = {
            (metric.key, metric.step): metric.value
            for key in run.data.metrics
            for metric in self.client.get_metric_history(run.info.run_id, key)
        }
        if any(at not in wanted.points or not _same(wanted.points[at][0], value) for at, value in there.items()):
            return None
        return {at: value for at, value in wanted.points.items() if at not in there}


# -- what was exported, in one tag: last round and digest of each method, `imp:9:5e0f36aa random:7:c1d2e3f4` -----------


def _exported(points: Mapping[Point, tuple[float, int]]) -> str:
    last: dict[str, int] = {}
    for key, step in points:
        last[_method(key)] = max(step, last.get(_method(key), -1))
    return " ".join(f"{method}:{step}:{_digest(points, method, step)}" for method, step in sorted(last.items()))


def _parts(exported: str) -> list[list[str]]:
    return [part.split(":") for part in exported.split()]


def _digest(points: Mapping[Point, tuple[float, int]], method: str, last: int) -> str:
    # Fewer digits than `_mean` keeps, where a last bit could round either way. Without timestamps: rows that were
    # written again with the same numbers are nothing new.
    mine = sorted((at, value) for at, (value, _) in points.items() if at[1] <= last and _method(at[0]) == method)
    text = " ".join(f"{key}@{step}={value:.9g}" for (key, step), value in mine)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-8, abs_tol=1e-300)


def _method(key: str) -> str:
    return key.rpartition("/")[2]


def _lost(run: Run, path: Path, folder: str | None) -> bool:
    """Whether a file that was logged into a folder of this machine is not there any more as it is here."""
    place = urlparse(run.info.artifact_uri or "")
    if place.scheme != "file":
        return False
    logged = Path(url2pathname(place.path), *([folder] if folder else []), path.name)
    return not logged.is_file() or logged.read_bytes() != path.read_bytes()


def log_files(client: MlflowClient, run: Run, paths: Paths, figures: bool) -> None:
    """sweep.yaml and the figures, each when its content is new."""
    drawn = sorted([*paths.figures.glob("*.png"), *paths.figures.glob("*.html")]) if figures else []
    wanted = {paths.sweep: None} | {path: "figures" for path in drawn}
    for path, folder in wanted.items():
        tag, digest = f"impray.file.{path.name}", hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
        if run.data.tags.get(tag) != digest or _lost(run, path, folder):
            client.log_artifact(run.info.run_id, str(path), folder)
            client.set_tag(run.info.run_id, tag, digest)
