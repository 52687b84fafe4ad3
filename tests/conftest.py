"""Shared by all tests: one thread, tiny sweeps, one local Ray per session."""

import io
import json
import os

from impray.cache import cache

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.pop("MLFLOW_TRACKING_URI", None)
# Sweeps in processes with a home of their own compile nothing anew.
os.environ.setdefault("IMPRAY_KERNELS", str(cache() / "kernels"))

import polars as pl
import pytest
import torch
from faults.told import pytest_report_teststatus, pytest_terminal_summary  # noqa: F401 - of all tests
from rich.console import Console
from s3.fixtures import bucket, s3, s3_proxy  # noqa: F401 - fixtures of all tests

from impray.results.quantities import SECONDS
from impray.results.schema import PROVENANCE
from impray.results.tables import scan
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep

torch.set_num_threads(1)

TINY = {
    "question": "is a tiny sweep a sweep?",
    "trial": {
        "data": {"kind": "nlgp", "shape": [6, 6], "xi": [1, 2], "held_out": 40},
        "net": {"hidden": [5]},
        "train": {"steps": 20, "batch": 8, "lr": 0.2},
        "prune": {"fraction": 0.3, "rewind_step": 3},
    },
    "seeds": 2,
    "rounds": 3,
    "measures": [
        "accuracy",
        "loss",
        "density",
        "fan_in",
        {"rf_width": {"min_fan_in": 4}},
        {"clustering": {"min_fan_in": 4}},
        "spread",
        {"pieces": {"min_fan_in": 4}},
        {"kurtosis": {"at": ["start", "end"]}},
        {"ipr": {"at": ["mask", "start", "end"]}},
        "sinusoid",
        {"masks": {"most_connected": 2}},
        {"cavity": {"min_fan_in": 2}},
        {"components": {"count": 3}},
        {"inputs": {"examples": 2}},
        {"correlation": {"min_fan_in": 4, "examples": 1}},
    ],
    "search": {"space": {"data.gain": [0.1, 3.0]}, "pack": ["data.gain"]},
}


def pytest_collection_modifyitems(items):
    """For several workers (`make test`): a file is one group; those that start a Ray are two groups, which come first.

    A worker runs a group whole: fixtures of a file are made once, and not more than two Rays of these tests are up at once.
    """
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)
    for item in items:
        ray = item.get_closest_marker("ray") and (
            "ray of the service" if "service" in item.path.parts else "ray of jobs"
        )
        item.add_marker(pytest.mark.xdist_group(ray or str(item.path)))


def changed(document, changes):
    """A copy of a document with dotted changes: {"trial.train.lr": 1}."""
    import copy

    document = copy.deepcopy(document)
    for path, value in changes.items():
        place = document
        *outer, last = path.split(".")
        for word in outer:
            place = place.setdefault(word, {})
        place[last] = value
    return document


def tiny(**changes):
    """The tiny sweep as a dict, with dotted changes."""
    return changed(TINY, changes)


def tiny_sweep(**changes) -> Sweep:
    return Sweep.model_validate(tiny(**changes))


def tiny_pack(**changes) -> Pack:
    """All lineages of the tiny sweep's base trial, as one pack."""
    sweep = tiny_sweep(**changes)
    lineages = tuple(sweep.trial.lineages(sweep.methods, sweep.seeds))
    return Pack(lineages=lineages, rounds=sweep.rounds, measures=sweep.measures)


def run(pack: Pack, folder) -> list[int]:
    """All rounds of a pack, in this process; their numbers."""
    from impray.journey import run_pack

    folder.mkdir(exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps({"axes": pack.axes}))
    return list(run_pack(pack, folder))


def rounds_of(pack: Pack, folder):
    """The rounds of a pack in a folder; an error of a lineage is raised."""
    from impray.lineage.rounds import Rounds
    from impray.results.sink import FolderSink

    def ended(lineage, round, error):
        raise error

    return Rounds(pack, FolderSink(folder, pack), torch.device("cpu"), ended)


def rows_of(folder, table: str) -> pl.DataFrame:
    """A table without the columns that may differ between two runs of one sweep."""
    return scan(table, folder).drop([column.name for column in PROVENANCE], strict=False).collect()


def assert_same_tables(
    one, other, tables=("rounds", "units", "fates", "masks", "images", "histograms", "steps")
) -> None:
    for table in tables:
        a, b = rows_of(one, table), rows_of(other, table)
        assert a.height > 0 or table not in ("rounds", "units", "fates"), table
        assert a.equals(b, null_equal=True), table


def timeless(table: pl.DataFrame) -> pl.DataFrame:
    """A flat table without what a clock gave."""
    return table.filter(pl.col("quantity") != SECONDS.name) if "quantity" in table.columns else table


def sweep_into(folder, sweep, where="here", mlflow="off", address=None, width=200):
    """Run a sweep as the command line does, without figures; its report, and what was printed."""
    from impray.service import driver
    from impray.service.here import LocalPool
    from impray.service.progress import Progress
    from impray.service.ray.pool import RayPool
    from impray.service.syncing import Syncing

    output = io.StringIO()
    console = Console(file=output, width=width)
    listeners = [Progress(console)]
    if mlflow != "off":
        listeners.append(Syncing(mlflow, console.print))
    pool = LocalPool() if where == "here" else RayPool(address)
    report = driver.run(driver.Request(sweep, folder.name, folder), pool, listeners, console)
    return report, output.getvalue()


@pytest.fixture(scope="session")
def local_ray():
    """One local Ray for the whole session, as `impray sweep` starts it."""
    from impray.service.ray import pool

    pool.connect(None, tiny_sweep())
    yield
    pool.disconnect()


@pytest.fixture
def keep_ray(local_ray, monkeypatch):
    """The driver finds the session's Ray and leaves it running."""
    from impray.service.ray import pool

    monkeypatch.setattr(pool, "disconnect", lambda: None)
