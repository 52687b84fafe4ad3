"""Width of masks and kurtosis of preactivations against sparsity, per method.  Redman et al. (2025), Fig. 4.

A: mean over units of the paper's RF width, which is the width of the mask's autocorrelation (eq. 1), and their median, since a few units
with hardly any inputs left can have a width beyond the image; spread and pieces where they were measured. B: kurtosis within a class
at theta(rewind) * mask, mean over first-layer units and classes (beside it the median over classes, where it was measured, since a few
heavy-tailed ones can make the mean); a Gaussian has 3. The Gaussian clone is a control, not in the paper.

Expect: width imp < oneshot < random at the end; kurtosis imp > oneshot over the rounds, imp rising almost monotonically (read as a rank
correlation with the round above 0.9), random not rising like imp; in each seed imp ahead of oneshot for good in kurtosis at an earlier
round than in width (never: after the last round). Counts against the paper: oneshot like imp in either; a maximum of imp's kurtosis in
the middle; random rising as imp does; and a clone that leaves 3 as the data do.
"""

from polars import col

from impray.figures import CLONE, EVERY, NATURAL, Figure, Gaps, More, Panel, Trend, band, command
from impray.results.quantities import KURTOSIS, KURTOSIS_MEDIAN_CLASS, PIECES, SPREAD, WIDTH_X_MEAN, WIDTH_X_MEDIAN

imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
natural, clone = col("side") == NATURAL, col("side") == CLONE
FIG_4A, FIG_4B = "Redman et al. (2025), Fig. 4A", "Redman et al. (2025), Fig. 4B"
FIRST = 2  # the first round in which imp and oneshot have masks of their own
MONOTONE = 0.9


def scores(results, quantity, which):
    """What claims compare of a quantity, at every round, in order."""
    frame = results.values(quantity, EVERY).filter(which).drop_nulls("value").sort("seed", "round")
    return frame.select("seed", "round", score=quantity.compared(col("value")))


def lead(quantity):
    """Per seed the round from which on imp stays ahead of oneshot; the one after the last, if it is not ahead in that."""

    def rows(results):
        pairs = scores(results, quantity, imp & natural).join(
            scores(results, quantity, oneshot & natural), on=["seed", "round"]
        )
        behind = (col("score") - col("score_right")) * quantity.sign <= 0
        start = 1 + col("round").filter(behind).max().fill_null(FIRST - 1)
        return pairs.filter(col("round") >= FIRST).group_by("seed").agg(start=start)

    return rows


def ends(which):
    """Per seed how far from 3 the kurtosis is at the first and at the last round."""
    first, last = col("score").first().alias("first"), col("score").last().alias("last")
    return lambda results: scores(results, KURTOSIS, which).group_by("seed", maintain_order=True).agg(first, last)


def paired(left, right, gap):
    return lambda results: left(results).join(right(results), on="seed").sort("seed").select("seed", gap=gap)


rise, rise_right = (col(f"last{side}") - col(f"first{side}") for side in ("", "_right"))
beyond_random = paired(ends(imp & natural), ends(random & natural), rise / 2 - rise_right)
beyond_clone = paired(ends(imp & natural), ends(imp & clone), col("last") / 2 - col("last_right"))
leads = paired(lead(WIDTH_X_MEAN), lead(KURTOSIS), col("start") - col("start_right"))


def narrower(left, than, says):
    return More(
        quantity=WIDTH_X_MEAN, left=left & natural, than=than & natural, says=says, question="width", source=FIG_4A
    )


def against(quantity, **more):
    return Panel(of=quantity, mark=band, x="density", scale="log", at=EVERY, dash="side", height=2.3, **more)


FIGURE = Figure(
    name="redman2025_fig4",
    title="Fig. 4  Localisation and kurtosis against sparsity",
    question="Do receptive fields become local, and preactivations non-Gaussian, with IMP more than with oneshot or random pruning?",
    source="Redman et al. (2025), Fig. 4",
    paper="IMP ends with narrower fields than oneshot pruning, both far below random; preactivation kurtosis rises almost monotonically "
    "with IMP, less with oneshot, not with random, and IMP's lead in kurtosis comes before its lead in width.",
    base=True,
    wanted=lambda results: results.where((imp | oneshot | random) & (natural | clone)),
    per_line=3,
    panels=[
        against(WIDTH_X_MEAN),
        against(WIDTH_X_MEDIAN),
        against(KURTOSIS),
        against(SPREAD, optional=True),
        against(PIECES, optional=True),
        against(KURTOSIS_MEDIAN_CLASS, optional=True),
    ],
    claims=[
        narrower(imp, oneshot, "imp's masks are narrower in autocorrelation than oneshot's in the end"),
        narrower(oneshot, random, "oneshot's masks are narrower in autocorrelation than random's in the end"),
        More(quantity=KURTOSIS, left=imp & natural, than=oneshot & natural, at=EVERY, question="kurtosis", source=FIG_4B,
             says="imp's kurtosis is further from 3 than oneshot's, on average from round 2 on"),
        Trend(quantity=KURTOSIS, left=imp & natural, along="round", beyond=MONOTONE, at=EVERY, question="kurtosis", source=FIG_4B,
              says=f"imp's distance from 3 rises almost monotonically (rank correlation with the round above {MONOTONE:g})"),
        Gaps(frame=beyond_random, question="kurtosis", source=FIG_4B, says="random's kurtosis rises less than half as much as imp's"),
        Gaps(frame=beyond_clone, question="clone", control=True, optional=True,
             says="on the clone imp's kurtosis is less than half as far from 3"),
        Gaps(frame=leads, unit="rounds", question="lead", source="Redman et al. (2025), Fig. 4",
             says="imp leads oneshot for good in kurtosis before it does in width"),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
