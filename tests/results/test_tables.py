"""Tables: whole files only, the latest row of a key counts, what is broken is named, schemas are explicit."""

import io
import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from impray.results import provenance, tables
from impray.results.files import locked, write
from impray.results.paths import Paths, aside
from impray.results.rows import summaries
from impray.results.schema import KEYS, TABLES, TYPES, columns, schema
from impray.spec.errors import DataError, StorageError

AXES = {"data.gain": "float"}


def row(lineage="a", round=0, **more):
    return {"lineage": lineage, "round": round, "method": "imp", "seed": 0, "status": "done", "density": 1.0, **more}


@pytest.fixture
def paths(tmp_path):
    return folder_at(tmp_path)


def folder_at(path):
    path.mkdir(exist_ok=True)
    (path / "provenance.json").write_text(json.dumps({"axes": AXES}))
    return Paths(path)


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
    assert len(paths.store.files("tables/rounds")) == 1
    assert tables.scan("rounds", paths.folder).collect().equals(before, null_equal=True)
    put(paths, "f9", row(round=9))
    tables.compact(paths.folder)
    assert tables.scan("rounds", paths.folder).collect()["round"].to_list() == [0, 1, 2, 3, 4, 9]


def test_a_file_of_an_older_schema_is_read_with_nulls(paths):
    old = pl.DataFrame([tables.provenance() | row()]).drop("density")
    paths.rows("rounds", "old").write(tables.parquet("rounds", old.with_columns(pl.lit(1.0).alias("a_column_of_old"))))
    put(paths, "new", row(round=1))
    found = tables.scan("rounds", paths.folder).collect()
    assert found["density"].to_list() == [None, 1.0] and found.schema == pl.Schema(schema("rounds", AXES))


NOT_OURS = [
    *(
        "rounds/notes.txt",
        "rounds/x.parquet",
        "rounds/rows-x copy.parquet",
        "rounds/._rows-x.parquet",
        "rounds/.DS_Store",
    ),
    *("stray.parquet", "other/rows-x.parquet", ".hidden/rows-x.parquet", "rounds/rows-x.parquet.crdownload"),
]


@pytest.mark.parametrize("content", [b"hell", b"", b"PAR1 cut off", None])
@pytest.mark.parametrize("name", NOT_OURS)
def test_what_is_not_ours_by_name_is_let_alone(paths, name, content):
    put(paths, "x", row())
    before = tables.scan("rounds", paths.folder).collect()
    if content is None:
        (paths.store.local / "tables" / name).mkdir(parents=True)
    else:
        write(paths.store.local / "tables" / name, content)
    assert tables.set_damaged_aside(paths.folder) == []
    tables.compact(paths.folder)
    assert (paths.store.local / "tables" / name).exists() and tables.scan("rounds", paths.folder).collect().equals(
        before
    )


def broken(file, how):
    """Make a file of rows one that cannot be right any more."""
    path = file.path
    content = path.read_bytes()
    if how == "a folder":
        path.unlink()
        path.mkdir()
    elif how == "of another program":
        pl.DataFrame({"lineage": ["a"], "round": [1]}).write_parquet(path)
    elif how == "of another table":
        path.write_bytes(tables.parquet("units", pl.read_parquet(path)))
    elif how == "a seal without digits":
        path.write_bytes(content.replace(b"impray-seal:", b"impray-seal;"))
    else:
        path.write_bytes({"4 bytes": b"PAR1", "empty": b"", "cut off": content[:-20]}[how])


@pytest.mark.parametrize(
    "how",
    ["a folder", "of another program", "of another table", "a seal without digits", "4 bytes", "empty", "cut off"],
)
def test_what_is_ours_and_broken_is_named_and_can_be_set_aside(paths, how):
    put(paths, "x", row())
    put(paths, "y", row(round=1))
    broken(paths.rows("rounds", "y"), how)
    for read in (lambda: tables.scan("rounds", paths.folder), lambda: tables.compact(paths.folder)):
        with pytest.raises(DataError, match=r"rows-y\.parquet(.|\n)*impray sweep"):
            read()
    assert [path for path, _ in tables.set_damaged_aside(paths.folder)] == [paths.rows("rounds", "y")]
    assert tables.scan("rounds", paths.folder).collect()["round"].to_list() == [0]
    assert [name.split(".parquet")[0] for name in aside(paths)] == ["tables_rounds_rows-y"]


@pytest.mark.some(1)
@pytest.mark.parametrize("bits", [0x01, 0x80])
def test_no_flipped_bit_of_a_file_is_read(paths, bits):
    put(paths, "x", *(row(round=n, accuracy=n / 7) for n in range(20)))
    path = paths.rows("rounds", "x").path
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :])
        assert tables.damage(paths.rows("rounds", "x")), at


def test_page_checksums_are_written_and_hold(paths):
    """Other programs can verify them too."""
    put(paths, "x", *(row(round=n, accuracy=n / 7) for n in range(20)))
    path = paths.rows("rounds", "x").path
    read = pq.read_table(path, page_checksum_verification=True)
    assert read.num_rows == 20
    column = pq.read_metadata(path).row_group(0).column(read.schema.get_field_index("accuracy"))
    content = bytearray(path.read_bytes())
    first = column.dictionary_page_offset or column.data_page_offset
    content[first + column.total_compressed_size - 1] ^= 0x10  # the last byte of its last page
    with pytest.raises(OSError):
        pq.read_table(io.BytesIO(bytes(content)), page_checksum_verification=True)


