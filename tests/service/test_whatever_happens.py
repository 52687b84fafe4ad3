"""Tables depend on the YAML alone, whatever was stopped, killed, retried or packed otherwise on the way (grid and random search)."""

import random

import pytest
from conftest import assert_same_tables, rows_of, sweep_into, timeless, tiny_sweep
from polars.testing import assert_frame_equal

from impray.lineage.rounds import Rounds
from impray.results import flat
from impray.results.store.folder import Folder
from impray.service.here import LocalPool

TABLES = ("rounds", "units", "fates", "masks", "images", "histograms", "steps")
CHEAP = {"measures": ["accuracy", "fan_in", {"masks": {"most_connected": 1}}], "rounds": 2, "methods": ["imp"]}
GRID = {"search.space": {"data.gain": [0.1, 3.0], "prune.fraction": [0.2, 0.3]}}
RANDOM = {
    "search": {
        "algorithm": "random",
        "trials": 3,
        "seed": 5,
        "space": {"data.gain": {"low": 0.1, "high": 10, "log": True}},
    }
}


class Killed(BaseException):
    """No handler of ours catches it: what is on disk is what a kill -9 leaves."""


class Hazard:
    """Ends a run at one of its writes, or fails one of its measurings; or changes who shares a pack. All drawn from one seed."""

    def __init__(self, rng: random.Random, monkeypatch) -> None:
        self.writes_left, self.measurings_left = None, None
        kind = rng.choice(["kill", "stop", "error"])
        if kind == "kill":
            self.writes_left = rng.randint(1, 30)
        elif kind == "error":
            self.measurings_left = rng.randint(0, 3)
        elif kind == "stop":
            self.stop_after = rng.randint(0, 3)
        self.kind, self.slots = kind, rng.randint(1, 4)
        self.pack = rng.choice([[], ["data.gain"]])
        self.patch(monkeypatch)

    def patch(self, patched) -> None:
        write, measured, finished = Folder.write, Rounds.measured, [0]

        def writes(store, key, content):
            if self.writes_left is not None:
                self.writes_left -= 1
                if self.writes_left < 0:
                    raise Killed
            write(store, key, content)

        def measures(rounds, state):
            if self.measurings_left is not None:
                self.measurings_left -= 1
                if self.measurings_left < 0:
                    self.measurings_left = None
                    raise RuntimeError("on purpose")
            if self.kind == "stop":
                finished[0] += 1
                if finished[0] > self.stop_after:
                    raise KeyboardInterrupt
            return measured(rounds, state)

        patched.setattr(Folder, "write", writes)
        patched.setattr(Rounds, "measured", measures)
        patched.setattr(LocalPool, "open", lambda pool, sweep: self.slots)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folders of both sweeps, run in one go."""
    out = tmp_path_factory.mktemp("undisturbed")
    for name, search in (("grid", GRID), ("random", RANDOM)):
        sweep_into(out / name, tiny_sweep(**{**CHEAP, **search, "search.pack": []}))
    return out


@pytest.mark.some(1)
@pytest.mark.parametrize(("name", "seed"), [("grid", 0), ("grid", 1), ("random", 2)])
def test_tables_depend_on_the_sweep_alone(name, seed, tmp_path, monkeypatch, undisturbed):
    rng, met = random.Random(seed), []
    search = {"grid": GRID, "random": RANDOM}[name]
    for _ in range(2):
        with monkeypatch.context() as patched:
            hazard = Hazard(rng, patched)
            sweep = tiny_sweep(**{**CHEAP, **search, "search.pack": hazard.pack})
            try:
                report, _ = sweep_into(tmp_path / name, sweep)
                met.append("stopped" if report.interrupted else "failed" if report.count("failed") else "done")
            except Killed:
                met.append("killed")
    report, _ = sweep_into(tmp_path / name, tiny_sweep(**{**CHEAP, **search, "search.pack": []}))
    assert not report.interrupted and set(report.outcomes.values()) == {"done"} and "done" not in met, met
    assert_same_tables(tmp_path / name, undisturbed / name, TABLES)
    assert rows_of(tmp_path / name, "trials").equals(rows_of(undisturbed / name, "trials"), null_equal=True)
    for table in ("quantities", "trials", "masks_bits"):
        assert_frame_equal(timeless(flat.flat(table, tmp_path / name)), timeless(flat.flat(table, undisturbed / name)))
