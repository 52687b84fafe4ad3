"""Rows of small sweeps that were run beforehand, and what version 0.5.0's figures said of them.

    rows/NAME/sweep.yaml, TABLE.parquet     a sweep's rows, some of its seeds and columns
    rows/NAME/expected.json                 counts and means that 0.5.0's scripts stated of exactly these rows

`folder` makes a sweep's folder of them. `python tests/analysis/stored.py OUT NAME ...` stores some (see --help).
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import polars as pl

from impray.figures import NotMeasured, panels
from impray.figures.drawing import draw
from impray.results import tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.schema import PROVENANCE, schema
from impray.spec import axes as spec_axes

ROWS = Path(__file__).parent / "rows"


def folder(name, to):
    """A sweep's folder with the stored rows of NAME."""
    to.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROWS / name / "sweep.yaml", to / "sweep.yaml")
    paths = Paths(to)
    axes = json.loads((ROWS / name / "axes.json").read_text())
    for file in sorted((ROWS / name).glob("*.parquet")):
        tables.write(paths, file.stem, "stored", rows_of(name, file.stem).to_dicts(), axes)
    return to


def rows_of(name, table):
    """The stored rows of a table, with the ids that this version gives the trials."""
    rows = pl.read_parquet(ROWS / name / f"{table}.parquet")
    return rows.with_columns(pl.col("trial").replace(_ids_now(name))) if "trial" in rows.columns else rows


def _ids_now(name):
    """Trials' ids of earlier versions -> those of this one; of a grid, whose trials are not described."""
    trials = pl.read_parquet(ROWS / name / "trials.parquet")
    if "description" in trials.columns:
        return {}
    now = [trial.id for _, trial in spec_axes.trials(read_sweep(Paths(ROWS / name)))]
    return {id: now[number] for id, number in trials.select("trial", "number").iter_rows()}


def changed(name, to, **changes):
    """The folder, in which the rows of some tables have gone through a function of their frame (None: the table is left out)."""
    folder(name, to)
    axes = json.loads((ROWS / name / "axes.json").read_text())
    for table, change in changes.items():
        shutil.rmtree(to / "tables" / table)
        if change is not None:
            rows = change(rows_of(name, table)).to_dicts()
            tables.write(Paths(to), table, "changed", rows, axes)
    return to


def expected(name):
    return json.loads((ROWS / name / "expected.json").read_text())


def agrees(figure, of, told):
    """The findings by what they say, held against `told`: says -> (held, of, effect), null where 0.5.0 did not say it.

    Means are sums in another order: 1e-9.
    """
    findings = {each.says: each for each in panels.table(figure, of).findings}
    for says, (held, units, effect) in told.items():
        found = findings[says]
        assert held in (None, found.held) and found.of == units, found
        assert effect is None or math.isclose(found.effect, effect, rel_tol=1e-9, abs_tol=1e-12), found
    return findings


def drawn(paper, of):
    """Names of those of a paper's figures that a folder has the rows for; each is drawn."""
    names = []
    for figure in paper.figures:
        try:
            assert draw(panels.table(figure, of)).axes
        except NotMeasured:
            continue
        names.append(figure.name)
    return names


def store(out, name, wanted, seeds, rounds, columns):
    """Some tables of a sweep's folder, without provenance, columns without a value, and other seeds and rounds."""
    (ROWS / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(out) / "sweep.yaml", ROWS / name / "sweep.yaml")
    (ROWS / name / "axes.json").write_text(json.dumps(tables.axes_of(Paths(out)), indent=1) + "\n")
    for table in wanted:
        frame = tables.scan(table, out).collect()
        for column, kept in (("seed", seeds), ("round", rounds)):
            if kept and column in frame.columns:
                frame = frame.filter(pl.col(column).is_in(kept))
        frame = frame.drop([column.name for column in PROVENANCE], strict=False)
        keys = [key for key in schema(table, {}) if key in frame.columns][:8]
        if columns:
            frame = frame.select(
                [n for n in frame.columns if n in columns or n in keys or "." in n or n in ("status", "density")]
            )
        frame = frame.select([each.name for each in frame if each.null_count() < len(each)])
        frame.write_parquet(ROWS / name / f"{table}.parquet", compression="zstd", compression_level=19)
        print(table, frame.shape, (ROWS / name / f"{table}.parquet").stat().st_size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="store some rows of a sweep's folder for the tests")
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("--tables", nargs="+", default=["rounds", "trials"])
    parser.add_argument("--seeds", nargs="*", type=int)
    parser.add_argument("--rounds", nargs="*", type=int)
    parser.add_argument("--columns", nargs="*")
    asked = parser.parse_args()
    store(asked.out, asked.name, asked.tables, asked.seeds, asked.rounds, asked.columns)
