"""How often does imp lose a true feature, and is Theorem 5's bound exceeded?  Elesedy et al. (2020), Theorem 5.

Failure is a draw in which a true feature of size gamma or more is not kept, when as many are left as there are true ones; shares of
draws with exact binomial intervals. The bound is min(1, 2 p exp(-n gamma^2 lambda_min / (8 sigma^2))), lambda_min of each draw's own Sigma,
mean over draws; the safe bound has 2^(p - k) p for p. Drawn where the theorem's conditions hold: every true weight as large as gamma.

Counts against the theorem: imp losing a true feature more often than the bound says, at any number of samples. Counts against imp: as
many failures as one-shot pruning, the heuristic or backward elimination, all numbers of samples together; not for orthonormal features,
of which all four are one method (Example 1; within 1 %).
Blind spots: where the bound is 1 it says nothing, and is not judged; where it is below 1 in a few thousand, no count of 1,000 draws can
tell a rate from it, and the verdict is no difference within 1 % (the margin). The bound is of imp; of oneshot it holds too.
"""

from __future__ import annotations

import polars as pl
from polars import col

from elesedy.those import SOURCE, linear, rows
from impray.figures import Bounded, Figure, Gaps, NotMeasured, Panel, shares
from impray.results.tidy import Results, once
from impray.spec.data.designs import Hub

NEEDS = "an axis data.samples and measures support and theorem5, as sweeps/elesedy2020_theorem5.yaml"
BOUNDS = {"bound_theorem5": "Theorem 5's bound", "bound_safe": "safe bound"}
FEW = 60  # samples up to which laws of the noise are compared: with more nothing fails, whatever the noise
THEOREM = f"{SOURCE}, Theorem 5"


def wanted(results: Results) -> Results:
    if "data.samples" not in results.axes or results.parameter("theorem5", "as_stated"):
        raise NotMeasured(f"needs {NEEDS}")
    return linear(results, lambda trial, data: not isinstance(data.design, Hub), NEEDS)


@once
def draws(results: Results) -> pl.DataFrame:
    """A row per draw and method: `lost` (1 or 0), its bounds; `facet_of`: the design and, where they vary, the noise; `point` in words."""
    frame = rows(results, "false_exclusions", *BOUNDS)
    facet = pl.format("{} noise", "noise") if frame["noise"].n_unique() > 1 else col("design")
    lost = (col("false_exclusions") > 0).cast(pl.Float64).alias("lost")
    bound = col("bound_theorem5").alias("bound")
    return frame.with_columns(facet.alias("problem"), lost, bound).with_columns(
        pl.format("{}, n = {}", "problem", "samples").alias("point")
    )


def drawn(results: Results) -> pl.DataFrame:
    """Failures of every method, and the bounds as if they were methods."""
    frame = draws(results)
    kept = ["problem", "samples", "seed"]
    one = frame.filter(col("method") == frame["method"][0])
    bounds = [
        one.select(*kept, pl.lit(words).alias("method"), col(name).alias("lost")) for name, words in BOUNDS.items()
    ]
    return pl.concat([frame.select(*kept, "method", "lost"), *bounds]).sort("samples", maintain_order=True)


def fewer(than: str):
    """Per draw and problem: failures of imp minus those of another method, mean over all numbers of samples."""

    def gaps(results: Results) -> pl.DataFrame:
        frame = draws(results)
        sides = [frame.filter(col("method") == name) for name in ("imp", than)]
        both = sides[0].join(sides[1], on=["problem", "samples", "seed"], suffix="_than", maintain_order="left")
        if both.is_empty():
            raise NotMeasured(f"needs the methods imp and {than}")
        gap = (col("lost") - col("lost_than")).mean().alias("gap")
        return both.group_by("problem", "seed", maintain_order=True).agg(gap)

    return gaps


def excess(results: Results) -> pl.DataFrame:
    """Per draw and problem: failures of imp minus the draw's own bound, mean over the numbers of samples at which a bound is below 1."""
    frame = draws(results).filter(col("method") == "imp")
    says = frame.filter(col("bound").mean().over("point") < 1)
    gap = (col("lost") - col("bound")).mean().alias("gap")
    return says.group_by("problem", "seed", maintain_order=True).agg(gap)


def of_noise(law: str):
    """Per draw: imp's failures with noise of a law minus those with Gaussian noise, mean over the numbers of samples at which some fail."""

    def gaps(results: Results) -> pl.DataFrame:
        frame = draws(results).filter(col("method") == "imp", col("samples") <= FEW)
        sides = [frame.filter(col("noise") == name) for name in (law, "Gaussian")]
        both = sides[0].join(sides[1], on=["samples", "seed"], suffix="_than")
        if both.is_empty():
            raise NotMeasured(f"needs an axis data.noise with {law.lower()} and gaussian")
        return both.group_by("seed", maintain_order=True).agg((col("lost") - col("lost_than")).mean().alias("gap"))

    return gaps


FIGURE = Figure(
    name="elesedy2020_theorem5",
    title="Theorem 5  Failures and their bound",
    question="How often does iterative magnitude pruning of a linear model lose a true feature, and is Theorem 5's bound exceeded?",
    source=THEOREM,
    paper="The probability that imp excludes a feature of size gamma or more is at most 2 p exp(-n gamma^2 lambda_min / (8 sigma^2)).",
    wanted=wanted,
    panels=[
        Panel(of=drawn, mark=shares, x="samples", y="lost", columns="problem", scale="log", yscale="log", height=2.6, xlabel="samples n",
              label="share of draws that\nlose a true feature", options={"bounds": tuple(BOUNDS.values()), "limits": (4e-4, 1.2)}),
    ],
    claims=[
        Gaps(frame=excess, sign=-1, each="problem", source=THEOREM, question="bound", what="draw",
             says="imp loses true features less often than Theorem 5's bound allows, all n together ({each})"),
        Bounded(frame=draws, fails=col("lost") > 0, where=col("method") == "imp", each="point", margin=0.01, source=THEOREM, what="draw",
                question="bound, one by one", says="imp keeps all true features at least as often as Theorem 5 says ({each})"),
        *(Gaps(frame=fewer(than), sign=-1, each="problem", source="ours", question="methods", margin=0.01, what="draw",
               optional=than != "oneshot",
               says=f"imp loses true features less often than {than}, all n together ({{each}})")
          for than in ("oneshot", "alignment", "backward")),
        *(Gaps(frame=of_noise(law), sign=0, margin=0.02, source=f"{SOURCE}: any sub-Gaussian noise", question="noise", what="draw",
               optional=True, says=f"imp loses true features as often with {law} noise as with Gaussian")
          for law in ("uniform", "Rademacher")),
    ],
    notes=["Hollow triangles: no failure; they are at the upper end of the 95 % interval."],
)  # fmt: skip
