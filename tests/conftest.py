"""Shared by all tests: one thread, tiny sweeps, one local Ray."""

import io
import json
import os
import zlib

import shapes

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


# What takes longest, first: nothing long is left to one worker at the end. Those who begin with `training` compile other kernels than the
# sweeps on Ray beside them, so little is compiled twice.
LONGEST = (
    "training/test_small.py",
    "training",
    "results/store",  # waits, while others compute
    "service",
    "lineage",
    "cli",
    "kernels",
    "data",
    "results",
)
# Where shapes are checked (`shapes`). Whole sweeps do without it, which would double what they take: their parts are tested here.
CHECKED = (
    "test_families.py",
    *(f"lineage/test_{name}.py" for name in ("fates", "followers", "mixed_pack", "module_pack", "pruned", "solved")),
    "training",
    "kernels",
    "data",
    "measures",
    "masks",
    "nets",
    "theory",
    "gpu",
)


# Files whose tests share the local Ray, and files that start Rays of their own: one after the other.
TOGETHER = (
    ("service/test_sweep.py", "service/test_packing.py", "service/doctor/test_here.py", "plugins/test_installed.py"),
    ("service/test_local_sweep.py", "service/test_warden.py", "service/doctor/test_command.py"),
)


def below(file: str, places) -> int:
    """The number of the first of these files and folders, of `tests`, that is this file or has it; their count if none is."""
    place = file.removeprefix("tests/")
    return next((n for n, one in enumerate(places) if f"{place}/".startswith(f"{one}/")), len(places))


def pytest_collection_modifyitems(items):
    """Those that start a Ray come first; of tests marked `some(n)` all cases but n are among the slow ones."""
    by_test = {}
    for item in items:
        if item.get_closest_marker("some") is not None and item.get_closest_marker("slow") is None:
            by_test.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in by_test.values():
        (count,) = cases[0].get_closest_marker("some").args
        few = spread([case.nodeid for case in cases], count)
        for case in cases:
            if case.nodeid not in few:
                case.add_marker(pytest.mark.slow)
    ray = [file for files in TOGETHER for file in files]
    items.sort(key=lambda item: (below(file_of(item), ray) == len(ray), below(file_of(item), LONGEST)))


def spread(ids, count: int) -> list[str]:
    """So many of the cases of a test, by their ids alone: always the one that brings most values that none before it had.

    Of equals the one with the smallest checksum is taken, so what comes first in a file is not preferred.
    """
    values = {id: set(enumerate(id.partition("[")[2].removesuffix("]").split("-"))) for id in ids}
    left, chosen, seen = sorted(ids, key=lambda id: zlib.crc32(id.encode())), [], set()
    while left and len(chosen) < count:
        best = max(left, key=lambda id: len(values[id] - seen))
        left.remove(best)
        chosen.append(best)
        seen |= values[best]
    return chosen


def file_of(item) -> str:
    return item.nodeid.partition("::")[0]


def group_of(id: str) -> str:
    """What one worker runs whole, by a test's id: its file, or the first of those that share a Ray with it."""
    file = id.partition("::")[0]
    return next((files[0] for files in TOGETHER if below(file, files) < len(files)), file)


@pytest.hookimpl(optionalhook=True)  # where xdist is there
def pytest_xdist_make_scheduler(config, log):
    """For `--dist loadfile` (`make test`): a worker runs a file whole, so its fixtures are made once, and files of one Ray, too.

    By names alone: xdist's own groups travel in the ids of tests, which pytest 9.2 no longer lets it change.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Files(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    unchecked = below(file_of(item), CHECKED) == len(CHECKED) or item.get_closest_marker("unchecked_shapes") is not None
    shapes.Checks.begin(not unchecked)
    return (yield)


def heavier(cases, few):
    """All cases of a test; in `make test` a few."""
    return [case if case in few else pytest.param(case, marks=pytest.mark.slow) for case in cases]


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


class Local:
    """The local Ray of the tests that share one."""

    on = False


@pytest.fixture
def local_ray():
    """One local Ray, as `impray sweep` starts it, for all tests of a group. Idle it would cost some 7 % of a core to the end."""
    from impray.service.ray import pool

    if not Local.on:
        pool.connect(None, tiny_sweep())
        Local.on = True


@pytest.hookimpl(trylast=True)  # after the test's own fixtures, one of which keeps it
def pytest_runtest_teardown(item, nextitem):
    if Local.on and (nextitem is None or group_of(nextitem.nodeid) != group_of(item.nodeid)):
        from impray.service.ray import pool

        pool.disconnect()
        Local.on = False


@pytest.fixture
def keep_ray(local_ray, monkeypatch):
    """The driver finds that Ray and leaves it running."""
    from impray.service.ray import pool

    monkeypatch.setattr(pool, "disconnect", lambda: None)
