"""Driver and sink agree on what is done, whatever is left of a folder; what they think is done is written."""

import json
import random

import pytest
from conftest import heavier, tiny_sweep
from polars import col

from impray.results import ledger
from impray.results.ledger import Fates, Ledger, Measured, Round
from impray.results.paths import Paths
from impray.results.rows import keys
from impray.results.schema import TABLES
from impray.results.sink import FolderSink
from impray.results.tables import scan
from impray.service.plan import axis_types, listed, pack_of, packs

TABLE_OF = {
    "fan_in": "units",
    "masks": "masks",
}  # measure -> the table besides `rounds` where it has rows in every round


def asks(rounds, measures=()):
    return tiny_sweep(rounds=rounds, measures=["density", *measures], seeds=1, methods=["imp", "random"])


def random_sweep(chance):
    cavity = {"cavity": {"min_fan_in": chance.choice([2, 3])}}
    return asks(chance.randrange(6), chance.sample(["accuracy", "fan_in", "masks", cavity], chance.randrange(5)))


def diverges_in(lineage):
    """The same round in every run; in most lineages one that is never reached."""
    return int(lineage.id, 16) % 10


class Killed(Exception):
    pass


def journey(folder, pack, kill_at=99):
    """What a run of a pack does to a folder, without the numbers; returns the pack's sink. `kill_at`: dies before that write."""
    sink, writes = FolderSink(folder, pack), iter(range(99))

    def alive():
        if next(writes) == kill_at:
            raise Killed

    for round in range(pack.rounds + 1):
        left = [one for one in pack.lineages if not sink.done(one, round)]
        if left:
            alive()
            sink.write(round, rows_of_round(pack, left, round))
    for lineage in pack.lineages:
        if not sink.fates_done(lineage):
            alive()
            sink.write_fates(lineage, rows_of_fates(pack, lineage, sink.last_round(lineage)))
    return sink


def rows_of_round(pack, lineages, round):
    of_units = {TABLE_OF.get(measure.name) for measure in pack.measures} - {None}
    rows = {table: [] for table in ("rounds", "units", "masks", "images", "histograms", "steps")}
    for lineage in lineages:
        shared = keys(pack, lineage) | {"round": round}
        trained = pack.trains(lineage, round)
        status = "diverged" if trained and diverges_in(lineage) == round else "done"
        told = {"status": status, "trained": trained, "density": 1.0, "measured": str(Measured(pack.asked))}
        rows["rounds"].append(shared | told)
        for table in of_units if status == "done" else ():
            rows[table] += [shared | {"layer": 1, "unit": unit} for unit in range(2)]
    return rows


def rows_of_fates(pack, lineage, last):
    measured = str(Measured(pack.asked_of_fates))
    return [
        keys(pack, lineage) | {"round": round, "layer": 1, "fate": fate, "weights": 1, "measured": measured}
        for round in range(last + 1)
        for fate in (*range(round + 1, last + 1), 0)
    ]


def planned(sweep, folder):
    return packs(sweep, listed(sweep), ledger.read(folder), axis_types(sweep), 1)


def nothing_left(sink, lineage):
    """As the sink tells the rounds and the fates."""
    return all(sink.done(lineage, round) for round in range(sink.pack.rounds + 1)) and sink.fates_done(lineage)


def new(path):
    path.mkdir()
    (path / "provenance.json").write_text(json.dumps({"axes": {"data.gain": "float"}}))
    return path


def rows_there(folder, lineages):
    """(table, lineage, round, how many rows) of all rounds, and (lineage, round) of those that trained."""
    own = col("lineage").is_in(lineages)
    yield from scan("rounds", folder).filter(own, col("trained")).select("lineage", "round").collect().iter_rows()
    for table in ("rounds", *TABLE_OF.values()):
        for row in scan(table, folder).filter(own).group_by("lineage", "round").len().collect().iter_rows():
            yield table, *row


@pytest.mark.some(3)
@pytest.mark.parametrize("seed", heavier(range(16), range(8)))
def test_driver_and_sink_agree_on_any_folder_and_what_is_left_is_done_once(tmp_path, seed):
    chance, folder = random.Random(seed), new(tmp_path / "any")
    for _ in range(chance.randrange(1, 5)):
        for pack in planned(random_sweep(chance), folder):
            try:
                journey(folder, pack, chance.randrange(1, 12))
            except Killed:
                break
        files = [file.path for table in TABLES for file in Paths(folder).row_files(table)]
        for path in chance.sample(files, min(len(files), chance.randrange(3))):
            path.unlink()
    sweep = random_sweep(chance)
    left = {lineage.id for pack in planned(sweep, folder) for lineage in pack.lineages}
    there = ledger.read(folder)
    for trial in listed(sweep):
        sink = FolderSink(folder, pack_of(sweep, trial.lineages, there, axis_types(sweep)))
        for lineage in trial.lineages:
            assert nothing_left(sink, lineage) == (lineage.id not in left)
    for pack in planned(sweep, folder):
        sink = journey(folder, pack)
        again = ledger.read(folder, [lineage.id for lineage in pack.lineages])
        assert (again.rounds, again.fates) == (sink.ledger.rounds, sink.ledger.fates)
    assert planned(sweep, folder) == []
    fresh = new(tmp_path / "fresh")
    for pack in planned(sweep, fresh):
        journey(fresh, pack)
    # One that diverged has ended, also for sweeps that would not have trained it in that round.
    well = [lineage.id for trial in listed(sweep) for lineage in trial.lineages if there.diverged(lineage) is None]
    assert set(rows_there(fresh, well)) <= set(rows_there(folder, well))


def lineage_that_diverges_late():
    pack = pack_of(asks(2), listed(asks(2))[0].lineages, Ledger(), {})
    rows = {round: Round("diverged" if round == 4 else "done", Measured(pack.asked), True) for round in range(5)}
    return pack, pack.lineages[0], rows


def test_what_a_longer_sweep_ran_into_does_not_matter_to_a_shorter_one():
    """Round 4 diverged, and has not what is asked for now: that is after the last round that is asked for."""
    pack, lineage, rows = lineage_that_diverges_late()
    rows[4] = Round("diverged", Measured(), True)
    assert Ledger({lineage.id: rows}, {lineage.id: Fates(4)}).complete(lineage, pack)


def test_fates_that_know_fewer_rounds_than_there_are_rows_are_not_done():
    pack, lineage, rows = lineage_that_diverges_late()
    assert not Ledger({lineage.id: rows}, {lineage.id: Fates(2)}).complete(lineage, pack)


@pytest.mark.parametrize("digests", [{}, {"accuracy": "f1621cb3"}, {"b": "2", "a": "1", "mine.measure": "3"}])
def test_what_was_measured_is_read_as_it_was_written(digests):
    assert Measured.parse(str(Measured(digests))) == Measured(digests)


def test_measured_covers_what_it_contains():
    measured = Measured.parse("accuracy:1 axes:3 rf_width:2")
    assert measured.covers({"accuracy": "1"}) and measured.covers({"rf_width": "2", "axes": "3"})
    assert not measured.covers({"rf_width": "other"}) and not measured.covers({"loss": "1"})
    assert str(measured | Measured({"accuracy": "9"})) == "accuracy:9 axes:3 rf_width:2"
