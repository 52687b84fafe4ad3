"""What a sweep's folder already knows: which rounds have rows, which lineages are complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from impray.results import tables
from impray.results.rows import covers
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


@dataclass(frozen=True)
class Known:
    """Rows of earlier runs: lineage -> round -> (status, measured, trained), and lineage -> (last round its fates know, what
    their rows were written with)."""

    rounds: Mapping[str, Mapping[int, tuple[str, str, bool]]]
    fates: Mapping[str, tuple[int, tuple[str, ...]]]

    def has_rows(self, lineage: Lineage) -> bool:
        return lineage.id in self.rounds

    def complete(self, lineage: Lineage, pack: Pack) -> bool:
        """Whether nothing of this lineage is left to do: all rounds measured as `pack` asks, or diverged, and fates written."""
        of_lineage = self.rounds.get(lineage.id, {})
        diverged = [round for round, (status, *_) in of_lineage.items() if status == "diverged"]
        last = min(diverged) if diverged else pack.rounds
        measured = all(
            round in of_lineage
            and covers(of_lineage[round][1], pack.asked)
            and (of_lineage[round][2] or bool(diverged) or not pack.trains(lineage, round))
            for round in range(last + 1)
        )
        fates_until, fates_with = self.fates.get(lineage.id, (-1, ()))
        return measured and fates_until >= last and all(covers(each, pack.asked_of_fates) for each in fates_with)


def known(folder: str | Path) -> Known:
    """Read it from the tables; an absent folder knows nothing."""
    if not Path(folder).is_dir():
        return Known({}, {})
    rounds: dict[str, dict[int, tuple[str, str, bool]]] = {}
    found = tables.scan("rounds", folder).select("lineage", "round", "status", "measured", "trained").collect()
    for lineage, round, *row in found.iter_rows():
        rounds.setdefault(lineage, {})[round] = (row[0], row[1], row[2])
    fates = (
        tables.scan("fates", folder)
        .group_by("lineage")
        .agg(pl.col("round").max(), pl.col("measured").fill_null("").unique())
    )
    return Known(rounds, {lineage: (last, tuple(texts)) for lineage, last, texts in fates.collect().iter_rows()})
