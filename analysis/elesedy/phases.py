"""Where is a sparse truth recovered exactly?  imp beside one-shot pruning, backward elimination, IHT, OMP and Lasso, without noise.

The share of draws in which the kept features are exactly the true ones, over samples per feature (n / p) and true features per sample
(k / n), for true weights that are Gaussian and that are +1 or -1. Not in Elesedy et al. (2020), who need n >= p.

Stated beforehand, for n / p = 0.8, all k / n together. Gaussian weights: IHT, OMP and Lasso recover more often than imp. +1 and -1: imp
more often than IHT and OMP, and as often as Lasso within 0.1. n / p = 1: imp always (least squares has the truth, without noise).
Counts against us: any of these the other way.
"""

import polars as pl
from polars import col

from elesedy.those import LAWS, SOURCE, beside, imp, linear
from impray.figures import Figure, Level, More, Panel, Same, cells
from impray.results import quantities as q
from impray.results.tidy import NotMeasured, Results

NEEDS = (
    "axes data.samples and data.nonzero_per_sample without noise and measure support, as sweeps/elesedy2020_phases.yaml"
)
LAW, SAMPLES, FEATURES = "data.law", "data.samples", 100
RIVALS = ("iht", "omp", "lasso")


def wanted(results: Results) -> Results:
    if not {SAMPLES, "data.nonzero_per_sample"} <= set(results.axes):
        raise NotMeasured(f"needs {NEEDS}")
    return linear(results, lambda trial, data: data.noise_scale == 0 and data.nonzero_per_sample is not None, NEEDS)


def recovery(results: Results) -> pl.DataFrame:
    """Exact recovery with n / p, by name, and k / n."""
    frame = beside(results.values(q.EXACT_RECOVERY), results).sort("samples", "per_sample", maintain_order=True)
    return frame.with_columns((col("samples") / col("features")).cast(pl.String).alias("n / p"))


def panel(law: str, words: str) -> Panel:
    return Panel(of=recovery, mark=cells, x="n / p", columns="method", colour="per_sample", where=col(LAW) == law, optional=True,
                 label=f"{words} weights\nk / n", xlabel="n / p", height=1.7)  # fmt: skip


def at(law: str, share: float = 0.8) -> pl.Expr:
    return (col(LAW) == law) & (col(SAMPLES) == round(share * FEATURES))


def compared(law: str, left: str, than: str) -> More:
    sides = [(col("method") == name) & at(law) for name in (left, than)]
    return More(quantity=q.EXACT_RECOVERY, left=sides[0], than=sides[1], source="ours", question=f"{LAWS[law]} weights",
                says=f"with {LAWS[law]} weights {left} recovers exactly more often than {than} (n / p = 0.8)")  # fmt: skip


FIGURE = Figure(
    name="elesedy2020_phases",
    title="Exact recovery without noise",
    question="Where in (samples, true features) does imp recover a sparse truth exactly, beside IHT, OMP and Lasso?",
    source=f"after {SOURCE}, who need n >= p",
    wanted=wanted,
    panels=[panel(law, words) for law, words in LAWS.items()],
    claims=[
        *(compared("gaussian", rival, "imp") for rival in RIVALS),
        *(compared("signs", "imp", rival) for rival in ("iht", "omp")),
        Same(quantity=q.EXACT_RECOVERY, left=imp & at("signs"), than=(col("method") == "lasso") & at("signs"), margin=0.1,
             source="ours", question=f"{LAWS['signs']} weights",
             says="with +1 or -1 weights imp recovers exactly as often as lasso, within 0.1 (n / p = 0.8)"),
        *(compared(law, "imp", "oneshot") for law in ("gaussian", "signs")),
        Level(quantity=q.EXACT_RECOVERY, left=imp & (col(SAMPLES) == FEATURES), near=1.0, margin=0.01, each=LAW, question="n = p",
              source="least squares without noise", says="with as many samples as features imp recovers exactly ({each} weights)"),
    ],
)  # fmt: skip
