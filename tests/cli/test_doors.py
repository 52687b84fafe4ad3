"""Ways out of a results folder: `impray export`, `impray top` for programs, and the Python API."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from cli.said import PROGRAM, SMALL, impray, refused, there
from conftest import tiny

import impray as package
from impray.results import flat, tables
from impray.results.paths import Paths
from impray.results.quantities import QUANTITIES
from impray.results.schema import TYPES
from impray.results.tables import scan
from impray.theory.masks import unpacked

# -- flat tables ------------------------------------------------------------------------------------------------------


def test_flat_tables_are_what_their_columns_say(whole):
    axes = tables.axes_of(Paths(whole))
    for name in flat.names():
        frame, described = flat.flat(name, whole), flat.columns(name, axes)
        assert frame.schema == {column.name: TYPES[column.type] for column in described}, name
        assert not any(kind.is_nested() for kind in frame.dtypes), name
        assert all(column.sentence for column in described), name
        if name != "findings":
            assert {"trial", "number", *axes} <= set(frame.columns), name
            assert frame["trial"].null_count() == 0 and frame["data.gain"].null_count() == 0, name


def test_a_flat_row_is_one_observation(whole):
    for name in flat.names():
        table, entry = flat._source(name)
        keys = [column.name for column in flat._keys(table, tables.axes_of(Paths(whole)))]
        further = {"quantities": ["quantity"], "goals": ["goal"], "histograms_counts": ["x_low", "y_low"]}
        keys += further.get(name, ["position"] if entry else [])
        assert flat.flat(name, whole).select(keys).is_unique().all(), name


def test_quantities_are_the_numbers_of_rounds(whole):
    rounds, long = flat.flat("rounds", whole), flat.flat("quantities", whole)
    wide = long.pivot("quantity", index=["lineage", "round"], values="value")
    known = [name for name in wide.columns if name in rounds.columns and name not in ("lineage", "round")]
    assert "accuracy" in known and set(long["quantity"]) <= set(QUANTITIES)
    both = rounds.join(wide, on=["lineage", "round"], suffix="_long")
    assert both.height == rounds.height
    for name in known:
        assert both[name].cast(pl.Float64).equals(both[f"{name}_long"], null_equal=True), name
    measured = {name for name in QUANTITIES if name in rounds.columns and rounds[name].null_count() < rounds.height}
    assert measured <= set(known)


def test_bits_come_back(whole):
    masks, bits = scan("masks", whole).collect(), flat.flat("masks_bits", whole)
    assert bits.height == 36 * masks.height
    for row in masks.iter_rows(named=True):
        same = [pl.col(name) == row[name] for name in ("lineage", "round", "layer", "unit")]
        kept = bits.filter(*same).sort("position")["bits"].to_numpy()
        assert np.array_equal(kept, unpacked(row["bits"], tuple(row["shape"])).ravel()) and kept.sum() == row["fan_in"]


def test_a_round_that_is_not_whole_is_in_no_table(whole):
    shutil.copytree(whole, "x")
    rounds = scan("rounds", "x").filter(pl.col("round") == 0).collect()
    for file in Paths("x").row_files("rounds"):
        file.delete()
    Paths("x").rows("rounds", "all-old").write(tables.parquet("rounds", rounds))
    for name in ("rounds", "units", "masks", "masks_bits", "quantities"):
        frame = flat.flat(name, "x")
        assert frame["round"].unique().to_list() == [0] and frame.height, name


# -- export -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_export_writes_every_table_as_it_is(format, whole):
    said = impray("export", whole, "--format", format, "--to", "out")
    assert said.code == 0
    names = {path.stem for path in Path("out").glob(f"*.{format}")} - {"columns"}
    assert {"rounds", "units", "quantities", "trials"} <= names and not names & set(flat.LONG)
    for name in names:
        frame = flat.flat(name, whole)
        read = pl.read_parquet(f"out/{name}.parquet") if format == "parquet" else None
        read = pl.read_csv(f"out/{name}.csv", schema=frame.schema) if read is None else read
        assert read.equals(frame, null_equal=True), name
    described = pl.read_csv("out/columns.csv")
    assert {(row[0], row[1]) for row in described.iter_rows()} >= {("rounds", "density"), ("masks_bits", "position")}


def test_export_again_replaces_its_own_files_and_nobody_elses(whole):
    assert impray("export", whole, "--to", "out", "--table", "rounds", "--table", "masks_bits").code == 0
    assert there() == {
        "out",
        *(f"out/{name}" for name in ("rounds.csv", "masks_bits.csv", "columns.csv", "export.json")),
    }
    Path("out/quantities.csv").write_text("mine")
    Path("out/notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    assert "out/quantities.csv" in refused("export", whole, "--to", "out")
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before
    Path("out/quantities.csv").unlink()
    assert impray("export", whole, "--to", "out").code == 0 and impray("export", whole, "--to", "out").code == 0
    assert Path("out/notes.txt").read_text() == "mine"
    Path("out/rounds.csv").write_text("changed by hand")
    assert "out/rounds.csv" in refused("export", whole, "--to", "out")


def test_export_into_the_place_of_another_sweep_is_refused(whole):
    other = tiny(rounds=0, seeds=1, measures=["accuracy"], methods=["imp"])
    package.run(other, "other", where="here")
    assert impray("export", "other", "--to", "out").code == 0
    assert "another sweep" in refused("export", whole, "--to", "out")
    Path("file").touch()
    assert refused("export", whole, "--to", "file")


def test_all_that_is_wrong_with_an_export_is_told(whole):
    told = refused("export", whole, "--format", "csw", "--table", "round", "--to", "ftp://x/y")
    assert all(part in told for part in ("'csv'", "'rounds'", "--to"))


# -- top for programs -------------------------------------------------------------------------------------------------


def rows_of_csv(*words):
    return list(csv.DictReader(io.StringIO(impray("top", *words, "--csv").out)))


def test_top_is_sorted_by_any_column(whole):
    shown = json.loads(impray("top", whole, "--json").out)["rows"]
    columns = [name for name in shown[0] if name != "means"] + list(shown[0]["means"])
    for column in columns:
        for words, sign in (("--ascending", 1), ("--descending", -1)):
            rows = json.loads(impray("top", whole, "--json", "--sort", column, words).out)["rows"]
            values = [row["means"][column]["mean"] if column in row["means"] else row[column] for row in rows]
            assert sorted(map(str, rows)) == sorted(map(str, shown))
            assert values == sorted(values, reverse=sign < 0), column
    best = json.loads(impray("top", whole, "--json", "--sort", "accuracy").out)["rows"]
    assert best[0]["means"]["accuracy"]["mean"] == max(row["means"]["accuracy"]["mean"] for row in shown)


def test_top_as_csv_has_the_numbers_of_json_and_nothing_else(whole):
    said = impray("top", whole, "--csv")
    shown = json.loads(impray("top", whole, "--json").out)["rows"]
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert said.err == "" and len(rows) == len(shown) == len(said.out.splitlines()) - 1
    for row, same in zip(rows, shown, strict=True):
        assert row["method"] == same["method"] and float(row["data.gain"]) == same["data.gain"]
        for name, mean in same["means"].items():
            assert float(row[name]) == mean["mean"] and int(row[f"{name}_seeds"]) == mean["seeds"]


def test_top_refuses_what_it_cannot_do(whole):
    assert "'accuracy'" in refused("top", whole, "--sort", "acuracy")
    told = refused("top", whole, "--csv", "--json", "--descending")
    assert "--csv" in told and "--sort" in told


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("words", [["top"], ["export", "--to", "out"]])
def test_a_reader_that_goes_away_is_no_traceback(words, whole):
    command, *options = words
    process = subprocess.Popen(
        [*PROGRAM, command, str(whole), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(60)


# -- from Python ------------------------------------------------------------------------------------------------------


def test_importing_the_package_loads_nothing():
    code = (
        "import sys; before = set(sys.modules); import impray; assert 'run' in dir(impray) and 'load' in dir(impray);"
        "print({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names), 'impray.api' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "{'impray'} False"


def test_what_the_package_offers_is_there_and_documented():
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
    assert not hasattr(package, "nothing")


@pytest.mark.parametrize("form", ["dict", "text", "file", "Sweep"])
def test_run_gives_the_tables_of_the_command_line(form, whole):
    Path("x.yaml").write_text(yaml.safe_dump(SMALL))
    asked = {"dict": SMALL, "text": yaml.safe_dump(SMALL), "file": "x.yaml", "Sweep": package.load(whole).sweep}[form]
    shutil.copytree(whole, "runs/x")  # finished: it is loaded
    before = scan("rounds", "runs/x").collect()
    results = package.run(asked, None if form == "file" else "runs/x", where="here")
    assert scan("rounds", "runs/x").collect().equals(before, null_equal=True)
    loaded = package.load(whole)
    assert list(results) == list(loaded) == list(flat.names()) and len(results) == len(flat.names())
    assert results.rounds.equals(loaded["rounds"], null_equal=True) and "quantities" in dir(results)
    assert results.sweep == loaded.sweep
    assert package.scan(whole)["rounds"].collect().equals(scan("rounds", whole).collect(), null_equal=True)


WRONG = tiny(**{"trial.prune.fraction": 20, "trial.data.kind": "nlpg", "rounds": -1})


@pytest.mark.parametrize("form", ["dict", "text"])
def test_run_tells_all_problems_at_once_as_the_command_line_does(form):
    Path("x.yaml").write_text(yaml.safe_dump(WRONG))
    told = refused("sweep", "x.yaml", "--where", "her")
    with pytest.raises(package.SweepError) as wrong:
        package.run(WRONG if form == "dict" else yaml.safe_dump(WRONG), where="her")
    problems = wrong.value.problems
    assert {"trial.prune.fraction", "trial.data.kind", "rounds", "where", "folder"} == {p.path for p in problems}
    assert all(problem.right in told for problem in problems if problem.path != "folder")
    assert all((problem.line is None) == (form == "dict") for problem in problems if problem.path[0] in "tr")
    assert there() == {"x.yaml"}


@pytest.mark.parametrize("asked", [{"question": object()}, {"seeds": np.int64(3)}, "nothing.yaml", Path("."), "{"])
def test_run_refuses_what_is_no_sweep(asked):
    with pytest.raises(package.SweepError):
        package.run(asked, "x", where="here")
    assert not there()


@pytest.mark.parametrize("opened", [package.load, package.scan])
def test_a_folder_that_is_no_sweeps_is_no_results(opened):
    Path("empty").mkdir()
    for place in ("empty", "nowhere"):
        with pytest.raises(package.DataError, match=place):
            opened(place)


def test_a_trial_that_fails_is_an_error_that_has_the_others(monkeypatch):
    from impray.lineage.rounds import Rounds

    def breaks(self, finished, real=Rounds.measured):
        if finished.lineages[0].trial.data.gain == 3.0:
            raise MemoryError("no room")
        return real(self, finished)

    monkeypatch.setattr(Rounds, "measured", breaks)
    changes = {"search.pack": [], "rounds": 0, "seeds": 1, "measures": ["accuracy"], "methods": ["imp"]}
    with pytest.raises(package.TrialsFailed) as failed:
        package.run(tiny(**changes), "x", where="here")
    results = failed.value.results
    assert results.trials["status"].to_list() == ["done", "failed"]
    assert results.rounds["data.gain"].to_list() == [0.1]
    (row,) = results.failures.iter_rows(named=True)
    assert row["data.gain"] == 3.0 and row["number"] == 1 and "MemoryError" in row["error"]
    assert "breaks" in row["trace"] and "memory" in row["hint"]
    said = impray("failures", "x")
    assert "trial 1 (data.gain=3)" in said.out and row["hint"] in said.out
