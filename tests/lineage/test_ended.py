"""A lineage that cannot go on ends alone: its neighbours do not notice, and it is named."""

import json
from typing import Any

import polars as pl
import pytest
from conftest import assert_same_tables, rows_of, sweep_into, tiny_pack, tiny_sweep

from impray.journey import run_pack
from impray.lineage.records import Records
from impray.lineage.scores import Scores
from impray.lineage.trunks import Trunks
from impray.results.store import opened
from impray.results.tables import scan
from impray.spec.errors import LineageError, LineagesEnded


def run(pack, folder):
    folder.mkdir(exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps({"axes": pack.axes}))
    return run_pack(pack, folder)


def broken(monkeypatch, victims, at, where="mask"):
    """Whose mask of a round, or trunk, cannot be made."""

    def mask(self, lineage, round, real=Records._mask):
        if where == "mask" and lineage.id in victims and round == at:
            raise LineageError(f"{lineage.id}, round {round}: broken on purpose")
        return real(self, lineage, round)

    def load(self, lineage, real=Trunks._load):
        if where == "trunk" and lineage.id in victims:
            raise LineageError(f"trunk {lineage.trunk}: broken on purpose")
        return real(self, lineage)

    monkeypatch.setattr(Records, "_mask", mask)
    monkeypatch.setattr(Trunks, "_load", load)


@pytest.mark.some(1)
@pytest.mark.parametrize("at", [1, 3])
def test_the_others_finish_as_they_would_alone(tmp_path, monkeypatch, at):
    pack = tiny_pack()
    victims = [pack.lineages[1].id, pack.lineages[-1].id]
    with monkeypatch.context() as patched:
        broken(patched, victims, at)
        rounds = []
        with pytest.raises(LineagesEnded, match="broken on purpose") as caught:
            for round in run(pack, tmp_path / "pack"):
                rounds.append(round)
    assert rounds == [0, 1, 2, 3] and sorted(caught.value.lineages) == sorted(victims)
    failures = scan("failures", tmp_path / "pack").collect().sort("written_at")
    assert sorted(failures["lineages"].to_list()) == sorted([victim] for victim in victims)
    assert failures["round"].to_list() == [at, at] and failures["trials"].to_list() == [[pack.lineages[0].trial.id]] * 2
    assert all("broken on purpose" in text for text in [*failures["error"], *failures["trace"]])
    of_victims = rows_of(tmp_path / "pack", "rounds").filter(pl.col("lineage").is_in(victims))
    assert of_victims["round"].max() == at - 1 and of_victims.height == 2 * at

    others = tuple(lineage for lineage in pack.lineages if lineage.id not in victims)
    list(run(pack.model_copy(update={"lineages": others}), tmp_path / "others"))
    for table in ("rounds", "units", "fates", "masks", "images"):
        found = rows_of(tmp_path / "pack", table).filter(~pl.col("lineage").is_in(victims))
        assert found.equals(rows_of(tmp_path / "others", table), null_equal=True), table

    # Mended, it goes on where it ended.
    list(run(pack, tmp_path / "pack"))
    list(run(pack, tmp_path / "whole"))
    assert_same_tables(tmp_path / "pack", tmp_path / "whole")


def test_a_trunk_that_cannot_be_read_ends_its_own_lineages(tmp_path, monkeypatch):
    pack = tiny_pack(rounds=1)
    victims = [lineage.id for lineage in pack.lineages if lineage.trunk == pack.lineages[0].trunk]
    assert 0 < len(victims) < len(pack.lineages)
    broken(monkeypatch, victims, 0, "trunk")
    with pytest.raises(LineagesEnded) as caught:
        list(run(pack, tmp_path))
    assert sorted(caught.value.lineages) == sorted(victims)
    assert set(rows_of(tmp_path, "rounds")["lineage"]) == {lineage.id for lineage in pack.lineages} - set(victims)


def test_so_does_one_whose_fates_cannot_be_told(tmp_path, monkeypatch):
    pack = tiny_pack(rounds=1)
    victim = pack.lineages[2]

    def read(self, round, real=Scores.__call__):
        if self._lineage.id == victim.id:
            raise LineageError(f"scores of {victim.id}: broken on purpose")
        return real(self, round)

    monkeypatch.setattr(Scores, "__call__", read)
    with pytest.raises(LineagesEnded):
        list(run(pack, tmp_path))
    assert set(rows_of(tmp_path, "fates")["lineage"]) == {lineage.id for lineage in pack.lineages} - {victim.id}
    assert scan("failures", tmp_path).collect()["lineages"].to_list() == [[victim.id]]


@pytest.mark.slow
def test_its_trial_has_failed_and_the_other_trials_of_the_pack_are_done(tmp_path, monkeypatch):

    sweep = tiny_sweep()  # two gains in one pack
    trials = [
        sweep.trial.model_copy(update={"data": sweep.trial.data.model_copy(update={"gain": g})}) for g in (0.1, 3.0)
    ]
    victim = trials[1].lineages(sweep.methods, sweep.seeds)[0]

    def swept(folder):
        return sweep_into(folder, sweep)

    with monkeypatch.context() as patched:
        broken(patched, [victim.id], 2)
        report, output = swept(tmp_path / "s")
    assert report.count("done") == report.count("failed") == 1 and not report.interrupted
    assert "broken on purpose" in output
    told = dict(rows_of(tmp_path / "s", "trials").select("trial", "status").rows())
    assert told == {trials[0].id: "done", trials[1].id: "failed"}
    assert scan("failures", tmp_path / "s").collect()["lineages"].to_list() == [[victim.id]]
    report, _ = swept(tmp_path / "s")
    assert report.count("done") == 2
    swept(tmp_path / "whole")
    assert_same_tables(tmp_path / "s", tmp_path / "whole", ("rounds", "units", "fates", "trials"))


def test_an_actor_and_tunes_searcher_pass_on_which_lineages_ended(tmp_path, monkeypatch):
    from impray.service.proposals import PackQueue
    from impray.service.ray import actor, search

    pack = tiny_pack()
    victim = pack.lineages[1]
    broken(monkeypatch, [victim.id], 1)
    monkeypatch.setenv("IMPRAY_WORKING_FOLDER", "")  # set by the actor; put back after the test
    (tmp_path / "provenance.json").write_text(json.dumps({"axes": pack.axes}))
    where = {"store": str(tmp_path), "epoch": 0, "working_folder": str(tmp_path), "stop_early": None, "plugins": []}
    trainable = object.__new__(actor.PackTrainable)  # Tune's own __init__ would make a folder in the home folder
    trainable._iteration = 0
    trainable.setup({"cpu": 1, "gpu": 0, "pack": pack.model_dump_json(), **where})
    told = [trainable.step() for _ in range(4)]
    assert [one["failed"] for one in told[:3]] == ["", "", ""] and told[3]["done"] and "broken" in told[3]["failed"]

    class Heard:
        def ended(self, *heard):
            self.heard = heard

    heard: Any = Heard()
    searcher = search.PackSearcher(PackQueue([pack]), heard, opened(tmp_path))
    searcher.suggest("a")
    searcher.on_trial_complete("a", told[3])
    assert heard.heard[1] == "failed" and list(heard.heard[3]) == [victim.id]
    assert len(scan("failures", tmp_path).collect()) == 1
