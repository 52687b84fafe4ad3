"""A tiny sweep on real photographs end to end, as a user types it: tables, figures, MLflow, leaderboard; and once more."""

import subprocess
import sys

import polars as pl
import pytest
import yaml

from impray.results.tables import scan

SWEEP = {
    "question": "does the journey arrive?",
    "trial": {
        "data": {"kind": "photographs", "shape": [8, 8], "crops": 60, "held_out": 20},
        "net": {"hidden": [6], "init": {"kind": "fan_in_normal", "scale": [0.6, 1.0]}},
        "train": {"steps": 30, "batch": 16},
        "prune": {"fraction": 0.3, "rewind_step": 5, "layers": [1]},
    },
    "seeds": 2,
    "rounds": 2,
    "measures": [
        "accuracy",
        {"rf_width": {"offset": True, "include_zero": False}},
        "clustering",
        "kurtosis",
        {"masks": {"most_connected": 4}},
    ],
    "search": {"space": {"data.gaussian_blend": [0, 1]}, "pack": ["data.gaussian_blend"]},
    "figures": ["width_by_gain", "width_by_round", "kurtosis_by_round", "masks"],
}


def impray(*words, folder):
    command = [sys.executable, "-m", "impray.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_journey(tmp_path):
    (tmp_path / "journey.yaml").write_text(yaml.safe_dump(SWEEP))
    first = impray("sweep", "journey.yaml", "--where", "here", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    out = tmp_path / "runs" / "journey"
    for name in SWEEP["figures"]:
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG"), first.stdout
        assert (out / "figures" / f"{name}.csv").stat().st_size > 0
    assert "imp" in first.stdout and "oneshot" in first.stdout and "next: impray mlflow ui" in first.stdout
    rounds = scan("rounds", out).collect()
    assert rounds.height == 2 * 3 * 2 * 3 and (rounds["status"] == "done").all()
    assert len(list((out / "tables" / "rounds").glob("*"))) == 1  # compacted
    assert_mlflow_shows(out, rounds)

    again = impray("sweep", "journey.yaml", "--where", "here", folder=tmp_path)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    status = impray("status", "runs/journey", folder=tmp_path)
    assert status.stdout.startswith("2 of 2 trials done; 36 rounds of 12 lineages")
    assert impray("top", "runs/journey", folder=tmp_path).returncode == 0


def assert_mlflow_shows(out, rounds):
    """A run per trial below the sweep's, with the means over seeds that the tables give."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id])
    trials = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(trials) == 2 and len(runs) == 3
    for run in trials:
        trial = run.data.tags["impray.trial"]
        logged = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "accuracy/imp")}
        of_imp = rounds.filter(pl.col("trial") == trial, pl.col("method") == "imp")
        means = dict(of_imp.group_by("round").agg(pl.col("accuracy").mean()).iter_rows())
        assert logged == pytest.approx(means, rel=1e-9)
