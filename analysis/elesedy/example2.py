"""When is imp the alignment heuristic?  Elesedy et al. (2020), Examples 1 and 2.

All pairs of features are correlated by exactly alpha in the sample. The heuristic removes the smallest |phi_j^T y| of what is left.
Agreement is the share of removals in which imp takes the same feature; Kendall's tau is of the whole order. The paper: imp is the heuristic
at alpha = 0 (Example 1), tends to it for small alpha, and "alpha near 1 gives this too" (Example 2, whose inverse is misprinted). With the
right inverse alpha p decides, not alpha, and near alpha = 1 what is nearest to the mean projection goes.

Counts against the paper: less than every removal the same at alpha = 0; most removals others at alpha = 0.01, which is small; most
removals others at the largest alpha. Counts against us: agreement that does not fall with alpha; imp no more often exactly right than the
heuristic at alpha p of 3 or more (noise 0.5). Backward elimination removes the smallest w_i^2 / K_ii, K the inverse of Sigma, and all K_ii
are alike here: it is imp, and a check.
"""

import math

import polars as pl
from polars import col

from elesedy.those import SOURCE, alignment, backward, beside, imp, linear, oneshot
from impray.figures import Figure, Level, More, Panel, Same, Trend, means, shares
from impray.results import quantities as q
from impray.results.tidy import Results
from impray.spec.data.designs import Uniform

ALPHA = "data.design.alpha"
NEEDS = "an axis data.design.alpha of uniform correlation and measure order, as sweeps/elesedy2020.yaml"
# Sizes of the noise have other colours than the methods have.
INKS = {shares: {}, means: {"order": ["", "", "", "", "noise 0.1", "noise 0.5", "noise 2.0"]}}
EXAMPLE_2 = f"{SOURCE}, Example 2"


def wanted(results: Results) -> Results:
    def is_wanted(trial, data) -> bool:
        return isinstance(data.design, Uniform) and ALPHA in results.axes

    return linear(results, is_wanted, NEEDS)


def along(quantity: q.Quantity):
    """A quantity at the last round; places along log(alpha p), with alpha = 0 left of the others."""

    def rows(results: Results) -> pl.DataFrame:
        frame = beside(results.values(quantity), results).with_columns((col(ALPHA) * col("features")).alias("alpha p"))
        values = frame["alpha p"].to_list()
        least = min((x for x in values if x > 0), default=1.0)
        places = [math.log10(x or 0.2 * least) for x in values]
        noise = pl.format("noise {}", "noise_scale").alias("noise")
        return frame.with_columns(pl.Series("at", places, dtype=pl.Float64), noise).sort("noise_scale", "law", "at")

    return rows


def panel(quantity: q.Quantity, **more) -> Panel:
    shown = {"label": quantity.label, "reference": quantity.reference, "xlabel": "alpha p, on a log axis but for 0"}
    shared = {"x": "alpha p", "scale": "linear", "dash": "law", "optional": quantity is not q.AGREEMENT}
    mark = shares if quantity is q.EXACT_RECOVERY else means
    return Panel(of=along(quantity), mark=mark, options={"apart": True} | INKS[mark], **shared, **shown, **more)


def level(alpha: float, says: str, **more) -> Level:
    return Level(quantity=q.AGREEMENT, left=imp & (col(ALPHA) == alpha), says=says, source=EXAMPLE_2, **more)


def recovers(left, than, where, says: str) -> More:
    others = {"question": "exact recovery", "each": ALPHA, "source": "ours", "where": col("data.noise_scale") == 0.5}
    return More(quantity=q.EXACT_RECOVERY, left=left & where, than=than & where, says=says, by=(ALPHA,), **others)


FIGURE = Figure(
    name="elesedy2020_example2",
    title="Examples 1 and 2  imp and the alignment heuristic, all pairs of features correlated by alpha",
    question="When is iterative magnitude pruning of a linear model the alignment heuristic, and does either find the true features?",
    source=f"{SOURCE}, Examples 1 and 2",
    paper="imp is the heuristic for orthogonal features; it tends to it for alpha much below 1, and for alpha near 1 too.",
    wanted=wanted,
    panels=[
        panel(q.AGREEMENT, colour="noise", where=imp),
        panel(q.ORDER_TAU, colour="noise", where=imp),
        panel(q.ORDER_TAU_ONESHOT, colour="noise", where=imp),
        panel(q.EXACT_RECOVERY, columns="noise", colour="method"),
    ],
    per_line=3,
    claims=[
        Level(quantity=q.AGREEMENT, left=imp & (col(ALPHA) == 0), near=1.0, margin=0.01, source=f"{SOURCE}, Example 1",
              says="with orthogonal features imp removes what the heuristic does, within 1 % of removals"),
        Trend(quantity=q.AGREEMENT, left=imp, along=ALPHA, sign=-1, each="data.law", source="ours: alpha p decides",
              says="imp agrees the less with the heuristic the larger alpha is ({each} weights)", question="trend"),
        level(0.01, "with alpha = 0.01 (alpha p = 1) imp agrees with the heuristic in most removals", above=0.5, question="alpha"),
        level(0.9, "with alpha = 0.9 imp agrees with the heuristic in most removals", above=0.5, question="alpha"),
        *(recovers(imp, alignment, col(ALPHA) == alpha, "imp finds the true features more often than the heuristic (alpha {each})")
          for alpha in (0.03, 0.1, 0.3, 0.9)),
        recovers(imp, oneshot, col(ALPHA) == 0.9, "imp finds the true features more often than oneshot (alpha {each})"),
        Same(quantity=q.EXACT_RECOVERY, left=backward, than=imp, margin=0.01, by=(ALPHA,), source="all K_ii are alike", control=True,
             says="backward finds the true features as often as imp, whose order it has here"),
    ],
    notes=["alpha 0 stands left of the others, not to scale; p = 100. Exact recovery is judged at noise 0.5."],
)  # fmt: skip
