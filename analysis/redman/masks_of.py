"""Stored masks of the most connected units at the last round: their mosaics, and how compact they are."""

from __future__ import annotations

import numpy as np
import polars as pl
from common import Measure
from masks import touching

from redman import pictures
from redman.panels import measured, spread
from redman.slice import METHODS, NATURAL, Slice

MOST = 120  # units in a mosaic, as in the paper
NEEDS = "measure masks"
TOUCHING = Measure(
    "touching", ("touching",), "kept neighbours\n(relative to chance)", "", "higher", "more compact", 1.0
)


def stored(of: Slice) -> pl.DataFrame:
    """First-layer masks of the last round that every lineage has some of, those with the most inputs first.

    Raises:  NotMeasured: none are stored, or the inputs are not images.
    """
    frame = of.rows("masks", ["layer", "unit", "fan_in", "bits", "shape"], layer=1)
    frame = pictures.laid_out(measured(frame, "bits", NEEDS)).filter(pl.col("method").is_in(METHODS))
    frame = measured(frame, "bits", f"{NEEDS} of imp, oneshot or random")
    last = frame.group_by("lineage").agg(pl.col("round").max())["round"].min()
    return frame.filter(pl.col("round") == last).sort("side", "method", "seed", -pl.col("fan_in"), "unit")


def compactness(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per lineage: units, their inputs, and the mean of `touching` over units, with its spread over seeds."""
    near = [touching(pictures.mask(*pair)) for pair in frame.select("bits", "shape").iter_rows()]
    frame = frame.with_columns(pl.Series("value", near, dtype=pl.Float64).fill_nan(None))
    inputs = [pl.col("fan_in").max().alias("most_inputs"), pl.col("fan_in").min().alias("least_inputs")]
    grouped = frame.group_by("side", "method", "seed", "round", "lineage")
    found = grouped.agg(pl.len().alias("units"), *inputs, pl.col("value").mean())
    return spread(found, "side", "method", "round")


def mosaic(frame: pl.DataFrame, method: str, side: str = NATURAL, width_to_height: float = 1.0) -> np.ndarray | None:
    """The masks of the lowest seed as one picture; None where none are stored."""
    part = frame.filter((pl.col("method") == method) & (pl.col("side") == side))
    if part.is_empty():
        return None
    part = part.filter(pl.col("seed") == part["seed"].min()).head(MOST)
    tiles = [pictures.of_mask(pictures.mask(*pair)) for pair in part.select("bits", "shape").iter_rows()]
    return pictures.mosaic(tiles, pictures.per_line(len(tiles), width_to_height))
