"""A leaderboard, and the data dictionary, as plain text that fits a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from impray.results.leaderboard import Board, Mean, Row
from impray.results.outcomes import share
from impray.results.schema import KEYS, TABLES

MARKS = {"best": " *", "not told from the best": " ~", "worse": "  ", None: "  "}
Column = tuple[str, list[str], bool]  # heading, cells, whether it stands to the right


def lines(board: Board, width: int | None, rows: int = 30) -> list[str]:
    """The table, numbers with four digits, in the roomiest form that fits into `width` (None: any does), and the notes.

    Nothing is left out: a column with one value in all rows becomes a line, and where no form fits, the terminal breaks the lines.
    """
    if not board.rows:
        return board.notes
    columns, constant = table(board)
    columns = [(name, cells[:rows], right) for name, cells, right in columns]
    whole = [[name] for name, *_ in columns]
    folded = [_folded(name, max([0, *map(len, cells)])) for name, cells, _ in columns]
    forms = [_text(heads, columns, gap) for heads, gap in ((whole, "  "), (folded, "  "), (folded, " "))]
    text = next((form for form in forms if width is None or max(map(len, form)) <= width), forms[-1])
    more = [f"and {len(board.rows) - rows} more"] if len(board.rows) > rows else []
    return [*text, *more, *constant, *board.notes]


def table(board: Board) -> tuple[list[Column], list[str]]:
    """Columns that differ between rows (as `top` shows them), and a line with those that do not."""
    return _folded_up(_columns(board.rows)) if board.rows else ([], [])


def _folded(heading: str, width: int) -> list[str]:
    """Broken between words, and after dots and underscores, into lines that are no wider than the cells below where words allow."""
    parts = [""]
    for word in re.findall(r"(?:\d+\.\d+|[^._ ])+[._ ]*", heading):
        if parts[-1] and len((parts[-1] + word).rstrip()) > width:
            parts.append("")
        parts[-1] += word
    return [line.rstrip() for line in parts]


def _columns(rows: Sequence[Row]) -> list[Column]:
    columns = []
    for name in rows[0].names:
        values = [row.names[name] for row in rows]
        if name == "status":
            columns.append((name, [_status(row.names) for row in rows], False))
        elif name == "front":
            columns.append((name, ["yes" if value else "" for value in values], False))
        elif name == "diverged" and "status" not in rows[0].names and any(values):
            columns.append(
                (name, [share(value, row.names["lineages"]) for value, row in zip(values, rows, strict=True)], False)
            )
        elif name not in ("diverged", "lineages"):
            right = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values if v is not None)
            columns.append((name, [_number(value) for value in values], right))
    return columns + _of_means(rows)


def _status(names: dict[str, Any]) -> str:
    gone = share(names["diverged"], names["lineages"])
    return ", ".join(part for part in ("" if names["status"] == "diverged" else names["status"], gone) if part)


def _of_means(rows: Sequence[Row]) -> list[Column]:
    """A column per mean; its density and seeds beside it, or once for all means where those agree."""
    means = {name: [row.means[name] for row in rows] for name in rows[0].means}
    columns: list[Column] = []
    apart: dict[str, dict[str, list[str]]] = {
        "density": {name: [_number(mean.density) for mean in of_name] for name, of_name in means.items()},
        "seeds": {name: [_seeds(mean) for mean in of_name] for name, of_name in means.items()},
    }
    if "density" in rows[0].names:
        del apart["density"]
    shared = [kind for kind, of_kind in apart.items() if len({tuple(cells) for cells in of_kind.values()}) < 2]
    for name, of_name in means.items():
        columns.append((name, _cells(of_name), True))
        columns += [(kind, apart[kind][name], True) for kind in apart if kind not in shared]
    return columns + [(kind, next(iter(apart[kind].values())), True) for kind in shared if apart[kind]]


def _cells(means: Sequence[Mean]) -> list[str]:
    marked = any(mean.rank for mean in means)
    numbers = [_number(mean.mean) if mean.mean is not None else "-" for mean in means]
    errors = ["" if mean.standard_error is None else f"+-{mean.standard_error:.2g}" for mean in means]
    widest = max(map(len, errors))
    marks = [MARKS[mean.rank] if marked else "" for mean in means]
    return [f"{n}{' ' if widest else ''}{e:<{widest}}{m}" for n, e, m in zip(numbers, errors, marks, strict=True)]


def _seeds(mean: Mean) -> str:
    return f"{mean.seeds}" if mean.seeds == mean.of_seeds else f"{mean.seeds}/{mean.of_seeds}"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _folded_up(columns: list[Column]) -> tuple[list[Column], list[str]]:
    """Columns that differ between rows, and a line with those that do not."""
    same = [
        name in ("status", "round", "rounds", "density", "seeds") and len(cells) > 1 and len(set(cells)) == 1
        for name, cells, _ in columns
    ]
    constants = [
        f"{name} {cells[0]}" for (name, cells, _), alike in zip(columns, same, strict=True) if alike and cells[0]
    ]
    left = [column for column, alike in zip(columns, same, strict=True) if not alike]
    return left, [f"in every row: {', '.join(constants)}"] if constants else []


def _text(heads: Sequence[Sequence[str]], columns: Sequence[Column], gap: str) -> list[str]:
    """Headings of one or more lines, standing on the first row; numbers to the right, words to the left."""
    tallest = max(map(len, heads))
    above = [[""] * (tallest - len(head)) + list(head) for head in heads]
    table = [*zip(*above, strict=True), *zip(*(cells for _, cells, _ in columns), strict=True)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        gap.join(
            word.rjust(width) if right else word.ljust(width)
            for word, width, (_, _, right) in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in table
    ]


def aligned(columns: Sequence[Column]) -> list[str]:
    """Columns below their headings, numbers to the right, words to the left."""
    return _text([[name] for name, *_ in columns], columns, "  ")


def dictionary_lines(rows: Sequence[Mapping[str, str]], width: int | None) -> list[str]:
    """Every table and column among rows of `tables.dictionary()`; without a width (in a pipe), one line per column."""
    printed = []
    for table in dict.fromkeys(row["table"] for row in rows):
        sentence = TABLES[table]
        printed.append(f"\n{table}: {sentence} (key: {', '.join(KEYS[table])})")
        for row in (row for row in rows if row["table"] == table):
            unit = f" [{row['unit']}]" if row["unit"] else ""
            line = f"  {row['column']:<30} {row['type']:<12} {row['sentence']}{unit}"
            printed += textwrap.wrap(line, width, subsequent_indent=" " * 6) if width else [line]
    return printed
