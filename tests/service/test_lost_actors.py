"""Actors that die: a pack goes on before new ones start, and is given up after its retries; lost machines do not use those up."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
from conftest import tiny
from ray.tune.experiment import Trial

from impray.results.store import opened
from impray.results.tables import scan
from impray.service import driver
from impray.service.listener import Listener
from impray.service.proposals import PackQueue
from impray.service.ray import deaths, scheduling, search
from impray.service.ray.pool import RayPool
from impray.spec.load import read

DEADLY = '''
"""Kills its process: at gain 0.2 once, at gain 0.3 always, in round 1."""
import os, pathlib
from impray.measures import Readings
from impray.plugin import Column, MeasureSpec, Member, Plugin


class Deadly(MeasureSpec):
    "Kills its process."
    reads = frozenset({"mask"})
    unit_columns = (Column("harmless", "int", "", "1"),)
    folder: str = ""


def deadly(asked, state):
    gains, once = {trial.data.gain for trial in state.trials}, pathlib.Path(asked.folder, "once")
    gain = 0.3 if 0.3 in gains else 0.2 if 0.2 in gains and not once.exists() else None
    if state.round == 1 and gain is not None:
        if gain == 0.2:
            once.touch()
        with open(pathlib.Path(asked.folder, "deaths"), "a") as file:
            print(gain, file=file)
        os.kill(os.getpid(), 9)
    return Readings(units={1: {"harmless": state.mask(1).sum(-1)}})


PLUGIN = Plugin(version="1", measures={"deadly": Member(Deadly, deadly)})
'''
GAINS = [0.2, 0.3, 1.0, 2.0, 3.0, 4.0]


class Starts(Listener):
    """Gains in the order in which packs started."""

    def __init__(self):
        self.gains = []

    def started(self, pack):
        self.gains.append(pack.lineages[0].trial.data.gain)


@pytest.mark.ray
@pytest.mark.slow
def test_a_pack_that_lost_its_actor_goes_on_first_and_one_that_kills_it_fails_alone(tmp_path, keep_ray, monkeypatch):
    from rich.console import Console

    (tmp_path / "mine.py").write_text(DEADLY)
    monkeypatch.chdir(tmp_path)
    changes = {"search.space": {"data.gain": GAINS}, "search.pack": [], "seeds": 1, "rounds": 1, "methods": ["imp"]}
    measures = ["accuracy", {"mine.deadly": {"folder": str(tmp_path)}}]
    document = tiny(**changes, measures=measures) | {"plugins": ["mine.py"]}
    sweep = read(json.dumps(document), "x", plugins=tmp_path)
    heard = Starts()
    report = driver.run(driver.Request(sweep, "x", tmp_path / "x"), RayPool(), [heard], Console(quiet=True))
    assert (report.count("done"), report.count("failed"), report.interrupted) == (5, 1, False)
    died = (tmp_path / "deaths").read_text().split()
    assert died.count("0.2") == 1 and died.count("0.3") == deaths.RETRIES + 1, heard.gains
    assert max(place for place, gain in enumerate(heard.gains) if gain == 0.2) < heard.gains.index(4.0)
    row = scan("failures", tmp_path / "x").collect().row(0, named=True)
    trial = scan("trials", tmp_path / "x").filter(pl.col("data.gain") == 0.3).collect().row(0, named=True)
    assert row["trials"] == [trial["trial"]] and trial["status"] == "failed" and row["round"] == 1
    assert row["hint"]


def test_machines_that_are_lost_do_not_use_up_retries():
    gone: set[str] = set()
    of_pack = deaths.Deaths(lambda: gone)
    for number in range(deaths.RETRIES):
        of_pack.note(f"a{number}", "m")
        of_pack.note(f"a{number}", "m")  # told twice, died once
    assert not of_pack.too_many()
    for number in range(deaths.LOSSES):
        gone.add(f"spot{number}")
        of_pack.note(f"b{number}", f"spot{number}")
        assert not of_pack.too_many()
    of_pack.note("c", "m")
    assert str(deaths.RETRIES + 1) in of_pack.too_many()
    gone.add("m")  # Ray notices late: those actors died with their machine, too
    assert str(deaths.LOSSES + deaths.RETRIES + 1) in of_pack.too_many()
    of_pack.finished_round()
    assert not of_pack.too_many()


class FakeController:
    """What a scheduler asks."""

    def __init__(self, trials):
        self.trials = trials
        self._tune_controller = self
        self._actor_manager = self
        self._trial_to_actor = {trial: trial.trial_id for trial in trials}
        self._resource_request_to_pending_actors = {"cpu": [trial.trial_id for trial in trials]}

    def get_trials(self):
        return self.trials


class FakeTrial:
    def __init__(self, trial_id, error=None, status=Trial.PENDING):
        self.trial_id, self.status, self.run_metadata = trial_id, status, SimpleNamespace(error_filename=error)
        self.placement_group_factory = "cpu"


def test_what_has_begun_is_first_in_line():
    trials = [FakeTrial("done", status=Trial.TERMINATED), FakeTrial("new"), FakeTrial("newer"), FakeTrial("lost", "e")]
    controller = FakeController(trials)
    assert scheduling.BegunFirst().choose_trial_to_run(controller).trial_id == "lost"
    assert controller._resource_request_to_pending_actors["cpu"] == ["lost", "done", "new", "newer"]
    trials[-1].status = Trial.RUNNING
    assert scheduling.BegunFirst().choose_trial_to_run(controller).trial_id == "new"


def test_a_pack_is_given_up_when_its_retries_are_used_up(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "lost_machines", set)
    monkeypatch.setattr(search, "machine_of", lambda actor: "m")
    from conftest import tiny_pack

    class Heard:
        ends = []

        def ended(self, pack, outcome, error, lineages=None):
            self.ends.append((pack.id, outcome))

        def finished_round(self, *_): ...

    class Dying(FakeTrial):
        config, max_failures, error_file = {}, -1, tmp_path / "error.txt"

    def die(actor):
        for _ in range(2):  # Tune may tell of one death twice
            with trial.error_file.open("a") as file:
                file.write(f"Failure # 1 (occurred at ...)\nThe actor died.\n\tactor_id: {actor}\nBecause.\n")
            told.on_trial_recover(0, [], trial)

    (tmp_path / "provenance.json").write_text('{"axes": {}}')
    pack, heard = tiny_pack(), Heard()
    searcher = search.PackSearcher(PackQueue([pack]), heard, opened(tmp_path), last=False)
    searcher.suggest("a")
    told, trial = search.Announcer(searcher, heard), Dying("a")
    for round in range(3):  # each round has its own
        for number in range(deaths.RETRIES):
            die(f"a{number}")
        assert "given_up" not in trial.config
        told.on_trial_result(0, [], trial, {"round": round, "failed": ""})
    for number in range(deaths.RETRIES + 1):
        die(f"b{number}")
    assert trial.config["given_up"] and trial.max_failures == 0
    searcher.on_trial_complete("a", {"round": -1, "failed": trial.config["given_up"], "unrecorded": True})
    assert heard.ends == [(pack.id, "failed")] and not searcher.lost
    assert scan("failures", tmp_path).collect()["round"].to_list() == [3]


@pytest.mark.ray
@pytest.mark.slow
def test_what_is_wrong_with_one_trial_does_not_cost_those_in_its_pack_on_ray(tmp_path, keep_ray, monkeypatch):
    from rich.console import Console

    (tmp_path / "mine.py").write_text(DEADLY.replace("os.kill(os.getpid(), 9)", "raise RuntimeError('on purpose')"))
    (tmp_path / "once").touch()
    monkeypatch.chdir(tmp_path)
    changes = {"search.space": {"data.gain": GAINS}, "seeds": 1, "rounds": 1, "methods": ["imp"]}
    measures = ["accuracy", {"mine.deadly": {"folder": str(tmp_path)}}]
    document = tiny(**changes, measures=measures) | {"plugins": ["mine.py"]}
    sweep = read(json.dumps(document), "x", plugins=tmp_path)
    report = driver.run(driver.Request(sweep, "x", tmp_path / "x"), RayPool(), [], Console(quiet=True))
    assert (report.count("done"), report.count("failed"), report.interrupted) == (5, 1, False)
    hints = scan("failures", tmp_path / "x").collect()["hint"].to_list()
    assert len(hints) >= 2 and all("mine.deadly" in hint for hint in hints)
