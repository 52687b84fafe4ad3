"""Kurtosis of second-layer preactivations against sparsity.  Redman et al. (2025), Fig. S3, eq. 7.

Mean over classes and units of the second hidden layer, as Fig. 4B is of the first. Where layer 2 has widths (its masks multiplied back
to the input), they are a second panel, not in the paper. Claims are on the distance from 3 on natural inputs, seed by seed.

Expect: imp's kurtosis moves away from 3 with pruning, is furthest before the last round or then (a plateau), no later than the first
layer's, and falls slightly after. Counts against the paper: no rise, a maximum after the first layer's, or random pruning that rises as
imp does (control: then it is sparsity alone). Chance: of 11 rounds in any order the largest of one course comes after round 0 and no
later than another's in 5 of 11, and is neither the first nor the last in 9 of 11.
"""

import polars as pl
from polars import col

from impray.figures import EVERY, NATURAL, Figure, Gaps, Panel, Share, band, command, once
from impray.results.quantities import KURTOSIS, WIDTH_X_MEAN

SECOND = KURTOSIS.in_layer(2)
PAPER = "Redman et al. (2025), Fig. S3"


@once
def courses(results):
    """Per seed and method the distance from 3 in layer 2 at the start, at the end and at most, and the rounds at which both layers peak."""
    layers = [results.values(quantity, EVERY, side=NATURAL).drop_nulls("value") for quantity in (SECOND, KURTOSIS)]
    away = (col("value") - 3).abs().sort_by("round")
    peaks = [col("round").sort().get(away.arg_max()).alias(name) for name in ("peak", "first_peak")]
    told = [away.first().alias("start"), away.last().alias("end"), away.max().alias("most"), pl.len().alias("rounds")]
    keys = ["method", "seed"]
    both = (
        layers[0].group_by(keys).agg(*told, peaks[0]).join(layers[1].group_by(keys).agg(peaks[1]), on=keys, how="left")
    )
    return both.filter(col("rounds") > 1).with_columns(rise=col("end") - col("start")).sort(keys)


def imp(results):
    return courses(results).filter(col("method") == "imp")


def beyond_random(results):
    random = courses(results).filter(col("method") == "random").select("seed", random="rise")
    return imp(results).join(random, on="seed").select("seed", gap=col("random") - col("rise") / 2)


def not_pruned(results):
    pruned = [2 in trial.pruned_layers for trial in results.trials.values()]
    return [] if all(pruned) else ["Layer 2 itself is not pruned in this sweep."]


FIGURE = Figure(
    name="redman2025_figS3",
    title="Fig. S3  Kurtosis of second-layer preactivations against sparsity",
    question="Does IMP make the second layer's preactivations less Gaussian too?",
    source=PAPER,
    paper="With IMP the kurtosis of second-layer preactivations rises over rounds too, levels off earlier than the first layer's, and "
    "falls slightly at the highest sparsity.",
    base=True,
    notes=not_pruned,
    per_line=2,
    panels=[
        Panel(of=SECOND, mark=band, at=EVERY, x="sparsity", dash="side", height=2.6),
        Panel(of=WIDTH_X_MEAN.in_layer(2), mark=band, at=EVERY, x="sparsity", dash="side", optional=True),
    ],
    claims=[
        Gaps(frame=lambda results: imp(results).select("seed", gap="rise"), source=PAPER,
             says="imp's kurtosis of layer 2 ends further from 3 than it starts"),
        Share(frame=imp, holds=(col("peak") > 0) & (col("peak") <= col("first_peak")), chance=5 / 11, source=PAPER, question="course",
              says="it is furthest from 3 after round 0 and no later than the first layer's"),
        Share(frame=imp, holds=(col("start") < col("most")) & (col("end") < col("most")), chance=9 / 11, source=PAPER, question="course",
              says="it rises first and falls after its largest value"),
        Gaps(frame=beyond_random, sign=-1, control=True, says="random's moves away from 3 by less than half as much (beyond half)"),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
