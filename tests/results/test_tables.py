"""Tables: whole files only, the latest row of a key counts, foreign files are refused, schemas are explicit."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from impray.results import tables
from impray.results.files import locked, write
from impray.results.paths import Paths
from impray.results.rows import covers, measured, summaries
from impray.results.schema import KEYS, TABLES, TYPES, columns, schema
from impray.spec.errors import DataError, SweepError

AXES = {"data.gain": "float"}


def row(lineage="a", round=0, **more):
    return {"lineage": lineage, "round": round, "method": "imp", "seed": 0, "status": "done", "density": 1.0, **more}


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "provenance.json").write_text(json.dumps({"axes": AXES}))
    return Paths(tmp_path)


def put(paths, file, *rows):
    tables.write(paths, "rounds", file, rows, AXES)


def test_rows_come_back(paths):
    put(
        paths,
        "x",
        row(accuracy=0.5, density_by_layer=[1.0, 0.5], **{"data.gain": 3.0}),
        row(round=1, accuracy=float("nan")),
    )
    found = tables.scan("rounds", paths.folder).collect()
    assert found["accuracy"][0] == 0.5 and found["data.gain"].to_list() == [3.0, None]
    assert found["accuracy"].is_nan()[1] and found["loss"].null_count() == 2  # NaN is undefined, null is not measured
    assert found["density_by_layer"][0].to_list() == [1.0, 0.5]


def test_of_two_rows_with_one_key_the_later_counts(paths):
    early = datetime(2026, 1, 1, tzinfo=UTC)
    put(paths, "b", row(accuracy=0.2, written_at=early + timedelta(hours=1)))
    put(paths, "a", row(accuracy=0.1, written_at=early))
    assert tables.scan("rounds", paths.folder).collect()["accuracy"].to_list() == [0.2]


def test_compaction_changes_no_row(paths):
    for n in range(5):
        put(paths, f"f{n}", row(round=n, accuracy=n / 10))
    before = tables.scan("rounds", paths.folder).collect()
    tables.compact(paths.folder)
    assert len(list(paths.table("rounds").glob("*"))) == 1
    assert tables.scan("rounds", paths.folder).collect().equals(before, null_equal=True)
    put(paths, "f9", row(round=9))
    tables.compact(paths.folder)
    assert tables.scan("rounds", paths.folder).collect()["round"].to_list() == [0, 1, 2, 3, 4, 9]


def test_a_file_of_an_older_schema_is_read_with_nulls(paths):
    old = pl.DataFrame([tables.provenance() | row()]).drop("density")
    write(paths.rows("rounds", "old"), tables.parquet(old.with_columns(pl.lit(1.0).alias("a_column_of_old"))))
    put(paths, "new", row(round=1))
    found = tables.scan("rounds", paths.folder).collect()
    assert found["density"].to_list() == [None, 1.0] and found.schema == pl.Schema(schema("rounds", AXES))


@pytest.mark.parametrize("content", [b"hello", b"", b"PAR1 cut off"])
@pytest.mark.parametrize("name", ["rounds/notes.txt", "rounds/x.parquet", "stray.parquet", "other/x.parquet"])
def test_foreign_files_are_refused_by_name(paths, name, content):
    write(paths.tables / name, content)
    with pytest.raises(SweepError, match=name):
        tables.check(paths.folder)


def test_a_parquet_file_that_is_not_ours_is_refused(paths):
    paths.table("rounds").mkdir(parents=True)
    pl.DataFrame({"lineage": ["a"], "round": [1]}).write_parquet(paths.rows("rounds", "theirs"))
    with pytest.raises(SweepError, match="theirs.parquet"):
        tables.check(paths.folder)


def test_what_a_kill_leaves_behind_is_tidied_and_never_read(paths):
    put(paths, "x", row())
    left = paths.table("rounds") / "y.parquet.host-1.part"
    left.write_bytes(b"half a fi")
    assert tables.scan("rounds", paths.folder).collect().height == 1
    tables.check(paths.folder)
    assert not left.exists()


def test_unknown_tables_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="rownds"):
        tables.scan("rownds", tmp_path)
    with pytest.raises(DataError, match="nowhere"):
        tables.scan("rounds", tmp_path / "nowhere")


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_described_and_keyed(table):
    names = [column.name for column in columns(table, AXES)]
    assert len(names) == len(set(names)) and set(KEYS[table]) <= set(names)
    assert all(column.type in TYPES and column.sentence for column in columns(table, AXES))
    assert "written_at" in names


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    with locked(tmp_path / "x.lock") as first:
        assert first
        with locked(tmp_path / "x.lock", wait=False) as second:
            assert not second
    with locked(tmp_path / "x.lock", wait=False) as again:
        assert again


def test_measured_covers_what_it_contains():
    text = measured({"accuracy": "1", "rf_width": "2", "axes": "3"})
    assert covers(text, {"accuracy": "1"}) and covers(text, {"rf_width": "2", "axes": "3"})
    assert not covers(text, {"rf_width": "other"}) and not covers(text, {"loss": "1"})


def test_summaries_leave_undefined_units_out():
    units = [{"layer": 1, "unit": u, "rf_width_x_px": v} for u, v in enumerate([1.0, 4.0, float("nan"), 2.5])]
    found = summaries([*units, {"layer": 2, "unit": 0, "rf_width_x_px": 99.0}])
    assert found == {"rf_width_x_px_mean": 2.5, "rf_width_x_px_median": 2.5, "units_counted": 3}
    nothing = summaries([{"layer": 1, "unit": 0, "rf_width_x_px": float("nan")}])
    assert nothing["units_counted"] == 0 and nothing["rf_width_x_px_mean"] != nothing["rf_width_x_px_mean"]
