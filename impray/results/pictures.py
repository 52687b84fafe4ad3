"""Stored masks and images as rows that figures draw, in the order in which they are drawn.

Rows have `bits` (masks) or `values` (images), `shape`, and what their trial is; inputs have to be images: (row, col) or
(channel, row, col).
"""

from __future__ import annotations

import polars as pl

from impray.results.tidy import NotMeasured, Results

FLAT = "needs inputs that are images (this sweep's are flat)"
MOST = 120  # units in a mosaic, as in Redman et al. (2025)


def as_images(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that are images.

    Raises:  NotMeasured: none is.
    """
    images = frame.filter(pl.col("shape").list.len() >= 2)
    if images.is_empty():
        raise NotMeasured(FLAT)
    return images


def most_connected(results: Results, most: int = MOST) -> pl.DataFrame:
    """First-layer masks of the last round of which every lineage has some, of each trial's and method's lowest seed.

    At most `most` of each, those with the most inputs first.

    Raises:  NotMeasured: none are stored, or the inputs are not images.
    """
    frame = as_images(results.rows("masks", ["layer", "unit", "fan_in", "bits", "shape"], layer=1))
    frame = frame.filter(pl.col("round") <= results.last)
    last = frame.group_by("lineage").agg(pl.col("round").max())["round"].min()
    group = ["number", "method"]
    frame = frame.filter(pl.col("round") == last, pl.col("seed") == pl.col("seed").min().over(group))
    frame = frame.sort(*group, "fan_in", "unit", descending=[False, False, True, False])
    return frame.group_by(group, maintain_order=True).head(most)


def distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """The images of the first lineage of those of one side that have the same, with `set`: its place among the side's sets, from 1.

    Lineages on one draw of the data share what is made of the data alone; what they share has to count once.
    """
    frame = frame.sort("number", "seed", "lineage", "image_name", "image_number")
    every = pl.col("values").hash().cast(pl.String).str.join(" ").alias("every")
    of_lineages = frame.group_by("side", "lineage", maintain_order=True).agg(every)
    sets = of_lineages.unique(["side", "every"], keep="first", maintain_order=True)
    place = pl.col("lineage").cum_count().over("side").cast(pl.Int64).alias("set")
    return frame.join(sets.select("lineage", place), on="lineage", maintain_order="left")
