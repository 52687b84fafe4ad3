"""Masks of one lineage held against imp's of the same trial, seed and round: rows of `impray.theory.masks.overlap`, and quantities.

Source: ours. Layer 1 only, and only where the masks of all units are stored (`masks.most_connected`).
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from impray.results.quantities import Quantity
from impray.results.tidy import NotMeasured, Results, once
from impray.theory.masks import overlap


@once
def overlaps(results: Results) -> pl.DataFrame:
    """Of every lineage and round but imp's: `share` of imp's kept weights that are kept too, `by_fan_in` and `by_chance`, in [0, 1].

    Raises:  NotMeasured: no lineage has masks of all units beside imp's.
    """
    keys, is_imp = ["trial", "seed", "round"], pl.col("method") == "imp"
    units = results.rows("masks", ["unit", "fan_in", "bits", "shape"], layer=1).sort("unit")
    masks = units.group_by("lineage", "method", *keys, maintain_order=True).agg(
        "bits", pl.col("shape").first(), pl.col("fan_in").mean()
    )
    # The most connected units have more inputs than the mean over all units, unless they are all units.
    all_units = (pl.col("fan_in") - pl.col("fan_in_mean")).abs() <= 1e-9 * pl.max_horizontal(1.0, "fan_in_mean")
    whole = masks.join(results.rounds.select("lineage", "round", "fan_in_mean"), on=["lineage", "round"]).filter(
        all_units
    )
    both = whole.filter(~is_imp).join(whole.filter(is_imp).select(*keys, "bits"), on=keys, suffix="_imp")
    if both.is_empty():
        raise NotMeasured(
            "needs the measure fan_in, and masks of all units (masks.most_connected) of imp and of others"
        )
    rows = [
        (
            row["lineage"],
            row["round"],
            *overlap(_packed(row["bits_imp"]), _packed(row["bits"]), math.prod(row["shape"])),
        )
        for row in both.sort("lineage", "round").iter_rows(named=True)
    ]
    numbers = dict.fromkeys(("share", "by_fan_in", "by_chance"), pl.Float64)
    return pl.DataFrame(rows, {"lineage": pl.String, "round": both.schema["round"]} | numbers, orient="row")


def _packed(units: list[bytes]) -> np.ndarray:
    return np.stack([np.frombuffer(bits, dtype=np.uint8) for bits in units])


def _quantity(name: str, label: str, value: pl.Expr, comparative: str = "higher") -> Quantity:
    return Quantity(
        name,
        label,
        better="higher",
        comparative=comparative,
        make=lambda results: overlaps(results).select("lineage", "round", value.alias("value")),
    )


OVERLAP = _quantity("overlap", "share of imp's weights\nthat are kept too", pl.col("share"), "nearer to imp's masks")
OVERLAP_BY_CHANCE = _quantity("overlap_by_chance", "share of all weights\nthat are kept", pl.col("by_chance"))
OVERLAP_ABOVE = _quantity(
    "overlap_above_chance", "overlap above chance\nat these inputs per unit", pl.col("share") - pl.col("by_fan_in")
)
