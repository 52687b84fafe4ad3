"""Cavity score against the weight itself, at round 0 and one round before the last.  Redman et al. (2025), Fig. S4.

Two-dimensional counts over the scored first-layer weights of imp, the lowest seed's; below them rank correlations of the score with the
weight (its sign and size) and with its magnitude, in every seed. Two controls: the Gaussian clone, and the same from half of the inputs.

Expect: no strong connection, which we read as rank correlations within 0.5 of 0 (the margin). Counts against the paper: one beyond.
Blind spot: a connection that is neither monotone in w nor in |w|.
"""

import polars as pl
from polars import col

from impray.figures import CLONE, NATURAL, Figure, Gaps, NotMeasured, Panel, command, dots, heat, once

NAMES = {"weight_cavity": "all inputs", "weight_cavity_half": "half of the inputs"}
WORDS = {"spearman_magnitude": "|w|", "spearman": "w"}


@once
def counts(results):
    """A row per lineage, round and sample; `shown` is both in words, `x_limits` and `y_limits` those of both samples."""
    columns = ["name", *WORDS, "x_edges", "y_edges", "counts"]
    rows = results.rows(
        "histograms", columns, name=[*NAMES], layer=1, method="imp", round=[0, max(results.last - 1, 0)]
    )
    rows = rows.filter(col("side").is_in([NATURAL, CLONE])).with_columns(
        col("histogram_name").replace_strict(NAMES).alias("sample")
    )
    if rows.filter(col("sample") == "all inputs").drop_nulls("counts").is_empty():
        raise NotMeasured("needs measure cavity of method imp")
    ends = [
        pl.concat_list(col(edges).list.min().min(), col(edges).list.max().max()).over("side", "seed", "round").alias(f"{edges[0]}_limits")
        for edges in ("x_edges", "y_edges")
    ]  # fmt: skip
    return rows.with_columns(*ends, shown=pl.format("round {}\n{}", "round", "sample")).sort(
        "number", "round", "sample", "seed"
    )


def shown(results):
    """Those of each side's lowest seed."""
    return counts(results).filter(col("seed") == col("seed").min().over("side")).drop("seed")


def correlations(results):
    """A row per lineage, round, sample and what the score is held against (`against`): `value`, the rank correlation."""
    rows = counts(results).unpivot(
        [*WORDS], index=["method", "side", "seed", "round", "sample"], variable_name="against"
    )
    rows = rows.drop_nulls("value").drop_nans("value").with_columns(col("against").replace_strict(WORDS))
    return rows.with_columns(which=pl.format("{}, round {}", "side", "round"))


def of_data(against):
    rows = col("side").eq(NATURAL) & col("sample").eq("all inputs") & col("against").eq(against)
    return lambda results: correlations(results).filter(rows).select("seed", "round", gap="value").sort("round", "seed")


def panel(side):
    return Panel(of=shown, y="counts", mark=heat, x="", columns="shown", where=col("side") == side, shared=False, optional=side == CLONE,
                 label=f"cavity score\n{side}", xlabel="weight at θ(rewind)", height=1.7)  # fmt: skip


def claim(against, words):
    return Gaps(frame=of_data(against), each="round", sign=0, margin=0.5, source="Redman et al. (2025), Fig. S4", question="connection",
                says=f"at round {{each}} the score is not strongly connected to a weight's {words} (rank correlation)")  # fmt: skip


FIGURE = Figure(
    name="redman2025_figS4",
    title="Fig. S4  Cavity score against the weight",
    question="Does a weight's cavity score follow from its sign or magnitude?",
    source="Redman et al. (2025), Fig. S4",
    paper="Neither a weight's sign nor its magnitude is strongly connected to its cavity score, at round 0 or at round 9.",
    base=True,
    notes=["Counts are the lowest seed's; the outermost bins take all that lies beyond. Units with few inputs left are not scored."],
    panels=[
        panel(NATURAL),
        panel(CLONE),
        Panel(of=correlations, mark=dots, x="against", columns="which", colour="sample", label="rank correlation\nof the score",
              xlabel="with", reference=0.0),
    ],
    claims=[claim("|w|", "magnitude"), claim("w", "value, and so its sign")],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