def test_files_without_a_seal_of_an_earlier_version_are_read(paths):
    frame = pl.DataFrame([tables.provenance() | row()])
    paths.table("rounds").path.mkdir(parents=True)
    frame.write_parquet(paths.table("rounds").path / "0123456789abcdef-000-0.parquet", metadata={"impray.schema": "1"})
    frame.write_parquet(
        paths.table("rounds").path / "all-20260101T000000000000.parquet", metadata={"impray.schema": "1"}
    )
    assert tables.set_damaged_aside(paths.folder) == []
    assert tables.scan("rounds", paths.folder).collect().height == 1


ODD_FOLDERS = ["o[lab]", "x [old]", "a*b", "what?", "50% %20", "it's", "{a,b}", "~", "#1", "ü ñ", "a\\b"]


@pytest.mark.parametrize("name", ODD_FOLDERS)
def test_no_path_is_a_pattern(tmp_path, name):
    paths = folder_at(tmp_path / name)
    for decoy in ("ol", "ox old", "what!", "aXb"):  # what a pattern would find
        put(Paths(tmp_path / decoy), "x", row("decoy", 7))
    put(paths, "x", row())
    put(paths, "y", row(round=1))
    assert tables.scan("rounds", paths.folder).collect()["round"].to_list() == [0, 1]
    tables.compact(paths.folder)
    assert tables.scan("rounds", paths.folder).collect()["lineage"].to_list() == ["a", "a"]
    assert len(paths.row_files("rounds")) == 1


def test_nothing_is_deleted_unless_every_key_came_out(paths, monkeypatch):
    for n in range(3):
        put(paths, f"f{n}", row(round=n))
    latest = tables._latest
    monkeypatch.setattr(tables, "_latest", lambda *given: latest(*given).filter(pl.col("round") != 1))
    with pytest.raises(DataError, match="would lose 1 keys"):
        tables.compact(paths.folder)
    monkeypatch.undo()
    assert tables.scan("rounds", paths.folder).collect()["round"].to_list() == [0, 1, 2]
    assert len(paths.row_files("rounds")) == 3


def test_without_provenance_the_axes_are_found_elsewhere(paths):
    said = {"trial": "t", "number": 0, "status": "done", "lineages": ["a"], "description": "{}", "data.gain": 3.0}
    tables.write(paths, "trials", "000000-t", [said], AXES)
    put(paths, "x", row(**{"data.gain": 3.0}))
    put(paths, "y", row(round=1, **{"data.gain": 3.0}))
    paths.provenance.path.unlink()
    tables.compact(paths.folder)
    assert tables.scan("rounds", paths.folder).collect()["data.gain"].to_list() == [3.0, 3.0]


def test_compaction_keeps_an_axis_that_nobody_knows_of(paths):
    put(paths, "x", row(**{"data.gain": 3.0}))
    put(paths, "y", row(round=1))
    paths.provenance.path.unlink()
    with pytest.raises(DataError, match=r"data\.gain"):
        tables.compact(paths.folder)
    assert len(paths.row_files("rounds")) == 2
    tables.compact(paths.folder, AXES)
    assert len(paths.row_files("rounds")) == 1


def test_what_a_kill_leaves_behind_is_never_read(paths):
    put(paths, "x", row())
    left = paths.table("rounds").path / "rows-y.parquet.host-1.part"
    left.write_bytes(b"half a fi")
    assert tables.scan("rounds", paths.folder).collect().height == 1
    assert tables.set_damaged_aside(paths.folder) == []


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


def test_summaries_leave_undefined_units_out():
    units = [{"layer": 1, "unit": u, "rf_width_x_px": v} for u, v in enumerate([1.0, 4.0, float("nan"), 2.5])]
    found = summaries([*units, {"layer": 2, "unit": 0, "rf_width_x_px": 99.0}])
    assert found == {"rf_width_x_px_mean": 2.5, "rf_width_x_px_median": 2.5, "units_counted": 3}
    nothing = summaries([{"layer": 1, "unit": 0, "rf_width_x_px": float("nan")}])
    assert nothing["units_counted"] == 0 and nothing["rf_width_x_px_mean"] != nothing["rf_width_x_px_mean"]


@pytest.mark.parametrize("bits", [0x01, 0x04, 0x80])
def test_no_flipped_bit_of_what_a_folder_says_of_itself_is_believed(tmp_path, bits):
    paths = Paths(tmp_path)
    provenance.write_provenance(paths, {"sweep": "x", "id": "x-01234567", "axes": AXES, "data": {}})
    provenance.write_sweep(paths, "question: q?\ntrial: {data: {kind: nlgp}}\nseeds: 2\nrounds: 1\n")
    for path, wrong in (
        (paths.provenance, provenance.wrong_with_provenance),
        (paths.sweep, provenance.wrong_with_sweep),
    ):
        content = path.read()
        assert wrong(paths) is None
        for at in range(len(content)):
            path.path.write_bytes(content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :])
            assert wrong(paths), (path.name, at)


def test_nothing_is_deleted_by_a_driver_that_has_lost_the_folder(paths):
    for n in range(3):
        put(paths, f"f{n}", row(round=n))

    def lost():
        raise StorageError("another one has it")

    with pytest.raises(StorageError):
        tables.compact(paths.folder, still=lost)
    assert {file.name for file in paths.row_files("rounds")} >= {f"rows-f{n}.parquet" for n in range(3)}
    assert tables.scan("rounds", paths.folder).collect()["round"].to_list() == [0, 1, 2]
