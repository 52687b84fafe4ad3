"""docs/tables.md: the data dictionary."""

from __future__ import annotations

from docs.make.markdown import code, made_by, prose, table
from impray.results.schema import TABLES
from impray.results.tables import dictionary
from impray.results.text import dictionary_lines

HEAD = """# Tables

A sweep's results are Parquet tables in its folder: `runs/quickstart/tables/rounds/*.parquet` and so on. They are the truth; figures,
leaderboard and MLflow are views of them. `impray tables rounds` prints one of these lists, `impray.load("runs/quickstart").rounds`
reads one ([Python](python.md)), `impray export` writes them as CSV. Null means not measured, NaN
undefined. `rounds` has a column for every axis of the sweep beside these.
"""


def page() -> str:
    rows = dictionary()
    parts = [made_by("the tables' schema"), HEAD]
    for name in TABLES:
        of_table = [row for row in rows if row["table"] == name]
        parts.append(f"## {name}\n")
        parts.append(prose(_about(of_table)) + "\n")
        cells = ((code(row["column"]), row["type"], prose(row["unit"]), prose(row["sentence"])) for row in of_table)
        parts.append(table(("column", "type", "unit", "what"), cells))
    return "\n".join(parts)


def _about(rows: list[dict[str, str]]) -> str:
    """What a row of a table is, and its key."""
    about = next(iter(dictionary_lines(rows, None))).partition(": ")[2]
    return about[:1].upper() + about[1:] + "."
