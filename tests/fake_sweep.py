"""A sweep's folder whose tables are written by hand, and what a reader of its MLflow store sees."""

import json
from dataclasses import dataclass
from pathlib import Path

from impray.results import goals, mlflow, tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.spec.base import canonical
from impray.spec.data import Nlgp
from impray.spec.trial import Trial

AXES = {"data.gain": "float"}


@dataclass
class Fake:
    """A sweep's folder whose tables are written by hand."""

    folder: Path
    gains: tuple[float, ...] = (0.5, 2.0)
    methods: tuple[str, ...] = ("imp", "random")
    seeds: int = 2
    rounds: int = 2
    goals: tuple[str, ...] = ()  # as in the YAML

    def __post_init__(self):
        self.paths = Paths(self.folder)
        self.trials = [Trial(data=Nlgp(gain=gain)) for gain in self.gains]
        self.describe()
        self.paths.provenance.write(json.dumps({"sweep": "fake", "axes": AXES}).encode())
        for number in range(len(self.trials)):
            self.trial(number, "running")

    def describe(self):
        text = f"""
question: Does the exporter tell the truth?
trial: {{data: {{kind: nlgp}}}}
methods: [{", ".join(self.methods)}]
seeds: {self.seeds}
rounds: {self.rounds}
measures: [accuracy, loss]
search: {{space: {{data.gain: {list(self.gains)}}}, goals: [{", ".join(self.goals)}]}}
"""
        self.paths.sweep.write(text.encode())

    def lineages(self, number):
        return self.trials[number].lineages(self.methods, tuple(range(self.seeds)))

    def trial(self, number, status, **columns):
        trial = self.trials[number]
        row = {
            "trial": trial.id,
            "number": number,
            "data.gain": trial.data.gain,
            "status": status,
            "rounds": self.rounds,
            "lineages": [lineage.id for lineage in self.lineages(number)],
            "description": json.dumps(canonical(trial)),
            "goal_names": [goals.label(goal) for goal in read_sweep(self.paths).search.goals],
            **columns,
        }
        tables.write(self.paths, "trials", f"{number}-{trial.id}", [row], AXES)

    def round(self, number, round, *, skip=(), file="", **columns):
        """Rows of a round: `columns` are values or functions of (method, seed); `skip` names lineages without a row."""
        rows = []
        for lineage in self.lineages(number):
            if (lineage.method, lineage.seed) in skip:
                continue
            row = {
                "lineage": lineage.id,
                "round": round,
                "method": lineage.method,
                "seed": lineage.seed,
                "trial": lineage.trial.id,
                "data.gain": lineage.trial.data.gain,
                "status": "done",
                "density": 0.8**round,
                "accuracy": 0.5 + 0.1 * lineage.seed,
                "wall_s": 1.0,
            }
            for name, value in columns.items():
                row[name] = value(lineage.method, lineage.seed) if callable(value) else value
            rows.append(row)
        tables.write(self.paths, "rounds", f"{number}-{round}-{file}", rows, AXES)


def client(fake, uri=None):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=mlflow.store_uri(fake.paths, uri))


def runs(fake, uri=None):
    """trial -> run; the sweep's own run is None."""
    there = client(fake, uri)
    experiment = there.get_experiment_by_name(fake.folder.name)
    return {run.data.tags.get("impray.trial"): run for run in there.search_runs([experiment.experiment_id])}


def histories(fake, uri=None):
    """(trial, metric) -> [(step, value, timestamp)], from the store."""
    there = client(fake, uri)
    return {
        (trial, key): sorted((m.step, m.value, m.timestamp) for m in there.get_metric_history(run.info.run_id, key))
        for trial, run in runs(fake, uri).items()
        for key in run.data.metrics
    }


def contents(fake):
    """All that a reader of the store sees, but MLflow's own ids."""
    mine = {}
    for trial, run in runs(fake).items():
        tags = {key: value for key, value in run.data.tags.items() if key != "mlflow.parentRunId"}
        mine[trial] = (run.info.run_name, run.info.status, run.info.end_time, run.data.params, tags)
    return mine
