"""`impray compare`: two sweeps' folders side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli.app import Folder, answered, app, quoted

if TYPE_CHECKING:
    from impray.figures.compare import Comparison


@app.command()
def compare(
    one: Folder,
    other: Folder,
    density: Annotated[
        float | None,
        typer.Option(help="Compare at this share of the weights; default: the smallest that all have reached."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What differs between two sweeps: in what was asked, and in what was measured at the same density."""
    with answered():
        from impray.figures.compare import compare as compared
        from impray.results.tables import reading
        from impray.results.tidy import results
        from impray.spec.errors import Problem, SweepError

        if density is not None and not 0 < density <= 1:
            raise SweepError("impray compare", [Problem("--density", f"{density:g}", "must be in (0, 1], such as 0.1")])
        with reading(one), reading(other):
            found = compared(results(one), results(other), density)
    if as_json:
        typer.echo(json.dumps(found.document(), indent=2))
        return
    for line in lines(found, str(one), str(other)):
        typer.echo(line)
    typer.echo(f"next: impray report {quoted(other)}")


def lines(found: Comparison, one: str, other: str) -> Iterator[str]:
    """The comparison as text: differences of the YAML, then a row per trial, method and quantity."""
    from impray.results.text import aligned

    yield f"one: {one}\nother: {other}\n"
    if found.differences:
        yield "asked otherwise:"
        columns = [
            ("", [f"  {row.path}" for row in found.differences], False),
            ("one", [row.values[0] or "-" for row in found.differences], False),
            ("other", [row.values[1] or "-" for row in found.differences], False),
        ]
        yield from aligned(columns)
    else:
        yield "asked alike: the sweeps do not differ"
    yield f"\nmeasured in the first round with at most {100 * found.density:.3g} % of the weights:"
    rows, words = found.rows, ("one", "other")
    columns = [("trial", [row.trial for row in rows], False)] if any(row.trial for row in rows) else []
    columns += [("method", [row.method for row in rows], False), ("quantity", [row.quantity for row in rows], False)]
    columns += [(name, [_number(row.means[place]) for row in rows], True) for place, name in enumerate(words)]
    columns += [
        ("difference", [_number(row.finding.effect) for row in rows], True),
        ("95 % interval", [_interval(row.finding.low, row.finding.high) for row in rows], True),
        ("seeds", [str(row.finding.of) for row in rows], True),
        ("p", [_number(row.finding.p_holm, 2) for row in rows], True),
        ("other is", [row.verdict for row in rows], False),
    ]
    columns += [
        (f"density of {name}", [_number(row.densities[place]) for row in rows], True)
        for place, name in enumerate(words)
    ]
    yield from aligned(columns)
    yield f"differences are other - one, paired by seed; p is Holm's over {len(rows)} comparisons"
    yield from found.notes


def _number(value: float, digits: int = 4) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}g}"


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{low:.3g} to {high:.3g}"
